"""Calls in processes of their own: what they give, how they die, and that nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from rung import isolate
from rung.isolate import Died, Limits


@pytest.fixture(scope="module")
def server() -> Iterator[isolate.Server]:
    with isolate.Server(["numpy", "threadpoolctl", "psutil"]) as made:
        yield made


def add(a: int, b: int) -> int:
    return a + b


def raises() -> None:
    raise KeyError("nothing there")


def exits() -> None:
    raise SystemExit(3)


def local() -> Callable[[], None]:
    return lambda: None


def crash() -> None:
    import ctypes

    ctypes.string_at(0)


def hungry() -> None:
    held = []
    while True:
        held.append(b"x" * 20_000_000)


def hungry_child() -> None:
    subprocess.run([sys.executable, "-c", "x=[]\nwhile 1: x.append(b'x' * 20_000_000)"], check=True)


def sleeps() -> None:
    print("good night", flush=True)
    time.sleep(1000)


def leaves() -> None:
    print("bye", flush=True)
    os._exit(0)


def killed(number: int) -> None:
    os.kill(os.getpid(), number)


def floods(megabytes: int) -> str:
    for _ in range(megabytes):
        print("y" * 10**6)
    return "done"


def litters() -> tuple[int, int, str]:
    """Leaves a thread, a forked process, one in a session of its own, and a file."""
    import tempfile

    threading.Thread(target=time.sleep, args=(1000,)).start()
    away = subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True)
    if not (forked := os.fork()):
        time.sleep(1000)
    return away.pid, forked, tempfile.mkdtemp()


def threads() -> tuple[str, set[int]]:
    import threadpoolctl

    pools = threadpoolctl.threadpool_info()
    return os.environ["OMP_NUM_THREADS"], {pool["num_threads"] for pool in pools}


def numbers() -> float:
    import numpy as np

    return float(np.random.rand())


def typed() -> str:
    return sys.stdin.read()


SLEEP = "import time; time.sleep(1000)"


def gone(pid: int, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_what_the_function_gives_or_raises(server: isolate.Server) -> None:
    assert server.call(add, 2, 3) == 5
    with pytest.raises(KeyError, match="nothing there"):
        server.call(raises)
    with pytest.raises(SystemExit):
        server.call(exits)
    with pytest.raises(RuntimeError, match="answer can't be sent"):
        server.call(local)
    assert len(server.call(bytes, 50_000_000)) == 50_000_000


@pytest.mark.parametrize(
    ("function", "arguments", "limits", "says"),
    [
        (crash, (), Limits(), "segmentation fault"),
        (killed, (signal.SIGKILL,), Limits(), "its process was killed"),
        (killed, (signal.SIGABRT,), Limits(), "ended by SIGABRT"),
        (leaves, (), Limits(), r"left without an answer \(exit status 0\)"),
        (sleeps, (), Limits(seconds=0.5), "took more than 0.5 s"),
        (hungry, (), Limits(memory=300_000_000), "took more than 0.3 GB of memory"),
        (hungry_child, (), Limits(memory=300_000_000), "took more than 0.3 GB of memory"),
    ],
)
def test_each_death_has_its_cause(
    server: isolate.Server,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    limits: Limits,
    says: str,
) -> None:
    with pytest.raises(Died, match=says):
        server.call(function, *arguments, limits=limits)
    assert server.call(add, 1, 1) == 2


def test_what_it_printed_last_is_kept(server: isolate.Server) -> None:
    with pytest.raises(Died) as died:
        server.call(sleeps, limits=Limits(seconds=0.5))
    assert (died.value.over, died.value.output) == ("seconds", "good night\n")
    with pytest.raises(Died) as died:
        server.call(crash)
    assert "Segmentation fault" in died.value.output


def test_a_flood_of_output_neither_blocks_nor_shows(
    server: isolate.Server, capfd: pytest.CaptureFixture[str]
) -> None:
    assert server.call(floods, 30) == "done"
    assert capfd.readouterr() == ("", "")


def silent() -> float:
    """Closes its output, waits, and returns the processor time that its keeper has used."""
    os.close(1)
    os.close(2)
    time.sleep(1)
    times = psutil.Process(os.getppid()).cpu_times()
    return float(times.user + times.system)


def test_a_process_without_output_is_watched_at_rest(server: isolate.Server) -> None:
    assert server.call(silent) < 0.5


def test_nothing_is_left_behind(server: isolate.Server) -> None:
    away, forked, folder = server.call(litters)
    assert gone(away)
    assert gone(forked)
    assert not Path(folder).exists()


def test_threads_are_bounded(server: isolate.Server) -> None:
    assert server.call(threads, limits=Limits(threads=1)) == ("1", {1})
    assert server.call(threads, limits=Limits(threads=2))[0] == "2"


def test_processes_share_no_random_numbers_and_no_keyboard(server: isolate.Server) -> None:
    assert len({server.call(numbers) for _ in range(5)}) == 5
    assert server.call(typed) == ""


def test_many_at_a_time(server: isolate.Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(server.call, [add] * 40, range(40), range(40))) == [
            2 * i for i in range(40)
        ]


def test_closing_ends_what_runs() -> None:
    made = isolate.Server()
    (made.folder / "data").write_text("shared")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(made.call, sleeps)
        time.sleep(1)
        made.close()
        with pytest.raises(Died, match="stopped"):
            running.result(timeout=10)
    assert not made.folder.exists()
    with pytest.raises(Died, match="stopped"):
        made.call(add, 1, 1)


def test_what_is_asked_for_is_called_once_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "ready.py").write_text(f"def go(): open({str(mark)!r}, 'a').write('.')")
    monkeypatch.syspath_prepend(tmp_path)
    with isolate.Server(["nowhere:go", "ready:gone", "ready:go"]) as made:
        assert [made.call(add, i, 1) for i in range(3)] == [1, 2, 3]
    assert mark.read_text() == "."


def test_a_module_that_kills_the_server_is_not_imported_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly.py").write_text("import os; os._exit(1)")
    monkeypatch.syspath_prepend(tmp_path)
    with isolate.Server(["deadly"]) as made:
        assert made.call(add, 1, 1) == 2  # asked while the server dies
        assert made.call(add, 1, 2) == 3


CALLER = """
import os, sys, time
from rung import isolate
import test_isolate
with isolate.Server() as server:
    print(server.folder, flush=True)
    server.call(test_isolate.marked, sys.argv[1])
"""


def marked(path: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True)
    Path(path).write_text(f"{os.getpid()} {child.pid} {os.getppid()}")
    time.sleep(1000)


def test_a_killed_caller_leaves_nothing(tmp_path: Path) -> None:
    marks = tmp_path / "pids"
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(marks)], env=here, stdout=subprocess.PIPE, text=True
    )
    assert caller.stdout is not None
    folder = Path(caller.stdout.readline().strip())
    deadline = time.monotonic() + 20
    while not (marks.exists() and len(marks.read_text().split()) == 3):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert folder.is_dir()
    caller.kill()
    caller.wait()
    assert all(gone(int(pid)) for pid in marks.read_text().split())
    deadline = time.monotonic() + 5
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not folder.exists()
