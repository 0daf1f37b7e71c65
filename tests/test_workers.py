"""Processes that do tasks, and die of some."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fullband.workers import Died, Finished, Progress, Workers
from worker_tasks import Doing

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_every_task_is_done_once_and_state_is_kept():
    tasks = [str(number) for number in range(20)]
    with Workers(2, Doing) as workers:
        events = [event for events in workers.run(iter(tasks)) for event in events]
    finished = [event for event in events if isinstance(event, Finished)]
    assert sorted(event.task for event in finished) == sorted(tasks)
    assert all(event.result[0] == event.task for event in finished)
    assert {e.task for e in events if isinstance(e, Progress) and e.fraction == 0.5} == set(tasks)
    counts: dict[int, list[int]] = {}
    for event in finished:
        counts.setdefault(event.result[1], []).append(event.result[2])
    assert len(counts) == 2
    assert all(each == list(range(1, len(each) + 1)) for each in counts.values())
    assert not any(map(is_alive, counts))


def test_a_worker_that_dies_costs_the_task_in_hand_and_no_other():
    tasks = ["a", "die", "b", "c", "crash", "d", "leave", "e"]
    with Workers(1, Doing) as workers:
        events = [event for events in workers.run(tasks) for event in events]
    settled = [e for e in events if not isinstance(e, Progress)]
    assert sorted(event.task for event in settled) == sorted(tasks)
    died = {event.task: event.reason for event in settled if isinstance(event, Died)}
    assert died == {
        "die": "its worker process was killed, which the system does when memory runs out",
        "crash": "its worker process crashed (segmentation fault)",
        "leave": "its worker process ended (3)",
    }


def test_no_tasks_need_no_process():
    with Workers(3, Doing) as workers:
        assert list(workers.run([])) == []


def test_workers_end_with_the_block_and_are_not_stopped_by_signals(tmp_path):
    told = tmp_path / "pid"
    with Workers(1, Doing) as workers:
        running = workers.run([f"sleep {told}"])
        # Begun by the first `next`, which would wait for the task's end: so a signal ends that.
        signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError))
        signal.setitimer(signal.ITIMER_REAL, 2.0)
        with pytest.raises(TimeoutError):
            next(running)
        worker = int(told.read_text())
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(worker, number)
        time.sleep(0.1)
        assert is_alive(worker)
    assert not is_alive(worker)


def test_workers_end_when_their_parent_is_killed(tmp_path):
    told = tmp_path / "pid"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from fullband.workers import Workers\n"
        "from worker_tasks import Doing\n"
        "if __name__ == '__main__':\n"
        "    with Workers(1, Doing) as workers:\n"
        "        list(workers.run(['sleep ' + sys.argv[2]]))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, script, str(Path(__file__).parent), str(told)])
    wait_for(lambda: told.exists() and told.read_text())
    worker = int(told.read_text())
    assert is_alive(worker)
    parent.kill()
    parent.wait()
    wait_for(lambda: not is_alive(worker))


def test_signals_that_come_while_a_worker_starts_do_not_end_it(tmp_path):
    code = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "from multiprocessing.context import SpawnProcess\n"
        "from fullband.workers import Died, Workers\n"
        "from worker_tasks import Doing\n"
        "real = SpawnProcess.start\n"
        "def start(process):\n"
        "    real(process)\n"
        "    for number in (signal.SIGINT, signal.SIGTERM):\n"
        "        os.kill(process.pid, number)\n"
        "if __name__ == '__main__':\n"
        "    SpawnProcess.start = start\n"
        "    with Workers(2, Doing) as workers:\n"
        "        events = [e for events in workers.run('abcd') for e in events]\n"
        "    print(sum(isinstance(e, Died) for e in events), 'died')\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    command = [sys.executable, script, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "0 died\n"
    assert done.stderr == ""
