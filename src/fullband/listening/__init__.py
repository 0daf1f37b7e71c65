"""Listening tests: `making` builds a session out of files, `session` is what it is, `order` says
who hears what when, `server` serves it, `store` keeps the answers, and `results` says what they
tell, by `screening` and `statistics`. Serving needs the extra `web`, results of MUSHRA `evaluate`.
"""
