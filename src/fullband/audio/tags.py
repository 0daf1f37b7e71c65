"""Titles, names and cover art, from one file to another.

libsndfile keeps ten kinds of text and no picture. With PyAV all of them go along into the
containers that take them; the sound is copied as it is.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import os
import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fullband.audio.ffmpeg import import_av, read_chapters, read_tags
from fullband.audio.muxing import add_pictures

__all__ = ["ATTACHED_TO", "Tags", "attach", "id3_length", "libsndfile_names", "read"]

ATTACHED_TO = ("FLAC", "MP3", "OGG")
"""Containers that libsndfile writes and that take all tags and pictures through FFmpeg."""

_FFMPEG_NAMES = {"tracknumber": "track"}  # libsndfile's name: FFmpeg's
_OF_THE_FILE = ("software", "encoder")


@dataclass(frozen=True)
class Tags:
    """What a file says about itself.

    Attributes:
        texts: by FFmpeg's names: title, artist, album, date, track, ...
        pictures: `image/jpeg` or `image/png`, and the content.
        chapters: as PyAV has them.
    """

    texts: dict[str, str] = field(default_factory=dict)
    pictures: list[tuple[str, bytes]] = field(default_factory=list)
    chapters: list[Any] = field(default_factory=list)


def read(file: IO[bytes], container: str, known: Mapping[str, str]) -> Tags:
    """All that a file says of itself, as far as what is installed can read it.

    Args:
        container: as in `AudioFile`.
        known: what the reader found, by libsndfile's names or FFmpeg's.
    """
    known = {name.lower(): value for name, value in known.items()}
    texts = {_FFMPEG_NAMES.get(name, name): value for name, value in known.items()}
    texts = {name: value for name, value in texts.items() if name not in _OF_THE_FILE and value}
    pictured = container in ATTACHED_TO or container not in ("WAV", "RF64", "W64", "AIFF", "AU")
    if not pictured or importlib.util.find_spec("av") is None:
        return Tags(texts)
    try:
        more, pictures = read_tags(file)
        file.seek(0)
        chapters = read_chapters(file)
    except (import_av().FFmpegError, UnicodeDecodeError):
        return Tags(texts)
    return Tags(
        {**texts, **{name.lower(): value for name, value in more.items()}}, pictures, chapters
    )


def libsndfile_names(texts: Mapping[str, str]) -> dict[str, str]:
    """The tags by libsndfile's names."""
    back = {theirs: ours for ours, theirs in _FFMPEG_NAMES.items()}
    return {back.get(name, name): value for name, value in texts.items()}


def attach(path: Path, container: str, tags: Tags) -> None:
    """Put tags and pictures into a complete file of one of `ATTACHED_TO`; its sound stays the same.

    Raises:
        DependencyError: PyAV is not installed.
        OSError, av.FFmpegError: it cannot be done.
    """
    tagged = path.with_name(f"{path.name}.tagged")
    try:
        if container == "MP3":
            _prepend_id3(path, tagged, tags)
        else:
            _copy_with(path, tagged, "flac" if container == "FLAC" else "ogg", tags)
        os.replace(tagged, path)
    finally:
        tagged.unlink(missing_ok=True)


def _prepend_id3(path: Path, tagged: Path, tags: Tags) -> None:
    """An MP3 file's tag stands before its first frame; what follows is not FFmpeg's to rewrite.

    It would lose LAME's note on how many samples stand before and behind the recording.
    """
    made = io.BytesIO()
    av = import_av()
    with av.open(os.fspath(path)) as source, av.open(made, "w", format="mp3", options=_ID3) as out:
        _mux(source, out, tags, most_packets=1)
    head = made.getvalue()
    with path.open("rb") as sound, tagged.open("wb") as file:
        file.write(head[: id3_length(head)])
        sound.seek(id3_length(sound.read(10)))
        shutil.copyfileobj(sound, file)


_ID3 = {"id3v2_version": "3", "write_xing": "0"}


def id3_length(head: bytes) -> int:
    """How long the tag is that a file begins with: four bytes of seven bits say it."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte & 0x7F
    return 10 + length


def _copy_with(path: Path, tagged: Path, muxer: str, tags: Tags) -> None:
    av = import_av()
    with av.open(os.fspath(path)) as source, av.open(os.fspath(tagged), "w", format=muxer) as out:
        _mux(source, out, tags)


def _mux(source: Any, out: Any, tags: Tags, most_packets: int | None = None) -> None:
    """Copy the sound, with tags and pictures."""
    sound = source.streams.audio[0]
    copy = out.add_stream_from_template(sound)
    texts = dict(tags.texts)
    packets: list[Any] = []
    if out.format.name == "ogg":
        if tags.pictures:
            texts["METADATA_BLOCK_PICTURE"] = base64.b64encode(_block(*tags.pictures[0])).decode()
        copy.metadata.update(texts)
    else:
        out.metadata.update(texts)
        packets = add_pictures(out, tags.pictures)
    if tags.chapters:
        out.set_chapters(tags.chapters)
    out.start_encoding()
    for packet in packets:
        out.mux(packet)
    for number, packet in enumerate(source.demux(sound)):
        if not packet.size or number == most_packets:
            break
        packet.stream = copy
        out.mux(packet)


def _block(kind: str, content: bytes) -> bytes:
    """A picture as FLAC and Ogg hold it: front cover, its type, no words, and no size stated."""
    name = kind.encode()
    sizes = (0, 0, 0, 0, 0, len(content))
    return struct.pack(f">II{len(name)}s6I", 3, len(name), name, *sizes) + content
