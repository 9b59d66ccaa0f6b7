from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from rung.suite.baselines.random_patches import (
    RandomPatchesClassifier,
    RandomPatchesRegressor,
    scales,
)
from sklearn.base import clone
from sklearn.datasets import load_digits

from rung.errors import RungError

pytestmark = pytest.mark.filterwarnings("error")


def stripes(n, px=16, channels=3, seed=0):
    """Noise with horizontal (0) or vertical (1) stripes of a random phase."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 2
    wave = np.sin(np.arange(px)[None] * 1.3 + random.uniform(0, 6, n)[:, None])
    picture = np.where(y[:, None, None] == 1, wave[:, None, :], wave[:, :, None])
    noisy = 128 + 40 * picture[..., None] + 25 * random.normal(size=(n, px, px, channels))
    return noisy.clip(0, 255).astype(np.uint8), y


def test_digits():
    digits = load_digits()
    X = digits.images.astype(np.uint8)[..., None]
    X.setflags(write=False)  # as prepared pictures come, memory-mapped
    model = RandomPatchesClassifier(256, random_state=0).fit(X[:1200], digits.target[:1200])
    assert model.score(X[1200:], digits.target[1200:]) > 0.95
    assert not model.kernel_ridge_.mirrored_  # a mirrored 2 is no 2
    assert model.n_train_ == 1200


@pytest.mark.filterwarnings("default")
def test_pictures_that_do_not_fit_into_memory_are_worked_on_in_pieces(monkeypatch):
    from rung.suite.baselines import random_patches

    X, y = stripes(60)
    whole = RandomPatchesClassifier(32, random_state=0).fit(X[:40], y[:40]).predict_proba(X[40:])
    conv2d = random_patches.conv2d

    def small(pictures, filters, stride):
        if len(pictures) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return conv2d(pictures, filters, stride=stride)

    monkeypatch.setattr(random_patches, "conv2d", small)
    with pytest.warns(UserWarning, match="out of GPU memory with batches of 4"):
        model = RandomPatchesClassifier(32, random_state=0).fit(X[:40], y[:40])
    with pytest.warns(UserWarning, match="out of GPU memory"):
        np.testing.assert_allclose(model.predict_proba(X[40:]), whole, atol=1e-3)


@pytest.mark.parametrize("px", [16, 33, 65, 66, 128])
def test_mirror_images_are_learnt_where_classes_do_not_care(px):
    X, y = stripes(120, px)
    model = RandomPatchesClassifier(32, random_state=0).fit(X[:40], y[:40])
    assert model.score(X[40:], y[40:]) > 0.9
    even, odd = np.split(model._features(scales(X)), 2, axis=1)
    image_even, image_odd = np.split(model._features(scales(X[:, :, ::-1].copy())), 2, axis=1)
    near = 1e-4 if px < 64 else 5e-3  # where halved pictures are rounded to whole grey levels
    np.testing.assert_allclose(image_even, even, atol=near)
    np.testing.assert_allclose(image_odd, -odd, atol=near)
    assert np.abs(odd).max() > 0.05 * even.max()


@pytest.mark.parametrize(
    ("shape", "patches"),
    [
        ((8, 8, 1), [3]),
        ((28, 28, 1), [6]),
        ((64, 80, 3), [6, 6]),
        ((131, 128, 1), [6, 6, 6]),
        ((2, 2, 1), [2]),
        ((5, 9, 3), [3]),
    ],
)
def test_any_size_and_twenty_pictures(shape, patches):
    X = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
    model = RandomPatchesClassifier(16, random_state=0).fit(X, np.arange(20) % 3)
    assert [scale.filters.shape[2] for scale in model.scales_] == patches
    assert model.n_patches_ == 16 // (2 * len(patches)) * 2 * len(patches)
    P = model.predict_proba(X)
    assert P.shape == (20, 3)
    np.testing.assert_allclose(P.sum(axis=1), 1)
    assert set(model.predict(X)) <= {0, 1, 2}


def test_blank_pictures_are_no_trouble():
    X = np.zeros((20, 8, 8, 3), np.uint8)
    P = RandomPatchesClassifier(16, random_state=0).fit(X, np.arange(20) % 2).predict_proba(X)
    np.testing.assert_allclose(P, 0.5, atol=0.05)


def test_regression():
    X, kind = stripes(200)
    y = 10 + 5 * kind
    model = RandomPatchesRegressor(32, random_state=0).fit(X[:80], y[:80])
    assert model.score(X[80:], y[80:]) > 0.7


def test_fewer_patches_where_features_would_not_fit(monkeypatch):
    monkeypatch.setattr("rung.suite.baselines.random_patches.MOST_VALUES", 40 * 18 * 10)
    X, y = stripes(40)
    assert RandomPatchesClassifier(32, random_state=0).fit(X, y).n_patches_ == 10


def test_same_seed_same_predictions_also_through_pickle():
    X, y = stripes(60)
    model = RandomPatchesClassifier(16, random_state=3)
    first = model.fit(X, y).predict_proba(X)
    again = clone(model).fit(X, y)
    assert np.array_equal(again.predict_proba(X), first)
    assert np.array_equal(pickle.loads(pickle.dumps(again)).predict_proba(X), first)
    other = clone(model).set_params(random_state=4).fit(X, y)
    assert not np.array_equal(other.predict_proba(X), first)


def test_what_is_no_picture_is_said_in_one_line():
    X, y = stripes(20)
    for wrong in (X / 255, X[0], np.zeros((3, 4))):
        with pytest.raises(RungError, match="random patches need pictures"):
            RandomPatchesClassifier().fit(wrong, y[: len(wrong)])
    model = RandomPatchesClassifier(16, random_state=0).fit(X, y)
    with pytest.raises(RungError, match="resize them"):
        model.predict(X[:, :12])


def test_pictures_in_any_order_of_memory():
    X, y = stripes(40)
    model = RandomPatchesClassifier(16, random_state=0).fit(X, y)
    turned = X[:, :, ::-1]
    assert np.array_equal(model.predict_proba(turned), model.predict_proba(turned.copy()))
