"""One broken file through the doors that users have, and what came of it."""

from __future__ import annotations

import dataclasses
import random
import re
import sys
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

from fullband.audio.file import AudioReader
from fullband.audio.formats import output_suffix
from fullband.audio.sandbox import Limits, SandboxedReader
from fullband.enhancement import Enhancer
from fullband.errors import FullbandError, OutputError
from fullband.inspection import inspect_file
from hostile.mutations import mutated
from hostile.seeds import Seed, seeds

MOST_S = 5.0
"""Processor time that a case may take."""

MOST_BYTES = 200 << 20
"""By which a case may raise the process's peak memory."""

MOST_LEVEL = 2.0**33
"""No sample is larger, full scale being 1."""

OWN_CONTAINER_EVERY = 3
"""Each so many-th case is written in its own container, with its tags and pictures, not as WAV."""

_ANY_LENGTH = Limits(most_s=1e15)  # whatever a header says of it, as without the sandbox
_PROC = Path("/proc/self")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What came of a case.

    Attributes:
        outcome: `read`, `refused`, or what is wrong with fullband.
        detail: the message, or what went wrong.
        seconds: of processor time.
        grown_bytes: by which the peak memory rose; 0 where the system does not say.
    """

    number: int
    label: str
    outcome: str
    detail: str
    seconds: float
    grown_bytes: int

    @property
    def is_good(self) -> bool:
        return self.outcome in ("read", "refused")


def case(number: int, seed: int) -> tuple[Seed, bytes]:
    """The file that a number stands for, and the seed it was made of."""
    rng = random.Random(f"{seed} {number}")
    made = seeds()
    chosen = made[number % len(made)]
    return chosen, mutated(chosen, made, rng)


def tried(number: int, seed: int, folder: Path, sandboxed: bool = False) -> Verdict:
    """Put a case through reading, inspecting and enhancing.

    Args:
        folder: an empty one to work in, which is left empty.
        sandboxed: have it read in the sandbox too, with the same result.
    """
    chosen, content = case(number, seed)
    path = folder / f"case{chosen.suffix}"
    path.write_bytes(content)
    before = _reset_peak()
    begun = time.process_time()
    handles = _handles()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            suffix = output_suffix(path) if number % OWN_CONTAINER_EVERY == 0 else ".wav"
            target = folder / f"out{suffix}"
            outcome, detail = _through(path, chosen.raw, target, sandboxed)
    except Exception:
        outcome, detail = "traceback", _shortened(traceback.format_exc())
    seconds = time.process_time() - begun
    grown = _peak() - before
    path.unlink()
    litter = sorted(entry.name for entry in folder.iterdir())
    if outcome in ("read", "refused"):
        if litter:
            outcome, detail = "litter", ", ".join(litter)
        elif seconds > MOST_S:
            outcome, detail = "slow", f"{seconds:.1f} s: {detail}"
        elif grown > MOST_BYTES:
            outcome, detail = "memory", f"{grown >> 20} MiB: {detail}"
        elif _handles() > handles:
            outcome, detail = "open files", detail
    for name in litter:
        (folder / name).unlink()
    return Verdict(number, chosen.label, outcome, detail, seconds, grown)


def _through(path: Path, raw: str | None, target: Path, sandboxed: bool) -> tuple[str, str]:
    read = _read(lambda: AudioReader(path, raw), path)
    found = [read, _inspected(path, raw), _enhanced(path, raw, target)]
    if sandboxed:
        found.append(_read(lambda: SandboxedReader(path, _ANY_LENGTH, raw), path))
        if found[-1] != read:
            return "sandbox differs", f"{read} and {found[-1]}"
    wrong = [each for each in found if each[0] not in ("read", "refused")]
    if wrong:
        return wrong[0]
    # Enhancing may refuse what can be read, such as a rate; never the other way round.
    if found[0][0] == "refused" and {each[0] for each in found} != {"refused"}:
        return "refused once", str(found)
    return found[2]


def _read(opened: object, path: Path) -> tuple[str, str]:
    frames = 0
    try:
        with opened() as reader:
            for block in reader.blocks():
                if block.shape[0] != reader.info.channels or block.dtype != np.float32:
                    return "wrong blocks", f"{block.shape} {block.dtype}"
                if not np.max(np.abs(block)) <= MOST_LEVEL:
                    return "absurd samples", f"{np.max(np.abs(block))}"
                frames += block.shape[-1]
    except FullbandError as error:
        return _refusal(error, path)
    return "read", f"{frames} samples" if frames else "no samples"


def _inspected(path: Path, raw: str | None) -> tuple[str, str]:
    try:
        heard = inspect_file(path, raw=raw).analysis
    except FullbandError as error:
        return _refusal(error, path)
    if not (np.isfinite(heard.level_db) and np.isfinite(heard.bandwidth_hz)):
        return "not finite", str(heard)
    return "read", str(heard.frames)


def _enhanced(path: Path, raw: str | None, target: Path) -> tuple[str, str]:
    try:
        summary = Enhancer("sinc").file(path, target, raw=raw)
    except FullbandError as error:
        if target.exists():
            return "partial output", str(error)
        return _refusal(error, path, target)
    with AudioReader(target) as written:
        frames = sum(block.shape[-1] for block in written.blocks())
    target.unlink()
    heard = summary.analysis
    expected = round(heard.frames * summary.target_rate / heard.sample_rate)
    if frames != expected and target.suffix == ".wav":
        return "wrong length", f"{frames} of {expected} samples"
    return "read", f"{heard.frames} samples"


def _refusal(error: FullbandError, path: Path, target: Path | None = None) -> tuple[str, str]:
    message = str(error)
    if target is not None and isinstance(error, OutputError):
        path = target  # its container may not take this rate
    if "\n" in message or not message.isprintable():
        return "not one line", message
    if str(path) not in message:
        return "names no file", message
    return "refused", message.replace(str(path), path.name)


def _shortened(text: str) -> str:
    """The end of a traceback: where, and what."""
    lines = text.strip().splitlines()
    places = re.findall(r'File ".*?/(\w+\.py)", line (\d+)', text)
    return f"{lines[-1]} at {' '.join(':'.join(place) for place in places[-3:])}"


def _handles() -> int:
    return sum(1 for _ in (_PROC / "fd").iterdir()) if sys.platform == "linux" else 0


def _reset_peak() -> int:
    """Memory in use, from where the peak is counted anew."""
    if sys.platform != "linux":
        return 0
    (_PROC / "clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM") if sys.platform == "linux" else 0


def _status(name: str) -> int:
    return int((_PROC / "status").read_text().partition(f"{name}:")[2].split()[0]) << 10
