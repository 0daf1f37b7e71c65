"""What a listener reads before the first trial, unless the test says something else."""

from __future__ import annotations

from pathlib import Path

from fullband.errors import MissingFileError, SettingsError, reason

__all__ = ["WELCOME", "read_welcome"]

_CONSENT = (
    "Taking part is voluntary, and you may stop at any time by closing the page. What is stored "
    "are the name or code that you give, your answers, when you gave them, and how long you "
    "listened. Nothing else is, and nothing is sent anywhere but to the computer that runs this "
    "test."
)
_BEFORE = (
    "Please use good headphones in a quiet room. Set a comfortable level with the first sounds, "
    "and leave it as it is from then on. All sounds of a screen run at once, so you can change "
    "between them at any moment, and you can repeat a short part by moving the ends of the loop. "
    "Take a break whenever you like: what you have answered is kept, and the test goes on where "
    "you were."
)

WELCOME = {
    "mushra": (
        "On every screen you hear one recording as it should sound, the reference, and several "
        "versions of it. Please say how good each version is compared with the reference, from 0 "
        "to 100: whatever differs from the reference counts against it.",
        "One of the versions is the reference itself, so at least one of them should get 100. The "
        "others may be anything from very close to it to very dull. Listen to all of them before "
        "you rate any: the first screen is a good place to learn how much they differ.",
        _BEFORE,
        _CONSENT,
    ),
    "abx": (
        "On every screen you hear three sounds. A and B differ, and X is the same as one of them. "
        "Please say which. Sometimes there is next to nothing to hear: then guess, and say that "
        "you guessed.",
        _BEFORE,
        _CONSENT,
    ),
}
"""Paragraphs, by the kind of test: what to do, how to listen, and what is agreed to."""


def read_welcome(path: Path) -> tuple[str, ...]:
    """Paragraphs out of a text file, which empty lines part.

    Raises:
        MissingFileError: there is no such file.
        SettingsError: it holds no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise MissingFileError(f"{path}: cannot be read ({reason(error)})") from None
    except ValueError:
        raise SettingsError(f"{path}: is not a text file") from None
    paragraphs = tuple(" ".join(part.split()) for part in text.split("\n\n") if part.strip())
    if not paragraphs:
        raise SettingsError(f"{path}: holds no text")
    return paragraphs
