from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from conftest import pictures, table
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import BayesianRidge, LogisticRegression

from rung import Baseline, Dataset, suite
from rung import trial as room
from rung.benchmark import Trial, Variant, trials
from rung.device import Device
from rung.trial import BadPredictions


def plan(dataset: Dataset, baseline: Baseline, **options: Any) -> Trial:
    return trials(dataset, [("it", baseline)], seeds=1, **options)[0]


def logistic(**changes: Any) -> Baseline:
    return Baseline(rung=2, title="It", make=lambda dataset, seed: LogisticRegression(), **changes)


def test_outcome_has_the_test_part_in_order_with_cost_and_provenance() -> None:
    data = table()
    trial = plan(data, logistic())
    outcome = room.run(trial, logistic(), data)
    test = data.splits[0].test
    assert outcome.ids.tolist() == data.ids[test].tolist()
    assert (outcome.target == data.y[test]).all()
    assert outcome.proba is not None
    assert outcome.proba.shape == (len(test), 3)
    assert outcome.proba.sum(axis=1) == pytest.approx(np.ones(len(test)), abs=1e-5)
    assert (outcome.label == outcome.target).mean() > 0.7
    assert outcome.cost["fit_s"] > 0
    assert outcome.cost["peak_mib"] > 20
    assert outcome.cost["n_train"] == len(data.splits[0].train)
    for fact in ("rung_version", "libraries", "machine", "seed", "git_commit", "git_clean"):
        assert fact in outcome.provenance
    outcome.verify()


def test_the_rung_is_shown_the_training_part_alone() -> None:
    data = table()
    seen: list[Dataset] = []

    def make(dataset: Dataset, seed: int) -> Any:
        seen.append(dataset)
        return LogisticRegression()

    baseline = Baseline(rung=2, title="It", make=make)
    room.run(plan(data, baseline), baseline, data)
    train = data.splits[0].train
    assert seen[0].ids.tolist() == data.ids[train].tolist()
    assert seen[0].splits == ()
    assert len(seen[0].X) == len(seen[0].y) == len(train)


def test_input_independent_rungs_can_not_see_the_input() -> None:
    data = table()
    seen: list[Any] = []

    class Spy(DummyClassifier):  # type: ignore[misc]
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            seen.append(X)
            return super().fit(X, y, sample_weight)

    baseline = Baseline(rung=1, title="It", needs="nothing", make=lambda dataset, seed: Spy())
    room.run(plan(data, baseline), baseline, data)
    assert not seen[0].any()


def test_a_class_missing_from_a_subset_gets_probability_zero() -> None:
    y = np.array([0] * 30 + [1] * 30 + [2] * 3)
    data = Dataset.from_arrays(np.random.default_rng(0).normal(size=(63, 2)), y)
    found = False
    for index in range(30):
        trial = dataclasses.replace(plan(data, logistic(), train_size=8), seed_index=index)
        drawn = room.subset(data.splits[0].train, trial)
        assert len(drawn) == 8
        if set(data.y[drawn]) != {0, 1}:
            continue
        outcome = room.run(trial, logistic(), data)
        assert outcome.proba is not None
        assert (outcome.proba[:, 2] == 0).all()
        assert outcome.cost["n_train"] == 8
        found = True
        break
    assert found


def test_predictive_deviation_is_kept() -> None:
    data = table(task="regression")
    baseline = Baseline(rung=2, title="It", make=lambda dataset, seed: BayesianRidge())
    outcome = room.run(plan(data, baseline), baseline, data)
    assert outcome.std is not None
    assert outcome.std.min() > 0


class Says(DummyClassifier):  # type: ignore[misc]
    """Answers what it is told to."""

    def __init__(self, answer: Any = None, proba: Any = None) -> None:
        super().__init__()
        self.answer, self.proba = answer, proba

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.answer) if np.ndim(self.answer) == 0 else self.answer

    def predict_proba(self, X: Any) -> Any:
        return np.tile(self.proba, (len(X), 1))


@pytest.mark.parametrize(
    ("answer", "proba", "says"),
    [
        (np.nan, [1, 0, 0], "NaN or infinite"),
        (7, [1, 0, 0], "no class"),
        (np.zeros(3), [1, 0, 0], "shape"),
        ("a", [1, 0, 0], "no numbers"),
        (0, [0.5, 0.1, 0.1], "sum to one"),
        (0, [2, -1, 0], "sum to one"),
        (0, [np.nan, 0, 1], "NaN"),
        (0, [1, 0], "shape"),
    ],
)
def test_answers_that_can_not_be_scored_are_refused(answer: Any, proba: Any, says: str) -> None:
    data = table()
    baseline = Baseline(rung=1, title="It", make=lambda dataset, seed: Says(answer, proba))
    with pytest.raises(BadPredictions, match=says):
        room.run(plan(data, baseline), baseline, data)


def test_digest_notices_every_change() -> None:
    data = table()
    outcome = room.run(plan(data, logistic()), logistic(), data)
    label = outcome.label.copy()
    label[0] = (label[0] + 1) % 3
    for change in (
        {"label": label},
        {"status": "failed: no"},
        {"cost": outcome.cost | {"fit_s": 0.0}},
        {"ids": outcome.ids[::-1]},
        {"trial": dataclasses.replace(outcome.trial, seed_index=5)},
    ):
        with pytest.raises(ValueError, match="digest"):
            dataclasses.replace(outcome, **change).verify()


BASE = Trial("digits", "f" * 64, "holdout", "linear", 8, 0)
AXES = {
    "dataset": st.sampled_from(["digits", "iris"]),
    "fingerprint": st.sampled_from(["f" * 64, "0" * 64]),
    "split": st.sampled_from(["holdout", "official"]),
    "rung": st.sampled_from(["linear", "prior"]),
    "px": st.sampled_from([None, 8, 32]),
    "seed_index": st.integers(0, 3),
    "parameters": st.sampled_from([(), (("C", 1.0),), (("C", 2.0),)]),
    "train_size": st.sampled_from([None, 10, 20]),
    "device": st.sampled_from([Device(), Device("cuda:0", "bf16"), Device("cuda:0", "fp16")]),
}
any_trial = st.builds(Trial, **AXES)  # type: ignore[arg-type]


@given(any_trial, any_trial, st.sampled_from(["a", "b"]), st.sampled_from(["a", "b"]))
def test_key_is_the_same_for_the_same_work_only(
    one: Trial, other: Trial, hash_one: str, hash_other: str
) -> None:
    same = (one, hash_one) == (other, hash_other)
    assert (room.key(one, hash_one) == room.key(other, hash_other)) == same


@given(any_trial, any_trial)
def test_seeds_follow_the_axes_and_nothing_else(one: Trial, other: Trial) -> None:
    axes = ("dataset", "split", "rung", "seed_index")
    same = all(getattr(one, a) == getattr(other, a) for a in axes)
    assert (one.seed == other.seed) == same
    assert 0 <= one.seed < 2**31


def test_seed_is_the_same_in_every_version() -> None:
    assert (
        BASE.seed == int(room.hashlib.sha256(b"digits/holdout/linear/0").hexdigest()[:8], 16) // 2
    )


def test_plan_of_a_ladder() -> None:
    data = pictures()
    deterministic = logistic(deterministic=True)
    tabular = logistic(modalities=("tabular",))
    made = trials(
        data,
        [("a", deterministic), ("b", logistic(px=8)), ("c", tabular), ("d", logistic(px=64))],
        seeds=3,
        variants=[Variant("b", px=4, parameters={"C": 2})],
    )
    assert [t.rung for t in made] == ["a", "b", "b", "b", "d", "d", "d"]
    assert {t.px for t in made if t.rung == "b"} == {4}
    assert {t.px for t in made if t.rung == "d"} == {12}  # smaller pictures are not enlarged
    assert made[1].parameters == (("C", 2),)


def test_only_rungs_that_can_use_the_gpu_are_sent_there() -> None:
    gpu = Device("cuda:0", "bf16")
    rungs = [("a", logistic()), ("b", logistic(gpu=True))]
    made = trials(table(), rungs, seeds=1, device=gpu)
    assert [t.device for t in made] == [Device(), gpu]
    assert [t.row for t in made] == ["a", "b-cuda-bf16"]


def test_every_published_rung_has_metadata_that_needs_no_import() -> None:
    assert all(entry.literal for entry in suite.ladder())


def test_a_rung_without_noise_is_fitted_for_each_draw_of_rows() -> None:
    data, rung = table(), logistic(deterministic=True)
    assert len(trials(data, [("it", rung)], seeds=3)) == 1
    drawn = trials(data, [("it", rung)], seeds=3, train_size=20)
    assert len(drawn) == 3
    outcomes = [room.run(trial, rung, data) for trial in drawn]
    assert not any(o.provenance["deterministic"] for o in outcomes)
    assert outcomes[0].proba is not None
    assert not np.array_equal(outcomes[0].proba, outcomes[1].proba)
    assert len(trials(data, [("it", rung)], seeds=3, train_size=10_000)) == 1
    assert room.run(plan(data, rung), rung, data).provenance["deterministic"]


def test_one_of_several_splits_is_named() -> None:
    trial = plan(table(), logistic())
    assert str(trial) == "table_classification it seed 0"
    other = dataclasses.replace(trial, split="07")
    assert str(other) == "table_classification it split 07 seed 0"


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_numbers_that_can_not_be_scored_are_refused(value: float) -> None:
    data = table(task="regression")

    class Exploded(DummyRegressor):  # type: ignore[misc]
        def predict(self, X: Any) -> Any:
            return np.full(len(X), value)

    rung = Baseline(rung=2, title="It", make=lambda dataset, seed: Exploded())
    with pytest.raises(BadPredictions):
        room.run(plan(data, rung), rung, data)
