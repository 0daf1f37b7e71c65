"""Video: the picture's packets are copied, the sound is replaced and stays where it was."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from encoded import encode, first_time_s, packets_of
from fullband.audio.file import AudioReader, read
from fullband.enhancement import enhance_file
from fullband.errors import OutputError
from signals import low_passed, noise, tone

RATE = 48_000
CONTAINERS = {
    ".3gp": ("3gp", "mpeg4", "aac"),
    ".avi": ("avi", "mpeg4", "pcm_s16le"),
    ".flv": ("flv", "libx264", "aac"),
    ".m4v": ("mp4", "libx264", "aac"),
    ".mkv": ("matroska", "libx264", "libopus"),
    ".mov": ("mov", "libx264", "pcm_s16le"),
    ".mp4": ("mp4", "libx264", "aac"),
    ".webm": ("webm", "libvpx", "libopus"),
}


def sound(duration_s: float = 1.0) -> np.ndarray:
    return low_passed(noise(duration_s, RATE, seed=5), RATE, 3500)


def offset_s(path: Path) -> float:
    """How much later the sound begins than the picture, by what was recorded, not by the stream."""
    return first_time_s(path, "audio") - first_time_s(path, "video")


def late(heard: np.ndarray, original: np.ndarray) -> int:
    piece = original[12_000:24_000].astype(np.float64)
    return int(np.argmax(np.correlate(heard[:40_000].astype(np.float64), piece, "valid"))) - 12_000


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("late_s", [0.0, 0.3])
def test_picture_copied_and_sound_in_its_place(tmp_path, suffix, late_s):
    muxer, video, encoder = CONTAINERS[suffix]
    if suffix == ".avi" and late_s:
        pytest.skip("AVI cannot say that a stream begins later")
    narrow, wide = tmp_path / f"narrow{suffix}", tmp_path / f"wide{suffix}"
    original = sound()
    encode(narrow, original, RATE, encoder, muxer, video=video, late_s=late_s)
    summary = enhance_file(narrow, wide, model="sinc")
    assert summary.frames == summary.analysis.frames
    assert packets_of(wide, "video") == packets_of(narrow, "video")
    with AudioReader(wide) as reader:
        assert reader.info.moving
    # Where in time the recording itself is, whatever an encoder put before it.
    at = [offset_s(path) + late(read(path)[0], original) / RATE for path in (narrow, wide)]
    in_milliseconds = muxer in ("matroska", "webm", "flv")
    assert at[1] == pytest.approx(at[0], abs=0.0015 if in_milliseconds else 1e-4)


@pytest.mark.parametrize(
    ("source", "target"), [(".ts", ".mkv"), (".wmv", ".avi"), (".mpg", ".mkv")]
)
def test_video_that_is_not_written_gets_another_container(tmp_path, source, target):
    muxer, video, encoder = {
        ".ts": ("mpegts", "mpeg2video", "aac"),
        ".wmv": ("asf", "wmv2", "wmav2"),
        ".mpg": ("mpeg", "mpeg1video", "mp2"),
    }[source]
    narrow, wide = tmp_path / f"narrow{source}", tmp_path / f"wide{target}"
    original = sound()
    encode(narrow, original, RATE, encoder, muxer, video=video)
    summary = enhance_file(narrow, wide, model="sinc")
    assert f"{source} files are not written; the result is {target[1:].upper()}" in summary.notes[0]
    at = [offset_s(path) + late(read(path)[0], original) / RATE for path in (narrow, wide)]
    assert at[1] == pytest.approx(at[0], abs=0.0015)
    assert b"".join(packets_of(wide, "video"))[:200] == b"".join(packets_of(narrow, "video"))[:200]


def test_other_tracks_subtitles_and_names_are_copied(tmp_path):
    narrow, wide = tmp_path / "narrow.mkv", tmp_path / "wide.mkv"
    encode(tmp_path / "one.mkv", sound(), RATE, "flac", "matroska", video="libx264")
    subtitles = tmp_path / "words.srt"
    subtitles.write_text("1\n00:00:00,200 --> 00:00:00,700\nHello\n")
    comment = tone(700, 1, RATE)
    with (
        av.open(str(tmp_path / "one.mkv")) as first,
        av.open(str(subtitles)) as words,
        av.open(str(narrow), "w", format="matroska") as out,
    ):
        copies = {
            stream: out.add_stream_from_template(stream)
            for stream in (first.streams.audio[0], first.streams.video[0], words.streams[0])
        }
        copies[first.streams.audio[0]].metadata["language"] = "deu"
        second = out.add_stream("flac", rate=RATE, layout="mono")
        second.metadata["language"] = "eng"
        copies[first.streams.audio[0]].disposition = av.stream.Disposition.default
        frame = av.AudioFrame.from_ndarray(comment[None], "flt", "mono")
        frame.sample_rate, frame.pts = RATE, 0
        packets = [*second.encode(frame), *second.encode(None)]
        for file in (first, words):
            for packet in file.demux():
                if packet.size:
                    packet.stream = copies[packet.stream]
                    packets.append(packet)
        for packet in packets:
            out.mux(packet)
    summary = enhance_file(narrow, wide, model="spline", rate=24_000)
    assert summary.notes == ("has 2 sound tracks; number 1 (deu) was taken",)
    with av.open(str(wide)) as file:
        assert [stream.type for stream in file.streams] == ["audio", "video", "subtitle", "audio"]
        assert [stream.metadata.get("language") for stream in file.streams.audio] == ["deu", "eng"]
        assert [stream.rate for stream in file.streams.audio] == [24_000, RATE]
        assert b"Hello" in b"".join(bytes(p) for p in file.demux(file.streams.subtitles[0]))


def test_the_sound_alone_can_be_asked_for(tmp_path):
    encode(tmp_path / "talk.mp4", sound(), RATE, "aac", "mp4", video="libx264")
    for name in ("talk.wav", "talk.m4a", "talk.mka"):
        enhance_file(tmp_path / "talk.mp4", tmp_path / name, model="sinc")
        assert read(tmp_path / name)[0].shape == (RATE,)
        with AudioReader(tmp_path / name) as reader:
            assert not reader.info.moving


def test_a_picture_that_the_container_cannot_hold_is_refused(tmp_path):
    encode(tmp_path / "talk.webm", sound(), RATE, "libopus", "webm", video="libvpx")
    with pytest.raises(OutputError, match=r"out\.mp4: cannot be written \(mp4 cannot hold its vp8"):
        enhance_file(tmp_path / "talk.webm", tmp_path / "out.mp4", model="sinc")
    assert [path.name for path in tmp_path.iterdir()] == ["talk.webm"]
