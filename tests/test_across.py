"""Rungs across data sets: Demšar's worked example, what must hold for any table, the pages."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from rung import across as room
from rung.across import Across
from rung.board import Board, Row
from rung.errors import RungError
from rung.intervals import Interval
from rung.metrics import METRICS
from rung.render.across import render
from rung.render.critical_difference import plot

# Demšar (2006), table 6: AUC of C4.5 with and without two ways of choosing its parameters.
RUNGS = ["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"]
TABLE = {
    "adult": [0.763, 0.768, 0.771, 0.798],
    "breast cancer": [0.599, 0.591, 0.590, 0.569],
    "breast cancer wisconsin": [0.954, 0.971, 0.968, 0.967],
    "cmc": [0.628, 0.661, 0.654, 0.657],
    "ionosphere": [0.882, 0.888, 0.886, 0.898],
    "iris": [0.936, 0.931, 0.916, 0.931],
    "liver disorders": [0.661, 0.668, 0.609, 0.685],
    "lung cancer": [0.583, 0.583, 0.563, 0.625],
    "lymphography": [0.775, 0.838, 0.866, 0.875],
    "mushroom": [1.000, 1.000, 1.000, 1.000],
    "primary tumor": [0.940, 0.962, 0.965, 0.962],
    "rheum": [0.619, 0.666, 0.614, 0.669],
    # Printed as .975 and .975 with ranks 2 and 3: they differ in a digit that is not printed.
    "voting": [0.972, 0.981, 0.975001, 0.975],
    "wine": [0.957, 0.978, 0.946, 0.970],
}
SCORES = np.array(list(TABLE.values()))


def demsar(level: float = 0.95) -> Across:
    return Across.from_scores(SCORES, RUNGS, list(TABLE), level, name="c45")


def test_ranks_are_those_that_demsar_prints() -> None:
    places = room.ranks(SCORES)
    assert [round(m, 3) for m in places.mean(axis=0)] == [3.143, 2.000, 2.893, 1.964]
    assert places[list(TABLE).index("lung cancer")].tolist() == [2.5, 2.5, 4, 1]
    assert places[list(TABLE).index("voting")].tolist() == [4, 1, 2, 3]


def test_friedman_is_what_demsar_prints() -> None:
    test = room.friedman(room.ranks(SCORES))
    assert round(test.chi_square, 2) == 9.28
    assert round(test.f, 2) == 3.69
    assert test.f_df == (3, 39)
    assert stats.f.ppf(0.95, *test.f_df) == pytest.approx(2.85, abs=0.01)  # his critical value
    assert test.f_p_value < 0.05
    assert test.chi_square_ties == pytest.approx(stats.friedmanchisquare(*SCORES.T).statistic)


def test_critical_differences_are_those_that_demsar_prints() -> None:
    assert round(room.critical_difference(14, 4, 0.95), 2) == 1.25
    assert round(room.critical_difference(14, 4, 0.90), 2) == 1.12
    per_q = math.sqrt(4 * 5 / (6 * 14))
    assert round(room.critical_difference(14, 4, 0.95) / per_q, 3) == 2.569
    assert round(room.critical_difference(14, 4, 0.90) / per_q, 3) == 2.291


def test_groups_are_those_that_demsar_finds() -> None:
    """At .05 Nemenyi's test tells none apart; at .10 C4.5 is worse than the two with m, and
    "we cannot tell which group C4.5+cf belongs to"."""
    assert demsar(0.95).groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"),)
    compared = demsar(0.90)
    assert compared.groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf"), ("C4.5+cf", "C4.5"))
    assert [row.groups for row in compared.rows] == [(0,), (0,), (0, 1), (1,)]


def test_wilcoxon_is_what_demsar_prints() -> None:
    t, p_value = room.wilcoxon(SCORES[:, 0], SCORES[:, 1])
    assert t == 12  # R+ = 93, R- = 12: the two zeros are split, .005 ties with .005
    assert p_value < 0.05  # his critical value is 21
    assert (
        stats.wilcoxon(np.round(SCORES[:, 0] - SCORES[:, 1], 9), zero_method="zsplit").statistic
        == t
    )


def test_an_odd_zero_is_ignored() -> None:
    differences = np.array([0.0, 1, 2, 3, -4])
    assert room.wilcoxon(differences, np.zeros(5)) == room.wilcoxon(differences[1:], np.zeros(4))


@given(arrays(np.float64, st.integers(2, 8), elements=st.integers(-4, 4)))
@settings(deadline=None, max_examples=40)
def test_wilcoxon_agrees_with_scipy_where_that_is_exact(differences: np.ndarray) -> None:
    if (differences == 0).sum() % 2:
        differences = np.append(differences, 0)
    t, p_value = room.wilcoxon(differences, np.zeros(len(differences)))
    signs = stats.PermutationMethod(n_resamples=2**13)
    theirs = stats.wilcoxon(differences, zero_method="zsplit", method=signs)
    assert t == theirs.statistic
    assert p_value == pytest.approx(theirs.pvalue)


def test_the_smallest_p_is_reached_and_enough_data_sets_are_enough() -> None:
    for n in (2, 5, 9):
        assert (
            room.wilcoxon(np.arange(1.0, n + 1), np.zeros(n))[1] == room.smallest_p(n) == 2 / 2**n
        )
    for pairs in (1, 3, 15):
        n = room.datasets_needed(pairs)
        assert pairs * room.smallest_p(n) < 0.05 <= pairs * room.smallest_p(n - 1)


def test_without_ties_both_chi_squares_are_scipys() -> None:
    scores = np.random.default_rng(0).normal(size=(12, 5))
    test, theirs = room.friedman(room.ranks(scores)), stats.friedmanchisquare(*scores.T)
    assert test.chi_square == pytest.approx(test.chi_square_ties) == pytest.approx(theirs.statistic)
    assert test.p_value == pytest.approx(theirs.pvalue)


def test_full_agreement_has_the_chance_of_full_agreement() -> None:
    test = room.friedman(np.tile([1.0, 2, 3], (2, 1)))
    assert test.f == math.inf
    assert test.f_p_value == pytest.approx(1 / 6)  # the second data set has 3! orders
    page = json.loads(
        render(Across.from_scores(np.tile([3.0, 2, 1], (2, 1)), list("abc"), list("xy")), "json")
    )
    assert page["friedman"]["f"] is None


def test_no_difference_at_all() -> None:
    compared = Across.from_scores(np.ones((4, 3)), list("abc"), list("wxyz"))
    assert compared.friedman is not None
    assert compared.friedman.p_value == compared.friedman.f_p_value == 1
    assert {pair.p_value for pair in compared.pairs} == {1.0}
    assert {pair.share for pair in compared.pairs} == {0.5}
    assert compared.groups == (("a", "b", "c"),)


def test_nothing_is_told_apart_where_friedman_finds_nothing() -> None:
    """Demšar's order: the post-hoc test is for when the null hypothesis is rejected."""
    scores = np.random.default_rng(1).normal(size=(10, 4))
    compared = Across.from_scores(scores, list("abcd"), names("d", 10))
    assert compared.friedman is not None
    assert compared.friedman.f_p_value > 0.05
    assert [len(group) for group in compared.groups] == [4]
    assert "no difference is found" in str(compared)


def test_groups_are_maximal() -> None:
    assert room.groups([1.0, 1.5, 2.4, 4.0], 1.0) == [(0, 1), (1, 2)]
    assert room.groups([4.0, 1.0, 2.0], 1.0) == []  # exactly the critical difference is enough
    assert room.groups([4.0, 1.0, 2.0], 9.0) == [(1, 2, 0)]


def test_bootstrap_knows_the_mean_of_two_values() -> None:
    """Ranks of 1 or 2: the mean is binomial, and its interval is known."""
    places = np.array([[1.0, 2], [2, 1]] * 10)
    spans, share = room.bootstrap(places)
    tail = stats.norm.cdf(-math.sqrt(20 / 19) * stats.t.ppf(0.975, 19))
    assert spans[0] == pytest.approx(1 + stats.binom.ppf([tail, 1 - tail], 20, 0.5) / 20, abs=0.051)
    assert share[0, 1] == pytest.approx(0.5, abs=0.02)
    assert np.allclose(share + share.T, 1)
    again, _ = room.bootstrap(places)
    assert np.array_equal(spans, again)


def test_two_data_sets_give_the_whole_span() -> None:
    spans, _ = room.bootstrap(np.array([[1.0, 2, 3], [3, 2, 1]]))
    assert spans.tolist() == [[1, 3], [2, 2], [1, 3]]


TABLES = st.tuples(st.integers(2, 8), st.integers(2, 5)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 20))
)


def plain(compared: Across) -> dict[str, object]:
    """What a comparison says of each rung and pair, whatever their order."""
    pairs = {
        tuple(sorted((p.better, p.worse))): (p.t, p.p_value, abs(p.share - 0.5))
        for p in compared.pairs
    }
    return {
        "rows": {row.rung: (row.mean_rank, row.low, row.high) for row in compared.rows},
        "pairs": pairs,
        "friedman": compared.friedman and round(compared.friedman.chi_square, 9),
        "groups": {frozenset(group) for group in compared.groups},
    }


def names(letter: str, n: int) -> list[str]:
    return [f"{letter}{i}" for i in range(n)]


@given(TABLES, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=25)
def test_order_of_rungs_and_of_data_sets_does_not_matter(
    scores: np.ndarray, random: object
) -> None:
    n, k = scores.shape
    rows, columns = list(range(n)), list(range(k))
    random.shuffle(rows)  # type: ignore[attr-defined]
    random.shuffle(columns)  # type: ignore[attr-defined]
    datasets, rungs = names("d", n), names("r", k)
    shuffled = Across.from_scores(
        scores[rows][:, columns], [rungs[i] for i in columns], [datasets[i] for i in rows]
    )
    assert plain(shuffled) == plain(Across.from_scores(scores, rungs, datasets))


@given(TABLES, st.data())
@settings(deadline=None, max_examples=25)
def test_only_the_order_on_a_data_set_counts(scores: np.ndarray, data: st.DataObject) -> None:
    """Wilcoxon's test apart, which takes the size of differences into account."""
    n, k = scores.shape
    other = scores.copy()
    one = data.draw(st.integers(0, n - 1))
    other[one] = np.exp(other[one] / 3) - 7
    before, after = (
        plain(Across.from_scores(table, names("r", k), names("d", n))) for table in (scores, other)
    )
    assert before["rows"] == after["rows"]
    assert before["friedman"] == after["friedman"]
    if k > 2:
        assert before["groups"] == after["groups"]


def board(name: str, scores: dict[str, float], metric: str = "accuracy", **rows: object) -> Board:
    """A board with these scores; rows: changes to the row of that rung."""
    made = []
    for rung, score in scores.items():
        interval = Interval(score, score, score, 0.95, 0.0, None, "made")
        row = Row(rung, rung.title(), "ok", {metric: interval}, seeds=1)
        made.append(dataclasses.replace(row, **rows.get(rung, {})))  # type: ignore[arg-type]
    about = {"name": name, "title": name.title(), "task": "", "fingerprint": "f" * 64}
    return Board(about, METRICS[metric], 0.95, 100, tuple(made))


BOARDS = [
    board("one", {"good": 0.9, "fair": 0.8, "poor": 0.5, "new": 0.95}),
    board("two", {"good": 0.7, "fair": 0.6, "poor": 0.4, "fails": 0.1}),
    board("wage", {"good": 3.0, "fair": 4.0, "poor": 9.0, "fails": 5.0}, "rmse"),
]


def test_boards_are_matched_by_rung_and_errors_are_turned() -> None:
    fails = {"fails": {"status": "failed: ValueError: no"}}
    two = board("two", {"good": 0.7, "fair": 0.6, "poor": 0.4, "fails": 0.1}, **fails)
    compared = Across.from_boards([BOARDS[0], two, BOARDS[2]])
    assert [(row.rung, row.mean_rank) for row in compared.rows] == [
        ("good", 1), ("fair", 2), ("poor", 3),
    ]  # fmt: skip
    assert compared.rows[0].scores == (0.9, 0.7, 3.0)
    reasons = {r.rung: r.reason for r in compared.left_out}
    assert reasons == {"new": "no row on two, wage", "fails": "no row on one; failed on two"}
    assert "New (no row on two, wage)" in str(compared)


def test_only_the_rungs_of_the_benchmark_are_compared() -> None:
    compared = Across.from_boards(BOARDS, rungs=["good", "poor"])
    assert [row.rung for row in compared.rows] == ["good", "poor"]
    assert compared.left_out == ()


def test_a_unit_does_not_weigh_in_wilcoxons_test() -> None:
    """Wages in cents: the same ranks, and the same shares of the median rung's error."""
    in_cents = board("wage", {"good": 300.0, "fair": 400.0, "poor": 900.0}, "rmse")
    compared = [Across.from_boards([*BOARDS[:2], b]) for b in (BOARDS[2], in_cents)]
    assert compared[0].pairs == compared[1].pairs
    # Shares of the median's (4): .25 is more than .1 and .1; 100 cents would be as well, .01 not.
    mixed = board("wage", {"good": 400.0, "fair": 396.0, "poor": 900.0}, "rmse")
    pair = Across.from_boards([*BOARDS[:2], mixed]).pairs[0]
    assert ({pair.better, pair.worse}, pair.t) == ({"good", "fair"}, 1)


def test_the_row_of_the_processor_is_taken() -> None:
    gpu = dataclasses.replace(BOARDS[0].rows[0], device="cuda")
    both = dataclasses.replace(BOARDS[0], rows=(gpu, *BOARDS[0].rows))
    assert Across.from_boards([both, *BOARDS[1:]]) == Across.from_boards(BOARDS)
    twice = dataclasses.replace(BOARDS[0], rows=(BOARDS[0].rows[0], *BOARDS[0].rows))
    left_out = Across.from_boards([twice, *BOARDS[1:]]).left_out
    assert ("good", "several rows on one") in {(r.rung, r.reason) for r in left_out}


def test_other_settings_are_said() -> None:
    other = board("two", {"good": 0.7, "fair": 0.6, "poor": 0.4}, fair={"parameters": {"n": 10}})
    compared = Across.from_boards([BOARDS[0], other])
    assert compared.settings_differ == ("Fair",)
    assert "Not run with the same settings everywhere: Fair." in str(compared)
    assert Across.from_boards(BOARDS).settings_differ == ()


def test_two_rungs_are_left_to_wilcoxon() -> None:
    n = 8
    boards = [board(f"d{i}", {"good": 0.9, "poor": 0.8 - i / 100}) for i in range(n)]
    compared = Across.from_boards(boards)
    assert compared.friedman is compared.critical_difference is None
    assert compared.pairs[0].p_value == 2 / 2**n
    assert compared.groups == ()
    assert "Wilcoxon's test decides alone (p = .008); they are told apart" in str(compared)
    few = Across.from_boards(boards[:4])
    assert few.groups == (("good", "poor"),)
    assert "can't be told apart" in str(few)
    assert "can't be smaller than .125, however large the differences; 6 would do" in str(few)


def test_too_little_to_compare() -> None:
    with pytest.raises(RungError, match="this has 1 data set;"):
        Across.from_boards(BOARDS[:1])
    with pytest.raises(RungError, match="mine: good alone has a score on all of one, other"):
        Across.from_boards([BOARDS[0], board("other", {"good": 0.1})], name="mine")
    with pytest.raises(RungError, match="no rung has a score on all"):
        Across.from_boards([BOARDS[0], board("other", {})])
    with pytest.raises(ValueError, match="finite"):
        Across.from_scores([[1.0, np.nan]] * 2, list("ab"), list("xy"))
    with pytest.raises(ValueError, match="n_datasets, n_rungs"):
        Across.from_scores(SCORES.T, RUNGS, list(TABLE))


def test_json_has_the_agreed_schema() -> None:
    page = json.loads(render(demsar(), "json"))
    assert set(page) == {
        "schema", "benchmark", "level", "datasets", "rows", "friedman", "critical_difference",
        "groups", "pairs", "smallest_p", "datasets_needed", "left_out", "settings_differ",
    }  # fmt: skip
    assert (page["schema"], page["benchmark"]) == (1, "c45")
    assert [row["rung"] for row in page["rows"]] == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    last = page["rows"][-1]
    assert (last["scores"]["voting"], last["ranks"]["voting"]) == (0.972, 4)
    assert last["low"] < last["mean_rank"] < last["high"]
    assert set(page["friedman"]) == {
        "chi_square", "df", "p_value", "chi_square_ties", "f", "f_df", "f_p_value",
    }  # fmt: skip
    pair = next(p for p in page["pairs"] if {p["better"], p["worse"]} == {"C4.5", "C4.5+m"})
    assert (pair["better"], pair["t"]) == ("C4.5+m", 12)
    assert pair["p_value"] < pair["holm"]
    assert 0.99 < pair["share"] < 1


def test_csv_has_a_line_a_rung() -> None:
    lines = list(csv.DictReader(io.StringIO(render(demsar(0.90), "csv"))))
    assert [line["rung"] for line in lines] == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert [line["groups"] for line in lines] == ["a", "a", "ab", "b"]
    assert (float(lines[3]["score_adult"]), float(lines[3]["rank_adult"])) == (0.763, 4)
    assert demsar().to_frame()["mean_rank"].is_monotonic_increasing


@pytest.mark.parametrize("form", ["table", "markdown", "html"])
def test_pages_say_what_demsar_says(form: str) -> None:
    page = render(demsar(0.90), form)
    for word in (
        "c45: 4 rungs across 14 data sets",
        "χ² = 9.28 (3 df, p = .026",
        "F = 3.69 (3 and 39 df, p = .020): the rungs differ",
        "(Nemenyi): 1.12",
        "1.96 [1.5",
        "0.763 (4)",
        "approximations for more than 10 data sets and 5 rungs",
    ):
        assert word in page, word
    assert "Too few" not in page
    assert "too short" not in page


def test_pages_show_themselves() -> None:
    compared = demsar()
    assert compared.to_markdown() == render(compared, "markdown")
    assert "| rung | mean rank [95 %] |" in compared.to_markdown()
    assert "<table>" in compared._repr_html_()
    assert str(compared) == render(compared, "table")


def test_too_few_data_sets_are_said() -> None:
    page = str(Across.from_boards(BOARDS[:2]))
    assert "mean ranks of 3 rungs can't be more than 2 apart" in page
    assert "with 2 of them Wilcoxon's p (Holm, 3 pairs) can't be smaller than 1.000" in page
    assert "7 would do" in page
    assert "interval without width (Good, Fair, Poor)" in page
    assert "intervals of mean ranks are too short" in page


def test_units_of_scores() -> None:
    page = str(Across.from_boards(BOARDS))
    assert "90.0 % (1)" in page
    assert "3.00 (1)" in page
    assert "as a share of the median rung's where it has a unit of its own (Wage)" in page
    assert "as a share" not in str(Across.from_boards(BOARDS[:2]))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_table_fits_the_terminal(width: int) -> None:
    page = render(demsar(), "table", width)
    assert max(len(line) for line in page.splitlines() if "\x1b" not in line) <= width
    assert "C4.5+m+cf" in page
    assert "…" not in page


@pytest.mark.parametrize("name", ["cd.png", "cd.svg"])
def test_diagram_is_written_and_the_same_each_time(tmp_path: Path, name: str) -> None:
    plot(demsar(), tmp_path / name)
    plot(demsar(), tmp_path / f"again-{name}")
    assert (tmp_path / name).read_bytes() == (tmp_path / f"again-{name}").read_bytes()


def test_diagram_says_what_the_bars_mean(tmp_path: Path) -> None:
    def drawn(compared: Across) -> str:
        plot(compared, tmp_path / "cd.svg")
        return (tmp_path / "cd.svg").read_text(encoding="utf-8")

    page = drawn(demsar())
    for word in ("CD = 1.25", "2.00  C4.5+m<", "C4.5  3.14", "not told apart at 95 %"):
        assert word in page, word
    few = Across.from_boards(BOARDS[:2])  # CD is longer than the axis
    assert "CD = 2.34" in drawn(few)
    assert "Friedman's test finds no difference" in drawn(few)
    two = [board(f"d{i}", {"good": 0.9, "poor": 0.8 - i / 100}) for i in range(8)]
    assert "all are told apart" in drawn(Across.from_boards(two))
    alone = drawn(Across.from_boards(two[:3]))
    assert "by Wilcoxon's test" in alone
    assert "CD =" not in alone


def test_diagram_refuses_other_endings(tmp_path: Path) -> None:
    with pytest.raises(RungError, match=r"\.png or \.svg"):
        plot(demsar(), tmp_path / "cd.pdf")


Rung = Callable[..., subprocess.CompletedProcess[str]]


def test_command_compares_what_is_published(rung: Rung, tmp_path: Path) -> None:
    picture = tmp_path / "cd.svg"
    done = rung("board", "--across", "quick", "--format", "json", "--plot", picture)
    assert done.returncode == 0, done.stderr
    page = json.loads(done.stdout)
    assert page["benchmark"] == "quick"
    assert {d["dataset"] for d in page["datasets"]} == {
        "imagenette_mini", "digits", "breast_cancer", "diabetes", "sms_spam",
    }  # fmt: skip
    assert page["rows"][-1]["rung"] == "random"
    assert "convnet" in {r["rung"] for r in page["left_out"]}
    assert "CD =" in picture.read_text(encoding="utf-8")
    assert "Pairs of rungs" in rung("board", "--across", "quick").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--across", "quik"], ["no benchmark named 'quik'", "quick"]),
        (["--across", "fashion_mnist"], ["fashion_mnist has 1 data set", "at least two"]),
        (["--across", "quick", "--results", "."], ["digits", "rung publish quick --to ."]),
        (["--across", "quick", "digits"], ["leave out digits"]),
        (["--across", "quick", "--level", "95"], ["--level", "0.95"]),
        (["--across"], ["--across", "--help"]),
    ],
)
def test_bad_input_is_one_line(rung: Rung, arguments: list[str], says: list[str]) -> None:
    done = rung("board", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    for word in says:
        assert word in done.stderr
