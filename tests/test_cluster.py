"""Trials on a Dask cluster: the same boards as on one machine, also when a worker is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import distributed
import psutil
import pytest
from conftest import write_rung, write_table

from rung import cluster

Rung = Callable[..., subprocess.CompletedProcess[str]]
CLOCKS = ("fit_s", "predict_s", "peak_mib")


@pytest.fixture
def own(suite_folder: Path) -> Path:
    write_table(suite_folder)
    return suite_folder


def scores(text: str) -> list[dict[str, object]]:
    return [{k: v for k, v in r.items() if k not in CLOCKS} for r in json.loads(text)["rows"]]


@pytest.fixture
def by_hand(tmp_path: Path, own: Path) -> Iterator[str]:
    """A scheduler and two workers, started as the README says; the address."""
    ports = tmp_path / "scheduler.json"
    here = {**os.environ, "RUNG_HOME": str(tmp_path / "theirs"), "RUNG_SUITE": str(own)}
    dask = [sys.executable, "-m", "distributed.cli."]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def start(what: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [*dask[:-1], dask[-1] + what, *arguments, "--no-dashboard"]
        return subprocess.Popen(command, env=here, cwd=tmp_path, **silent)  # type: ignore[call-overload,no-any-return]

    started = [
        start(
            "dask_scheduler", "--port", "0", "--host", "127.0.0.1", "--scheduler-file", str(ports)
        )
    ]
    deadline = time.monotonic() + 30
    while not ports.exists() or not ports.read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    address = json.loads(ports.read_text())["address"]
    started += [start("dask_worker", address, "--nthreads", "1") for _ in range(2)]
    yield address
    for process in reversed(started):
        process.terminate()
        process.wait(20)


def test_workers_of_ones_own_over_tcp_give_the_same_board(
    rung: Rung, own: Path, by_hand: str, home: Path
) -> None:
    run = ("run", "mine", "--suite", own, "--baselines", "random,prior,linear", "--format", "json")
    alone = rung(*run)
    for entry in (home / "trials").rglob("output.pkl"):
        entry.unlink()
    together = rung(*run, "--scheduler", by_hand)
    assert together.returncode == 0, together.stderr
    assert scores(together.stdout) == scores(alone.stdout)
    # What came back is kept here too.
    assert (
        "5 of 5 trials were done before" in rung(*run, "--scheduler", by_hand).stderr
        or len(list((home / "trials").rglob("output.pkl"))) == 5
    )


def test_data_without_a_name_are_sent_to_the_workers(
    rung: Rung, own: Path, by_hand: str, tmp_path: Path
) -> None:
    table = tmp_path / "elsewhere.csv"
    table.write_text((own / "datasets" / "mine.csv").read_text())
    run = ("run", table, "--target", "kind", "--baselines", "prior,linear", "--format", "json")
    together = rung(*run, "--scheduler", by_hand)
    assert together.returncode == 0, together.stderr
    assert [r["status"] for r in scores(together.stdout)] == ["ok", "ok"]


def test_so_are_data_of_the_name_of_a_data_set(
    rung: Rung, own: Path, by_hand: str, tmp_path: Path
) -> None:
    other = tmp_path / "mine.csv"
    other.write_text((own / "datasets" / "mine.csv").read_text().replace("1", "2"))
    run = ("run", other, "--target", "kind", "--baselines", "linear", "--format", "json")
    done = rung(*run, "--suite", own, "--scheduler", by_hand)
    assert done.returncode == 0, done.stderr
    assert [r["status"] for r in scores(done.stdout)] == ["ok"]


def test_a_gpu_that_no_worker_has_is_not_waited_for(rung: Rung, own: Path, by_hand: str) -> None:
    with distributed.Client(by_hand) as client:
        client.wait_for_workers(2, timeout=60)
    run = ("run", "digits", "--baselines", "convnet", "--scheduler", by_hand)
    done = rung(*run, "--device", "cuda")
    assert done.returncode == 2
    assert "no worker of the cluster has a GPU" in done.stderr
    assert "--device cpu" in done.stderr


def test_a_lost_worker_costs_another_start(own: Path, home: Path, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    body = (
        "import os, pathlib, time\n"
        f"    pathlib.Path({str(marks)!r}, f'{{seed}}-{{os.getpid()}}').touch()\n"
        "    time.sleep(1.5)\n    return GaussianNB()"
    )
    write_rung(own, "slow", body, "")
    command = [sys.executable, "-m", "rung", "run", "mine", "--suite", str(own)]
    command += ["--baselines", "slow,prior", "--seeds", "6", "--format", "json"]
    here = {**os.environ, "RUNG_HOME": str(home)}
    process = subprocess.Popen(
        [*command, "--workers", "3"], env=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 90
    while len(list(marks.iterdir())) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = [
        p
        for p in psutil.Process(process.pid).children(recursive=True)
        if "spawn_main" in " ".join(p.cmdline()) and p.ppid() == process.pid
    ]
    assert len(workers) == 3
    workers[0].kill()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    begun = [path.name.partition("-")[0] for path in marks.iterdir()]
    assert len(set(begun)) == 6
    assert len(begun) > 6  # the one that was lost
    other = {**here, "RUNG_HOME": str(tmp_path / "other")}
    alone = subprocess.run(command, env=other, capture_output=True, text=True)
    assert scores(out.decode()) == scores(alone.stdout)


def test_a_trial_that_dies_on_a_worker_is_one_row(rung: Rung, own: Path) -> None:
    write_rung(own, "crash", "import ctypes; ctypes.string_at(0)")
    run = ("run", "mine", "--suite", own, "--baselines", "prior,crash", "--format", "json")
    done = rung(*run, "--workers", 2)
    assert done.returncode == 1
    assert {r["rung"]: r["status"] for r in scores(done.stdout)} == {
        "prior": "ok",
        "crash": "failed: segmentation fault",
    }


def test_what_cannot_be_asked_for_is_said(rung: Rung) -> None:
    run = ("run", "digits", "--baselines", "prior")
    for arguments, says in (
        (("--scheduler", "tcp://127.0.0.1:9"), "no Dask scheduler answers at tcp://127.0.0.1:9"),
        (("--scheduler", "nowhere"), "no Dask scheduler answers at nowhere"),
        (("--workers", "0"), "--workers 0"),
        (("--workers", "2", "--scheduler", "tcp://127.0.0.1:9"), "say one of them"),
    ):
        done = rung(*run, *arguments)
        assert done.returncode == 2
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_other_software_is_named() -> None:
    key = {
        "libraries": {"numpy": "2.4.0", "torch": ""},
        "engine": "a",
        "rung_hash": "b",
        "python": "3",
    }
    older = key | {"libraries": {"numpy": "2.0.0", "torch": ""}}
    assert cluster.difference(older, key) == "numpy 2.0.0 instead of 2.4.0"
    assert cluster.difference(key | {"engine": "c"}, key) == "another version of Rung"
    assert cluster.difference(key | {"python": "4"}, key) == "Python 4 instead of 3"
