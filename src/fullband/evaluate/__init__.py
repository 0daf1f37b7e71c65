"""Judging: metrics (pure functions), run and suite (rows), report (tables)."""
