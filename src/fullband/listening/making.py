"""A session made out of folders of audio: one of references, and one of every system's results.

All stimuli are WAV of 24 bits with one rate and, within an item, one length, so that not even their
sizes tell them apart. Nothing is resampled and no level is matched: what a system does to level,
rate or alignment is the system's, and is refused or told rather than hidden.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fullband.audio.file import SUFFIXES, AudioReader, read, write
from fullband.audio.formats import READ_ONLY
from fullband.audio.level import active_level_db, busiest_start
from fullband.audio.samples import Audio
from fullband.errors import AudioFileError, MissingFileError, OutputError, SettingsError
from fullband.folders import new_folder
from fullband.listening.anchors import ANCHORS_HZ, anchor
from fullband.listening.session import REFERENCE, Item, Session, write_session
from fullband.listening.welcome import WELCOME
from fullband.version import __version__

__all__ = ["LONGEST_S", "Made", "make_session"]

LONGEST_S = 12.0
"""ITU-R BS.1534-3 asks for sequences of about 10 s, preferably of no more than 12 s."""

_MOST_STIMULI = 12  # of a MUSHRA trial, as ITU-R BS.1534-3 recommends
_UNEVEN_S = 0.05  # by which lengths may differ: codecs and frames of networks pad or cut ends
_TOLD_DB = 1.0
_NAME = re.compile(r"[\w.+-]{1,40}")


@dataclass(frozen=True)
class Made:
    """A session that was made.

    Attributes:
        session: what it is.
        notes: what whoever runs it should know, in words.
    """

    session: Session
    notes: tuple[str, ...]


def make_session(
    folder: Path,
    kind: Literal["mushra", "abx"],
    references: Path,
    systems: Mapping[str, Path],
    *,
    pairs: Sequence[tuple[str, str]] = (),
    repeats: int = 1,
    longest_s: float = LONGEST_S,
    seed: int | None = None,
    welcome: tuple[str, ...] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> Made:
    """Make a session in a folder, which appears whole or not at all.

    Every file of `references` is an item. A system's result is the file of the same name, whatever
    its ending, at the same place in the system's folder; what else lies there is left out.

    Args:
        pairs: of names that `abx` compares; none compares every system with the reference.
        repeats: how often a listener of `abx` gets each pair of an item.
        longest_s: of an item. Of longer ones the stretch is taken in which there is most to hear.
        seed: what the orders follow from; None draws one.
        welcome: paragraphs for listeners; none takes `WELCOME`.
        progress: called with what is being done, the items done and the items in all.

    Raises:
        SettingsError: names, pairs or counts make no test, or the rate is too low for the anchors.
        MissingFileError: a folder or a system's file is not there.
        AudioFileError: a file cannot be read, or has another rate, length or number of channels
            than its reference, or the references differ in rate.
        OutputError: the folder exists and is not empty, or cannot be written.
    """
    _check_names(kind, tuple(systems), pairs, repeats, longest_s)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: exists already; choose another folder")
    found = _files_of(references)
    paths = {
        name: {REFERENCE: path, **{s: _result_of(systems[s], s, name) for s in systems}}
        for name, path in found.items()
    }
    sample_rate = _check_formats(paths)
    if kind == "mushra":
        for cutoff_hz in ANCHORS_HZ.values():
            anchor(np.zeros((1, 1), np.float32), sample_rate, cutoff_hz)
    if kind == "abx" and not pairs:
        pairs = [(REFERENCE, name) for name in systems]
    notes: list[str] = []
    items = []
    with new_folder(folder) as part:
        (part / "stimuli").mkdir()
        for number, (name, files) in enumerate(paths.items(), start=1):
            if progress is not None:
                progress(name, number - 1, len(paths))
            items.append(_make_item(part, number, name, files, kind, longest_s, notes))
        session = Session(
            kind=kind,
            id=secrets.token_hex(8),
            seed=secrets.randbits(53) if seed is None else seed,
            sample_rate=sample_rate,
            systems=tuple(systems),
            pairs=tuple(pairs) if kind == "abx" else (),
            repeats=repeats,
            welcome=welcome or WELCOME[kind],
            items=tuple(items),
            version=__version__,
        )
        write_session(session, part)
    return Made(session, tuple(notes))


def _check_names(
    kind: str,
    systems: tuple[str, ...],
    pairs: Sequence[tuple[str, str]],
    repeats: int,
    longest_s: float,
) -> None:
    if not systems:
        raise SettingsError("a listening test needs at least one system")
    for name in systems:
        if name == REFERENCE or name in ANCHORS_HZ:
            raise SettingsError(f"no system can be called '{name}': the test has its own")
        if not _NAME.fullmatch(name):
            raise SettingsError(f"'{name}': a system's name is letters, digits and any of . + - _")
    if kind == "mushra":
        if pairs or repeats != 1:
            raise SettingsError("pairs and repeats belong to ABX; MUSHRA has all side by side")
        most = _MOST_STIMULI - 1 - len(ANCHORS_HZ)
        if len(systems) > most:
            raise SettingsError(
                f"{len(systems)} systems are too many to rate side by side; at most {most}"
            )
    for pair in pairs:
        unknown = [name for name in pair if name != REFERENCE and name not in systems]
        if unknown:
            raise SettingsError(
                f"a pair has '{unknown[0]}', which is no system; one of "
                + ", ".join((REFERENCE, *systems))
            )
        if pair[0] == pair[1]:
            raise SettingsError(f"a pair of '{pair[0]}' and itself cannot be told apart")
    if len({frozenset(pair) for pair in pairs}) < len(pairs):
        raise SettingsError("a pair is given twice; repeats make it come more often")
    if repeats < 1 or not longest_s >= 1:
        raise SettingsError("a trial comes at least once and lasts at least a second")


def _files_of(folder: Path) -> dict[str, Path]:
    """The audio in a folder and below it, by path without ending, sorted."""
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: no such folder")
    endings = {*SUFFIXES, *READ_ONLY}
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if hidden or path.suffix.lower() not in endings or not path.is_file():
            continue
        name = inside.with_suffix("").as_posix()
        if name in found:
            raise AudioFileError(f"{path}: {found[name].name} has the same name; keep one of them")
        found[name] = path
    if not found:
        raise MissingFileError(f"{folder}: no audio in it")
    return found


def _result_of(folder: Path, system: str, name: str) -> Path:
    """The file that a system made of an item."""
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: no such folder (of system {system})")
    place = folder / name
    endings = {*SUFFIXES, *READ_ONLY}
    found = [
        path
        for path in (sorted(place.parent.iterdir()) if place.parent.is_dir() else ())
        if path.stem == place.name and path.suffix.lower() in endings and path.is_file()
    ]
    if not found:
        raise MissingFileError(f"{place}.*: no such audio (of system {system})")
    if len(found) > 1:
        raise AudioFileError(
            f"{found[1]}: {found[0].name} has the same name; keep one of them (of system {system})"
        )
    return found[0]


def _check_formats(paths: Mapping[str, Mapping[str, Path]]) -> int:
    """See that files fit together, before anything is computed; the rate of all of them."""
    first: tuple[Path, int] | None = None
    for files in paths.values():
        with AudioReader(files[REFERENCE]) as reader:
            wanted = reader.info
        first = first or (files[REFERENCE], wanted.sample_rate)
        if wanted.sample_rate != first[1]:
            raise AudioFileError(
                f"{files[REFERENCE]}: {wanted.sample_rate} Hz, but {first[0]} has {first[1]} Hz; "
                "a test has one rate"
            )
        if wanted.channels > 2:
            raise AudioFileError(
                f"{files[REFERENCE]}: {wanted.channels} channels; a test has one or two"
            )
        for path in files.values():
            with AudioReader(path) as reader:
                info = reader.info
            if info.sample_rate != wanted.sample_rate:
                raise AudioFileError(
                    f"{path}: {info.sample_rate} Hz, but its reference has {wanted.sample_rate} Hz;"
                    " resample it first, for example with fullband enhance --model sinc --rate "
                    f"{wanted.sample_rate}"
                )
            if info.channels != wanted.channels:
                raise AudioFileError(
                    f"{path}: channels: {info.channels}, but its reference has {wanted.channels}"
                )
            off_s = abs(info.frames - wanted.frames) / wanted.sample_rate
            if off_s > _UNEVEN_S:
                raise AudioFileError(
                    f"{path}: lasts {info.frames / info.sample_rate:.3f} s, but its reference "
                    f"{wanted.frames / wanted.sample_rate:.3f} s; it has to be the whole of it"
                )
    assert first is not None
    return first[1]


def _make_item(
    part: Path,
    number: int,
    name: str,
    files: Mapping[str, Path],
    kind: str,
    longest_s: float,
    notes: list[str],
) -> Item:
    """Write an item's stimuli; what is to be told of them is added to `notes`."""
    audio: dict[str, Audio] = {}
    for stimulus, path in files.items():
        samples, sample_rate = read(path)
        audio[stimulus] = np.atleast_2d(samples)
    if kind == "mushra":
        for stimulus, cutoff_hz in ANCHORS_HZ.items():
            audio[stimulus] = anchor(audio[REFERENCE], sample_rate, cutoff_hz)
    length = min(each.shape[-1] for each in audio.values())
    frames = min(length, int(longest_s * sample_rate))
    start = busiest_start(audio[REFERENCE][:, :length], sample_rate, frames)
    audio = {stimulus: each[:, start : start + frames] for stimulus, each in audio.items()}
    wanted_db = active_level_db(audio[REFERENCE], sample_rate)
    for stimulus in files:
        off_db = active_level_db(audio[stimulus], sample_rate) - wanted_db
        if abs(off_db) > _TOLD_DB:
            how = f"{abs(off_db):.1f} dB {'louder' if off_db > 0 else 'softer'}"
            notes.append(
                f"{files[stimulus]}: {how} than its reference; levels are left as they are"
            )
    # The highest step of 24 bits is just below 1: rounded down to it, no sample is limited.
    peak = max(float(np.max(np.abs(each))) for each in audio.values())
    gain = 1.0 if peak <= 1.0 else 0.9999 / peak
    for stimulus, each in audio.items():
        target = part / "stimuli" / f"{number:04}-{stimulus}.wav"
        write(target, each * np.float32(gain), sample_rate, subtype="PCM_24")
    return Item(
        name,
        start / sample_rate,
        frames,
        round(20 * math.log10(gain), 3),
        {stimulus: f"stimuli/{number:04}-{stimulus}.wav" for stimulus in audio},
    )
