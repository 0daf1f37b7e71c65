"""Real encoders and decoders: what is left of audio after a codec, sample on sample.

Music codecs run at the audio's own rate: `mp3` (LAME), `aac` (FFmpeg's AAC-LC), `opus` (libopus)
and `vorbis` (libvorbis). Telephone codecs run at 8 kHz: `mulaw` and `alaw` (ITU-T G.711), `g726`
(ITU-T G.726), `gsm` (GSM 06.10 full rate), `amr` (AMR-NB, 3GPP TS 26.071) and `opus-nb` (libopus
for voice in narrow band, RFC 6716). A coding is written with its rate in kb/s, for all channels
together: `mp3:64`, `amr:4.75`; `mulaw`, `alaw` and `gsm` have only one.

Nothing is delayed: what encoders put in front their containers say, and the decoder takes it out;
AMR's container says nothing, so its delay is taken out here. Needs PyAV (`fullband[formats]`),
which brings FFmpeg's libraries; Vorbis and GSM are libsndfile's.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import soundfile

from fullband.audio.formats import vorbis_quality
from fullband.audio.resample import resample
from fullband.audio.samples import Audio
from fullband.errors import DependencyError, SettingsError

__all__ = [
    "CODECS",
    "MUSIC_CODECS",
    "TELEPHONE_CODECS",
    "TELEPHONE_RATE",
    "Codec",
    "Coding",
    "Transmitted",
]

TELEPHONE_RATE = 8000


@dataclass(frozen=True)
class Codec:
    """How one is run.

    Attributes:
        encoder: FFmpeg's name, or libsndfile's subtype.
        container: FFmpeg's or libsndfile's name of the format that the stream is kept in.
        telephone: for one channel of voice at 8 kHz.
        kbps: the rates that make sense, lowest and highest; none where there is nothing to choose.
        steps: all of them, where there are but a few.
        rates: the sample rates it takes; empty for any.
        delay: samples that its output is late by.
        options: for FFmpeg's encoder.
    """

    encoder: str
    container: str
    telephone: bool = False
    kbps: tuple[float, float] | None = None
    steps: tuple[float, ...] = ()
    rates: tuple[int, ...] = ()
    delay: int = 0
    options: tuple[tuple[str, str], ...] = ()
    libsndfile: bool = False


_MPEG_RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000)
_OPUS_RATES = (48_000, 24_000, 16_000, 12_000, 8000)
_AMR_KBPS = (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2)
_CONSTANT = (("vbr", "off"),)
_VOICE = (("application", "voip"), ("cutoff", "4000"), *_CONSTANT)

CODECS = {
    "mp3": Codec("libmp3lame", "mp3", kbps=(16, 320), rates=_MPEG_RATES),
    "aac": Codec("aac", "mp4", kbps=(16, 320), rates=_MPEG_RATES),
    "opus": Codec("libopus", "ogg", kbps=(6, 510), rates=_OPUS_RATES, options=_CONSTANT),
    "vorbis": Codec("VORBIS", "OGG", kbps=(32, 500), libsndfile=True),
    "mulaw": Codec("pcm_mulaw", "wav", telephone=True),
    "alaw": Codec("pcm_alaw", "wav", telephone=True),
    "g726": Codec("g726", "wav", telephone=True, kbps=(16, 40), steps=(16, 24, 32, 40)),
    "gsm": Codec("GSM610", "WAV", telephone=True, libsndfile=True),
    "amr": Codec(
        "libopencore_amrnb", "amr", telephone=True, kbps=(4.75, 12.2), steps=_AMR_KBPS, delay=39
    ),
    "opus-nb": Codec("libopus", "ogg", telephone=True, kbps=(6, 32), options=_VOICE),
}
"""By name."""

MUSIC_CODECS = tuple(name for name, codec in CODECS.items() if not codec.telephone)
TELEPHONE_CODECS = tuple(name for name, codec in CODECS.items() if codec.telephone)


@dataclass(frozen=True)
class Transmitted:
    """What came out of a codec, and what it took.

    Attributes:
        size: bytes of the encoder's packets, without a container's; of libsndfile's formats, the
            file's.
    """

    audio: Audio
    sample_rate: int
    size: int


@dataclass(frozen=True)
class Coding:
    """A codec at a rate, complete enough to be repeated.

    Attributes:
        codec: one of `CODECS`.
        kbps: kb/s of all channels together; 0 where there is nothing to choose.

    Raises:
        SettingsError: there is no such codec, or not at that rate.

    >>> Coding.parse("mp3:64")
    Coding(codec='mp3', kbps=64.0)
    >>> str(Coding("alaw"))
    'alaw'
    """

    codec: str
    kbps: float = 0.0

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise SettingsError(f"unknown codec '{self.codec}'; one of {', '.join(CODECS)}")
        offered = CODECS[self.codec].kbps
        if offered is None:
            if self.kbps:
                raise SettingsError(f"{self.codec} has one rate only, not {self.kbps:g} kb/s")
            return
        low, high = offered
        steps = CODECS[self.codec].steps
        if not low <= self.kbps <= high or (steps and self.kbps not in steps):
            among = ", ".join(f"{step:g}" for step in steps) or f"{low:g} to {high:g}"
            raise SettingsError(f"{self.codec} has {among} kb/s, not {self.kbps:g}")

    @classmethod
    def parse(cls, text: str) -> Coding:
        """What `str` gives.

        Raises:
            SettingsError: it is not `CODEC` or `CODEC:KBPS` of a codec that has that.
        """
        codec, _, said = text.partition(":")
        try:
            kbps = float(said) if said else 0.0
        except ValueError:
            raise SettingsError(f"'{text}': give CODEC or CODEC:KBPS, as in mp3:64") from None
        return cls(codec, kbps)

    @classmethod
    def nearest(cls, codec: str, kbps: float) -> Coding:
        """At the rate nearest to one that the codec need not have, in whole kb/s or its steps.

        Raises:
            SettingsError: there is no such codec, or it has no rates so low or high.
        """
        steps = CODECS[codec].steps if codec in CODECS else ()
        return cls(codec, min(steps, key=lambda step: abs(step - kbps)) if steps else round(kbps))

    def __str__(self) -> str:
        return f"{self.codec}:{self.kbps:g}" if self.kbps else self.codec

    @property
    def telephone(self) -> bool:
        """Whether what comes out of it is voice at 8 kHz."""
        return CODECS[self.codec].telephone

    def apply(self, audio: Audio, sample_rate: int) -> tuple[Audio, int]:
        """Encode and decode; see `transmit`."""
        sent = self.transmit(audio, sample_rate)
        return sent.audio, sent.sample_rate

    def transmit(self, audio: Audio, sample_rate: int) -> Transmitted:
        """Encode and decode, and say what that took.

        Shape:
            audio `[T]` or `[C, T]`, C at most 2; the result has the same number of axes, and
            `[T]` at the same rate, or for a telephone codec `[round(T * 8000 / rate)]` at 8 kHz.

        Raises:
            DependencyError: PyAV is not installed.
            SettingsError: the codec does not take so many channels.
        """
        codec = CODECS[self.codec]
        channels = np.atleast_2d(np.asarray(audio, np.float32))
        if len(channels) > (1 if codec.telephone else 2):
            raise SettingsError(f"{self.codec} does not take {len(channels)} channels")
        rate = TELEPHONE_RATE if codec.telephone else sample_rate
        if not channels.shape[-1]:
            return Transmitted(np.asarray(audio, np.float32), rate, 0)
        channels = resample(channels, sample_rate, rate)
        length = channels.shape[-1]
        run_rate = _next_rate(codec.rates, rate)
        given = np.clip(resample(channels, rate, run_rate), -1.0, 1.0)
        if codec.libsndfile:
            coded, coded_rate, size = _through_libsndfile(codec, self.kbps, given, run_rate)
        else:
            coded, coded_rate, size = _through_ffmpeg(codec, self.kbps, given, run_rate)
        coded = resample(coded[:, codec.delay :], coded_rate, rate)[:, :length]
        coded = np.pad(coded, ((0, 0), (0, length - coded.shape[-1])))
        return Transmitted(coded[0] if np.ndim(audio) == 1 else coded, rate, size)


def _next_rate(rates: tuple[int, ...], rate: int) -> int:
    """The lowest rate the codec takes that is no lower, else its highest."""
    return min((each for each in rates if each >= rate), default=max(rates)) if rates else rate


def _through_ffmpeg(
    codec: Codec, kbps: float, channels: Audio, sample_rate: int
) -> tuple[Audio, int, int]:
    try:
        import av
    except ModuleNotFoundError:
        raise DependencyError("codecs need PyAV: pip install 'fullband[formats]'") from None
    layout = "mono" if len(channels) == 1 else "stereo"
    stored = io.BytesIO()
    with av.open(stored, "w", format=codec.container) as out:
        stream: Any = out.add_stream(
            codec.encoder, rate=sample_rate, layout=layout, options=dict(codec.options)
        )
        if kbps:
            stream.bit_rate = round(kbps * 1000)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels), "fltp", layout)
        frame.sample_rate, frame.time_base, frame.pts = sample_rate, Fraction(1, sample_rate), 0
        size = 0
        for given in (frame, None):
            for packet in stream.encode(given):
                size += packet.size
                out.mux(packet)
    stored.seek(0)
    parts, rate = [], sample_rate
    with av.open(stored) as source:
        to_float = av.AudioResampler(format="fltp")
        for decoded in source.decode(source.streams.audio[0]):
            parts += [each.to_ndarray() for each in to_float.resample(decoded)]
            rate = decoded.sample_rate
    return np.concatenate(parts, axis=-1).astype(np.float32, copy=False), rate, size


def _through_libsndfile(
    codec: Codec, kbps: float, channels: Audio, sample_rate: int
) -> tuple[Audio, int, int]:
    stored = io.BytesIO()
    # libvorbis is told a quality, here the one that comes to so much on average.
    level = None
    if kbps:
        level = 1.0 - vorbis_quality(kbps, len(channels))
    soundfile.write(
        stored,
        channels.T,
        sample_rate,
        format=codec.container,
        subtype=codec.encoder,
        compression_level=level,
    )
    size = stored.tell()
    stored.seek(0)
    coded, rate = soundfile.read(stored, dtype="float32", always_2d=True)
    return np.ascontiguousarray(coded.T), int(rate), size
