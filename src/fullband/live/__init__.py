"""Real time: `loop` runs a stream between pipes or whatever else, `devices` between a microphone
and a speaker. What a stream is, is in `fullband.streaming`."""
