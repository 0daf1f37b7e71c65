"""Training: config (what a recipe may say), step, checkpoint, log, loop. Needs fullband[train]."""
