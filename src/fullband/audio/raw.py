"""Samples without a header, whose format somebody has to say: `mulaw:8000`, `s16le:16000:2`.

Telephone exchanges and sound cards write them. A file whose name ends in `.g722` is one too: G.722
has no header, and only its name tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fullband.audio.samples import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from fullband.errors import AudioError

__all__ = ["RAW_CODINGS", "RawFormat"]

RAW_CODINGS = {
    "alaw": "ALAW",
    "f32le": "FLOAT",
    "g722": "G722",
    "gsm": "GSM610",
    "mulaw": "ULAW",
    "s16le": "PCM_16",
    "s24le": "PCM_24",
}
"""What `--raw` takes, with libsndfile's name; G.722 is FFmpeg's."""

_USUAL_RATES = {"alaw": 8_000, "g722": 16_000, "gsm": 8_000, "mulaw": 8_000}


@dataclass(frozen=True)
class RawFormat:
    """How samples without a header are stored."""

    coding: str
    sample_rate: int
    channels: int = 1

    @classmethod
    def parse(cls, text: str) -> RawFormat:
        """From `CODING[:RATE[:CHANNELS]]`; telephone codings need no rate.

            >>> RawFormat.parse("s16le:16000:2")
            RawFormat(coding='s16le', sample_rate=16000, channels=2)

        Raises:
            AudioError: there is no such coding, or a number is missing or outside the limits.
        """
        coding, *numbers = text.lower().split(":")
        if coding not in RAW_CODINGS:
            known = ", ".join(RAW_CODINGS)
            raise AudioError(f"raw format '{text}': '{coding}' is not one of {known}")
        if len(numbers) > 2 or not all(re.fullmatch(r"[0-9]{1,9}", number) for number in numbers):
            raise AudioError(f"raw format '{text}': give CODING:RATE:CHANNELS, as in s16le:16000:2")
        if not numbers and coding not in _USUAL_RATES:
            raise AudioError(f"raw format '{text}': give its sample rate too, as in {coding}:16000")
        rate = int(numbers[0]) if numbers else _USUAL_RATES[coding]
        channels = int(numbers[1]) if len(numbers) == 2 else 1
        if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
            raise AudioError(
                f"raw format '{text}': sample rate {rate} Hz is outside "
                f"{MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
            )
        if not 1 <= channels <= (1 if coding in ("gsm", "g722") else MAX_CHANNELS):
            raise AudioError(f"raw format '{text}': {channels} channels are outside the limits")
        return cls(coding, rate, channels)

    @property
    def subtype(self) -> str:
        """libsndfile's name of the sample format, or `G722`."""
        return RAW_CODINGS[self.coding]
