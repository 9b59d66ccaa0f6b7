from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import table
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.svm import LinearSVC

from rung import Baseline, results
from rung import trial as room
from rung.benchmark import trials
from rung.board import Board
from rung.errors import RungError
from rung.trial import Outcome, without_predictions


def outcomes(task: str = "classification", seeds: int = 2) -> list[Outcome]:
    data = table(task=task)
    made = []
    models = {"logistic": LogisticRegression, "svc": LinearSVC}
    if task == "regression":
        models = {"bayes": BayesianRidge}
    for name, model in models.items():
        rung = Baseline(rung=2, title=name, make=lambda dataset, seed, m=model: m())
        for trial in trials(data, [(name, rung)], seeds=seeds):
            made.append(room.run(trial, rung, data))
    return made


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_round_trip(tmp_path: Path, task: str) -> None:
    before = outcomes(task)
    written = results.write(before, tmp_path)
    assert all(p.parent.name == f"table_{task}" for p in written)
    after = results.read(tmp_path, f"table_{task}")
    assert [str(o.trial) for o in after] == [str(o.trial) for o in before]
    for one, other in zip(before, after, strict=True):
        assert one.digest == other.digest
        assert one.trial == other.trial
        for name in ("ids", "target", "label", "proba", "std"):
            a, b = getattr(one, name), getattr(other, name)
            assert (a is None) == (b is None)
            assert a is None or np.array_equal(a, b)
    assert Board.from_outcomes(after).as_dict() == Board.from_outcomes(before).as_dict()


def test_a_file_reads_as_a_plain_table(tmp_path: Path) -> None:
    results.write(outcomes(), tmp_path)
    frame = pq.read_table(tmp_path / "table_classification" / "logistic.parquet").to_pandas()
    assert list(frame.columns) == ["trial", "id", "target", "prediction", "p:0", "p:1", "p:2"]
    assert set(frame["prediction"]) <= {"0", "1", "2"}


def test_a_failed_trial_is_kept_as_such(tmp_path: Path) -> None:
    data = table()
    rung = Baseline(rung=3, title="Broken", make=lambda dataset, seed: None)
    trial = trials(data, [("broken", rung)], seeds=1)[0]
    failed = without_predictions(trial, rung, data, "failed: ValueError: no")
    results.write([*outcomes(), failed], tmp_path)
    board = Board.from_outcomes(results.read(tmp_path, data.name))
    assert board.rows[-1].status == "failed: ValueError: no"
    assert board.n_test == 27


@pytest.mark.parametrize("where", [0.2, 0.5, 0.8, 0.99])
def test_a_damaged_file_is_named_and_never_believed(tmp_path: Path, where: float) -> None:
    before = outcomes()
    path, *_ = results.write(before, tmp_path)
    whole = bytearray(path.read_bytes())
    whole[int(where * len(whole))] ^= 0x10
    path.write_bytes(bytes(whole))
    digests = [o.digest for o in before]
    try:
        after = results.read(tmp_path, "table_classification")
    except RungError as error:
        said = str(error)
    else:  # a bit of the file that carries nothing
        assert [o.digest for o in after] == digests
        return
    assert str(path) in said
    assert "\n" not in said


def test_a_changed_prediction_is_noticed(tmp_path: Path) -> None:
    path, *_ = results.write(outcomes(), tmp_path)
    table_ = pq.read_table(path)
    right = table_["target"]
    forged = table_.set_column(
        table_.column_names.index("prediction"), "prediction", right
    ).replace_schema_metadata(table_.schema.metadata)
    pq.write_table(forged, path)
    with pytest.raises(RungError, match="damaged"):
        results.read(tmp_path, "table_classification")


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path, *_ = results.write(outcomes(), tmp_path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(RungError, match=path.name):
        results.read(tmp_path, "table_classification")


def test_what_a_trial_took_is_known_by_rung(tmp_path: Path) -> None:
    ran = outcomes(seeds=1)[0]

    def took(seconds: float, data: str, rung: str) -> Outcome:
        trial = dataclasses.replace(ran.trial, dataset=data, rung=rung)
        return dataclasses.replace(ran, trial=trial, cost=ran.cost | {"fit_s": seconds}).sealed()

    made = [took(s, f"data{i}", "one") for i, s in enumerate((1.0, 9.0, 2.0))]
    results.write([*made, took(0.5, "data0", "other")], tmp_path)
    assert results.seconds(tmp_path) == {"one": 2.0, "other": 0.5}
    assert results.seconds(tmp_path / "nothing") == {}
