"""Things with a name that are no recording: devices, pipes, sockets, folders, links in a circle."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

SPECIAL = {
    "fifo.wav": "is not a regular file",
    "socket.wav": "is not a regular file",
    "zeros.wav": "is not a regular file",
    "folder.wav": "is a folder",
    "itself.wav": "cannot be read (",
    "circle.wav": "cannot be read (",
    "nowhere.wav": "no such file",
    "empty.wav": "is empty",
    "empty.wav/inside.wav": "no such file",
    "a" * 300 + ".wav": "cannot be read (",
    "two\nlines.wav": "is not audio that can be read",
    "folder.wav/../text.wav": "is not audio that can be read",
    "null\0.wav": "no such file",
}
"""What each is refused with."""


def make_special() -> None:
    """Put them all into the working folder."""
    os.mkfifo("fifo.wav")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket.wav")
    Path("zeros.wav").symlink_to("/dev/zero")
    Path("folder.wav").mkdir()
    Path("itself.wav").symlink_to("itself.wav")
    Path("circle.wav").symlink_to("other.wav")
    Path("other.wav").symlink_to("circle.wav")
    Path("nowhere.wav").symlink_to("gone")
    Path("empty.wav").touch()
    for name in ("two\nlines.wav", "text.wav"):
        Path(name).write_text("Dear diary,\n" * 20)


IS_POSSIBLE = sys.platform != "win32"
