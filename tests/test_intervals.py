from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from rung.intervals import (
    difference_interval,
    holm,
    minimum_detectable_difference,
    rank_intervals,
    score_interval,
)

answers = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(2, 40)),
    elements=st.sampled_from([0.0, 1.0]),
)


@given(answers, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_proportion_stays_in_range_and_holds_its_estimate(v: np.ndarray, level: float) -> None:
    interval = score_interval(v, level)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    assert interval.estimate == pytest.approx(v.mean())
    assert interval.high - interval.low > 0 or v.shape[1] < 2 or v.std(axis=1).max() == 0 < len(v)


@given(hnp.arrays(np.float64, (3, 20), elements=st.floats(-100, 100)), st.floats(-50, 50))
def test_shift_moves_the_interval(v: np.ndarray, shift: float) -> None:
    one, other = score_interval(v, scale="identity"), score_interval(v + shift, scale="identity")
    assert other.low - one.low == pytest.approx(shift, abs=1e-6)
    assert other.high - one.high == pytest.approx(shift, abs=1e-6)


def test_one_seed_is_wilson() -> None:
    v = np.repeat([1.0, 0.0], [80, 20])
    interval = score_interval(v)
    exact = stats.binomtest(80, 100).proportion_ci(0.95, method="wilson")
    assert (interval.low, interval.high) == (exact.low, exact.high)
    assert interval.seed_se is None


def test_formula_of_the_mean_squares() -> None:
    rng = np.random.default_rng(0)
    v = rng.normal(size=(4, 50)) + rng.normal(size=50) + 2 * rng.normal(size=(4, 1))
    s, n = v.shape
    seeds, examples = v.mean(axis=1), v.mean(axis=0)
    ms_seed = n * seeds.var(ddof=1)
    ms_example = s * examples.var(ddof=1)
    residual = v - seeds[:, None] - examples + v.mean()
    ms_residual = (residual**2).sum() / ((s - 1) * (n - 1))
    interval = score_interval(v)
    assert interval.se**2 == pytest.approx((ms_seed + ms_example - ms_residual) / (s * n))
    df = (ms_seed + ms_example - ms_residual) ** 2 / (
        ms_seed**2 / (s - 1) + ms_example**2 / (n - 1) + ms_residual**2 / ((s - 1) * (n - 1))
    )
    assert interval.df == pytest.approx(df)


def test_all_right_is_not_certain() -> None:
    interval = score_interval(np.ones((3, 50)))
    assert interval.high == pytest.approx(1)
    assert 0.9 < interval.low < 0.96


def test_log_scale_stays_positive() -> None:
    v = np.abs(np.random.default_rng(0).normal(size=(2, 6))) * 0.01 + np.array([[0], [3.0]])
    assert score_interval(v, scale="log").low > 0 > score_interval(v, scale="identity").low


@pytest.mark.parametrize("bad", [[], [np.nan, 1], np.ones((2, 2, 2))])
def test_values_that_are_no_table_are_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="values must be"):
        score_interval(bad)  # type: ignore[arg-type]


def simulate(rng: np.random.Generator, s: int, n: int, p: float, seed_sd: float) -> np.ndarray:
    """Answers of s models on n examples, with hard and easy examples and good and bad runs."""
    hardness = rng.normal(size=n) * 4
    run = rng.normal(size=(s, 1)) * seed_sd
    logit = np.log(p / (1 - p)) * 2.5 + hardness + run
    return (rng.random((s, n)) < 1 / (1 + np.exp(-logit))).astype(float)


@pytest.mark.parametrize(("s", "seed_sd"), [(3, 0.0), (5, 0.2)])
def test_coverage_of_the_score(s: int, seed_sd: float) -> None:
    rng = np.random.default_rng(s)
    truth = np.mean([simulate(rng, 200, 400, 0.8, seed_sd).mean() for _ in range(50)])
    hits = 0
    pooled = 0
    for _ in range(400):
        v = simulate(rng, s, 300, 0.8, seed_sd)
        interval = score_interval(v)
        hits += interval.low <= truth <= interval.high
        naive = stats.binomtest(int(v.sum()), v.size).proportion_ci(method="wilson")
        pooled += naive.low <= truth <= naive.high
    assert 0.92 <= hits / 400 <= 0.99
    assert pooled / 400 < 0.88  # what pooling all answers would have claimed to be 95 %


@settings(max_examples=50)
@given(answers, st.integers(1, 4), st.randoms(use_true_random=False))
def test_difference_is_antisymmetric(a: np.ndarray, s: int, random: object) -> None:
    seed = random.randrange(10**6)  # type: ignore[attr-defined]
    b = (np.random.default_rng(seed).random((s, a.shape[1])) < 0.5).astype(float)
    one, other = difference_interval(a, b), difference_interval(b, a)
    assert one.estimate == pytest.approx(-other.estimate)
    assert one.low == pytest.approx(-other.high)
    assert one.p_value == pytest.approx(other.p_value)


def test_difference_of_one_seed_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=60) + 0.3, rng.normal(size=60)
    expected = stats.ttest_rel(a, b)
    assert difference_interval(a, b).p_value == pytest.approx(expected.pvalue)


def test_pairing_sees_what_two_intervals_would_miss() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(size=300)
    a, b = hard + 0.1, hard + rng.normal(size=300) * 0.1
    low, high = score_interval(a), score_interval(b)
    assert low.low < high.high  # they overlap
    assert difference_interval(a, b).p_value < 1e-6


def test_difference_needs_the_same_examples() -> None:
    with pytest.raises(ValueError, match="same examples"):
        difference_interval(np.ones(4), np.ones(5))


def test_difference_false_alarms_are_rare() -> None:
    rng = np.random.default_rng(7)
    alarms = 0
    for _ in range(300):
        hardness = rng.normal(size=200) * 1.5
        both = [
            (
                rng.random((3, 200))
                < 1 / (1 + np.exp(-(1 + hardness + rng.normal(size=(3, 1)) * 0.2)))
            ).astype(float)
            for _ in range(2)
        ]
        alarms += difference_interval(*both).p_value < 0.05
    assert alarms / 300 < 0.08


def test_holm_on_a_worked_example() -> None:
    # p = .01, .04, .03, .005 of four tests: 4 x .005, 3 x .01, 2 x .03, then not below .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_rank_intervals_tell_clear_from_tied() -> None:
    rng = np.random.default_rng(0)
    good, twin = ((rng.random((3, 400)) < 0.9).astype(float) for _ in range(2))
    poor = (rng.random((3, 400)) < 0.3).astype(float)
    assert rank_intervals([good, twin, poor]) == [(1, 2), (1, 2), (3, 3)]


def test_minimum_detectable_difference_is_found_with_its_power() -> None:
    rng = np.random.default_rng(0)
    noise = difference_interval(rng.normal(size=400), np.zeros(400))
    size = minimum_detectable_difference(noise)
    found = [
        difference_interval(rng.normal(size=400) + size, np.zeros(400)).p_value < 0.05
        for _ in range(400)
    ]
    assert 0.7 < np.mean(found) < 0.9
