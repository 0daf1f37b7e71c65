"""Architectures: one file each, with its configuration. `registry` knows them by name.

The contract of every model: audio `[B, T]` at `config.sample_rate` in, already at that rate with
content only up to some bandwidth; audio out of the same shape, rate, level and alignment. Channels
are batch. A model makes no decisions about devices.
"""
