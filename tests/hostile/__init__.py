"""Hostile input: small files of every format, broken on purpose, through the doors that users have.

    PYTHONPATH=src:tests python -m hostile --cases 10000

`seeds` makes a good file of every format, `mutations` breaks it, `trial` puts one through reading,
inspecting and enhancing and says what came of it, and `run` has workers do so under a watchdog.
"""
