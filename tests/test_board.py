from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest

from rung import render
from rung.benchmark import Reported, Trial
from rung.board import Board, Row
from rung.errors import RungError
from rung.intervals import (
    difference_interval,
    rank_intervals,
    resampled_interval,
    score_interval,
)
from rung.render.plot import plot
from rung.trial import Outcome

N = 200
DATASET = {
    "name": "made",
    "title": "Made up",
    "task": "classification",
    "modality": "tabular",
    "classes": ["a", "b"],
    "fingerprint": "f" * 64,
    "local_copy": False,
    "source": "",
    "licence": "",
    "citation": "",
}


def outcome(rung: str, seed: int, share: float, **changes: object) -> Outcome:
    """An outcome with that share of right answers."""
    rng = np.random.default_rng(len(rung) * 7 + seed)
    target = np.arange(N) % 2
    right = rng.random(N) < share
    label = np.where(right, target, 1 - target)
    proba = np.full((N, 2), 0.2, np.float32)
    proba[np.arange(N), label] = 0.8
    plain: dict[str, object] = {
        "trial": Trial("made", "f" * 64, "holdout", rung, None, seed),
        "dataset": DATASET,
        "status": "ok",
        "ids": np.arange(N).astype(str),
        "target": target,
        "label": label,
        "proba": proba,
        "cost": {
            "fit_s": 1.5,
            "predict_s": 0.1,
            "peak_mib": 200.0 + seed,
            "gpu_peak_mib": None,
            "n_train": 1000,
        },
        "provenance": {"title": rung.title(), "rung": 1, "deterministic": rung == "prior"},
    }
    return Outcome(**(plain | changes)).sealed()  # type: ignore[arg-type]


SHARES = {"good": 0.95, "also_good": 0.94, "poor": 0.6}


def outcomes() -> list[Outcome]:
    made = [outcome(name, seed, share) for name, share in SHARES.items() for seed in range(3)]
    return [*made, outcome("prior", 0, 0.5)]


def test_rows_are_ranked_with_the_statistics_of_the_intervals_room() -> None:
    board = Board.from_outcomes(outcomes())
    assert [row.rank for row in board.rows] == [1, 2, 3, 4]
    tables = [
        np.stack([o.label == o.target for o in outcomes() if o.trial.rung == row.rung]).astype(
            float
        )
        for row in board.rows
    ]
    for row, table, span in zip(board.rows, tables, rank_intervals(tables), strict=True):
        assert row.score == score_interval(table)
        assert (row.rank_low, row.rank_high) == span
    for row, upper, lower in zip(board.rows, tables, tables[1:], strict=False):
        assert row.below == difference_interval(upper, lower)
    assert board.rows[-1].below is None
    assert board.to_beat is board.rows[0]
    assert {board.rows[0].rung, board.rows[1].rung} == {"good", "also_good"}
    assert board.rows[0].rank_high == 2  # the two can't be told apart


def test_cost_is_the_mean_time_and_the_largest_memory() -> None:
    row = Board.from_outcomes(outcomes()).rows[0]
    assert (row.fit_s, row.peak_mib, row.seeds, row.n_train) == (1.5, 202.0, 3, 1000)


def test_order_of_outcomes_does_not_matter() -> None:
    made = outcomes()
    assert Board.from_outcomes(made).as_dict() == Board.from_outcomes(made[::-1]).as_dict()


def test_regression_ranks_small_errors_first() -> None:
    def number(rung: str, noise: float) -> Outcome:
        target = np.linspace(0, 10, N)
        label = target + noise * np.sin(np.arange(N))
        data = DATASET | {"task": "regression", "classes": []}
        return outcome(rung, 0, 1, dataset=data, target=target, label=label, proba=None)

    board = Board.from_outcomes([number("far", 2.0), number("near", 0.5)])
    assert [row.rung for row in board.rows] == ["near", "far"]
    below = board.rows[0].below
    assert below is not None
    assert below.estimate == pytest.approx(1.5 / np.sqrt(2), rel=0.05)  # better is positive


def test_failures_stand_below_without_a_rank() -> None:
    failed = outcome("broken", 0, 1, status="failed: ValueError: no", ids=np.empty(0, str))
    half = [
        outcome("half", 0, 0.9),
        dataclasses.replace(
            failed, trial=Trial("made", "f" * 64, "holdout", "half", None, 1)
        ).sealed(),
    ]
    board = Board.from_outcomes([*outcomes(), failed, *half])
    assert [row.rung for row in board.failures] == ["broken", "half"]
    assert all(row.rank is None for row in board.failures)
    assert "failed: ValueError: no" in str(board)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dataset": DATASET | {"fingerprint": "0" * 64}}, "same data"),
        ({"ids": np.arange(1, N + 1).astype(str)}, "other examples"),
        ({"trial": Trial("made", "f" * 64, "other", "odd", None, 0)}, "same splits"),
    ],
)
def test_outcomes_of_different_things_share_no_board(changes: dict[str, object], says: str) -> None:
    odd = outcome(
        "odd", 0, 0.5, **({"trial": Trial("made", "f" * 64, "holdout", "odd", None, 0)} | changes)
    )
    with pytest.raises(RungError, match=says):
        Board.from_outcomes([*outcomes(), odd])


def test_repeated_splits_have_corrected_resampled_intervals() -> None:
    def on(split: int, rung: str, share: float) -> Outcome:
        trial = Trial("made", "f" * 64, str(split), rung, None, 0)
        ids = np.arange(split, split + N).astype(str)
        return outcome(rung, split, share, trial=trial, ids=ids)

    made = [on(s, r, p) for s in range(5) for r, p in (("good", 0.95), ("poor", 0.6))]
    board = Board.from_outcomes(made)
    assert (board.n_splits, board.n_test, board.rows[0].seeds) == (5, N, 1)
    scores = {
        rung: [float((o.label == o.target).mean()) for o in made if o.trial.rung == rung]
        for rung in ("good", "poor")
    }
    assert board.rows[0].score == resampled_interval(scores["good"], 1000, N, scale="proportion")
    difference = np.array(scores["good"]) - scores["poor"]
    assert board.rows[0].below == resampled_interval(difference, 1000, N)
    assert "5 splits of 200 test examples each" in str(board)
    assert "Nadeau and Bengio" in str(board)
    with pytest.raises(RungError, match="5 splits"):
        board.beat(np.zeros(N, int))


def test_letters_tell_who_can_be_told_apart() -> None:
    board = Board.from_outcomes(outcomes())
    group = {row.rung: row.group for row in board.rows}
    assert group["good"] == group["also_good"] == "a"
    assert group["poor"] != "a"


def test_another_metric_decides_from_the_same_outcomes() -> None:
    board = Board.from_outcomes(outcomes(), [Reported("x", 0.9, "y")], metric="log_loss")
    assert board.metric.name == "log_loss"
    assert [row.rung for row in board.rows] == [
        r.rung for r in Board.from_outcomes(outcomes()).rows
    ]
    assert board.rows[0].score.estimate < board.rows[-1].score.estimate
    assert list(board.rows[0].scores) == ["log_loss", "accuracy"]
    assert not board.reported  # they are accuracies


def test_row_without_what_the_metric_needs_has_no_rank() -> None:
    labels = [outcome("labels", seed, 0.9, proba=None) for seed in range(3)]
    board = Board.from_outcomes([*outcomes(), *labels], metric="roc_auc")
    assert board.rows[-1].rung == "labels"
    assert board.rows[-1].rank is None
    assert "has no ROC AUC" in str(board)
    with pytest.raises(RungError, match="no rung here has the metric"):
        Board.from_outcomes(labels, metric="roc_auc")


def test_metric_of_another_task_is_refused() -> None:
    with pytest.raises(RungError, match="rmse is for regression"):
        Board.from_outcomes(outcomes(), metric="rmse")


def test_no_outcomes_no_board() -> None:
    with pytest.raises(RungError, match="no outcomes"):
        Board.from_outcomes([])


REPORTED = [Reported("Deep thing", 0.999, "arXiv:1")]


def test_json_has_the_agreed_schema() -> None:
    plain = json.loads(render.render([Board.from_outcomes(outcomes(), REPORTED)], "json"))
    assert set(plain) >= {
        "dataset", "task", "metric", "level", "fingerprint", "local_copy", "n_test", "to_beat",
        "minimum_detectable_difference", "rows", "reported", "schema",
    }  # fmt: skip
    assert set(plain["rows"][0]) >= {
        "rung", "title", "status", "rank", "rank_low", "rank_high", "score", "low", "high",
        "test_se", "seed_se", "seeds", "metrics", "n_train", "fit_s", "predict_s", "peak_mib",
        "device", "precision",
    }  # fmt: skip
    assert plain["reported"] == [{"title": "Deep thing", "score": 0.999, "source": "arXiv:1"}]
    assert (
        plain["rows"][0]["metrics"]["log_loss"]["low"]
        < plain["rows"][0]["metrics"]["log_loss"]["high"]
    )
    two = json.loads(render.render([Board.from_outcomes(outcomes())] * 2, "json"))
    assert [b["dataset"] for b in two] == ["made", "made"]


def test_csv_has_a_line_a_row() -> None:
    lines = list(
        csv.DictReader(io.StringIO(render.render([Board.from_outcomes(outcomes())], "csv")))
    )
    assert [line["rung"] for line in lines][2:] == ["poor", "prior"]
    assert float(lines[0]["low"]) < float(lines[0]["score"]) < float(lines[0]["high"])
    assert float(lines[0]["below_p_value"]) > 0.05


@pytest.mark.parametrize("form", ["table", "markdown", "html"])
def test_pages_say_what_matters(form: str) -> None:
    board = Board.from_outcomes(outcomes(), REPORTED)
    page = render.render([board], form)
    for word in (
        "Made up",
        "200 test examples",
        "accuracy",
        f"To beat: {board.rows[0].title}",
        "log loss",
        "1,000",
        "none",  # a deterministic rung has no noise of training
        "Deep thing",
        "arXiv:1",
        "power",
    ):
        assert word in page, word


def test_local_copies_are_named() -> None:
    local = [
        dataclasses.replace(o, dataset=DATASET | {"local_copy": True}).sealed() for o in outcomes()
    ]
    assert "local copy ffffffff" in str(Board.from_outcomes(local))


def test_one_seed_of_a_random_rung_is_said_to_be_unmeasured() -> None:
    board = Board.from_outcomes([outcome("good", 0, 0.9), outcome("prior", 0, 0.5)])
    assert "noise of training is not measured: Good." in str(board)


def test_probabilities_that_tell_nothing_are_named() -> None:
    def rung(name: str, share: float) -> Outcome:
        made = outcome(name, 0, 0.7)
        proba = np.full((N, 2), 1 - share, np.float32)
        proba[np.arange(N), made.target] = share
        return dataclasses.replace(made, proba=proba).sealed()

    told = [rung("good", 0.9), rung("just", 0.51)]
    assert "tell no more" not in str(Board.from_outcomes(told))
    board = Board.from_outcomes([*told, rung("constant", 0.5), rung("unsure", 0.4)])
    assert [row.rung for row in board.uninformed] == ["constant", "unsure"]
    assert "how common each class is: Constant, Unsure." in " ".join(str(board).split())


def test_predicted_deviations_that_tell_nothing_are_named() -> None:
    def number(rung: str, std: float) -> Outcome:
        target = np.linspace(0, 10, N)
        data = DATASET | {"task": "regression", "classes": []}
        fixed = {"dataset": data, "target": target, "label": target + 1, "proba": None}
        return outcome(rung, 0, 1, **fixed, std=np.full(N, std, np.float32))

    board = Board.from_outcomes([number("fair", 1.0), number("sure", 0.1)])
    assert [row.rung for row in board.uninformed] == ["sure"]
    assert "how targets are spread: Sure." in " ".join(str(board).split())


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_table_fits_the_terminal(width: int) -> None:
    page = render.text(Board.from_outcomes(outcomes()), width)
    plain = [line for line in page.splitlines() if "\x1b" not in line]
    assert max(len(line) for line in plain) <= width
    assert "Also_Good" in page
    assert "…" not in page  # a column that does not fit is left out, no number is cut


@pytest.mark.parametrize("name", ["board.png", "board.svg"])
def test_plot_is_written_and_the_same_each_time(tmp_path: Path, name: str) -> None:
    board = Board.from_outcomes(outcomes(), REPORTED)
    plot(board, tmp_path / name)
    plot(board, tmp_path / f"again-{name}")
    assert (tmp_path / name).read_bytes() == (tmp_path / f"again-{name}").read_bytes()
    if name.endswith("svg"):
        assert "Also_Good" in (tmp_path / name).read_text()


def test_plot_refuses_other_endings(tmp_path: Path) -> None:
    with pytest.raises(RungError, match=r"\.png or \.svg"):
        plot(Board.from_outcomes(outcomes()), tmp_path / "board.xyz")


def test_board_shows_itself_in_a_notebook() -> None:
    assert "<table>" in Board.from_outcomes(outcomes())._repr_html_()
    frame = Board.from_outcomes(outcomes()).to_frame()
    assert frame["rung"].tolist()[2:] == ["poor", "prior"]


def test_a_row_names_its_picture_size_where_that_tells_it_from_another() -> None:
    row = Row("convnet", "Convnet", "ok", px=128, parameters={"epochs": 5})
    assert row.full_title == "Convnet (epochs 5)"
    assert dataclasses.replace(row, sized=True).full_title == "Convnet (epochs 5, 128 px)"


def test_the_row_to_beat_is_told_from_another_of_its_rung() -> None:
    trials = [
        Trial("made", "f" * 64, "holdout", "good", None, s, parameters=(("k", 2),)) for s in (0, 1)
    ]
    other = [outcome("good", s, 0.95, trial=t) for s, t in enumerate(trials)]
    alone = Board.from_outcomes([*other, outcome("prior", 0, 0.5)])
    assert "To beat: Good, " in render.text(alone, None)
    both = Board.from_outcomes([*other, outcome("good", 0, 0.6), outcome("good", 1, 0.6)])
    assert "To beat: Good (k 2), " in render.text(both, None)
