"""Runs through real worker processes: the cache, failures, deaths of workers, repeatability."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conftest import write_rung, write_table

Rung = Callable[..., subprocess.CompletedProcess[str]]

# A rung that leaves a mark in a file each time it is fitted.
COUNTED = "open({path!r}, 'a').write(str(seed) + chr(10)); return GaussianNB()"


@pytest.fixture
def own(suite_folder: Path) -> Path:
    write_table(suite_folder)
    return suite_folder


def board(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    assert done.stdout, done.stderr
    return {row["rung"]: row for row in json.loads(done.stdout)["rows"]}


def test_finished_trials_are_not_repeated_and_changed_files_are(
    rung: Rung, own: Path, tmp_path: Path
) -> None:
    fits = tmp_path / "fits"
    write_rung(own, "counted", COUNTED.format(path=str(fits)), "")
    run = ("run", "mine", "--suite", own, "--baselines", "prior,counted", "--format", "json")
    first = rung(*run)
    assert first.returncode == 0, first.stderr
    assert len(fits.read_text().split()) == 3
    second = rung(*run)
    assert second.stdout == first.stdout
    assert len(fits.read_text().split()) == 3
    more = rung(*run, "--seeds", 4)
    assert len(fits.read_text().split()) == 4
    assert board(more)["counted"]["seeds"] == 4
    write_rung(own, "counted", COUNTED.format(path=str(fits)) + "  # changed", "")
    rung(*run)
    assert len(fits.read_text().split()) == 7


def test_a_failure_is_a_row_and_is_tried_again(rung: Rung, own: Path, tmp_path: Path) -> None:
    switch = tmp_path / "mended"
    write_rung(
        own,
        "broken",
        f"import os\n    assert os.path.exists({str(switch)!r}), 'the switch is off'\n"
        "    return GaussianNB()",
    )
    write_rung(own, "missing", "import no_such_package")
    run = ("run", "mine", "--suite", own, "--baselines", "prior,broken,missing")
    done = rung(*run, "--format", "json")
    assert done.returncode == 1
    rows = board(done)
    assert rows["broken"]["status"] == "failed: AssertionError: the switch is off"
    assert rows["broken"]["score"] is None
    assert rows["missing"]["status"] == "not run here: pip install no_such_package"
    assert rows["prior"]["status"] == "ok"
    log = Path(done.stderr.partition("log: ")[2].splitlines()[0])
    assert "AssertionError" in log.read_text()
    table = rung(*run)
    assert "failed: AssertionError: the switch is off" in table.stdout
    switch.touch()
    assert board(rung(*run, "--format", "json"))["broken"]["status"] == "ok"


# What a rung may do, and the status of its row. Functions run where the model is fitted.
EVIL = {
    "segfault": ("import ctypes; ctypes.string_at(0)", "failed: segmentation fault"),
    "hungry": (
        "x = []\n    while True: x.append(b'x' * 20_000_000)",
        "GB of memory; --trial-memory",
    ),
    "sleeper": ("import time; time.sleep(1000)", "failed: took more than 15 s; --trial-timeout"),
    "raiser": ("raise ValueError('not today')", "failed: ValueError: not today"),
    "nan": (
        "class Bad(GaussianNB):\n        def predict(self, X): return super().predict(X) * float('nan')\n"
        "    return Bad()",
        "failed: BadPredictions: predict gave 18 NaN or infinite values",
    ),
    "shape": (
        "class Bad(GaussianNB):\n        def predict(self, X): return super().predict(X)[:-1]\n"
        "    return Bad()",
        "failed: BadPredictions: predict gave shape (17,) for 18 examples",
    ),
    "leaver": (
        "import os; os._exit(0)",
        "failed: its process left without an answer (exit status 0)",
    ),
}
ROUGH = {
    "flood": "for _ in range(20): print('y' * 10**6)\n    return GaussianNB()",
    "litter": "import subprocess, threading, time\n"
    "    threading.Thread(target=time.sleep, args=(1000,)).start()\n"
    "    subprocess.Popen(['sleep', '987'], start_new_session=True)\n    return GaussianNB()",
    "plain": "return GaussianNB()",
}


def test_whatever_a_trial_does_costs_one_row(rung: Rung, own: Path) -> None:
    for name, (body, _) in EVIL.items():
        write_rung(own, name, body)
    for name, body in ROUGH.items():
        write_rung(own, name, body)
    names = ",".join([*EVIL, *ROUGH, "prior", "linear"])
    run = ("run", "mine", "--suite", own, "--baselines", names, "--format", "json")
    done = rung(*run, "--trial-timeout", "15s", "--trial-memory", "1GB")
    assert done.returncode == 1
    rows = board(done)
    for name, (_, says) in EVIL.items():
        assert says in str(rows[name]["status"])
        log = Path(done.stderr.partition(f"mine {name} seed 0: failed")[2].partition("log: ")[2])
        assert Path(str(log).splitlines()[0]).read_text().strip()
    assert len({rows[name]["status"] for name in EVIL}) == len(EVIL)
    assert {str(rows[name]["status"]) for name in (*ROUGH, "prior", "linear")} == {"ok"}
    assert "yyy" not in done.stdout + done.stderr
    assert not [p for p in psutil.process_iter(["cmdline"]) if "987" in (p.info["cmdline"] or [])]


def test_two_runs_at_a_time_share_the_work(own: Path, home: Path, tmp_path: Path) -> None:
    fits = tmp_path / "fits"
    body = COUNTED.format(path=str(fits)).replace("return", "import time; time.sleep(0.4); return")
    write_rung(own, "counted", body, "")
    command = [sys.executable, "-m", "rung", "run", "mine", "--suite", str(own)]
    command += ["--baselines", "counted", "--seeds", "8", "--format", "json"]
    both = [
        subprocess.Popen(
            command, env={**os.environ, "RUNG_HOME": str(home)}, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    boards = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert boards[0] == boards[1]
    assert len(fits.read_text().split()) == 8


def test_a_budget_leaves_out_what_does_not_fit(rung: Rung, own: Path) -> None:
    write_rung(own, "slow", "import time; time.sleep(1000)", "")
    run = ("run", "mine", "--suite", own, "--baselines", "slow,prior", "--format", "json")
    done = rung(*run, "--budget", "12s")
    assert done.returncode == 0, done.stderr
    rows = board(done)
    assert (rows["prior"]["status"], rows["slow"]["status"]) == ("ok", "not run: budget")
    refused = rung(*run, "--budget", "soon")
    assert refused.returncode == 2
    assert "--budget soon" in refused.stderr


def test_seeds_that_fitted_the_budget_make_the_row(rung: Rung, own: Path, tmp_path: Path) -> None:
    fits = tmp_path / "fits"
    body = COUNTED.format(path=str(fits)).replace(
        "return",
        f"import os, time; time.sleep(1000 * (os.path.getsize({str(fits)!r}) > 30)); return",
    )
    write_rung(own, "slower", body, "")
    run = ("run", "mine", "--suite", own, "--baselines", "slower,prior", "--format", "json")
    rows = board(rung(*run, "--seeds", 9, "--jobs", 1, "--budget", "15s"))
    assert rows["slower"]["status"] == "ok"
    assert 1 <= int(str(rows["slower"]["seeds"])) < 9


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_hand_it_shows_what_is_finished(
    own: Path, home: Path, tmp_path: Path, number: int, status: int
) -> None:
    mark = tmp_path / "mark"
    write_rung(own, "slow", f"open({str(mark)!r}, 'w'); import time; time.sleep(1000)")
    command = [sys.executable, "-m", "rung", "run", "mine", "--suite", str(own), "--jobs", "1"]
    process = subprocess.Popen(
        [*command, "--baselines", "prior,slow", "--format", "json"],
        # A shell's background jobs ignore SIGINT, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "RUNG_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == status
    rows = {row["rung"]: row["status"] for row in json.loads(out)["rows"]}
    assert rows == {"prior": "ok", "slow": "not run: stopped"}
    assert "finished trials are kept" in err
    assert "Traceback" not in err


def test_a_script_needs_no_guard(own: Path, home: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import rung\nprint(rung.run('mine', ['prior'], progress='none').rows[0].rung)\n"
    )
    here = {**os.environ, "RUNG_HOME": str(home), "RUNG_SUITE": str(own)}
    done = subprocess.run([sys.executable, script], env=here, capture_output=True, text=True)
    assert done.stdout == "prior\n", done.stderr


def test_same_seeds_give_the_same_predictions(rung: Rung, own: Path, tmp_path: Path) -> None:
    def published(home: str) -> dict[str, object]:
        to = tmp_path / f"out-{home}"
        environment = {**os.environ, "RUNG_HOME": str(tmp_path / home), "RUNG_SUITE": str(own)}
        subprocess.run(
            [sys.executable, "-m", "rung", "publish", "mine", "--to", str(to)],
            env=environment,
            check=True,
            capture_output=True,
        )
        code = (
            "import json, sys, pathlib; from rung import results;"
            "print(json.dumps({str(o.trial): [o.label.tolist(),"
            " None if o.proba is None else o.proba.tolist()]"
            " for o in results.read(pathlib.Path(sys.argv[1]), 'mine')}))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(to)], check=True, capture_output=True, text=True
        )
        return dict(json.loads(done.stdout))

    one, other = published("one"), published("two")
    assert len(one) >= 6
    assert one == other


def test_a_killed_run_goes_on_where_it_was(own: Path, tmp_path: Path, home: Path) -> None:
    fits = tmp_path / "fits"
    slow = COUNTED.format(path=str(fits)).replace(
        "return", "import time; time.sleep(0.5 * (seed % 2)); return"
    )
    write_rung(own, "slow", slow, "")
    command = [sys.executable, "-m", "rung", "run", "mine", "--suite", str(own)]
    command += ["--baselines", "slow,prior", "--seeds", "12", "--format", "json"]
    environment = {**os.environ, "RUNG_HOME": str(home)}
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if fits.exists() and len(fits.read_text().split()) >= 4:
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    begun = len(fits.read_text().split())
    assert 4 <= begun < 12
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    seeds = fits.read_text().split()
    # Only what was running when they were killed may have been begun twice.
    assert len(seeds) - 12 <= 2
    assert len(set(seeds)) == 12
    undisturbed = subprocess.run(
        command,
        env={**environment, "RUNG_HOME": str(tmp_path / "other")},
        capture_output=True,
        text=True,
    )
    clocks = ("fit_s", "predict_s", "peak_mib")

    def scores(text: str) -> object:
        return [{k: v for k, v in r.items() if k not in clocks} for r in json.loads(text)["rows"]]

    assert scores(again.stdout) == scores(undisturbed.stdout)


def test_a_damaged_entry_is_noticed_and_redone(rung: Rung, own: Path, home: Path) -> None:
    run = ("run", "mine", "--suite", own, "--baselines", "prior,linear", "--format", "json")
    first = rung(*run)
    entries = sorted((home / "trials").rglob("output.pkl"))
    assert len(entries) == 2
    whole = entries[0].read_bytes()
    middle = len(whole) // 2
    entries[0].write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    entries[1].write_bytes(entries[1].read_bytes()[:100])
    again = rung(*run)
    assert again.returncode == 0
    assert again.stderr.count("is damaged") == 2
    scores = [{k: r[k] for k in ("rung", "score", "low", "high")} for r in board(again).values()]
    assert scores == [
        {k: r[k] for k in ("rung", "score", "low", "high")} for r in board(first).values()
    ]
    assert "damaged" not in rung(*run).stderr


def test_a_full_disk_costs_the_cache_not_the_board(rung: Rung, own: Path) -> None:
    write_rung(
        own,
        "full",
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "    return GaussianNB()",
    )
    run = ("run", "mine", "--suite", own, "--format", "json", "--baselines")
    kept = rung(*run, "prior")
    assert kept.returncode == 0
    full = rung(*run, "prior,full")
    assert full.returncode == 2
    assert "can't write" in full.stderr
    assert "RUNG_HOME" in full.stderr
    rows = board(full)
    assert rows["full"]["status"] == "ok"
    assert rows["prior"] == board(kept)["prior"] | {
        k: rows["prior"][k] for k in ("below", "group", "rank", "rank_low", "rank_high")
    }
    assert board(rung(*run, "prior")) == board(kept)


def test_progress_says_what_is_done_and_what_is_left(rung: Rung, own: Path) -> None:
    done = rung("run", "mine", "--suite", own, "--baselines", "random,prior")
    lines = [line for line in done.stderr.splitlines() if "/4 mine" in line]
    assert [line.split("/")[0] for line in lines] == ["1", "2", "3", "4"]
    assert len({line.partition(" ")[2] for line in lines}) == 4
    assert "left" in lines[0]
    assert "left" not in lines[-1]


def test_no_process_is_left_behind(rung: Rung, own: Path, home: Path) -> None:
    rung("run", "mine", "--suite", own, "--baselines", "random,prior")
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RUNG_HOME") == str(home):
                left.append(process)
        except psutil.Error:
            continue
    assert left == []


def test_of_several_data_sets_one_that_can_not_be_had_is_left_out(rung: Rung, own: Path) -> None:
    lacking = "from rung.sources import Table\n"
    lacking += 'dataset = Table(title="No", path="no.csv", target="y", licence="none")\n'
    (own / "datasets" / "lacking.py").write_text(f'"""Not there."""\n{lacking}')
    both = "from rung import Benchmark\nbenchmark = Benchmark(datasets=['lacking', 'mine'])\n"
    (own / "benchmarks").mkdir(exist_ok=True)
    (own / "benchmarks" / "both.py").write_text(f'"""Two."""\n{both}')
    run = ("--suite", own, "--baselines", "prior", "--format", "json")
    done = rung("run", "both", *run)
    assert done.returncode == 2
    assert [row["rung"] for row in json.loads(done.stdout)["rows"]] == ["prior"]
    assert "lacking is left out: lacking: there is no" in done.stderr
    alone = rung("run", "lacking", *run)
    assert (alone.returncode, alone.stdout) == (2, "")
