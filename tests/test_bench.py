"""`nox -s bench`: records, page, comparison with a file of before, and small real runs."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import pictures, table

from rung import suite
from rung.errors import RungError

BENCH = "rung.suite.benchmarks._bench"
command = importlib.import_module(f"{BENCH}.__main__")
isolation = importlib.import_module(f"{BENCH}.isolation")
pairs = importlib.import_module(f"{BENCH}.pairs")
pipeline = importlib.import_module(f"{BENCH}.pipeline")
records = importlib.import_module(f"{BENCH}.records")
report = importlib.import_module(f"{BENCH}.report")
scaling = importlib.import_module(f"{BENCH}.scaling")
shared = importlib.import_module(f"{BENCH}.shared")

ROWS = [1_000, 2_000, 4_000, 8_000]


def timed(**changes: Any) -> Any:
    """Three turns at ratios .09, .1 and .11, promised .2, as good as the other."""
    scores = [records.Score("accuracy", ours=0.9, theirs=0.9)]
    plain = records.Timed("Mine", [0.9, 1.0, 1.1], [10.0] * 3, scores, most=0.2)
    return dataclasses.replace(plain, **changes)


def growth(seconds: float = 1.0, power: float = 1.0) -> Any:
    fit_s = [[seconds * (n / 1_000) ** power] * 3 for n in ROWS]
    return records.Growth("Rung, data", ROWS, fit_s, [[200 + n / 50] for n in ROWS])


def bench(*found: Any, machine: str = "A processor") -> Any:
    return report.Bench(machine, 2, "0.1.0", {"part": list(found)})


# --- Records ----------------------------------------------------------------------------------


def test_exponents_are_those_that_were_planted() -> None:
    n = np.array(ROWS)
    fit_s, peak_mib = 3e-6 * n**1.5, 700 + 5e-6 * n**2.0
    found = records.Growth("r", ROWS, [[s] for s in fit_s], [[mib] for mib in peak_mib])
    assert found.time.fitted == pytest.approx(1.5)
    assert found.time.steps == pytest.approx([1.5] * 3)
    # 5, 20, 80, 320 MiB over 700: the first step, of 15 MiB, counts; the constant does not.
    assert found.memory.fitted == pytest.approx(2.0)
    assert "1.5 [1.5, 1.5]" in found.cells["exponent"]


def test_a_kink_is_seen_in_the_range() -> None:
    found = records.Growth("r", ROWS, [[1.0], [2.0], [8.0], [32.0]], [[1.0]] * 4)
    assert found.time.steps == pytest.approx([1, 2, 2])
    assert 1 < found.time.fitted < 2


def test_what_can_not_be_measured_has_no_exponent() -> None:
    found = records.Growth("r", ROWS, [[0.001], [0.01], [0.1], [1.0]], [[200], [204], [208], [290]])
    assert found.time is None
    assert found.memory is None
    assert found.cells["exponent"] == found.cells["exponent of its growth"] == "–"
    assert found.cells["fit, s"].startswith("< 0.05, < 0.05, 0.1")


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, None),
        ({"most": None}, None),
        ({"most": 0.05}, "ratio ≤ 0.05 (**missed**: 0.1)"),
        ({"most_s": 0.5}, "seconds ≤ 0.5 (**missed**: 1)"),
        ({"ours": 0.896}, None),  # within the tolerance
        ({"ours": 0.89}, "accuracy ≥ 0.895 (**missed**: 0.89)"),
        ({"bound": 0.98}, "accuracy ≥ 0.98 (**missed**: 0.9)"),
        ({"sign": -1, "ours": 0.91}, "accuracy ≤ 0.905 (**missed**: 0.91)"),
        ({"sign": -1, "ours": 0.5, "bound": 0.6}, None),
        ({"theirs": None, "ours": 0.1}, None),
    ],
)
def test_promises_of_a_pair(changes: dict[str, Any], missed: str | None) -> None:
    names = {f.name for f in dataclasses.fields(records.Score)}
    of_score = {k: v for k, v in changes.items() if k in names}
    rest = {k: v for k, v in changes.items() if k not in names}
    (score,) = timed().scores
    found = timed(scores=[dataclasses.replace(score, **of_score)], **rest)
    said = [str(p) for p in found.promises if not p.kept]
    assert said == ([] if missed is None else [missed])
    assert missed is None or missed in found.cells["promised"]


def test_share_that_the_net_waits() -> None:
    found = records.Flow(
        "into the net", 1_000, [2.0, 2.5, 3.0], [2.0, 2.0, 2.0], [0.3, 0.2, 0.2], most=1.05
    )
    assert found.cells["optimizers"] == "8.0%"
    assert found.cells["the net waits"] == "12.0%"
    assert found.cells["pictures a second"] == "400"
    assert [p.kept for p in found.promises] == [False]


def test_a_pair_takes_turns_and_keeps_the_last_scores() -> None:
    calls: list[str] = []

    def work(side: str) -> list[float]:
        calls.append(side)
        return [float(len(calls))]

    pair = pairs.Pair("p", lambda: work("ours"), lambda: work("theirs"), most=2.0)
    found = pairs.timed(pair)
    assert calls == ["ours", "theirs"] * 3
    assert len(found.ratios) == 3
    assert [(s.ours, s.theirs) for s in found.scores] == [(5, 6)]


# --- The page and the file --------------------------------------------------------------------


def everything() -> Any:
    return bench(
        timed(),
        growth(),
        records.Flow("first", 13_394, [8.0, 9.0], most_s=10.0),
        records.Flow("into the net", 4_096, [20.0], [19.8], [0.1], most=1.05),
        records.Isolated("random", [0.04, 0.05], [0.06, 0.06], [0.02, 0.01], 200, [9.0]),
        records.LeftOut("auto-sklearn", "its time is a budget"),
    )


def test_page_is_made_from_the_file_alone(tmp_path: Path) -> None:
    found = everything()
    file = tmp_path / "bench.json"
    file.write_text(found.to_json())
    assert report.read(file) == found
    page = report.page(report.read(file))
    assert page == report.page(found)
    assert json.loads(file.read_text())["schema"] == report.SCHEMA
    for said in (
        "On A processor, 2 threads, rung 0.1.0.",
        "All that is promised is kept.",
        "| Mine | 1 s | 10 s | 0.1 [0.09, 0.11] | ratio ≤ 0.2 | accuracy 0.9 (0.9) |",
        "- auto-sklearn: its time is a budget.",
        "13,394",
    ):
        assert said in page
    width = {}
    for line in page.splitlines():
        if line.startswith("|"):
            width.setdefault(line.count("|"), []).append(line)
    assert all(len(rows) >= 3 for rows in width.values())  # each row as wide as its head


def test_page_names_what_was_missed() -> None:
    page = report.page(bench(timed(most=0.05)))
    assert "Missed:\n\n- Mine: ratio ≤ 0.05 (**missed**: 0.1)" in page
    assert "is kept" not in page


def test_a_slower_ratio_is_told_from_noise() -> None:
    def now(factor: float, turns: int = 3, machine: str = "Another") -> list[str]:
        ours = [factor * s for s in timed().ours_s[:turns]]
        found = timed(ours_s=ours, theirs_s=[10.0] * turns)
        lines: list[str] = report.slower(bench(found, machine=machine), bench(timed()))
        return lines

    assert now(1.0) == now(1.3) == []  # .117 to .143: its lowest turn is within a tenth of .11
    (line,) = now(1.5)
    assert line == "Mine: 0.135 times the seconds of the other or more, before 0.11 or less"
    assert now(1.5, turns=1) == []  # a single turn says little of its noise
    assert len(now(1.7, turns=1)) == 1


def test_seconds_are_compared_on_the_same_machine_alone() -> None:
    before = bench(growth())
    (line,) = report.slower(bench(growth(2.0)), before)
    assert "seconds for 8,000 rows" in line
    assert report.slower(bench(growth(2.0), machine="Another"), before) == []
    said = report.slower(bench(growth(power=1.5), machine="Another"), before)
    assert ["time exponent" in line for line in said] == [True]


def test_what_was_not_there_before_is_no_news() -> None:
    assert report.slower(bench(timed(name="New")), bench(timed())) == []


# --- The command ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "can't be read"),
        ("{", "can't be read"),
        ("[]", "has schema None"),
        ('{"machine": "m", "pairs": []}', "has schema None"),
        ('{"schema": 2}', "is damaged"),
        (everything().to_json().replace('"ours_s"', '"seconds"'), "is damaged"),
        (everything().to_json().replace('"part": [', '"part": [3,'), "is damaged"),
        (bench(timed(theirs_s=["ten"] * 3)).to_json(), "is damaged"),
        (bench(timed(theirs_s=[10.0])).to_json(), "is damaged"),
        (bench(timed(ours_s=[], theirs_s=[])).to_json(), "is damaged"),
    ],
)
def test_files_to_compare_with_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    file = tmp_path / "before.json"
    if text is not None:
        file.write_text(text)
    assert command.main(["intervals", "--against", str(file)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert str(file) in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["linaer"], ["intervals", "--to", "nowhere"]])
def test_unknown_names_and_folders_are_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert ("linear" if "linaer" in arguments else "no such folder") in printed.err


def test_a_pair_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pairs, "RESAMPLES", 999)
    monkeypatch.setattr(pairs, "ANSWERS", 500)
    assert command.main(["intervals", "--to", str(tmp_path)]) == 0
    assert "999 resamples" in capsys.readouterr().out
    found = report.read(tmp_path / "bench.json")
    (record,) = found.records
    assert len(record.ours_s) == len(record.theirs_s) == 5
    assert all(p.kept for p in record.promises)
    assert {one.what for one in found.left_out} == set(command.WORK) - {"intervals"}
    assert (tmp_path / "bench.md").read_text() == report.page(found)
    # The same again, against a file in which it took a thousandth of the ratio.
    file = tmp_path / "bench.json"
    plain = json.loads(file.read_text())
    (record,) = plain["parts"]["intervals"]
    record["ours_s"] = [s / 1e6 for s in record["ours_s"]]
    file.write_text(json.dumps(plain))
    assert command.main(["intervals", "--against", str(file)]) == 1
    assert "slower: Interval of 500 answers" in capsys.readouterr().out


def test_parts_that_are_not_asked_for_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    here = report.Bench(command.device.processor(), torch.get_num_threads(), command.__version__)
    here.parts = {"linear": [timed()], "intervals": [timed(name="Of before")]}
    file.write_text(here.to_json())
    monkeypatch.setitem(command.WORK, "intervals", lambda full: iter([timed(name="Of now")]))
    assert command.main(["intervals", "--to", str(tmp_path)]) == 0
    found = report.read(file)
    assert list(found.parts) == list(command.WORK)
    assert [r.name for r in found.records] == ["Mine", "Of now"]

    # A part that fails leaves those that were measured before it, and what stood there.
    def failing(full: bool) -> Any:
        raise RungError("no data")

    monkeypatch.setitem(command.WORK, "decoding", failing)
    monkeypatch.setitem(command.WORK, "intervals", lambda full: iter([timed(name="Anew")]))
    assert command.main(["intervals", "decoding", "--to", str(tmp_path)]) == 2
    assert [r.name for r in report.read(file).records] == ["Mine", "Anew"]
    # Nothing is added to a page of another machine.
    written = dataclasses.replace(here, machine="Another").to_json()
    file.write_text(written)
    capsys.readouterr()
    assert command.main(["intervals", "--to", str(tmp_path)]) == 2
    assert "is of Another" in capsys.readouterr().err
    assert file.read_text() == written


def test_only_parts_that_ask_for_pictures_say_which_they_got(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @functools.cache
    def pictures_of_the_mini() -> tuple[Any, str]:
        return None, "no connection"

    def asking(full: bool) -> Any:
        pictures_of_the_mini()
        yield timed()

    monkeypatch.setattr(command, "pictures", pictures_of_the_mini)
    monkeypatch.setitem(command.WORK, "linear", asking)
    monkeypatch.setitem(command.WORK, "intervals", lambda full: iter([timed(name="No picture")]))
    monkeypatch.setitem(command.WORK, "decoding", asking)
    assert command.main(["linear", "intervals", "decoding", "--to", str(tmp_path)]) == 0
    parts = report.read(tmp_path / "bench.json").parts
    said = {name: len(parts[name]) - 1 for name in ("linear", "intervals", "decoding")}
    assert said == {"linear": 1, "intervals": 0, "decoding": 1}


def test_lazypredict_is_left_out_aloud_where_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lazypredict", None)
    monkeypatch.setitem(sys.modules, "lazypredict.Supervised", None)
    assert command.main(["lazypredict", "--to", str(tmp_path)]) == 0
    said = "LazyClassifier: there is no lazypredict"
    assert f"left out: {said}" in capsys.readouterr().out
    assert f"- {said}" in (tmp_path / "bench.md").read_text()


# --- Small real runs --------------------------------------------------------------------------


def test_every_rung_grows_or_is_left_out_with_a_reason() -> None:
    rungs = {entry.name for entry in suite.ladder()}
    assert rungs == set(scaling.CASES) | set(scaling.NOT_MEASURED)
    assert not set(scaling.CASES) & set(scaling.NOT_MEASURED)


def test_rungs_grow_in_processes_of_their_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "ENOUGH", 1e-9)  # one fit of each size
    dataset = table(200)
    case = scaling.Case(most=80, parameters={"n_estimators": 5})
    with shared.apart(threads=1) as run:
        found = scaling.grown("random_forest", dataset, case, run)
    assert found.rows == [10, 20, 40, 80]
    assert found.name == "Random forest (n_estimators 5), table_classification"
    assert [len(turns) for turns in found.fit_s] == [1] * 4
    assert all(turns[0] > 0 for turns in found.fit_s)
    assert all(50 < mib < 10_000 for turns in found.peak_mib for mib in turns)
    assert not (home / "trials").exists()  # past the cache


def test_pictures_are_prepared_in_homes_that_go(home: Path) -> None:
    first, again = pipeline.prepared("imagenette_mini", 32, 1, promised=False)
    assert first.pictures == again.pictures == 1_500
    assert "first" in first.name
    assert "again" in again.name
    assert first.promises == again.promises == []
    assert not home.exists()


def test_the_net_alone_gets_the_batches_of_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    trainings: list[list[float]] = []
    inputs: list[float] = []
    train = pipeline.train

    def watched(net: Any, data: Any, y: Any, *, augment: Any, **options: Any) -> None:
        sums: list[float] = []

        def noted(*arguments: Any) -> Any:
            batch = augment(*arguments)
            sums.append(float(batch.float().sum()))
            return batch

        train(net, data, y, augment=noted, **options)
        trainings.append(sums)

    def seen(net: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        if type(net).__name__ == "Net":
            inputs.append(float(given[0].float().sum()))

    monkeypatch.setattr(pipeline, "train", watched)
    with torch.nn.modules.module.register_module_forward_pre_hook(seen):  # type: ignore[arg-type]
        found = pipeline.fed(pictures(90, side=16), 48, 1, promised=True)
    assert len(trainings) == 2
    in_turns = [x for both in zip(*trainings, strict=True) for x in both]
    assert inputs == [*trainings[0], *in_turns]
    assert found.pictures == 48 * pipeline.EPOCHS
    assert "16 px" in found.name
    assert len(found.ratios) == 1
    assert 0 < found.steps < 1


def test_isolation_is_measured_in_turns() -> None:
    found = isolation.measured(suite.load("digits"), blocks=1, turns=2, many=2)
    assert len(found.here_s) == len(found.apart_s) == len(found.more_s) == 1
    assert min(found.here_s + found.apart_s + found.run_s) > 0
    assert found.trials == 2


def test_an_exponent_near_zero_is_not_slower_for_a_hair() -> None:
    def power(*steps: float) -> Any:
        return records.Measure("memory exponent", steps, True, True)

    assert not report.above(power(0.03, 0.04), power(0.0, 0.02))
    assert not report.above(power(-0.2, -0.2), power(-0.2, -0.21))
    assert report.above(power(0.15, 0.2), power(0.0, 0.02))
