"""Judging: metrics (pure functions), run (a model on a corpus, to rows), report (rows to tables)."""
