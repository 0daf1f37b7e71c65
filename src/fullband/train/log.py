"""What a training writes down: JSON lines for programs, TensorBoard for eyes."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

__all__ = ["TrainLog"]


class TrainLog:
    """Appends to `log.jsonl` and `tensorboard/` in the run folder.

    Resuming appends to what is there; lines of steps that are run again are the later ones.

    Args:
        silent: write nothing, in all but the first of several processes.
    """

    def __init__(self, run: Path, silent: bool = False) -> None:
        self._silent = silent
        if silent:
            return
        from torch.utils.tensorboard import SummaryWriter

        self._lines = (run / "log.jsonl").open("a", encoding="utf-8")
        self._board = SummaryWriter(str(run / "tensorboard"))

    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        """One line: what kind (`train` or `valid`), at which step, and the numbers."""
        if self._silent:
            return
        rounded = {name: round(value, 6) for name, value in values.items()}
        self._lines.write(json.dumps({"kind": kind, "step": step, **rounded}) + "\n")
        self._lines.flush()
        for name, value in values.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)

    def __enter__(self) -> TrainLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._silent:
            self._lines.close()
            self._board.close()
