"""The cache in the home: what is kept, what is never believed, and what a full disk costs."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, write_table
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import jpeg, python, save

from rung.errors import RungError
from rung.home import (
    MOST_IN_USE,
    Notice,
    NotKept,
    cached,
    claim,
    entry,
    find,
    keep,
    locked,
    note,
)
from rung.home import home as make_home

KEY = {"name": "numbers", "seed": 1}
Value = tuple[np.ndarray[Any, Any], str]


def digest(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(repr((array.shape, array.tolist())).encode()).hexdigest()


def numbers(n: int = 300) -> Value:
    array = np.arange(n) * 7 % 256
    return array, digest(array)


def check(value: Value) -> None:
    if digest(value[0]) != value[1]:
        raise ValueError("the numbers\nchanged")


def same(value: Value | None) -> bool:
    return value is not None and np.array_equal(value[0], numbers()[0])


def never() -> Value:
    raise AssertionError("it is computed again")


def files(home: Path) -> list[Path]:
    return sorted(p for p in (home / "room").rglob("*") if p.is_file())


def test_first_use_and_second_are_memory_mapped_and_computed_once(home: Path) -> None:
    first = cached("room", KEY, numbers, check)
    second = cached("room", KEY, never, check)
    for value in (first, second):
        assert same(value)
        assert isinstance(value[0], np.memmap)
        assert not value[0].flags.writeable
    assert files(home) == [entry("room", KEY)]
    assert find("room", {**KEY, "seed": 2}, check) is None
    assert find("other", KEY, check) is None


def test_what_keep_wrote_is_found() -> None:
    assert same(keep("room", KEY, numbers))
    assert same(find("room", KEY, check))


def test_empty_arrays_and_text_are_kept() -> None:
    def make() -> tuple[Any, ...]:
        return np.empty((0, 3)), np.array(["a", "ß"]), None, np.float64(1.5)

    cached("room", KEY, make, str)
    empty, text, nothing, number = cached("room", KEY, never, str)  # type: ignore[arg-type]
    assert empty.shape == (0, 3)
    assert text.tolist() == ["a", "ß"]
    assert nothing is None
    assert number == 1.5


def test_an_error_is_raised_and_nothing_kept(home: Path) -> None:
    def broken() -> Value:
        raise RungError("no such luck")

    with pytest.raises(RungError, match="no such luck"):
        cached("room", KEY, broken, check)
    assert not files(home)
    assert same(cached("room", KEY, numbers, check))


def flip(content: bytearray) -> None:
    content[content.index(numbers()[0].tobytes()) + 9] ^= 64


def garble(content: bytearray) -> None:
    content[20:40] = b"\xff" * 20


def cut(content: bytearray) -> None:
    del content[len(content) // 2 :]


@pytest.mark.parametrize("damage", [flip, garble, cut, bytearray.clear, bytearray.reverse])
def test_damaged_entry_is_noticed_removed_and_redone(
    home: Path, damage: Callable[[bytearray], None]
) -> None:
    keep("room", KEY, numbers)
    path = entry("room", KEY)
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)
    with pytest.warns(Notice) as said:
        assert find("room", KEY, check) is None
    (line,) = [str(w.message) for w in said]
    assert f"{path} is damaged" in line
    assert "\n" not in line
    assert not files(home)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(cached("room", KEY, numbers, check))
        assert same(cached("room", KEY, never, check))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_bit_flips_wrong_content_is_never_believed(data: st.DataObject) -> None:
    keep("room", KEY, numbers)
    path = entry("room", KEY)
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.unlink()  # hypothesis repeats: a map of the old file may be alive
    path.write_bytes(content)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = find("room", KEY, check)
    assert same(found) or found is None
    assert [w.category for w in said] == ([] if same(found) else [Notice])


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
KEYS = st.dictionaries(st.text(max_size=4), PLAIN, max_size=4)


@settings(max_examples=100, deadline=None)
@given(one=KEYS, other=KEYS)
def test_equal_keys_are_one_entry_and_different_keys_two(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    copy = json.loads(json.dumps(one))
    assert entry("room", copy) == entry("room", one)
    assert (entry("room", one) == entry("room", other)) == (json.dumps(one) == json.dumps(other))


def test_tuples_are_lists_and_order_counts() -> None:
    assert entry("room", {"a": (1, 2)}) == entry("room", {"a": [1, 2]})
    # The classes of a data set are numbered in the order of their mapping.
    assert entry("room", {"a": {"x": 1, "y": 2}}) != entry("room", {"a": {"y": 2, "x": 1}})


def test_a_key_is_the_same_in_every_process() -> None:
    code = f"from rung.home import entry; print(entry('room', {KEY!r}))"
    for seed in ("0", "1"):
        assert python(code, PYTHONHASHSEED=seed).stdout.strip() == str(entry("room", KEY))


def test_an_entry_says_what_it_is(home: Path) -> None:
    keep("room", KEY, numbers)
    path = entry("room", KEY)
    assert note(path) == KEY
    assert note(home / "room" / "nothing") is None
    whole = path.read_bytes()
    for content in (b"", b"{}", whole[:-1], whole + b"\n", whole.replace(b"numbers", b"other")):
        path.unlink()
        path.write_bytes(content)
        assert note(path) is None


def test_another_version_of_engine_or_library_never_reads_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    import importlib.metadata

    import rung
    from rung import features, sources, trial
    from rung.benchmark import Trial
    from rung.dataset import Dataset, Pictures

    table = save(tmp_path / "t.csv", b"a,target\n" + b"1,x\n2,y\n" * 20)
    photos = Dataset.from_arrays(
        Pictures.from_bytes([jpeg(9 * i) for i in range(12)]),
        np.arange(12) % 2,
        name="photos",
        task="classification",
        modality="image",
    )
    real = importlib.metadata.version

    def use() -> list[str]:
        """Prepares data in both ways, decodes pictures, and asks for a trial."""
        trial.engine_hash.cache_clear()
        trial.libraries.cache_clear()
        Dataset.from_table(table)
        sources.Table(title="T", path="t.csv", target="target").load("t", str(tmp_path))
        features.pixels(photos, 8)
        return [str(entry("trials", trial.key(Trial("d", "f", "s", "prior", None, 0), "h")))]

    trials = use()
    assert len(list(home.rglob("output.pkl"))) == 3
    assert use() == trials
    assert len(list(home.rglob("output.pkl"))) == 3
    monkeypatch.setattr(rung, "__version__", "another")
    trials += use()
    assert len(list(home.rglob("output.pkl"))) == 6
    monkeypatch.setattr(importlib.metadata, "version", lambda n: f"{real(n)}.1")
    trials += use()
    assert len(list(home.rglob("output.pkl"))) == 9
    assert len(set(trials)) == 3
    monkeypatch.undo()
    trial.engine_hash.cache_clear()
    trial.libraries.cache_clear()


# --- What can't be written --------------------------------------------------------------------


def limited(home: Path, code: str, limit: int) -> str:
    """What the code prints in a process whose files can't grow over the limit."""
    head = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    return python(f"{head}\n{code}", RUNG_HOME=str(home)).stdout


USE = """
import warnings, numpy as np
from rung.home import NotKept, cached, find, keep
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    value = cached("room", {"big": 1}, lambda: np.arange(5000), len)
    again = keep("room", {"big": 1}, lambda: np.arange(5000))
print(value.sum() == again.sum() == np.arange(5000).sum(), find("room", {"big": 1}, len) is None)
print([w.category is NotKept and "RUNG_HOME" in str(w.message) for w in said])
"""


@pytest.mark.parametrize("limit", [60, 500, 30_000])
def test_full_disk_costs_a_warning_and_leaves_nothing_behind(home: Path, limit: int) -> None:
    keep("room", KEY, numbers)
    assert limited(home, USE, limit) == "True True\n[True, True]\n"
    assert files(home) == [entry("room", KEY)]
    assert same(find("room", KEY, check))


def test_home_that_is_a_file(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNG_HOME", str(save(tmp_path / "file", b"")))
    with pytest.raises(RungError, match="can't write"):
        make_home()
    with pytest.warns(NotKept, match="can't write to .*; free some space") as said:
        assert same(cached("room", KEY, numbers, check))
    assert len(said) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_what_is_kept_stays_readable_where_nothing_can_be_written(home: Path) -> None:
    keep("room", KEY, numbers)
    home.chmod(0o500)
    try:
        assert same(cached("room", KEY, never, check))
        entry("room", KEY).chmod(0)  # as if another user had written it
        for room in ("room", "new"):
            with pytest.warns(Notice, match="permission denied") as said:
                assert same(cached(room, KEY, numbers, check))
            assert [w.category for w in said] == [NotKept]
    finally:
        home.chmod(0o700)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_home_is_private_whatever_the_umask(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        cached("room", KEY, numbers, check)
        with locked(make_home() / "x.lock") or pytest.fail("somebody else has it"):
            modes = {p: p.stat().st_mode & 0o777 for p in [home, *home.rglob("*")]}
    finally:
        os.umask(before)
    assert len(modes) == 5
    assert all(mode == (0o700 if p.is_dir() else 0o600) for p, mode in modes.items())


# --- Several processes ------------------------------------------------------------------------

WRITER = """
import sys, warnings, numpy as np
from rung.home import cached, entry, find, keep
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "another process prepares")
def check(value):
    if not (value == value[0]).all():
        raise ValueError("a mixture")
maps = []
for round in range(60):
    keep("room", {"shared": 1}, lambda: np.full(20_000, int(sys.argv[1])))
    maps.append(find("room", {"shared": 1}, check))
    maps.append(cached("room", {"round": round}, lambda: np.full(20_000, 7), check))
print(all(m is not None and (m == m[0]).all() for m in maps))
"""


def test_processes_that_keep_the_same_keys_do_not_disturb_each_other(home: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number)],
            env={**os.environ, "RUNG_HOME": str(home), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    assert [w.communicate(timeout=60)[0] for w in writers] == ["True\n", "True\n"]
    assert len(files(home)) == 61


def processes(code: str, *arguments: object) -> list[tuple[str, str]]:
    """What the code prints in processes that start together, one for each argument."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(argument)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for argument in arguments
    ]
    return [process.communicate(timeout=60) for process in started]


def test_of_several_processes_one_computes_and_the_others_wait(tmp_path: Path, home: Path) -> None:
    code = """
import sys, time
from rung import home
def compute():
    with open(sys.argv[1], "a") as file:
        file.write("computed ")
    time.sleep(1)
    return b"value"
print(home.cached("room", {"name": "slow"}, compute, len))
"""
    marks = tmp_path / "marks"
    answers = processes(code, marks, marks, marks)
    assert [out for out, _ in answers] == ["b'value'\n"] * 3
    assert marks.read_text() == "computed "
    assert sum("another process prepares the same data" in error for _, error in answers) == 2
    assert files(home) == [entry("room", {"name": "slow"})]


def test_one_process_at_a_time_has_a_claim(tmp_path: Path, home: Path) -> None:
    # The file of the lock comes and goes: who waited for a removed one must not believe it.
    code = """
import sys
from pathlib import Path
from rung import home
count = Path(sys.argv[1])
for _ in range(300):
    with home.claim("room", {"name": "x"}, wait=True):
        count.write_text(str(int(count.read_text()) + 1))
"""
    count = save(tmp_path / "count", b"0")
    assert processes(code, count, count, count) == [("", "")] * 3
    assert count.read_text() == "900"
    assert not files(home)


def test_a_claim_is_refused_until_it_is_given_back_or_its_process_dies(home: Path) -> None:
    held = claim("room", KEY)
    assert held is not None
    assert claim("room", KEY) is None
    with claim("room", {**KEY, "seed": 2}) or pytest.fail("it is another entry"):
        held.close()
    again = claim("room", KEY)
    assert again is not None
    with again:
        assert claim("room", KEY) is None
    code = f"""
import os
from rung import home
assert home.claim("room", {KEY!r})
os.kill(os.getpid(), 9)
"""
    processes(code, "")
    assert len(files(home)) == 1  # its lock, in nobody's way
    with claim("room", KEY) or pytest.fail("somebody has it"):
        assert claim("room", KEY) is None
    assert not files(home)


def test_a_claim_that_can_not_be_made_is_in_nobody_s_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNG_HOME", str(save(tmp_path / "file", b"")))
    for _ in range(2):
        assert claim("room", KEY) is not None


def test_an_error_gives_the_claim_back(home: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        cached("room", KEY, lambda: 1 / 0, check)  # type: ignore[arg-type, return-value]
    assert not files(home)
    with claim("room", KEY) or pytest.fail("somebody has it"):
        assert len(files(home)) == 1


def test_a_reader_of_a_damaged_entry_leaves_the_one_that_replaced_it() -> None:
    keep("room", KEY, lambda: (np.arange(3), "wrong"))

    def meanwhile(value: Value) -> None:
        keep("room", KEY, numbers)
        check(value)

    with pytest.warns(Notice, match="damaged"):
        assert find("room", KEY, meanwhile) is None
    assert same(find("room", KEY, check))


def test_no_more_files_stay_open_than_a_process_may_have(home: Path) -> None:
    here = Path("/proc/self/fd")
    if not here.is_dir():
        pytest.skip("there is no /proc here to count open files in")
    for number in range(MOST_IN_USE + 20):
        assert cached("room", {"n": number}, lambda: b"x", len) == b"x"
        assert cached("room", {"n": number}, lambda: b"y", len) == b"x"
    mine = [p for p in here.iterdir() if os.path.realpath(p).startswith(str(home))]
    assert len(mine) == MOST_IN_USE


def test_what_can_not_be_opened_now_is_not_damaged(home: Path) -> None:
    code = """
        import resource, warnings
        import numpy as np
        from rung.home import find, keep
        for n in range(40):
            keep("room", {"n": n}, lambda: {"a": np.arange(9.0), "b": np.arange(9.0)})
        resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
        apart = [find("room", {"n": n}, len, mapped=False) for n in range(40)]
        warnings.simplefilter("ignore")
        mapped = [find("room", {"n": n}, len) for n in range(40)]
        print(sum(a is not None for a in apart), mapped[0] is not None, mapped[-1] is None)
    """
    assert python(code, RUNG_HOME=str(home)).stdout.split() == ["40", "True", "True"]
    assert len(list((home / "room").rglob("output.pkl"))) == 40


def test_a_killed_writer_leaves_nothing_that_is_read(home: Path) -> None:
    code = """
        import os
        from rung.home import keep
        class Deadly:
            def __reduce__(self):
                os.kill(os.getpid(), 9)
        keep("room", {"name": "numbers", "seed": 1}, lambda: (b"x" * 10**6, Deadly()))
    """
    with pytest.raises(subprocess.CalledProcessError):
        python(code, RUNG_HOME=str(home))
    assert find("room", KEY, check) is None
    assert same(cached("room", KEY, numbers, check))


# --- What the command says --------------------------------------------------------------------


def test_the_command_says_it_in_one_plain_line(
    rung: Callable[..., subprocess.CompletedProcess[str]], suite_folder: Path, home: Path
) -> None:
    write_table(suite_folder)
    arguments = ("data", "ids", "mine", "--suite", suite_folder)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

    whole = rung(*arguments)
    assert (whole.returncode, whole.stderr) == (0, "")
    (path,) = (home / "prepared").rglob("output.pkl")
    path.write_bytes(path.read_bytes()[:1000])
    damaged = rung(*arguments)
    assert (damaged.returncode, damaged.stdout) == (0, whole.stdout)
    assert damaged.stderr == f"rung: the cache entry {path} is damaged (it can't be read); redone\n"
    path.unlink()
    full = rung(*arguments, preexec_fn=limit)
    assert (full.returncode, full.stdout) == (2, whole.stdout)
    assert full.stderr.startswith(f"rung: error: can't write to {home / 'prepared'} (")
    assert full.stderr.count("\n") == 1


def test_a_run_that_can_keep_nothing_prints_its_board_and_ends_with_2(
    rung: Callable[..., subprocess.CompletedProcess[str]], suite_folder: Path, home: Path
) -> None:
    write_table(suite_folder)

    home.mkdir()
    for room in ("trials", "prepared"):
        (home / room).touch()  # a file is where the folder should be
    arguments = ("run", "mine", "--suite", suite_folder, "--baselines", "prior", "--format", "json")
    done = rung(*arguments)
    assert done.returncode == 2, done.stderr
    assert [row["status"] for row in json.loads(done.stdout)["rows"]] == ["ok"]
    lines = [line for line in done.stderr.splitlines() if line.startswith("rung:")]
    assert len(lines) == 1
    assert "can't write" in lines[0]
