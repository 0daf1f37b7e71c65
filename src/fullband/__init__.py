"""Audio super-resolution: give it audio whose treble is missing, get full-band audio back.

    >>> import numpy as np, fullband
    >>> narrow = np.zeros(8000, np.float32)  # one second at 8 kHz
    >>> wide, rate = fullband.enhance(narrow, sample_rate=8000)
    >>> wide.shape, rate
    ((48000,), 48000)

The names below are imported when they are first used, so `import fullband` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fullband.version import __version__

if TYPE_CHECKING:
    from fullband.audio.file import read as read
    from fullband.audio.file import write as write
    from fullband.enhancement import Enhancer as Enhancer
    from fullband.enhancement import Summary as Summary
    from fullband.enhancement import enhance as enhance
    from fullband.enhancement import enhance_file as enhance_file
    from fullband.enhancement import load as load
    from fullband.errors import FullbandError as FullbandError
    from fullband.inspection import inspect_file as inspect_file
    from fullband.streaming import Stream as Stream
    from fullband.streaming import Streams as Streams
    from fullband.streaming import stream as stream

_HOMES = {
    "Enhancer": "fullband.enhancement",
    "FullbandError": "fullband.errors",
    "Stream": "fullband.streaming",
    "Streams": "fullband.streaming",
    "Summary": "fullband.enhancement",
    "enhance": "fullband.enhancement",
    "enhance_file": "fullband.enhancement",
    "inspect_file": "fullband.inspection",
    "load": "fullband.enhancement",
    "read": "fullband.audio.file",
    "stream": "fullband.streaming",
    "write": "fullband.audio.file",
}

__all__ = [*sorted(_HOMES), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fullband' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
