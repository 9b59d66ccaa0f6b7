"""Verdicts: what is compared, how it is said, and that both sides of a comparison agree."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_board import DATASET, N, outcome, outcomes

from rung import Board, RungError, Verdict
from rung.intervals import (
    difference_interval,
    holm,
    holm_level,
    minimum_detectable_difference,
    score_interval,
)
from rung.metrics import METRICS
from rung.render.verdict import render
from rung.trial import Outcome
from rung.verdict import Rival, judge

ACCURACY, RMSE = METRICS["accuracy"], METRICS["rmse"]


def answers(share: float, seeds: int, seed: int, n: int = N) -> NDArray[np.float64]:
    """Values of accuracy: (seeds, n)."""
    return (np.random.default_rng(seed).random((seeds, n)) < share).astype(float)


def verdict_of(
    values: NDArray[np.float64], rivals: list[Rival], metric: str = "accuracy"
) -> Verdict:
    return judge(
        values,
        rivals,
        dataset=DATASET,
        metric=METRICS[metric],
        level=0.95,
        n_test=values.shape[1],
        scores={metric: score_interval(values)},
    )


SHARES = (0.99, 0.85, 0.75, 0.4)
RIVALS = [Rival(f"r{i}", f"R{i}", answers(share, 3, i)) for i, share in enumerate(SHARES)]


def test_comparisons_are_those_of_the_intervals_room() -> None:
    mine = answers(0.8, 2, 9)
    verdict = verdict_of(mine, RIVALS)
    found = [difference_interval(mine, r.values) for r in RIVALS]
    assert [c.difference for c in verdict.comparisons] == found
    adjusted = holm([d.p_value or 0.0 for d in found])
    assert [c.p_holm for c in verdict.comparisons] == adjusted
    words = [
        "tie" if p >= 0.05 else "beats" if d.estimate > 0 else "loses to"
        for d, p in zip(found, adjusted, strict=True)
    ]
    assert [c.verdict for c in verdict.comparisons] == words
    assert words[0] == "loses to"
    assert words[-1] == "beats"
    assert verdict.rank == 1 + sum(r.values.mean() > mine.mean() for r in RIVALS)
    assert verdict.rank_low == 1 + words.count("loses to")
    assert verdict.rank_high == 5 - words.count("beats")
    assert verdict.to_beat is verdict.comparisons[0]
    assert not verdict.beats
    assert verdict_of(answers(1.0, 1, 0), RIVALS[1:]).beats


def test_what_would_be_seen_counts_the_correction() -> None:
    mine = answers(0.8, 2, 9)
    alone = verdict_of(mine, RIVALS[1:2]).to_beat
    plain = minimum_detectable_difference(difference_interval(mine, RIVALS[1].values))
    assert alone.minimum_detectable_difference == plain
    among = verdict_of(mine, [RIVALS[1]] * 4).to_beat
    assert among.minimum_detectable_difference > plain


def test_holm_level_is_where_holm_begins_to_say_yes() -> None:
    others = [0.001, 0.2, 0.03]
    threshold = 1 - holm_level([*others, 0.5], 3, 0.95)
    assert threshold == pytest.approx(0.05 / 3)
    assert holm([*others, threshold * 0.999])[-1] < 0.05
    assert holm([*others, threshold * 1.001])[-1] > 0.05


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_who_stands_on_which_side_does_not_matter(
    seed: int, seeds_a: int, seeds_b: int, error: bool
) -> None:
    a, b = answers(0.8, seeds_a, seed, 60), answers(0.7, seeds_b, seed + 1, 60)
    metric = "rmse" if error else "accuracy"
    one = verdict_of(a, [Rival("b", "B", b)], metric).to_beat
    two = verdict_of(b, [Rival("a", "A", a)], metric).to_beat
    assert one.difference.estimate == pytest.approx(-two.difference.estimate)
    assert one.difference.low == pytest.approx(-two.difference.high)
    assert one.difference.high == pytest.approx(-two.difference.low)
    assert one.p_holm == pytest.approx(two.p_holm)
    opposite = {"beats": "loses to", "loses to": "beats", "tie": "tie"}
    assert one.verdict == opposite[two.verdict]
    assert one.minimum_detectable_difference == pytest.approx(two.minimum_detectable_difference)


def test_a_smaller_error_is_better() -> None:
    small, large = np.full((1, 50), 1.0), np.full((1, 50), 2.0)
    small, large = small + answers(0.5, 1, 0, 50), large + answers(0.5, 1, 1, 50)
    best = verdict_of(small, [Rival("large", "Large", large)], "rmse").to_beat
    assert best.verdict == "beats"
    assert best.difference.estimate > 0


def published() -> Board:
    return Board.from_outcomes(outcomes())


def test_a_board_compares_with_its_ranked_rows() -> None:
    failed = outcome("broken", 0, 1, status="failed: ValueError: no", ids=np.empty(0, str))
    board = Board.from_outcomes([*outcomes(), failed])
    codes = np.arange(N) % 2
    verdict = board.beat(np.array(["a", "b"])[codes])
    assert [c.rung for c in verdict.comparisons] == [row.rung for row in board.rows if row.ok]
    assert [c.score for c in verdict.comparisons] == [
        row.score.estimate for row in board.rows if row.ok
    ]
    assert verdict.score.estimate == 1.0
    assert verdict.beats
    assert list(verdict.scores) == ["accuracy"]
    proba = np.eye(2)[codes]
    assert list(board.beat(proba).scores) == ["accuracy", "log_loss"]
    assert verdict.n_test == len(board.ids) == N
    jackknifed = Board.from_outcomes(outcomes(), metric="matthews_corrcoef")
    assert jackknifed.beat(np.array(["a", "b"])[codes]).n_test == N


def test_a_rung_ties_with_itself() -> None:
    board = published()
    for place, (said,) in enumerate(a.predictions for a in board.answers):
        verdict = board.beat(np.array(["a", "b"])[said.label])
        assert verdict.comparisons[place].difference.estimate == 0
        assert verdict.comparisons[place].verdict == "tie"
        assert verdict.rank == board.rows[place].rank
        assert verdict.score == board.rows[place].score


def test_what_a_board_keeps_is_not_part_of_what_it_says() -> None:
    board = published()
    bare = dataclasses.replace(board, answers=())
    assert bare == board
    assert repr(bare) == repr(board)
    assert bare.as_dict() == board.as_dict()
    with pytest.raises(RungError, match="no rung has a score"):
        bare.beat(np.zeros(N))


def test_variants_of_a_rung_are_told_apart() -> None:
    def variant(n: int, share: float) -> Outcome:
        made = outcome("net", 0, share)
        trial = dataclasses.replace(made.trial, parameters=(("epochs", n),))
        return dataclasses.replace(made, trial=trial).sealed()

    verdict = Board.from_outcomes([variant(1, 0.7), variant(9, 0.9)]).beat(["a", "b"] * (N // 2))
    assert [c.title for c in verdict.comparisons] == ["Net (epochs 9)", "Net (epochs 1)"]


def labels(share: float, seeds: int) -> NDArray[np.str_]:
    right = answers(share, seeds, 5) > 0
    codes = np.where(right, np.arange(N) % 2, 1 - np.arange(N) % 2)
    return np.array(["a", "b"])[codes]


FIRST = r"Your model: accuracy \d+\.\d % \[\d+\.\d, \d+\.\d\], rank \d( \(\d–\d\))? of 5\. "
SPAN = r"\[-?\d+\.\d, -?\d+\.\d\] \(p [<=] \d?\.\d{3}, Holm over 4\)"


@pytest.mark.parametrize(
    ("share", "says"),
    [
        (1.0, rf"It beats \S+ by \d+\.\d points {SPAN}\."),
        (0.5, rf"It loses to \S+ by \d+\.\d points {SPAN}\."),
        (
            0.95,
            rf"It ties with \S+: [+-]\d+\.\d points {SPAN}; "
            r"a difference of \d+\.\d points would have been seen with 80 % power\.",
        ),
    ],
)
@pytest.mark.parametrize("form", ["table", "markdown"])
def test_the_first_line_is_the_verdict_in_words(share: float, says: str, form: str) -> None:
    page = render(published().beat(labels(share, 3)), form)
    assert re.fullmatch(FIRST + says, page.splitlines()[0]), page.splitlines()[0]


def test_a_loss_is_said_with_positive_numbers() -> None:
    verdict = published().beat(labels(0.5, 3))
    found = verdict.to_beat.difference
    assert found.high < 0
    by = f"by {-100 * found.estimate:.1f} points [{-100 * found.high:.1f}, {-100 * found.low:.1f}]"
    assert by in str(verdict)


@pytest.mark.parametrize("form", ["table", "markdown", "html"])
def test_pages_say_what_matters(form: str) -> None:
    board = published()
    one = render(board.beat(labels(0.9, 1)), form)
    for word in ("Made up", "200 test examples", "Also_Good", "Prior", "beats", "Holm", "80 %"):
        assert word in one, word
    assert "training was not measured" in one
    assert "training was not measured" not in render(board.beat(labels(0.9, 3)), form)


def test_a_local_copy_is_named() -> None:
    local = [
        dataclasses.replace(o, dataset=DATASET | {"local_copy": True}).sealed() for o in outcomes()
    ]
    assert "local copy ffffffff" in str(Board.from_outcomes(local).beat(labels(0.9, 1)))


def test_json_and_csv_are_complete() -> None:
    verdict = published().beat(labels(0.9, 3))
    plain = json.loads(render(verdict, "json"))
    assert plain == verdict.as_dict()
    assert set(plain) == {
        "schema", "dataset", "title", "task", "metric", "level", "fingerprint", "local_copy",
        "n_test", "seeds", "score", "low", "high", "test_se", "seed_se", "method", "metrics",
        "rank", "rank_low", "rank_high", "to_beat", "beats", "comparisons",
    }  # fmt: skip
    assert set(plain["comparisons"][0]) == {
        "rung", "title", "score", "difference", "low", "high", "p_value", "p_holm", "verdict",
        "minimum_detectable_difference",
    }  # fmt: skip
    lines = list(csv.DictReader(io.StringIO(render(verdict, "csv"))))
    assert [line["rung"] for line in lines] == [c["rung"] for c in plain["comparisons"]]
    assert float(lines[0]["model_score"]) == plain["score"]
    assert float(lines[0]["difference"]) == plain["comparisons"][0]["difference"]


def test_a_verdict_shows_itself() -> None:
    verdict = published().beat(labels(0.9, 3))
    assert "<table>" in verdict._repr_html_()
    assert str(verdict) == render(verdict, "table")
    assert verdict.to_markdown() == render(verdict, "markdown")
    assert len(verdict.to_frame()) == 4


@pytest.mark.parametrize("width", [70, 100])
def test_the_table_fits_the_terminal(width: int) -> None:
    page = render(published().beat(labels(0.9, 3)), "table", width)
    plain = [line for line in page.splitlines() if "\x1b" not in line]
    assert max(map(len, plain)) <= width
    assert "Also_Good" in page
