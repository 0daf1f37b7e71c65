"""The command: so many cases, what was wrong with each that went wrong, and the figures as JSON.

Where they are stored, so is what hours of silence in few bytes and the sandbox cost.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hostile.costs import bomb, bombs, sandbox
from hostile.run import Findings, keep, run, work
from hostile.trial import MOST_BYTES, MOST_S


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        work(int(sys.argv[2]), Path(sys.argv[3]))
        return
    if sys.argv[1:2] == ["--bomb"]:
        print(json.dumps(bomb(int(sys.argv[2]))))
        return
    parser = argparse.ArgumentParser(prog="python -m hostile", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--from", dest="start", type=int, default=0, help="the first one's number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--keep", type=Path, help="a folder for the files that went wrong")
    given = parser.parse_args()
    load, begun = os.getloadavg()[0] if hasattr(os, "getloadavg") else None, time.monotonic()
    numbers = range(given.start, given.start + given.cases)
    findings = run(numbers, given.seed, given.jobs)
    seconds = time.monotonic() - begun
    for verdict in findings.wrong:
        where = f"  {keep(verdict, given.seed, given.keep)}" if given.keep else ""
        print(f"{verdict.number} {verdict.label}: {verdict.outcome}, {verdict.detail}{where}")
    told = figures(findings, given.jobs, seconds, load)
    if given.out is not None:
        told |= {"bombs": bombs(), "sandbox": sandbox()}
    print(json.dumps(told, indent=1))
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if findings.wrong else 0)


def figures(found: Findings, jobs: int, seconds: float, load: float | None) -> dict[str, Any]:
    """What docs/reliability.md shows."""
    return {
        "cases": found.outcomes.total(),
        "seed": found.seed,
        "formats": len(found.labels),
        "read": found.outcomes["read"],
        "refused": found.outcomes["refused"],
        "wrong": len(found.wrong),
        "sandboxed": found.sandboxed,
        "slowest_s": round(found.slowest_s, 2),
        "most_s": MOST_S,
        "most_grown_mib": round(found.most_grown_bytes / (1 << 20), 1),
        "bound_mib": MOST_BYTES >> 20,
        "seconds": round(seconds, 1),
        "cpu_s": round(_childrens_cpu_s(), 1),
        "jobs": jobs,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "load_before": None if load is None else round(load, 2),
        "commit": _commit(),
        "date": datetime.date.today().isoformat(),
    }


def _childrens_cpu_s() -> float:
    """Processor time of the workers, which do not wait for whatever else the machine does."""
    if sys.platform == "win32":
        return 0.0
    import resource

    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
