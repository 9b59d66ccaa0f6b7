"""`rung cache`: what it shows, what it removes, and what it must never touch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, write_rung, write_table
from rich.filesize import decimal
from samples import refused, save

from rung import cache, features, home, sources
from rung.cache import CACHED, Kept, kept

Rung = Callable[..., subprocess.CompletedProcess[str]]


def prepared(name: str, used: float = 0, **changed: object) -> Path:
    """An entry of 1,000 bytes and a little, last used so many seconds after 1970 began."""
    key = {"name": name, **sources.written_by(), **changed}
    assert home.write("prepared", key, b"x" * 1000)
    path = home.entry("prepared", key)
    os.utime(path, (used, used))
    return path


def paths(items: list[Kept]) -> set[Path]:
    return {item.path for item in items}


def names(kind: str) -> list[str]:
    return [item.about for item in kept([kind])]


def tree(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_a_run_left_is_shown(rung: Rung, suite_folder: Path, home: Path) -> None:
    write_table(suite_folder)
    suite = ("--suite", suite_folder)
    rung("run", "mine", *suite, "--baselines", "prior,random", "--seeds", 2)
    shown = json.loads(rung("cache", *suite, "--format", "json").stdout)
    entries = json.loads(rung("cache", "list", *suite, "--format", "json").stdout)["entries"]
    assert shown["home"] == str(home)
    assert [(k["kind"], k["number"]) for k in shown["kinds"]] == [("trials", 3), ("prepared", 1)]
    size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    assert shown["bytes"] == size == sum(e["bytes"] for e in entries)
    assert shown["stale"] == 0
    assert {(e["kind"], e["about"]) for e in entries} == {
        ("prepared", "mine"),
        ("trials", "mine prior seed 0"),
        ("trials", "mine random seed 0"),
        ("trials", "mine random seed 1"),
    }
    table = rung("cache", *suite).stdout
    assert str(home) in table
    assert [line.split()[:2] for line in table.splitlines()[2:4]] == [
        ["trials", "3"],
        ["prepared", "1"],
    ]
    assert "mine random seed 1" in rung("cache", "list", "trials", *suite).stdout
    assert "mine random seed 1" not in rung("cache", "list", "prepared", *suite).stdout


def test_looking_makes_nothing(rung: Rung, home: Path) -> None:
    assert rung("cache").stdout == f"{home}: nothing is kept\n"
    assert "nothing to remove" in rung("cache", "prune").stdout
    assert not home.exists()


def test_trials_of_a_changed_rung_engine_or_library_are_stale(
    rung: Rung, suite_folder: Path
) -> None:
    write_table(suite_folder)
    write_rung(suite_folder, "mine_too")
    suite = ("--suite", suite_folder)
    rung("run", "mine", *suite, "--baselines", "prior,mine_too")

    def stale() -> list[str]:
        answer = rung("cache", "list", "trials", *suite, "--format", "json").stdout
        return sorted(e["about"] for e in json.loads(answer)["entries"] if e["stale"])

    assert stale() == []
    write_rung(suite_folder, "mine_too", "return GaussianNB(var_smoothing=1e-3)")
    assert stale() == ["mine mine_too seed 0"]
    (item,) = [i for i in kept(["trials"]) if i.about == "mine prior seed 0"]
    key = home.note(item.path)
    assert key is not None
    for change in (
        {"engine": "0" * 16},
        {"python": "3.0"},
        {"libraries": {**key["libraries"], "numpy": "1.0"}},
        {"device": {"kind": "cpu", "colour": "red"}},
    ):
        assert home.write("trials", {**key, **change}, b"")
    assert len(stale()) == 5


def test_prune_removes_what_is_stale_and_nothing_else() -> None:
    good = prepared("good")
    other = prepared("other", engine="another")
    library = prepared("library", libraries={"pandas": "1.0"})
    without_note = prepared("without")
    save(without_note, without_note.read_bytes().rpartition(b"\n")[0])
    wrong_note = prepared("wrong")
    save(wrong_note, wrong_note.read_bytes().replace(b"wrong", b"wrung"))
    pixels = {"name": "p", "px": 8, **features.written_by()}
    home.write("pixels", pixels, b"1")
    home.write("pixels", {**pixels, "engine": "another"}, b"2")
    top = home.place()
    part = save(good.parent / "tmp1234abc_.part", b"half")
    parts = [
        part,
        save(top / "prepared" / "tmpabcdefgh.part", b"half"),
        save(top / "prepared" / ("0" * 32 + ".lock"), b""),
        save(top / "downloads" / "photos" / "tmpabcdefgh.part", b"half"),
        save(top / "tmpabcdefgh.part", b"half"),
    ]
    done = cache.prune()
    gone = {other, library, without_note, wrong_note, *parts}
    gone.add(home.entry("pixels", {**pixels, "engine": "another"}))
    assert paths(done.removed) == gone
    assert not done.in_use
    assert set(tree(top)) == {good, home.entry("pixels", pixels)}
    # No empty folders are left either.
    assert sorted(p.name for p in top.iterdir()) == ["pixels", "prepared"]


def test_prune_keeps_what_was_used_last() -> None:
    one, two, three, four = (prepared(name, 1000 + i) for i, name in enumerate("abcd"))
    size = one.stat().st_size
    found: Any = home.find("prepared", home.note(one) or {}, len)  # reading is use
    assert found == b"x" * 1000
    os.utime(save(home.place() / "logs" / "x.txt", b"y" * 100), (1, 1))
    before = cache.total(kept(CACHED))
    assert before == 4 * size + 100
    assert not cache.prune(before).removed
    assert paths(cache.prune(before - 1).removed) == {home.place() / "logs" / "x.txt"}
    assert paths(cache.prune(3 * size - 1).removed) == {two, three}
    assert set(tree(home.place())) == {one, four}
    assert paths(cache.prune(0).removed) == {one, four}


def test_the_command_prunes_and_says_so(rung: Rung, home: Path) -> None:
    prepared("a", 1)
    kept_one = prepared("b", 2)
    prepared("c", 3, engine="another")
    done = rung("cache", "prune", "--keep", "1.5kB")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("removed from prepared: 2 (2.")
    left = decimal(kept_one.stat().st_size)
    assert done.stdout.endswith(f"kB freed; {left} left in {home}\n")
    assert set(tree(home)) == {kept_one}


def test_downloads_are_pruned_whole() -> None:
    files = [save(home.place() / "downloads" / "photos" / n, b"x" * 10) for n in ("a", "b")]
    (item,) = kept(["downloads"])
    assert (item.about, item.bytes, item.stale) == ("photos", 20, False)
    cache.prune(0)
    assert not any(f.exists() for f in files)


@pytest.fixture
def whole_home(tmp_path: Path) -> Path:
    """A home with something of each kind, some of which lies elsewhere."""
    top = home.folder()
    prepared("a")
    home.write("trials", {"old": True}, b"")
    home.write("pixels", {"name": "p", "px": 8, **features.written_by()}, b"")
    save(top / "downloads" / "photos" / "a.tgz", b"tgz")
    save(top / "logs" / "x.txt", b"log")
    save(top / "interpreters" / "automl" / "bin" / "python", b"python")
    save(top / "local.json", b"{}\n")
    save(top / "notes" / "mine.txt", b"mine")
    save(top / "prepared" / "mine.txt", b"mine")
    outside = save(tmp_path / "outside" / "photos" / "b.tgz", b"outside").parents[1]
    (top / "downloads" / "linked").symlink_to(outside / "photos")
    (top / "logs" / "linked.txt").symlink_to(outside / "photos" / "b.tgz")
    return top


def test_clear_removes_the_cache_alone(whole_home: Path, tmp_path: Path) -> None:
    done = cache.clear()
    assert {i.kind for i in done.removed} == set(CACHED)
    assert {str(p.relative_to(whole_home)) for p in tree(whole_home) if not p.is_symlink()} == {
        "interpreters/automl/bin/python",
        "local.json",
        "notes/mine.txt",
        "prepared/mine.txt",
    }
    assert (tmp_path / "outside" / "photos" / "b.tgz").read_bytes() == b"outside"


def test_clear_of_kinds(whole_home: Path) -> None:
    cache.clear(["logs", "downloads"])
    assert {i.kind for i in kept()} == {"trials", "prepared", "pixels", "interpreters", "other"}
    cache.clear(["interpreters"])
    assert not (whole_home / "interpreters").exists()
    assert names("prepared") == ["a"]
    assert "did you mean pixels" in refused(lambda: cache.clear(["pixel"]))


def test_a_kind_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    there = save(tmp_path / "elsewhere" / "photos" / "a.tgz", b"tgz").parents[1]
    (home.folder() / "downloads").symlink_to(there)
    assert not cache.clear().removed
    assert (there / "photos" / "a.tgz").exists()


def test_a_home_of_others_is_not_cleared(
    rung: Rung, monkeypatch: pytest.MonkeyPatch, whole_home: Path
) -> None:
    monkeypatch.setenv("HOME", str(whole_home))
    before = tree(whole_home)
    for action in ("prune", "clear"):
        done = rung("cache", action)
        assert done.returncode == 2
        assert "other things lie too" in done.stderr
    assert tree(whole_home) == before


# --- What is in use ---------------------------------------------------------------------------

HEAD = """
import sys, time
from rung import home
def ready():
    print("ready", flush=True)
    time.sleep(60)
"""
READER = 'home.cached("prepared", home.note(home.Path(sys.argv[1])), None, len); ready()'
WRITER = """
with home.new_file("prepared", "0" * 32, "output.pkl") as file:
    file.write(b"half")
    file.flush()
    ready()
"""
OWNER = """
with home.claim("prepared", {"name": "claimed"}):
    ready()
"""
LOADER = """
from pathlib import Path
from rung.fetch import Archive, is_whole
is_whole(Path(sys.argv[1]), Archive("", "0cc175b9c0f1b6a831c399e269772661"))
ready()
"""


@pytest.fixture
def running() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that is at its work when it is returned."""
    started = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HEAD + code, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("code", [READER, WRITER, OWNER, LOADER], ids=["r", "w", "c", "l"])
def test_what_a_process_has_in_use_stays_until_it_dies(
    running: Callable[..., subprocess.Popen[str]], code: str
) -> None:
    path = prepared("a") if code == READER else home.folder()
    if code == LOADER:
        path = save(home.place() / "downloads" / "photos" / "a.tgz", b"a")
    process = running(code, path)
    before = tree(home.place())
    assert len(before) == 1
    for clean in (cache.clear, lambda: cache.prune(0)):
        done = clean()
        assert not done.removed
        assert len(done.in_use) == (code in (READER, LOADER))
    assert tree(home.place()) == before
    process.kill()
    process.wait()
    assert tree(home.place()) == before
    assert len(cache.prune(0).removed) == 1
    assert not tree(home.place())


def test_pruning_all_the_time_disturbs_nobody(tmp_path: Path) -> None:
    code = """
import sys, warnings, numpy as np
from rung import cache, home
warnings.simplefilter("error")
if sys.argv[1] == "prune":
    while not home.Path(sys.argv[2]).exists():
        cache.prune(0)
else:
    for round in range(150):
        key = {"name": round % 3, "by": sys.argv[1]}
        home.keep("prepared", key, lambda: np.arange(99))
        found = home.find("prepared", key, len)
        assert found is None or found.sum() == 99 * 49
"""
    end = tmp_path / "end"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, name, str(end)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("prune", "a", "b")
    ]
    answers = [p.communicate(timeout=120)[1] for p in processes[1:]]
    end.touch()
    assert [processes[0].communicate(timeout=60)[1], *answers] == ["", "", ""]


# --- A disk that is full ----------------------------------------------------------------------


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """The home is a file system of 8 MB."""
    home.mkdir()
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("there is no mount here to make a small file system with")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=8M,mode=0700", "tmpfs", str(home)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    yield home
    subprocess.run(["umount", "-l", str(home)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Fills the disk, but for so many bytes."""
    free = os.statvfs(disk)
    return save(disk / "ballast", b"\0" * (free.f_bavail * free.f_frsize - left))


def test_a_disk_that_fills_up_during_a_run(rung: Rung, small_disk: Path) -> None:
    ladder = ("run", "digits", "--format", "json", "--baselines", "prior,linear,random_forest")

    def trials() -> list[Path]:
        return sorted((small_disk / "trials").rglob("output.pkl"))

    small = (*ladder, "--seeds", 1, "--train-size", 200)
    before = rung(*small)
    assert before.returncode == 0, before.stderr
    done = len(trials())
    assert done == 3
    # Room for two of the five trials that follow.
    ballast = fill(small_disk, max(path.stat().st_blocks * 512 for path in trials()) * 5 // 2)
    full = rung(*ladder, "--seeds", 3)
    assert full.returncode == 2, full.stderr
    assert "Traceback" not in full.stderr
    (line,) = [text for text in full.stderr.splitlines() if text.startswith("rung:")]
    assert f"can't write to {small_disk / 'trials'} (No space left on device)" in line
    assert "free some space" in line
    assert "RUNG_HOME" in line
    assert [row["status"] for row in json.loads(full.stdout)["rows"]] == ["ok"] * 3
    kept_meanwhile = len(trials()) - done
    assert 0 < kept_meanwhile < 5
    assert not [p for p in small_disk.rglob("*") if p.suffix in (".part", ".lock")]
    # What was finished is read while the disk is full, and shown.
    again = rung(*small)
    assert (again.returncode, again.stdout, again.stderr) == (0, before.stdout, "")
    kinds = json.loads(rung("cache", "--format", "json").stdout)["kinds"]
    assert kinds[0]["number"] == done + kept_meanwhile
    assert kinds[0]["stale"] == 0
    ballast.unlink()
    rest = rung(*ladder, "--seeds", 3)
    assert rest.returncode == 0, rest.stderr
    assert f"{kept_meanwhile} of 5 trials were done before" in rest.stderr
    assert len(trials()) == done + 5


def test_a_disk_without_a_byte_left_is_one_line(rung: Rung, small_disk: Path) -> None:
    fill(small_disk, 0)
    done = rung("run", "digits")
    assert (done.returncode, done.stdout) == (2, "")
    expected = f"rung: error: can't write to {small_disk} (No space left on device)"
    assert done.stderr.startswith(expected)
    assert done.stderr.count("\n") == 1


# --- Two runs on one home ---------------------------------------------------------------------

SLOW_TABLE = '''
"""A table that leaves a mark each time it is read, which takes a while."""
import time
from rung.sources import Table


class Slow(Table):
    def read(self, name, files):
        with open({marks!r}, "a") as file:
            file.write("read\\n")
        time.sleep(1.5)
        return super().read(name, files)


dataset = Slow(title="Slow", path="mine.csv", target="kind")
'''


def test_two_runs_at_the_same_time(suite_folder: Path, home: Path, tmp_path: Path) -> None:
    write_table(suite_folder)
    marks = tmp_path / "marks"
    (suite_folder / "datasets" / "slow.py").write_text(SLOW_TABLE.format(marks=str(marks)))
    command = ("run", "slow", "--suite", str(suite_folder), "--format", "json")

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "rung", *command, "--baselines", "random,prior,linear"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(board: str) -> list[dict[str, Any]]:
        return [
            {k: row[k] for k in ("rung", "rank", "score", "low", "high", "status")}
            for row in json.loads(board)["rows"]
        ]

    both = [start(), start()]
    (one, said), (other, also_said) = (process.communicate(timeout=120) for process in both)
    assert [p.returncode for p in both] == [0, 0], said + also_said
    assert "damaged" not in said + also_said
    assert rows(one) == rows(other)
    assert marks.read_text() == "read\n"
    third = start()
    board, said = third.communicate(timeout=120)
    assert said == ""  # all of it was there
    assert rows(board) == rows(one)
    assert {i.kind for i in kept()} == {"trials", "prepared"}
    assert not any(p.suffix in (".part", ".lock") for p in home.rglob("*"))
