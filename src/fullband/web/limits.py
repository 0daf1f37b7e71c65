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
        grace_s: how long calls may take to end when the server does.

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

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise SettingsError(f"a server's {name} must be above 0, not {value}")

    @property
    def most_calls(self) -> int:
        """How many calls at a time."""
        return _CALLS_PER_CORE * available_cores() if self.calls is None else self.calls
