"""What is special to fastText: it repeats, it pickles, and any text will do."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from conftest import texts
from samples import refused
from sklearn.exceptions import NotFittedError

from rung import suite


def fitted(**parameters: Any) -> Any:
    data = texts()
    model = suite.baseline("fasttext").make(data, 0, **parameters)
    return model.fit(data.X, np.array(["a", "b", "c"])[data.y]), data


def test_it_repeats_and_pickles() -> None:
    model, data = fitted()
    expected = model.predict_proba(data.X)
    assert np.array_equal(fitted()[0].predict_proba(data.X), expected)
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.predict_proba(data.X), expected)
    assert (model.predict(data.X) == np.array(["a", "b", "c"])[data.y]).mean() > 0.9


def test_rows_sorted_by_class_are_learnt_as_well() -> None:
    data = texts()
    order = np.argsort(data.y, kind="stable")
    model = suite.baseline("fasttext").make(data, 0).fit(data.X[order], data.y[order])
    assert (model.predict(data.X) == data.y).mean() > 0.9


def test_any_text_will_do() -> None:
    model, _ = fitted()
    odd = np.array(
        ["", "\n", "=label=0 x", "</s>", "a\x00b", "nothing known", "ü 💡"], dtype=object
    )
    proba = model.predict_proba(odd)
    assert proba.shape == (7, 3)
    assert proba.sum(axis=1) == pytest.approx(np.ones(7))
    assert proba.min() > 0
    assert len(model.predict_proba(np.array([], dtype=object))) == 0


def test_texts_that_look_like_labels_are_no_labels() -> None:
    data = texts()
    shouted = np.array([f"=label={(c + 1) % 3} {x}" for x, c in zip(data.X, data.y, strict=True)])
    model = suite.baseline("fasttext").make(data, 0).fit(shouted.astype(object), data.y)
    assert (model.predict(shouted.astype(object)) == data.y).mean() > 0.9


def test_temperature_tames_what_is_too_sure() -> None:
    data = texts(300)
    rng = np.random.default_rng(0)
    noisy = np.where(rng.random(300) < 0.4, rng.integers(0, 3, 300), data.y)
    rows, held = np.arange(200), np.arange(200, 300)
    model = suite.baseline("fasttext").make(data, 0, epochs=100).fit(data.X[rows], noisy[rows])
    tamed = model.predict_proba(data.X[held])
    assert model.temperature_ > 1.2
    model.temperature_ = 1.0
    sure = model.predict_proba(data.X[held])

    def loss(proba: Any) -> float:
        return -float(np.log(proba[np.arange(100), noisy[held]]).mean())

    assert loss(tamed) < loss(sure)


def test_what_it_refuses() -> None:
    model = suite.baseline("fasttext").make(texts(), 0)
    with pytest.raises(NotFittedError):
        model.predict(["a"])
    assert "row 1" in refused(lambda: model.fit(["a", 3], [0, 1]))


def test_long_texts_are_told_by_their_rarer_words() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    filler = [f"the{i}" for i in range(8)] * 40
    own = [[f"{'abc'[c]}{i}" for i in rng.integers(0, 60, 4)] for c in y]
    X = np.array([" ".join(rng.permutation([*words, *filler])) for words in own], dtype=object)
    model = suite.baseline("fasttext").make(texts(), 0).fit(X[:240], y[:240])
    assert model.weighted_
    assert all(model.idf_[w] == 0 for w in filler)
    right = (model.predict(X[240:]) == y[240:]).mean()
    short = suite.baseline("fasttext").make(texts(), 0, weighted=False).fit(X[:240], y[:240])
    assert not short.weighted_
    assert right > max(0.8, (short.predict(X[240:]) == y[240:]).mean())
