"""Every format that is read and every one that is written: length, alignment, level, loudspeakers.

What is read is made by FFmpeg's encoders here, so nothing of fullband has written it; what is
written is read back by FFmpeg too. docs/reliability.md has the tables of this file.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from encoded import decoded, encode
from fullband.audio.file import AudioReader, AudioWriter, read, write
from fullband.audio.formats import FFMPEG, READ_ONLY, SUFFIXES, output_suffix, subtype_like
from fullband.audio.formats import AudioFile as Info
from fullband.errors import AudioFileError, FullbandError, OutputError
from signals import lag, low_passed, noise, tone

PROJECT = Path(__file__).resolve().parent.parent.parent
RATE = 48_000
FRAMES = 30_011  # of no codec's frame a multiple


@dataclass(frozen=True)
class Made:
    """A file to read: who encodes it, and what is known of its length.

    Attributes:
        encoder, muxer: FFmpeg's, or in capitals libsndfile's.
        late: samples that stand before the recording, of which the container says nothing.
        exact: whether the container says how long it is, to the sample.
    """

    encoder: str
    muxer: str
    sample_rate: int = RATE
    late: int = 0
    exact: bool = True
    video: str | None = None

    def __str__(self) -> str:
        return self.encoder if self.video is None else f"{self.encoder} beside {self.video}"


AAC_LATE, MP3_LATE = 1024, 1105
READ = {
    ".3g2": [Made("aac", "3g2")],
    ".3gp": [Made("aac", "3gp"), Made("aac", "3gp", video="mpeg4")],
    ".722": [Made("g722", "g722", 16_000, 22, False)],
    ".aac": [Made("aac", "adts", late=AAC_LATE, exact=False)],
    ".ac3": [Made("ac3", "ac3", late=256, exact=False)],
    ".adts": [Made("aac", "adts", 16_000, AAC_LATE, False)],
    ".aif": [Made("pcm_s16be", "aiff")],
    ".aiff": [Made("pcm_s24be", "aiff")],
    ".amr": [Made("libopencore_amrnb", "amr", 8000, 40, False)],
    ".asf": [Made("wmav2", "asf", late=-2048, exact=False)],
    ".au": [Made("pcm_s16be", "au")],
    ".avi": [
        Made("pcm_s16le", "avi", video="mpeg4"),
        Made("libmp3lame", "avi", late=MP3_LATE, exact=False),
    ],
    ".caf": [Made("pcm_s16be", "caf"), Made("alac", "caf")],
    ".eac3": [Made("eac3", "eac3", late=256, exact=False)],
    ".flac": [Made("flac", "flac")],
    ".flv": [Made("aac", "flv", late=AAC_LATE, exact=False)],
    ".g722": [Made("g722", "g722", 16_000, 22, False)],
    ".gsm": [Made("GSM610", "RAW", 8000, exact=False)],
    ".m2ts": [Made("aac", "mpegts", late=AAC_LATE, exact=False)],
    ".m4a": [Made("aac", "ipod"), Made("alac", "ipod"), Made("aac", "ipod", 8000)],
    ".m4b": [Made("aac", "ipod", 44_100)],
    ".m4v": [Made("aac", "mp4", video="mpeg4")],
    ".mka": [Made("libopus", "matroska"), Made("flac", "matroska"), Made("pcm_s16le", "matroska")],
    ".mkv": [Made("libopus", "matroska", video="mpeg4"), Made("flac", "matroska", video="mpeg4")],
    ".mov": [Made("pcm_s16le", "mov", video="mpeg4"), Made("aac", "mov", video="mpeg4")],
    ".mp2": [Made("mp2", "mp2", late=481, exact=False)],
    ".mp3": [Made("libmp3lame", "mp3"), Made("libmp3lame", "mp3", 8000)],
    ".mp4": [Made("aac", "mp4"), Made("aac", "mp4", video="mpeg4"), Made("libopus", "mp4")],
    ".mpeg": [Made("mp2", "mpeg", late=481, exact=False, video="mpeg1video")],
    ".mpg": [Made("mp2", "mpeg", late=481, exact=False)],
    ".mts": [Made("ac3", "mpegts", late=256, exact=False)],
    ".oga": [Made("VORBIS", "OGG"), Made("flac", "ogg")],
    ".ogg": [Made("VORBIS", "OGG"), Made("VORBIS", "OGG", 8000)],
    ".opus": [Made("libopus", "opus")],
    ".rf64": [Made("PCM_16", "RF64")],
    ".ts": [Made("aac", "mpegts", late=AAC_LATE, exact=False, video="mpeg2video")],
    ".tta": [Made("tta", "tta")],
    ".w64": [Made("pcm_s16le", "w64", exact=False)],
    ".wav": [
        Made("pcm_s16le", "wav"),
        Made("pcm_mulaw", "wav", 8000),
        Made("GSM610", "WAV", 8000, exact=False),
        Made("g722", "wav", 16_000, 22, False),
    ],
    ".weba": [Made("libopus", "webm")],
    ".webm": [Made("libopus", "webm")],
    ".wma": [
        Made("wmav2", "asf", late=-2048, exact=False),
        Made("wmav1", "asf", 44_100, -2048, False),
    ],
    ".wmv": [Made("wmav2", "asf", late=-2048, exact=False, video="wmv2")],
    ".wv": [Made("wavpack", "wv")],
}
"""By ending."""

MADE = [
    pytest.param(suffix, made, id=f"{suffix} {made}") for suffix in READ for made in READ[suffix]
]


def sound(sample_rate: int, frames: int = FRAMES, seed: int = 3) -> np.ndarray:
    """Noise up to 3 kHz, so that every codec keeps it."""
    wide = noise(frames / sample_rate, sample_rate, seed=seed, rms=0.1)
    return low_passed(wide, sample_rate, 3000)[:frames]


def make(path: Path, made: Made) -> np.ndarray:
    original = sound(made.sample_rate)
    if made.muxer.isupper():
        soundfile.write(
            path, original, made.sample_rate, made.encoder, endian="FILE", format=made.muxer
        )
    else:
        encode(path, original, made.sample_rate, made.encoder, made.muxer, made.video)
    return original


def lateness(heard: np.ndarray, original: np.ndarray) -> int:
    """Samples that what is heard is late by; negative where its beginning is missing."""
    piece = original[5000:15_000].astype(np.float64)
    return int(np.argmax(np.correlate(heard[:20_000].astype(np.float64), piece, "valid"))) - 5000


def aligned(heard: np.ndarray, original: np.ndarray, late: int) -> tuple[np.ndarray, np.ndarray]:
    heard, original = heard[max(0, late) :], original[max(0, -late) :]
    length = min(len(heard), len(original))
    return heard[:length], original[:length]


@pytest.mark.parametrize(("suffix", "made"), MADE)
def test_what_others_encode_is_read(tmp_path, suffix, made):
    path = tmp_path / f"sound{suffix}"
    original = make(path, made)
    with AudioReader(path) as reader:
        blocks = list(reader.blocks(5000))
        heard = np.concatenate(blocks, axis=-1)
        again = np.concatenate(list(reader.blocks()), axis=-1)
    assert max(block.shape[-1] for block in blocks) <= 5000
    np.testing.assert_array_equal(again, heard)  # twice readable, in blocks of any size
    assert (reader.info.sample_rate, reader.info.channels) == (made.sample_rate, 1)
    assert reader.info.moving == (made.video is not None)
    assert lateness(heard[0], original) == made.late
    if made.exact:
        assert heard.shape == (1, FRAMES)
    else:
        assert 0 <= heard.shape[-1] - FRAMES - min(made.late, 0) <= 2400 or made.late < 0
    assert abs(reader.info.frames - heard.shape[-1]) <= 0.05 * FRAMES + 9216
    pair = aligned(heard[0], original, made.late)
    speech_only = "amr" in made.encoder or made.encoder == "GSM610"
    assert np.corrcoef(*pair)[0, 1] > (0.6 if speech_only else 0.97)
    levels = [np.std(each) for each in pair]
    assert levels[0] / levels[1] == pytest.approx(1, abs=0.2 if made.sample_rate == 8000 else 0.05)


def needs_pyav(suffix: str) -> bool:
    return suffix in (set(READ_ONLY) - {".mp2"}) or SUFFIXES.get(suffix) in FFMPEG


@pytest.mark.parametrize("suffix", READ)
def test_what_the_base_install_reads(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"sound{suffix}"
    make(path, READ[suffix][0])
    monkeypatch.setitem(sys.modules, "av", None)
    if not needs_pyav(suffix):
        assert read(path)[0].size
        return
    with pytest.raises(FullbandError, match=rf"sound\{suffix}: is ") as caught:
        read(path)
    if suffix != ".gsm":  # nothing but frames, which only FFmpeg recognises
        assert str(caught.value).endswith("needs PyAV: pip install 'fullband[formats]'")


def test_every_ending_is_read_by_a_test_above():
    assert set(READ) == set(SUFFIXES) | set(READ_ONLY)


@pytest.mark.parametrize(
    ("encoder", "muxer", "name", "container"),
    [
        ("aac", "ipod", "wrong.wav", "M4A"),
        ("pcm_s16le", "wav", "wrong.m4a", "WAV"),
        ("libmp3lame", "mp3", "wrong.gsm", "MP3"),
        ("libopus", "opus", "wrong.au", "OGG"),
        ("flac", "flac", "wrong.raw", "FLAC"),
        ("wmav2", "asf", "wrong", "ASF"),
    ],
)
def test_the_content_counts_not_the_name(tmp_path, encoder, muxer, name, container):
    original = sound(RATE)
    encode(tmp_path / name, original, RATE, encoder, muxer)
    with AudioReader(tmp_path / name) as reader:
        assert reader.info.container == container
        assert np.concatenate(list(reader.blocks()), axis=-1).any()


@pytest.mark.parametrize(("suffix", "made"), [(".m4a", READ[".m4a"][0]), (".mka", READ[".mka"][0])])
def test_a_compressed_file_that_was_cut_off_is_damaged(tmp_path, suffix, made):
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    options = {"movflags": "faststart"} if suffix == ".m4a" else None
    encode(whole, sound(RATE, 120_000), RATE, made.encoder, made.muxer, options=options)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(AudioFileError, match=r"damaged after [01]\.\d+ s of 2\.5\d s"):
        read(cut)


def test_itunes_note_on_the_length_is_believed(tmp_path):
    path = tmp_path / "sound.m4a"
    told = f" 00000000 00000840 000001CA {29_000:016X} 00000000"
    options = {"movflags": "use_metadata_tags"}
    encode(path, sound(RATE), RATE, "aac", "mp4", options=options, tags={"iTunSMPB": told})
    assert read(path)[0].shape == (29_000,)


def test_what_time_stamps_say_is_missing_is_silence(tmp_path):
    """Half a second was lost in the middle: what comes after stays where it was."""
    original = sound(RATE, RATE)
    encode(tmp_path / "whole.mka", original, RATE, "flac", "matroska")
    with (
        av.open(str(tmp_path / "whole.mka")) as source,
        av.open(str(tmp_path / "gap.mka"), "w", format="matroska") as out,
    ):
        copy = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size and not 0.2 < packet.pts * packet.time_base < 0.7:
                packet.stream = copy
                out.mux(packet)
    heard = read(tmp_path / "gap.mka")[0]
    assert abs(len(heard) - RATE) <= 48  # Matroska counts in milliseconds
    assert not heard[14_400:33_000].any()
    assert abs(lag(heard[36_000:46_000], original[36_000:46_000])) <= 48


def test_of_several_tracks_the_default_one_is_heard_and_named(tmp_path):
    path = tmp_path / "two.mka"
    tones = [tone(300, 0.5, RATE), tone(900, 0.5, RATE)]
    with av.open(str(path), "w", format="matroska") as out:
        streams = [out.add_stream("flac", rate=RATE, layout="mono") for _ in tones]
        streams[0].disposition = av.stream.Disposition(0)
        streams[1].disposition = av.stream.Disposition.default
        streams[1].metadata["language"] = "fra"
        for stream, audio in zip(streams, tones, strict=True):
            frame = av.AudioFrame.from_ndarray(audio[None], "flt", "mono")
            frame.sample_rate, frame.pts = RATE, 0
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                out.mux(packet)
    with AudioReader(path) as reader:
        heard = np.concatenate(list(reader.blocks()), axis=-1)[0]
        assert reader.info.notes == ("has 2 sound tracks; number 2 (fra) was taken",)
    assert np.argmax(np.abs(np.fft.rfft(heard))) == 900 * len(heard) // RATE


def test_a_video_without_sound_and_a_playlist_are_refused(tmp_path):
    silent = tmp_path / "silent.mp4"
    encode(tmp_path / "both.mp4", sound(RATE), RATE, "aac", "mp4", video="mpeg4")
    with (
        av.open(str(tmp_path / "both.mp4")) as source,
        av.open(str(silent), "w") as out,
    ):
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    with pytest.raises(AudioFileError, match=r"silent\.mp4: holds no sound"):
        read(silent)
    soundfile.write(tmp_path / "secret.wav", sound(RATE), RATE)
    playlists = {
        "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n",
        "list.wav": f"ffconcat version 1.0\nfile '{tmp_path}/secret.wav'\n",
    }
    for name, text in playlists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(AudioFileError, match="is not audio that can be read"):
            read(tmp_path / name)


def test_flac_that_does_not_state_its_length_is_read(tmp_path):
    encode(tmp_path / "sound.oga", sound(RATE), RATE, "flac", "ogg")
    with (
        av.open(str(tmp_path / "sound.oga")) as source,
        av.open(str(tmp_path / "sound.flac"), "w", format="flac") as out,
    ):
        copy = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    content = bytearray((tmp_path / "sound.flac").read_bytes())
    content[21] &= 0xF0  # the upper four bits of the count, and the rest of it
    content[22:26] = bytes(4)
    (tmp_path / "sound.flac").write_bytes(content)
    assert read(tmp_path / "sound.flac")[0].shape == (FRAMES,)


WRITTEN = {
    ".3g2": [None],
    ".3gp": [None],
    ".aif": [None, "PCM_24"],
    ".aiff": [None],
    ".au": [None, "FLOAT"],
    ".avi": [None],
    ".caf": [None, "PCM_24"],
    ".flac": [None, "PCM_24"],
    ".flv": [None],
    ".m4a": [None, "PCM_16", "PCM_24"],
    ".m4b": [None],
    ".m4v": [None],
    ".mka": [None, "PCM_16", "PCM_24"],
    ".mkv": [None, "PCM_24"],
    ".mov": [None, "PCM_16", "PCM_24"],
    ".mp3": [None],
    ".mp4": [None, "PCM_24"],
    ".oga": [None],
    ".ogg": [None],
    ".opus": [None],
    ".rf64": [None, "FLOAT"],
    ".w64": [None, "PCM_24"],
    ".wav": [None, "PCM_24", "FLOAT"],
    ".webm": [None],
}
"""By ending, the sample formats that are asked for; None is what the container chooses."""

WAYS = [(suffix, subtype) for suffix in WRITTEN for subtype in WRITTEN[suffix]]


@pytest.mark.parametrize(("suffix", "subtype"), WAYS)
def test_what_is_written_others_decode(tmp_path, suffix, subtype):
    path = tmp_path / f"sound{suffix}"
    original = np.stack([sound(RATE, seed=1), sound(RATE, seed=2)])
    with AudioWriter(path, RATE, 2, subtype) as writer:
        for start in range(0, FRAMES, 7001):
            writer.write(original[:, start : start + 7001])
    heard, rate = read(path)
    late = AAC_LATE if suffix == ".flv" else 0  # it has no place to say so
    assert rate == RATE
    if not late:
        assert heard.shape == original.shape
    by_ffmpeg = decoded(path)
    assert 0 <= by_ffmpeg.shape[-1] - FRAMES <= 2400
    least = 0.97 if writer.subtype in ("AAC", "OPUS", "VORBIS", "MPEG_LAYER_III") else 0.999999
    for channels in (heard, by_ffmpeg):
        for one, other in zip(channels, original, strict=True):
            assert lateness(one, other) == late
            assert np.corrcoef(*aligned(one, other, late))[0, 1] > least


def test_every_ending_is_written_by_a_test_above():
    assert set(WRITTEN) == set(SUFFIXES)
    assert {SUFFIXES[suffix] for suffix in WRITTEN} >= set(FFMPEG)


@pytest.mark.parametrize("channels", range(3, 9))
@pytest.mark.parametrize("suffix", [".wav", ".rf64", ".flac", ".ogg", ".opus", ".m4a", ".mka"])
def test_each_loudspeaker_keeps_its_tone(tmp_path, suffix, channels):
    """A tone of its own in each channel, low enough for a subwoofer's."""
    path = tmp_path / f"sound{suffix}"
    tones = np.stack([tone(40.0 + 10 * i, 0.5, RATE) for i in range(channels)])
    write(path, tones, RATE)
    with AudioReader(path) as reader:
        assert reader.info.mask.bit_count() == channels
        read_back = np.concatenate(list(reader.blocks()), axis=-1)
    for heard in (read_back, decoded(path)):
        spectra = np.abs(np.fft.rfft(heard[:, : RATE // 2], 4 * RATE, axis=-1))
        assert [round(peak / 4, -1) for peak in np.argmax(spectra, axis=-1)] == [
            40.0 + 10 * i for i in range(channels)
        ]


def test_the_channel_mask_is_the_sources_or_the_usual_one(tmp_path):
    def stated(path: Path) -> tuple[int, int]:
        content = path.read_bytes()
        at = content.index(b"fmt ") + 8
        return (
            int.from_bytes(content[at : at + 2], "little"),
            int.from_bytes(content[at + 20 : at + 24], "little"),
        )

    six = np.stack([tone(200, 0.1, RATE)] * 6)
    write(tmp_path / "usual.wav", six, RATE)
    assert stated(tmp_path / "usual.wav") == (0xFFFE, 0x3F)
    content = bytearray((tmp_path / "usual.wav").read_bytes())
    content[content.index(b"fmt ") + 28] = 0x0F  # 5.1 with the surrounds at the sides
    content[content.index(b"fmt ") + 29] = 0x06
    (tmp_path / "sides.wav").write_bytes(content)
    for suffix in (".wav", ".rf64"):
        target = tmp_path / f"kept{suffix}"
        with (
            AudioReader(tmp_path / "sides.wav") as reader,
            AudioWriter(target, RATE, 6, like=reader) as writer,
        ):
            assert reader.info.mask == 0x60F
            writer.write(six)
        assert stated(target) == (0xFFFE, 0x60F)
    with (
        AudioReader(tmp_path / "sides.wav") as reader,
        AudioWriter(tmp_path / "kept.m4a", RATE, 6, "PCM_16", like=None) as writer,
    ):
        writer.write(six)
    assert read(tmp_path / "kept.m4a")[0].shape == six.shape
    write(tmp_path / "stereo.wav", six[:2], RATE)
    assert stated(tmp_path / "stereo.wav")[0] == 1  # as ever


def test_wav_beyond_4_gb_is_rf64(tmp_path, monkeypatch):
    monkeypatch.setattr("fullband.audio.file._LARGEST_WAV", 10_000)
    audio = tone(440, 0.5, 16_000)
    for frames, container in ((5000, b"RIFF"), (5001, b"RF64")):
        write(tmp_path / "long.wav", audio[:frames], 16_000, force=True)
        assert (tmp_path / "long.wav").read_bytes()[:4] == container
        assert read(tmp_path / "long.wav")[0].shape == (frames,)

    def too_long() -> None:
        with AudioWriter(tmp_path / "open.wav", 16_000, 1) as writer:
            for start in range(0, 6000, 1000):
                writer.write(audio[None, start : start + 1000])

    with pytest.raises(OutputError, match=r"open\.wav: WAV holds at most 4 GB; use \.rf64"):
        too_long()
    assert not (tmp_path / "open.wav").exists()


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".opus", ".m4a", ".webm"])
def test_bit_rates_are_what_is_asked_for(tmp_path, suffix):
    two = np.stack([noise(4, RATE, seed=1), noise(4, RATE, seed=2)])
    for kbps in (None, 128.0):
        path = tmp_path / f"{kbps}{suffix}"
        write(path, two, RATE, bitrate_kbps=kbps)
        found = path.stat().st_size * 8 / 4 / 1000
        assert found == pytest.approx(kbps or 256, rel=0.35)  # Vorbis varies with the sound
    with pytest.raises(OutputError, match=r"a bit rate of 5 kb/s is outside .* kb/s for"):
        write(tmp_path / f"low{suffix}", two, RATE, bitrate_kbps=5)
    with pytest.raises(OutputError, match=r"PCM_16 has no bit rate to choose"):
        write(tmp_path / "sound.wav", two, RATE, bitrate_kbps=128)


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".opus", ".m4a", ".webm"])
def test_lossy_results_are_limited_and_counted_too(tmp_path, suffix):
    loud = np.stack([tone(300, 0.5, RATE, amplitude=1.5)] * 2)
    with AudioWriter(tmp_path / f"loud{suffix}", RATE, 2) as writer:
        writer.write(loud)
    assert writer.limited == int(np.sum(np.abs(loud) > 1))
    assert writer.peak == pytest.approx(1.5, abs=0.001)
    heard = read(tmp_path / f"loud{suffix}")[0]
    assert np.corrcoef(heard[0], np.clip(loud[0], -1, 1))[0, 1] > 0.999  # nothing wrapped around
    assert np.max(np.abs(heard)) < 1.25


def info(container: str, subtype: str) -> Info:
    return Info("x", RATE, 1, 1, container, subtype)


@pytest.mark.parametrize(
    ("container", "subtype", "target", "expected"),
    [
        ("M4A", "ALAC_24", "out.m4a", "PCM_24"),
        ("M4A", "ALAC_16", "out.m4a", "PCM_16"),
        ("M4A", "AAC", "out.m4a", None),
        ("WAV", "PCM_24", "out.m4a", None),
        ("MOV", "PCM_16", "out.mov", "PCM_16"),
        ("M4A", "ALAC_24", "out.wav", "PCM_24"),
        ("M4A", "AAC", "out.wav", "PCM_16"),
        ("ASF", "WMAV2", "out.flac", "PCM_16"),
        ("WAV", "GSM610", "out.wav", "PCM_16"),
    ],
)
def test_container_and_depth_stay_unless_asked(container, subtype, target, expected):
    assert subtype_like(info(container, subtype), target) == expected


def test_a_depth_is_what_is_asked_for_or_refused():
    pcm = info("WAV", "PCM_16")
    assert [subtype_like(pcm, "o.wav", each) for each in ("16", "24", "32f")] == [
        "PCM_16",
        "PCM_24",
        "FLOAT",
    ]
    assert subtype_like(pcm, "o.m4a", "24") == "PCM_24"
    for target, depth, message in (
        ("o.mp3", "16", "MP3 has no bit depth to choose"),
        ("o.webm", "24", "WEBM has no bit depth to choose"),
        ("o.flac", "32f", r"FLAC holds 16 or 24 bits; use \.wav for 32f"),
        ("o.avi", "24", "AVI is written with 16 bits"),
        ("o.wav", "20", "a depth is one of 16, 24, 32f, not '20'"),
    ):
        with pytest.raises(OutputError, match=message):
            subtype_like(pcm, target, depth)


def test_what_cannot_be_written_gets_the_nearest_ending():
    for name, expected in (
        ("a.MP3", ".MP3"),
        ("a.wma", ".wav"),
        ("a.aac", ".m4a"),
        ("a.ts", ".mkv"),
        ("a.wv", ".flac"),
        ("a.unknown", ".wav"),
    ):
        assert output_suffix(Path(name)) == expected


def formats_table() -> str:
    """What docs/reliability.md says of formats: what the tests above have seen."""
    lines = [
        "| ending | needs | read | first sample | length | written |",
        "|---|---|---|---|---|---|",
    ]
    for suffix in sorted(READ):
        made = READ[suffix]
        late = {each.late for each in made}
        start = "exact" if late == {0} else ", ".join(f"{each:+d}" for each in sorted(late))
        exact = {each.exact for each in made}
        length = {(True,): "exact", (False,): "as decoded"}.get(tuple(exact), "by codec")
        lines.append(
            f"| `{suffix}` | {'PyAV' if needs_pyav(suffix) else ''} | "
            f"{', '.join(dict.fromkeys(str(each).lower() for each in made))} | "
            f"{start} | {length} | {written_as(suffix)} |"
        )
    return "\n".join(lines)


def written_as(suffix: str) -> str:
    if suffix in READ_ONLY:
        return f"as `{READ_ONLY[suffix]}`"
    muxer = FFMPEG.get(SUFFIXES[suffix])
    if muxer is not None:
        return " or ".join(dict.fromkeys([muxer.lossy, muxer.lossless]))
    if suffix == ".opus":
        return "Opus"
    kinds = {"MP3": "MP3", "OGG": "Vorbis", "FLAC": "16, 24 bits"}
    return kinds.get(SUFFIXES[suffix], "16, 24, 32f bits")


def test_the_document_has_this_table():
    text = (PROJECT / "docs" / "reliability.md").read_text("utf-8")
    assert formats_table() in text, f"docs/reliability.md should have:\n{formats_table()}"


def test_a_file_in_fragments_is_read_to_its_end(tmp_path):
    """Streaming services and cameras write MP4 piece by piece; its header knows of no length."""
    path = tmp_path / "sound.mp4"
    options = {"movflags": "frag_every_frame+empty_moov"}
    original = sound(RATE, 3 * RATE)
    encode(path, original, RATE, "aac", "mp4", options=options)
    heard = read(path)[0]
    late = lateness(heard, original)
    assert late in (0, AAC_LATE)
    assert 0 <= len(heard) - late - len(original) < 1024
