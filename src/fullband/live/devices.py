"""A microphone's stream to a speaker, by PortAudio (the package sounddevice, extra `live`).

A device asks for samples and hands them over in a thread of its own that must not wait, so samples
wait between: what came in an `Inbox`, what is done in a `Buffer`, which begins with a little
silence. Whatever does not fit or is not there in time is counted.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from fullband.audio.samples import Audio
from fullband.errors import AudioError, DependencyError
from fullband.live.loop import Inbox, LiveReport, run
from fullband.streaming import Stream

__all__ = ["Buffer", "describe_devices", "run_devices"]

_AHEAD_BLOCKS = 2  # of silence that the speaker begins with
_MOST_S = 0.5  # that waits for the speaker; more means that its clock is slower


class Buffer:
    """Samples between one that gives blocks and one that takes others, in order.

    Attributes:
        missing: samples that were asked for and not there.
        dropped: samples that did not fit.
    """

    def __init__(self, channels: int, ahead: int, most: int) -> None:
        self._held = np.zeros((channels, ahead), np.float32)
        self._most = most
        self._lock = threading.Lock()
        self.missing = self.dropped = 0

    def give(self, block: Audio) -> None:
        """What is done. Shape: `[C, T]`."""
        with self._lock:
            held = np.concatenate([self._held, block], axis=-1)
            self.dropped += max(0, held.shape[-1] - self._most)
            self._held = held[:, : self._most]

    def take(self, count: int) -> Audio:
        """The next so many samples, silence where they are not there. Shape: `[C, count]`."""
        with self._lock:
            taken, self._held = self._held[:, :count], self._held[:, count:]
        missing = count - taken.shape[-1]
        self.missing += missing
        return np.pad(taken, ((0, 0), (0, missing)))


def describe_devices() -> str:
    """What microphones and speakers there are, a line each.

    Raises:
        DependencyError: sounddevice or PortAudio is not installed.
    """
    return str(_sounddevice().query_devices()) or "no devices"


def run_devices(
    stream: Stream,
    input_device: str | int | None,
    output_device: str | int | None,
    block_s: float,
    max_lag_s: float,
    say: Callable[[str], None] | None = None,
    bypass: threading.Event | None = None,
) -> LiveReport:
    """From a microphone to a speaker until Ctrl-C; see `fullband.live.loop.run`.

    Args:
        input_device, output_device: a number or part of a name; None is the system's choice.

    Raises:
        DependencyError: sounddevice or PortAudio is not installed.
        AudioError: a device cannot be opened.
    """
    sounddevice = _sounddevice()
    inbox = Inbox(stream.source_rate, waits=False)
    block_out = round(block_s * stream.target_rate)
    # The stream's own delay is silence, too, before its first sample.
    ahead = _AHEAD_BLOCKS * block_out + round(stream.delay_s * stream.target_rate)
    buffer = Buffer(stream.channels, ahead, ahead + round(_MOST_S * stream.target_rate))

    def came(samples: Any, frames: int, when: Any, status: Any) -> None:
        inbox.put(np.ascontiguousarray(samples.T))

    def wanted(samples: Any, frames: int, when: Any, status: Any) -> None:
        samples[:] = buffer.take(frames).T

    settings = {"channels": stream.channels, "dtype": "float32", "latency": "low"}
    try:
        microphone = sounddevice.InputStream(
            samplerate=stream.source_rate,
            blocksize=round(block_s * stream.source_rate),
            device=_device(input_device),
            callback=came,
            **settings,
        )
        speaker = sounddevice.OutputStream(
            samplerate=stream.target_rate,
            blocksize=block_out,
            device=_device(output_device),
            callback=wanted,
            **settings,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise AudioError(f"no sound device: {reason}; see fullband live --list-devices") from None

    found: list[LiveReport] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            found.append(run(stream, inbox, buffer.give, max_lag_s, say, bypass))
        except BaseException as error:  # is raised by the thread that waits
            failed.append(error)
        finally:
            done.set()

    # Ctrl-C wakes only the main thread, and that waits here rather than in the inbox.
    with microphone, speaker:
        threading.Thread(target=work, name="fullband-live", daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            while not done.wait(0.1):
                pass
        inbox.close()
        done.wait()
    if failed:
        raise failed[0]
    if say is not None and (buffer.missing or buffer.dropped):
        say(f"the speaker missed {buffer.missing} samples, {buffer.dropped} did not fit")
    return found[0]


def _device(name: str | int | None) -> str | int | None:
    return int(name) if isinstance(name, str) and name.isdigit() else name


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ModuleNotFoundError:
        raise DependencyError("this needs sounddevice: pip install 'fullband[live]'") from None
    except OSError:  # the package is there, the library that it calls is not
        raise DependencyError(
            "this needs PortAudio: install libportaudio2 (Debian, Ubuntu) or portaudio (Homebrew)"
        ) from None
    return sounddevice
