"""A good file of every format that can be made here: a quarter of a second of noise and tone, the
same bytes on every run. A new format is one line below."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import io
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from fullband.audio.raw import RawFormat
from fullband.audio.tags import ATTACHED_TO, Tags, attach
from hostile.ogg import with_serial

DURATION_S = 0.25

SOUNDFILE = [
    # name, container, subtype, rate, channels
    *(("wav", "WAV", subtype, 8000, 1) for subtype in soundfile.available_subtypes("WAV")),
    *(("wav", "WAVEX", subtype, 16000, 3) for subtype in ("PCM_16", "PCM_24", "FLOAT")),
    *(("rf64", "RF64", subtype, 8000, 2) for subtype in ("PCM_16", "FLOAT")),
    *(("w64", "W64", subtype, 8000, 1) for subtype in ("PCM_24", "IMA_ADPCM", "MS_ADPCM")),
    *(("aiff", "AIFF", subtype, 8000, 1) for subtype in soundfile.available_subtypes("AIFF")),
    *(("au", "AU", subtype, 8000, 1) for subtype in soundfile.available_subtypes("AU")),
    *(("caf", "CAF", subtype, 8000, 2) for subtype in ("PCM_16", "DOUBLE", "ALAC_16", "ALAC_24")),
    ("flac", "FLAC", "PCM_16", 8000, 1),
    ("flac", "FLAC", "PCM_24", 48000, 2),
    ("ogg", "OGG", "VORBIS", 16000, 2),
    ("opus", "OGG", "OPUS", 16000, 1),
    ("mp3", "MP3", "MPEG_LAYER_III", 16000, 2),
    ("mp3", "MP3", "MPEG_LAYER_III", 44100, 1),
    # What libsndfile knows besides, and takes whatever the file's ending is.
    *(("avr", "AVR", subtype, 8000, 1) for subtype in ("PCM_U8", "PCM_16")),
    ("htk", "HTK", "PCM_16", 8000, 1),
    ("iff", "SVX", "PCM_16", 8000, 1),
    ("mat4", "MAT4", "PCM_16", 8000, 1),
    ("mat5", "MAT5", "DOUBLE", 8000, 2),
    ("mpc", "MPC2K", "PCM_16", 8000, 1),
    *(("paf", "PAF", subtype, 8000, 1) for subtype in ("PCM_16", "PCM_24")),
    ("pvf", "PVF", "PCM_16", 8000, 1),
    ("sds", "SDS", "PCM_16", 8000, 1),
    *(("sf", "IRCAM", subtype, 8000, 1) for subtype in ("PCM_16", "ULAW")),
    *(("voc", "VOC", subtype, 8000, 1) for subtype in ("PCM_U8", "ALAW")),
    ("nist", "NIST", "PCM_16", 8000, 1),
    ("wve", "WVE", "ALAW", 8000, 1),
    *(("xi", "XI", subtype, 44100, 1) for subtype in ("DPCM_8", "DPCM_16")),
]
"""What libsndfile writes."""

FFMPEG = [
    # name, container, codec, sample format, rate, channels
    ("m4a", "ipod", "aac", "fltp", 16000, 2),
    ("m4a", "ipod", "alac", "s16p", 16000, 1),
    ("aac", "adts", "aac", "fltp", 16000, 1),
    ("wma", "asf", "wmav2", "fltp", 16000, 2),
    ("wma", "asf", "wmav1", "fltp", 16000, 1),
    ("amr", "amr", "libopencore_amrnb", "s16", 8000, 1),
    ("mkv", "matroska", "libopus", "s16", 48000, 2),
    ("mkv", "matroska", "flac", "s16", 16000, 1),
    ("mp4", "mp4", "aac", "fltp", 16000, 1),
    ("mov", "mov", "pcm_s16le", "s16", 16000, 1),
    ("3gp", "3gp", "libopencore_amrnb", "s16", 8000, 1),
    ("avi", "avi", "libmp3lame", "s16p", 16000, 1),
    ("flv", "flv", "libmp3lame", "s16p", 44100, 1),
    ("ts", "mpegts", "mp2", "s16", 16000, 1),
    ("ac3", "ac3", "ac3", "fltp", 48000, 2),
    ("eac3", "eac3", "eac3", "fltp", 48000, 2),
    ("g722", "g722", "g722", "s16", 16000, 1),
    ("mka", "matroska", "pcm_s16le", "s16", 16000, 2),
    ("mp2", "mp2", "mp2", "s16", 16000, 1),
    ("mp4", "mp4", "libopus", "s16", 48000, 2),
    ("mpg", "mpeg", "mp2", "s16", 48000, 1),
    ("oga", "ogg", "flac", "s16", 16000, 1),
    ("wav", "wav", "g722", "s16", 16000, 1),
    ("webm", "webm", "libopus", "s16", 48000, 1),
    ("wv", "wv", "wavpack", "s16p", 16000, 1),
    ("tta", "tta", "tta", "s16", 16000, 1),
]
"""What FFmpeg writes, where PyAV is installed and has the encoder."""

FILMED = ("matroska", "mp4", "mov", "avi")
"""Containers that get moving pictures beside the sound."""


RAW = ["mulaw:8000", "alaw:8000", "gsm:8000", "s16le:16000:2", "s24le:48000", "f32le:8000:3"]
"""Samples without a header, as `--raw` takes them."""


@dataclasses.dataclass(frozen=True)
class Seed:
    """A good file.

    Attributes:
        suffix: the ending that its name has, with the dot.
        raw: what has to be said of a file without a header.
    """

    label: str
    suffix: str
    content: bytes
    raw: str | None = None


@functools.lru_cache(maxsize=1)
def seeds() -> tuple[Seed, ...]:
    """All of them."""
    made = [
        Seed(f"{container}-{subtype}-{channels}", f".{name}", content)
        for name, container, subtype, rate, channels in SOUNDFILE
        if (content := _by_soundfile(container, subtype, rate, channels))
    ]
    made += [
        Seed(f"{container}-{codec}", f".{name}", content)
        for name, container, codec, form, rate, channels in FFMPEG
        if (content := _by_ffmpeg(container, codec, form, rate, channels))
    ]
    made += [
        Seed(f"{container}-tagged", f".{container.lower()}", content)
        for container in ATTACHED_TO
        if (content := _tagged(container))
    ]
    for raw in RAW:
        stored = RawFormat.parse(raw)
        content = _by_soundfile("RAW", stored.subtype, stored.sample_rate, stored.channels)
        made.append(Seed(f"raw {raw}", ".raw", content or b"", raw))
        if stored.coding == "gsm":
            made.append(Seed("gsm", ".gsm", 8 * (content or b"")))  # shorter, nobody knows it
    return tuple(made)


def sound(rate: int, channels: int) -> np.ndarray:
    """What every seed holds, `[T, C]` float32."""
    generator = np.random.default_rng(channels)
    t = np.arange(round(DURATION_S * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * 440 * t)
    noise = 0.05 * generator.standard_normal((channels, len(t)))
    return np.ascontiguousarray((tone + noise).T.astype(np.float32))


def _by_soundfile(container: str, subtype: str, rate: int, channels: int) -> bytes | None:
    made = io.BytesIO()
    try:
        soundfile.write(made, sound(rate, channels), rate, subtype, format=container)
    except (soundfile.LibsndfileError, ValueError):
        return None  # this libsndfile was built without it
    return _steady(container)(made.getvalue())


def _steady(container: str) -> Callable[[bytes], bytes]:
    """Takes out of a file what is not the same the next time: a clock's time, a drawn number."""
    if container == "OGG":
        return lambda content: with_serial(content, 1)
    if container == "MAT5":
        return lambda content: content[:20] + bytes(96) + content[116:]  # text for people
    return _without_time


def _without_time(content: bytes) -> bytes:
    """With the second at which libsndfile measured the peak set to one."""
    at = content.find(b"PEAK")
    if at < 0:
        return content
    is_big = content[:4] == b"FORM"
    stamp = struct.pack(">I" if is_big else "<I", 1)
    return content[: at + 12] + stamp + content[at + 16 :]


def _pictures(made: Any) -> Any:
    """A stream of moving pictures beside the sound."""
    stream = made.add_stream("mpeg4", rate=10)
    stream.width = stream.height = 16
    stream.pix_fmt = "yuv420p"
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"flags": "+bitexact"}
    return stream


def _black(number: int) -> Any:
    import av

    frame = av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), format="yuv420p")
    frame.pts = number
    return frame


def _tagged(container: str) -> bytes | None:
    """With a title and a cover."""
    kinds = {"FLAC": "PCM_16", "OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}
    content = _by_soundfile(container, kinds[container], 16_000, 1)
    if content is None or importlib.util.find_spec("av") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"made.{container.lower()}"
        path.write_bytes(content)
        attach(path, container, Tags({"title": "A title", "artist": "Nobody"}, [_COVER]))
        made = path.read_bytes()
    return with_serial(made, 1) if container == "OGG" else made


def _png() -> bytes:
    """Four grey pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0\x20\x40\0\x60\x80")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*each) for each in ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    )


_COVER = ("image/png", _png())


def _by_ffmpeg(container: str, codec: str, form: str, rate: int, channels: int) -> bytes | None:
    try:
        import av
    except ImportError:
        return None
    layout = {1: "mono", 2: "stereo"}[channels]
    samples = sound(rate, channels).T
    if form.startswith("s16"):
        samples = np.round(samples * 32767).astype(np.int16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made"
        options = {"fflags": "+bitexact"}
        try:
            with av.open(str(path), "w", format=container, container_options=options) as made:
                stream = made.add_stream(codec, rate=rate)
                stream.layout = layout
                stream.format = form
                if container == "asf":  # its usual rate of bits is too low for two channels
                    stream.bit_rate = 32_000
                stream.codec_context.options = {"flags": "+bitexact"}
                stream.codec_context.open()
                made.metadata["title"] = "A title"
                picture = _pictures(made) if container in FILMED else None
                size = stream.codec_context.frame_size or samples.shape[1]
                for start in range(0, samples.shape[1], size):
                    piece = np.ascontiguousarray(samples[:, start : start + size])
                    if not form.endswith("p"):
                        piece = np.ascontiguousarray(piece.T).reshape(1, -1)
                    frame = av.AudioFrame.from_ndarray(piece, format=form, layout=layout)
                    frame.sample_rate = rate
                    frame.pts = start
                    made.mux(stream.encode(frame))
                made.mux(stream.encode(None))
                for number in (0, 1, 2, None) if picture else ():
                    made.mux(picture.encode(None if number is None else _black(number)))
        except (av.error.FFmpegError, ValueError):
            return None  # this FFmpeg was built without it
        return path.read_bytes()
