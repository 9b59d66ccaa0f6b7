"""Every rung on every task and modality that it claims, as the engine runs it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from conftest import mixed, pictures, table, texts
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from rung import Dataset, features, suite, trial
from rung.benchmark import trials

MADE: dict[str, Any] = {"tabular": table, "mixed": mixed, "image": pictures, "text": texts}
CASES = [
    pytest.param(entry.name, task, kind, id=f"{entry.name}-{task}-{kind}")
    for entry in suite.ladder()
    if not suite.baseline(entry.name).interpreter  # test_elsewhere.py has those
    for kind, made in MADE.items()
    if made().modality in suite.baseline(entry.name).modalities
    for task in suite.baseline(entry.name).tasks
]


def run(name: str, data: Dataset, seed_index: int = 0, **axes: Any) -> trial.Outcome:
    rung = suite.baseline(name)
    planned = trials(data, [(name, rung)], seeds=1, **axes)[0]
    return trial.run(dataclasses.replace(planned, seed_index=seed_index), rung, data)


@pytest.mark.parametrize(("name", "task", "kind"), CASES)
def test_rung_does_what_it_claims(name: str, task: str, kind: str) -> None:
    data = MADE[kind](task=task)
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
    ("name", "task", "kind"), [c for c in CASES if c.values[1] == "classification"]
)
def test_a_class_missing_from_the_subset(name: str, task: str, kind: str) -> None:
    data = MADE[kind]()
    train = data.splits[0].train
    # Only one row of the class 2 is left, so that a draw of 8 rows can miss it.
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


# So that the many fits of scikit-learn's checks take seconds.
QUICK: dict[str, dict[str, Any]] = {"net": {"epochs": 20, "dropout": 0.0}}


def estimators() -> list[Any]:
    """Our own estimators over plain matrices, as `make` gives them."""
    found = []
    for entry in suite.ladder():
        rung = suite.baseline(entry.name)
        if rung.needs in ("pixels", "raw") or rung.interpreter:
            continue
        for task in rung.tasks:
            estimator = rung.make(table(task=task), 0, **QUICK.get(entry.name, {}))
            if not type(estimator).__module__.startswith("sklearn."):
                found.append(pytest.param(estimator, id=type(estimator).__name__))
    return found


@pytest.mark.parametrize("estimator", estimators())
def test_own_estimators_follow_the_contract(estimator: Any) -> None:
    check_estimator(estimator, on_skip=None)


@pytest.mark.parametrize(("name", "task", "kind"), CASES)
def test_estimators_can_be_cloned(name: str, task: str, kind: str) -> None:
    rung, data = suite.baseline(name), MADE[kind](task=task)
    X = features.raw(data, rung.needs, rung.px)
    transformer = features.fitted(data, rung.needs, 3)
    shown = dataclasses.replace(data, X=transformer.fit_transform(X) if transformer else X)
    estimator = rung.make(shown, 3)
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

    data = MADE[suite.baseline(name).modalities[0]]()
    gpu = run(name, data, device=resolve("cuda"))
    assert gpu.cost["gpu_peak_mib"] > 0
    assert (gpu.label == gpu.target).mean() > 0.55


def test_columns_of_all_kinds_become_numbers_fitted_on_the_training_part_alone() -> None:
    data = mixed()
    train, test = data.splits[0].train, data.splits[0].test
    X, unseen = data.X.take(train), data.X.take(test).reset_index(drop=True)
    unseen.loc[0, "colour"] = "mauve"
    unseen.loc[1, ["length", "colour", "name", "day"]] = None
    columns = features.Columns("numbers", random_state=0)
    Z = columns.fit_transform(X)
    colour = columns.vectorizer_.all_outputs_.index("colour")
    assert sorted(set(Z[~np.isnan(Z[:, colour]), colour])) == [0, 1, 2]
    assert np.isnan(Z).any(axis=0).sum() > 2
    assert columns.transform(unseen)[0, colour] == -1
    assert np.isnan(columns.transform(unseen)[1, colour])

    scaled = features.Columns("standardized", random_state=0)
    S = scaled.fit_transform(X)
    names = scaled.vectorizer_.all_outputs_
    assert np.isfinite(S).all()
    assert np.isfinite(scaled.transform(unseen)).all()
    colours = [i for i, name in enumerate(names) if name.startswith("colour_")]
    assert len(colours) == 4  # one of them for missing
    assert scaled.transform(unseen)[0, colours].tolist() == [0, 0, 0, 0]
    assert S[:, colours].max() == 1  # not blown up where they are rare
    length = names.index("length")
    seen = ~X["length"].isna().to_numpy()
    assert S[:, length].mean() == pytest.approx(0, abs=1e-6)
    assert np.allclose(S[~seen, length], 0, atol=1e-6)  # the mean stands in
    assert any(np.array_equal(S[:, j], ~seen) for j in range(len(names), S.shape[1]))

    kinds = features.Columns("categories").fit_transform(X).dtypes.astype(str).to_dict()
    assert kinds["colour"] == "category"
    assert kinds["length"] == "float32"


def test_the_seed_of_the_trial_reaches_the_features() -> None:
    data = texts()
    one, two = (features.fitted(data, "standardized", seed) for seed in (1, 2))
    again = features.fitted(data, "standardized", 1)
    assert np.array_equal(one.fit_transform(data.X), again.fit_transform(data.X))
    assert not np.array_equal(one.fit_transform(data.X), two.fit_transform(data.X))


def test_texts_become_words_and_projections() -> None:
    data = texts()
    X = features.fitted(data, "sparse").fit_transform(data.X)
    assert X.shape[0] == len(data)
    assert np.sqrt(X.multiply(X).sum(axis=1)) == pytest.approx(np.ones((len(data), 1)), abs=1e-5)
    vocabulary = features.words().fit(["Win £5 now!", "u r"]).vocabulary_
    assert {"!", "£", "5", "u", "u r", "now !"} <= set(vocabulary)
    pipeline = features.fitted(data, "numbers", 0)
    Z = pipeline.fit_transform(data.X)
    assert Z.shape == (len(data), min(features.COMPONENTS, X.shape[0] - 1, X.shape[1] - 1))
    assert np.isfinite(pipeline.transform(np.array(["", "unheard of"], dtype=object))).all()


def test_each_tree_of_a_forest_on_very_many_rows_is_grown_on_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rung = suite.get("baselines", "random_forest").load()
    many = table(n=120)
    assert rung.make(many, 0).max_samples is None
    monkeypatch.setitem(rung.make.__globals__, "MOST_ROWS", 50)
    model = rung.make(many, 0, n_estimators=3).fit(many.X, many.y)
    assert model.max_samples == 50
    assert all(tree.tree_.n_node_samples[0] <= 50 for tree in model.estimators_)
