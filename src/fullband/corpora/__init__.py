"""Corpora: which recordings there are, in which split, and their samples in one memory map."""
