"""Every error that fullband raises on purpose.

Each message is one line in the user's words: what is wrong, with which file, and what to do.
`FullbandError` catches them all; each leaf also inherits the built-in exception that a caller
would expect, so `except ValueError` and `except FileNotFoundError` work as usual.
"""

from __future__ import annotations

__all__ = [
    "AudioError",
    "AudioFileError",
    "DependencyError",
    "DownloadError",
    "FullbandError",
    "MissingFileError",
    "ModelError",
    "OutputError",
    "SettingsError",
    "WorkerError",
    "reason",
    "shown",
]


def shown(text: str) -> str:
    """The text with everything escaped that would break the line or command the terminal."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


class FullbandError(Exception):
    """The root of every error raised by fullband. Its message is one line, whatever the name of a
    file in it holds."""

    def __init__(self, message: str = "") -> None:
        super().__init__(shown(message))


class AudioError(FullbandError, ValueError):
    """An array of samples that cannot be used: wrong shape, NaN or infinite values, absurd rate."""


class AudioFileError(FullbandError, ValueError):
    """A file that cannot be read as audio: not audio, empty, damaged or of an absurd rate."""


class MissingFileError(FullbandError, FileNotFoundError):
    """A file or folder that is not there, or a folder without any audio in it."""


class OutputError(FullbandError, OSError):
    """A result that cannot be written: it exists, the folder is read-only, the disk is full."""


class ModelError(FullbandError, ValueError):
    """A model that does not exist, or whose file does not hold what its card says."""


class SettingsError(FullbandError, ValueError):
    """A recipe with an unknown key, a value of the wrong type or one out of range."""


class DependencyError(FullbandError, ImportError):
    """A command that needs an extra which is not installed; the message gives the pip command."""


class DownloadError(FullbandError, OSError):
    """A download that failed, or whose content is not what it should be."""


class WorkerError(FullbandError, RuntimeError):
    """A worker process that died of what it was given, or a cluster that cannot be reached."""


def reason(error: Exception) -> str:
    """What the system or a library says went wrong, as part of a line."""
    said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    said = str(said).strip().rstrip(".")
    if said.startswith("File does not exist"):
        return "damaged"  # what libsndfile says of damage in MP3
    return said.lower() if isinstance(error, OSError) else said
