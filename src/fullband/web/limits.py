"""How much a server takes on, of one client and of all."""

from __future__ import annotations

from dataclasses import dataclass

from fullband.engine import available_cores
from fullband.errors import SettingsError

__all__ = ["Limits"]

_CALLS_PER_CORE = 10


@dataclass(frozen=True)
class Limits:
    """What a server takes on.

    Attributes:
        calls: at a time; None is 10 for each core.
        message_bytes: the longest message.
        waiting_s: of audio of a call that may wait, unprocessed or unsent; then nothing more is
            read from its socket.
        duration_s: of audio of a call.
        idle_s: without a message.
        max_lag_s: how late audio may be taken before its call is bypassed.
        grace_s: how long calls and jobs may take to end when the server does.
        jobs: files that are enhanced at a time; None is one for each core.
        waiting_jobs: files that may be on their way here or wait for their turn besides.
        stored_jobs: of which there may be something to be fetched.
        upload_bytes: of a request's body.
        upload_s: how long a body may take to come; no two parts of it further apart than `idle_s`.
        audio_s: of a file's audio.
        work_s: how long enhancing one file may take.
        result_bytes: of one wide file.
        disk_bytes: of all uploads and results together.
        keep_s: how long a job that has ended can be asked for.

    Raises:
        SettingsError: one of them is not above zero.
    """

    calls: int | None = None
    message_bytes: int = 1 << 18
    waiting_s: float = 2.0
    duration_s: float = 4 * 3600.0
    idle_s: float = 60.0
    max_lag_s: float = 0.2
    grace_s: float = 5.0
    jobs: int | None = None
    waiting_jobs: int = 16
    stored_jobs: int = 100
    upload_bytes: int = 256 << 20
    upload_s: float = 600.0
    audio_s: float = 3600.0
    work_s: float = 600.0
    result_bytes: int = 2 << 30
    disk_bytes: int = 8 << 30
    keep_s: float = 600.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise SettingsError(f"a server's {name} must be above 0, not {value}")

    @property
    def most_calls(self) -> int:
        """How many calls at a time."""
        return _CALLS_PER_CORE * available_cores() if self.calls is None else self.calls

    @property
    def most_jobs(self) -> int:
        """How many files at a time."""
        return available_cores() if self.jobs is None else self.jobs
