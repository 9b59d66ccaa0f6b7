"""Every rung on every task and modality that it claims, as the engine runs it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from conftest import pictures, table
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from rung import Dataset, features, suite, trial
from rung.benchmark import trials

MADE = {"tabular": table, "image": pictures}
CASES = [
    pytest.param(entry.name, task, modality, id=f"{entry.name}-{task}-{modality}")
    for entry in suite.ladder()
    for modality in suite.baseline(entry.name).modalities
    for task in suite.baseline(entry.name).tasks
]


def run(name: str, data: Dataset, seed_index: int = 0, **axes: Any) -> trial.Outcome:
    rung = suite.baseline(name)
    planned = trials(data, [(name, rung)], seeds=1, **axes)[0]
    return trial.run(dataclasses.replace(planned, seed_index=seed_index), rung, data)


@pytest.mark.parametrize(("name", "task", "modality"), CASES)
def test_rung_does_what_it_claims(name: str, task: str, modality: str) -> None:
    data = MADE[modality](task=task)
    one, again = run(name, data), run(name, data)
    n = len(data.splits[0].test)
    assert one.label.shape == (n,)
    assert np.array_equal(one.label, again.label)
    if task == "classification":
        assert one.proba is not None
        assert again.proba is not None
        assert one.proba.shape == (n, 3)
        assert one.proba.sum(axis=1) == pytest.approx(np.ones(n), abs=1e-4)
        assert np.array_equal(one.proba, again.proba)
        right = (one.label == one.target).mean()
        assert right > 0.55 if name not in ("random", "prior") else right < 0.7
    else:
        error = np.sqrt(np.mean((one.label - one.target) ** 2))
        guess = one.target.std()
        assert error < 0.8 * guess if name not in ("random", "prior") else error < 3 * guess
    assert one.cost["n_train"] <= len(data.splits[0].train)
    other = run(name, data, 1)
    same = np.array_equal(one.label, other.label) and (
        one.proba is None or np.array_equal(one.proba, other.proba)
    )
    if suite.baseline(name).deterministic:
        assert same
    elif name in ("random", "random_forest", "convnet"):
        assert not same


@pytest.mark.parametrize(
    ("name", "task", "modality"), [c for c in CASES if c.values[1] == "classification"]
)
def test_a_class_missing_from_the_subset(name: str, task: str, modality: str) -> None:
    data = MADE[modality]()
    train = data.splits[0].train
    # Only four rows of the class 2 are left, so that a draw of 8 rows can miss it.
    keep = np.concatenate([train[data.y[train] != 2], train[data.y[train] == 2][:1]])
    split = dataclasses.replace(data.splits[0], train=np.sort(keep))
    rare = dataclasses.replace(data, splits=(split,), fingerprint="")
    for index in range(40):
        planned = trials(rare, [(name, suite.baseline(name))], seeds=1, train_size=8)[0]
        planned = dataclasses.replace(planned, seed_index=index)
        drawn = rare.y[trial.subset(split.train, planned)]
        if 2 not in drawn and len(np.unique(drawn)) == 2:
            break
    outcome = run(name, rare, index, train_size=8)
    assert outcome.proba is not None
    assert (outcome.proba[:, 2] == 0).all()
    assert set(outcome.label) <= {0, 1}


def estimators() -> list[Any]:
    """Our own estimators over plain matrices, as `make` gives them."""
    found = []
    for entry in suite.ladder():
        rung = suite.baseline(entry.name)
        if rung.needs == "pixels":
            continue
        for task in rung.tasks:
            estimator = rung.make(table(task=task), 0)
            if not type(estimator).__module__.startswith("sklearn."):
                found.append(pytest.param(estimator, id=type(estimator).__name__))
    return found


@pytest.mark.parametrize("estimator", estimators())
def test_own_estimators_follow_the_contract(estimator: Any) -> None:
    check_estimator(estimator, on_skip=None)


@pytest.mark.parametrize(("name", "task", "modality"), CASES)
def test_estimators_can_be_cloned(name: str, task: str, modality: str) -> None:
    estimator = suite.baseline(name).make(MADE[modality](task=task), 3)
    assert clone(estimator).get_params().keys() == estimator.get_params().keys()


def test_standardize_follows_the_training_part_alone() -> None:
    data = table()
    scaler = features.fitted(data, "standardized")
    assert scaler is not None
    Z = scaler.fit_transform(data.X)
    assert Z.mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-12)
    assert Z.std(axis=0) == pytest.approx(np.ones(4))
    constant = np.c_[data.X, np.full(len(data), 0.1)]
    assert np.isfinite(scaler.fit_transform(constant)).all()
    check_estimator(features.Standardize(), on_skip=None)
    check_estimator(features.Standardize(per="all"), on_skip=None)


def test_diabetes_is_beaten_clearly_by_the_kernel_rungs() -> None:
    """Targets have a mean of 150: a kernel rung that doesn't standardise them is absurd."""
    data = suite.load("diabetes")
    squares = {
        name: (run(name, data).label - run(name, data).target) ** 2
        for name in ("prior", "linear", "kernel_ridge", "gaussian_process")
    }
    for name in ("kernel_ridge", "gaussian_process"):
        assert np.sqrt(squares[name].mean()) < 0.85 * np.sqrt(squares["prior"].mean())


@pytest.mark.gpu
@pytest.mark.parametrize("name", [e.name for e in suite.ladder() if suite.baseline(e.name).gpu])
def test_rung_on_the_gpu(name: str) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU: torch finds none on this machine")
    from rung.device import resolve

    data = pictures()
    gpu = run(name, data, device=resolve("cuda"))
    assert gpu.cost["gpu_peak_mib"] > 0
    assert (gpu.label == gpu.target).mean() > 0.55
