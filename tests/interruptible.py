"""For processes that tests interrupt: what a shell runs in the background ignores Ctrl-C, and so
does all that is started from there, the tests' own processes among them."""

from __future__ import annotations

import signal

__all__ = ["interruptible"]


def interruptible() -> None:
    """To be run in the new process, before its program."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
