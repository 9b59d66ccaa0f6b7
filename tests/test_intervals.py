from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from rung.intervals import (
    Resampled,
    Summary,
    compare,
    difference_interval,
    holm,
    letters,
    minimum_detectable_difference,
    rank_intervals,
    resampled_interval,
    score_interval,
    verdict,
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
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high), rel=1e-12)
    assert interval.seed_se is None


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_worked_examples_of_newcombe(right: int, n: int, low: float, high: float) -> None:
    """Newcombe 1998, Stat. Med. 17, table I, method 3."""
    interval = score_interval(np.repeat([1.0, 0.0], [right, n - right]))
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@given(st.integers(0, 60), st.integers(1, 60), st.sampled_from([0.8, 0.95, 0.99]))
def test_one_seed_agrees_with_statsmodels(right: int, wrong: int, level: float) -> None:
    low, high = proportion_confint(right, right + wrong, 1 - level, method="wilson")
    interval = score_interval(np.repeat([1.0, 0.0], [right, wrong]), level)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-12)


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
    examples, between = interval.parts
    assert examples == pytest.approx(((ms_example - ms_residual) / (s * n), n - 1))
    assert between == pytest.approx((ms_seed / (s * n), s - 1))


def test_several_seeds_are_wilson_of_the_effective_number() -> None:
    rng = np.random.default_rng(0)
    v = (rng.random((4, 200)) < 0.9).astype(float)
    interval = score_interval(v)
    p, s, n = v.mean(), *v.shape
    by_seed, by_example = v.mean(axis=1, keepdims=True), v.mean(axis=0)
    ms_residual = ((v - by_seed - by_example + p) ** 2).sum() / ((s - 1) * (n - 1))
    examples = by_example.var(ddof=1) / n - ms_residual / (s * n)
    half = (
        stats.t.ppf(0.975, n - 1) ** 2 * max(examples, 0)
        + stats.t.ppf(0.975, s - 1) ** 2 * by_seed.var(ddof=1) / s
    )
    # Both ends solve (p - end)^2 = q^2 end (1 - end) / n.
    for end in (interval.low, interval.high):
        assert (p - end) ** 2 == pytest.approx(half * end * (1 - end) / (p * (1 - p)))


@pytest.mark.parametrize("right", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 1), (3, 50)])
def test_all_right_or_all_wrong_is_not_certain(right: float, shape: tuple[int, int]) -> None:
    interval = score_interval(np.full(shape, right))
    assert interval.low == pytest.approx(0) or right
    assert interval.high == pytest.approx(1) or not right
    assert 0 <= interval.low < interval.high <= 1


def test_seeds_that_disagree_evenly_are_not_certain() -> None:
    interval = score_interval([[1.0, 0.0], [0.0, 1.0]])  # all mean squares of means are zero
    assert interval.low < 0.3 < 0.7 < interval.high


def test_losses_do_not_fall_below_zero() -> None:
    losses = np.r_[np.zeros(49), 0.05]
    cut = score_interval(losses, scale="nonnegative")
    whole = score_interval(losses, scale="identity")
    assert whole.low < cut.low == 0
    assert cut.high == whole.high


def test_one_example_says_nothing_of_its_error() -> None:
    interval = score_interval([[3.0], [4.0]])
    assert (interval.estimate, interval.low, interval.high) == (3.5, -np.inf, np.inf)
    assert difference_interval([3.0], [4.0]).p_value == 1


def test_constant_values_have_no_width() -> None:
    interval = score_interval(np.full((3, 20), 2.3))
    assert (interval.low, interval.high) == pytest.approx((2.3, 2.3), abs=1e-12)


@given(answers | hnp.arrays(np.float64, (3, 12), elements=st.floats(-9, 9)))
def test_a_higher_level_holds_a_lower_one(v: np.ndarray) -> None:
    for narrow, wide in (
        (score_interval(v, 0.95), score_interval(v, 0.99)),
        (difference_interval(v, v[:1]), difference_interval(v, v[:1], 0.99)),
    ):
        assert wide.low <= narrow.low + 1e-9
        assert narrow.high <= wide.high + 1e-9


@given(answers, st.randoms(use_true_random=False))
def test_order_of_examples_and_seeds_does_not_matter(v: np.ndarray, random: object) -> None:
    shuffled = np.random.default_rng(random.randrange(10**6))  # type: ignore[attr-defined]
    rows, columns = shuffled.permutation(v.shape[0]), shuffled.permutation(v.shape[1])
    one, other = score_interval(v), score_interval(v[rows][:, columns])
    assert (other.low, other.high) == pytest.approx((one.low, one.high))


@given(hnp.arrays(np.float64, (3, 20), elements=st.floats(-100, 100)), st.floats(0.01, 100))
def test_scaling_scales_the_interval(v: np.ndarray, factor: float) -> None:
    one, other = score_interval(v, scale="identity"), score_interval(factor * v, scale="identity")
    near = {"rel": 1e-6, "abs": 1e-6 * factor}
    assert (other.low, other.high) == pytest.approx((factor * one.low, factor * one.high), **near)


def test_tails_are_allowed_for() -> None:
    """Exponential values, n = 20: Student's interval misses a mean of 1 too often from below."""
    rng = np.random.default_rng(1)
    held = student = 0
    for _ in range(2000):
        v = rng.exponential(size=20)
        interval = score_interval(v, scale="identity")
        low, high = stats.t.interval(0.95, 19, v.mean(), stats.sem(v))
        held += interval.low <= 1 <= interval.high
        student += low <= 1 <= high
    assert held / 2000 > 0.93 > 0.92 > student / 2000


def test_symmetric_values_give_students_interval() -> None:
    v = np.array([-3.0, -1, 0, 1, 3])
    expected = stats.t.interval(0.95, 4, 0, stats.sem(v))
    interval = score_interval(v, scale="identity")
    assert (interval.low, interval.high) == pytest.approx(expected)


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


def test_difference_of_one_seed_is_the_adjusted_wald_interval() -> None:
    """The worked example of ci.prop.ps in the R package statpsych (Bonett and Price 2012)."""
    a = np.repeat([0.0, 0, 1, 1], [12, 4, 26, 6])
    b = np.repeat([0.0, 1, 0, 1], [12, 4, 26, 6])
    interval = difference_interval(a, b)
    assert interval.estimate == pytest.approx(22 / 48)
    assert round(interval.se, 8) == 0.09448809
    assert (round(interval.low, 7), round(interval.high, 7)) == (0.2548067, 0.6251933)


def test_equal_answers_leave_a_difference_possible() -> None:
    v = (np.random.default_rng(0).random((3, 100)) < 0.9).astype(float)
    interval = difference_interval(v[:1], v[:1])
    assert interval.low < 0 < interval.high
    assert interval.p_value == 1


@given(answers, st.integers(1, 4), st.randoms(use_true_random=False))
def test_p_value_and_interval_say_the_same(a: np.ndarray, s: int, random: object) -> None:
    seed = random.randrange(10**6)  # type: ignore[attr-defined]
    b = (np.random.default_rng(seed).random((s, a.shape[1])) < 0.5).astype(float)
    interval = difference_interval(a, b)
    assert (interval.p_value < 0.05) == (not interval.low <= 0 <= interval.high)


def test_pairing_sees_what_two_intervals_would_miss() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(size=300)
    a, b = hard + 0.1, hard + rng.normal(size=300) * 0.1
    low, high = score_interval(a), score_interval(b)
    assert low.low < high.high  # they overlap
    assert difference_interval(a, b).p_value < 1e-6


@given(answers)
def test_negative_summary_is_that_of_the_negative_values(v: np.ndarray) -> None:
    one, other = -Summary.of(v), Summary.of(-v)
    assert one.by_example.tolist() == other.by_example.tolist()
    assert one.by_seed.tolist() == other.by_seed.tolist()
    assert one.ms_residual == pytest.approx(other.ms_residual)
    assert one.proportion == other.proportion


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


def test_holm_agrees_with_statsmodels() -> None:
    p = np.random.default_rng(0).random(30) ** 4
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_family_mirrors_and_agrees_with_its_pairs() -> None:
    rng = np.random.default_rng(0)
    tables = [(rng.random((3, 300)) < p).astype(float) for p in (0.95, 0.75, 0.74)]
    family = compare(tables)
    one, other = family.differences[0][1], family.differences[1][0]
    assert one is not None
    assert other is not None
    assert (one.estimate, one.low, one.high) == (-other.estimate, -other.high, -other.low)
    assert one == difference_interval(tables[0], tables[1])
    assert family.p_values[0, 1] == family.p_values[1, 0]
    raw = [difference_interval(tables[i], tables[j]).p_value for i, j in ((0, 1), (0, 2), (1, 2))]
    adjusted = [family.p_values[pair] for pair in ((0, 1), (0, 2), (1, 2))]
    assert adjusted == pytest.approx(holm([p or 0.0 for p in raw]))
    assert family.beats().tolist() == [[False, True, True], [False] * 3, [False] * 3]
    assert family.letters() == ["a", "b", "b"]


def test_difference_that_a_family_would_see() -> None:
    rng = np.random.default_rng(0)
    tables = [(rng.random((3, 300)) < p).astype(float) for p in (0.8, 0.79, 0.78)]
    two = compare(tables[:2])
    difference = two.differences[0][1]
    assert difference is not None
    plain = minimum_detectable_difference(difference)
    assert two.minimum_detectable_difference(0, 1) == plain
    assert two.minimum_detectable_difference(1, 0) == pytest.approx(plain)
    # Three ties: each is tested at a third of the level, and only more is seen.
    assert compare(tables).minimum_detectable_difference(0, 1) > 1.1 * plain


@pytest.mark.parametrize(
    ("difference", "p_value", "word"),
    [(0.1, 0.01, "beats"), (-0.1, 0.01, "loses to"), (0.1, 0.06, "tie")],
)
def test_verdict(difference: float, p_value: float, word: str) -> None:
    assert verdict(difference, p_value) == word


@given(st.integers(1, 8).flatmap(lambda k: hnp.arrays(np.bool_, (k, k))))
def test_letters_are_shared_by_those_that_do_not_differ(some: np.ndarray) -> None:
    differ = np.triu(some, 1)
    differ = differ | differ.T
    display = letters(differ)
    for i in range(len(differ)):
        assert display[i]
        for j in range(i):
            assert bool(set(display[i]) & set(display[j])) != differ[i, j]
    # No group lies inside another: each letter says something that no other letter says.
    groups = [
        {i for i, word in enumerate(display) if c in word} for c in sorted(set("".join(display)))
    ]
    assert not any(g < h for g in groups for h in groups)


def test_letters_of_a_chain() -> None:
    differ = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=bool)
    assert letters(differ) == ["a", "ab", "b"]


def test_corrected_resampled_interval_by_hand() -> None:
    scores = np.array([0.80, 0.84, 0.82, 0.78])
    interval = resampled_interval(scores, n_train=90, n_test=10)
    # s^2 = .002 / 3; (1/4 + 1/9) s^2 = 2.4074e-4; t(.975, 3) = 3.18245
    assert interval.estimate == pytest.approx(0.81)
    assert interval.se == pytest.approx(0.0155158, abs=1e-6)
    assert interval.high - 0.81 == pytest.approx(3.182446 * 0.0155158, abs=1e-6)


def test_corrected_resampled_interval_takes_means_over_seeds_and_refuses_one_split() -> None:
    by_seed = np.array([[0.7, 0.9, 0.8], [0.9, 0.7, 0.9]])
    assert resampled_interval(by_seed, 9, 1) == resampled_interval(by_seed.mean(axis=0), 9, 1)
    with pytest.raises(ValueError, match="two or more splits"):
        resampled_interval([0.7], 9, 1)


def test_a_few_splits_that_agree_to_a_step_are_not_certain() -> None:
    a = Resampled(np.array([0.92, 0.90]), 117, 50, step=0.02)
    b = Resampled(np.array([0.88, 0.86]), 117, 50, step=0.02)
    apart = difference_interval(a, b)
    assert apart.p_value is not None
    assert apart.p_value > 0.05
    assert apart.low < 0 < apart.high
    # s^2 = .02^2 / 12; (1/2 + 50/117) s^2
    assert apart.se == pytest.approx(0.0055598, abs=1e-6)
    for right in (0.0, 1.0):
        sure = Resampled(np.full(5, right), 117, 50, step=0.02)
        interval = score_interval(sure, scale="proportion")
        assert 0 <= interval.low < interval.high <= 1
        assert interval.estimate == right
    # Nothing of it where scores spread.
    scores = np.array([0.80, 0.84, 0.82, 0.78])
    assert resampled_interval(scores, 90, 10, step=0.01) == resampled_interval(scores, 90, 10)


def test_minimum_detectable_difference_is_found_with_its_power() -> None:
    rng = np.random.default_rng(0)
    noise = difference_interval(rng.normal(size=400), np.zeros(400))
    size = minimum_detectable_difference(noise)
    found = [
        difference_interval(rng.normal(size=400) + size, np.zeros(400)).p_value < 0.05
        for _ in range(400)
    ]
    assert 0.7 < np.mean(found) < 0.9
