"""The convnet: scikit-learn's contract, pictures of all sizes, what it learns, bad input."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rung.suite.baselines import convnet
from rung.suite.baselines.convnet import ConvnetClassifier, ConvnetRegressor, augmented, bordered
from sklearn.base import clone
from sklearn.datasets import load_digits

from rung.errors import RungError


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def bright(
    n: int = 48, side: int = 12, channels: int = 3, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Noise whose brightness is the target."""
    rng = np.random.default_rng(seed)
    y = rng.uniform(size=n)
    X = rng.integers(0, 100, size=(n, side, side, channels)) + (150 * y)[:, None, None, None]
    return X.astype(np.uint8), y


def test_digits() -> None:
    images, y = load_digits(return_X_y=True)
    X = np.round(images * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    model = ConvnetClassifier(epochs=4, random_state=0).fit(X[:1000], y[:1000])
    probability = model.predict_proba(X[1000:])
    assert np.mean(probability.argmax(1) == y[1000:]) > 0.9
    np.testing.assert_allclose(probability.sum(1), 1)
    np.testing.assert_array_equal(model.predict(X[1000:]), probability.argmax(1))


def test_regression_on_any_scale() -> None:
    X, y = bright(200)
    test, truth = bright(50, seed=1)
    error = ConvnetRegressor(random_state=0).fit(X, 1e6 + 1e3 * y).predict(test) - (
        1e6 + 1e3 * truth
    )
    assert np.sqrt(np.mean(error**2)) < 0.3 * 1e3 * truth.std()


@pytest.mark.parametrize("shape", [(8, 8, 1), (1, 5, 1), (28, 20, 1), (64, 64, 3), (128, 96, 3)])
def test_sizes_from_twenty_pictures_on(shape: tuple[int, ...]) -> None:
    X = np.random.default_rng(0).integers(0, 256, size=(21, *shape), dtype=np.uint8)
    y = np.arange(21) % 3
    model = ConvnetClassifier(epochs=1, width=8, random_state=0).fit(X, y)
    assert model.predict_proba(X).shape == (21, 3)
    assert model.n_train_ == 21
    assert model.n_features_in_ == np.prod(shape)


def test_large_sets_keep_their_size_and_grow_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = []

    def spy(net: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        sides.append(tuple(inputs[0].shape[1:3]))

    X, y = bright(64, side=64)
    monkeypatch.setattr(convnet, "FEW", 10)
    with torch.nn.modules.module.register_module_forward_pre_hook(
        lambda net, inputs: spy(net, inputs) if isinstance(net, convnet.Net) else None
    ):
        ConvnetRegressor(epochs=10, width=4, random_state=0).fit(X, y).predict(X)
    assert sides[0] == (32, 32)
    assert sides == sorted(sides)
    assert sides.count((64, 64)) >= 2 * 8


def correlated(n: int = 200, side: int = 24, channels: int = 3) -> torch.Tensor:
    """Pictures of which neighbouring pixels are alike, standardised, channels first."""
    noise = torch.randn(n, channels, side + 4, side + 4, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(noise, 5, stride=1)
    return smooth / smooth.std()


@pytest.mark.parametrize("channels", [1, 3])
def test_what_whitening_makes_of_patches_differs_alike_and_is_not_correlated(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convnet, "NOISE", 0.0)
    pictures = correlated(channels=channels)
    filters = convnet.whitening(pictures, 8)
    assert filters.shape == (16, channels, 3, 3)
    torch.testing.assert_close(filters[8:], -filters[:8])
    found = torch.nn.functional.conv2d(pictures, filters[:8]).transpose(0, 1).flatten(1)
    covariance = found @ found.T / found.shape[1]
    assert (covariance - torch.eye(8)).abs().max() < 0.1
    raw = torch.nn.functional.unfold(pictures, 3).transpose(0, 1).flatten(1)
    before = torch.linalg.eigvalsh(raw @ raw.T / raw.shape[1])
    assert before[-1] / before[-8] > 5  # of which there was much to be whitened


def test_whitening_has_no_more_directions_than_a_patch_and_survives_constant_pictures() -> None:
    assert len(convnet.whitening(correlated(channels=1), 16)) == 2 * 9
    assert torch.isfinite(convnet.whitening(torch.zeros(4, 3, 16, 16), 16)).all()


@pytest.mark.parametrize(("side", "learnt"), [(12, True), (16, False)])
def test_the_first_layer_of_large_pictures_is_made_and_not_learnt(side: int, learnt: bool) -> None:
    X, y = bright(64, side=side)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = convnet.Net(torch.tensor(X), 1, 8)
    first = net.body[0][0].weight
    before = first.detach().clone()
    assert first.requires_grad == learnt
    fitted = ConvnetRegressor(epochs=2, width=8, random_state=0).fit(X, y).net_.body[0][0].weight
    assert torch.allclose(fitted, before) != learnt


def test_same_seed_same_predictions_without_touching_global_state() -> None:
    X, y = bright()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = ConvnetRegressor(epochs=2, width=8, random_state=4).fit(X, y).predict(X)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(8)
    model = ConvnetRegressor(epochs=2, width=8, random_state=4).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), first)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), first)
    np.testing.assert_array_equal(clone(model).fit(X, y).predict(X), first)
    other = ConvnetRegressor(epochs=2, width=8, random_state=5).fit(X, y).predict(X)
    assert not np.array_equal(other, first)


def test_any_labels_and_a_class_that_is_missing() -> None:
    X, y = bright()
    labels = np.where(y < 0.5, "dark", "light")
    model = ConvnetClassifier(epochs=10, width=8, random_state=0).fit(X, labels)
    assert list(model.classes_) == ["dark", "light"]
    assert model.score(X, labels) > 0.9
    gap = ConvnetClassifier(epochs=1, width=8, random_state=0).fit(X, np.where(y < 0.5, 0, 2))
    assert list(gap.classes_) == [0, 2]
    assert gap.predict_proba(X).shape == (len(X), 2)
    assert set(gap.predict(X)) <= {0, 2}


def test_epochs_follow_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = bright(24, side=10)

    def epochs(pixels: float) -> int:
        monkeypatch.setattr(convnet, "BUDGET", pixels)
        return ConvnetRegressor(width=4, random_state=0).fit(X, y).epochs_  # type: ignore[no-any-return]

    assert [epochs(p) for p in (1e9, 7.5e3, 10)] == [convnet.MOST_EPOCHS, 3, 1]


def test_augmentation_shifts_by_whole_pixels_and_flips_only_if_asked() -> None:
    picture = torch.arange(32 * 32, dtype=torch.int32).reshape(1, 32, 32, 1).expand(400, -1, -1, -1)
    for flip in (False, True):
        generator = torch.Generator().manual_seed(0)
        out = augmented(bordered(picture), [32, 32], generator, 1.0, flip)[..., 0]
        inner = out[:, 8:-8, 8:-8]  # away from the reflected border
        assert set((inner[:, 1:] - inner[:, :-1]).unique().tolist()) == {32}
        steps = inner[:, :, 1:] - inner[:, :, :-1]
        assert set(steps.unique().tolist()) == ({-1, 1} if flip else {1})
        # Shifts of -2 to 2 both ways: 25 pictures, mirrored ones beside them.
        assert len(out.unique(dim=0)) == (50 if flip else 25)
        assert out.min() >= 0
        assert out.max() < 32 * 32


@pytest.mark.parametrize("flip", [False, True])
def test_augmented_pictures_are_windows_of_what_is_mirrored_at_the_borders(flip: bool) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (30, 32, 48, 3), dtype=np.uint8)
    generator = torch.Generator().manual_seed(0)
    out = augmented(bordered(torch.as_tensor(pictures)), [32, 48], generator, 1.0, flip).numpy()
    seen = set()
    for picture, found in zip(pictures, out, strict=True):
        wide = np.pad(picture, ((2, 2), (3, 3), (0, 0)), mode="reflect")
        windows = {
            (y, x, mirrored): wide[y : y + 32, x : x + 48][:, :: -1 if mirrored else 1]
            for y in range(5)
            for x in range(7)
            for mirrored in ((False, True) if flip else (False,))
        }
        (at,) = (at for at, window in windows.items() if np.array_equal(window, found))
        seen.add(at)
    assert {x for _, x, _ in seen} == set(range(7))
    assert {y for y, _, _ in seen} == set(range(5))
    assert {mirrored for _, _, mirrored in seen} == ({False, True} if flip else {False})


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 40)])
def test_borders_mirror_what_is_inside(shape: tuple[int, int]) -> None:
    picture = np.arange(np.prod(shape)).reshape(shape)
    widths = [(max(1, side // 16),) * 2 for side in shape]
    found = bordered(torch.as_tensor(picture)[None, :, :, None])[0, :, :, 0]
    np.testing.assert_array_equal(found, np.pad(picture, widths, mode="reflect"))


def test_flips_are_for_colour_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []

    def spy(x: torch.Tensor, sides: list[int], *options: Any) -> torch.Tensor:
        used.append(options[-1])
        return augmented(x, sides, *options)

    monkeypatch.setattr(convnet, "augmented", spy)
    for channels, flip in [(1, "auto"), (3, "auto"), (1, True), (3, False)]:
        used.clear()
        X, y = bright(8, channels=channels)
        ConvnetRegressor(epochs=1, width=4, flip=flip).fit(X, y)  # type: ignore[arg-type]
        assert set(used) == {channels == 3 if flip == "auto" else flip}


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((4, 9)), np.arange(4), "needs pictures"),
        (np.zeros((4, 8, 8, 3)), np.arange(4), "float64"),
        (np.zeros((0, 8, 8, 3), np.uint8), np.arange(0), "needs pictures"),
        (np.zeros((1, 8, 8, 3), np.uint8), np.arange(1), "two or more"),
        (np.zeros((4, 8, 8, 3), np.uint8), np.arange(3), "4 pictures and 3 targets"),
    ],
)
def test_bad_input(X: NDArray[np.generic], y: NDArray[np.int64], message: str) -> None:
    with pytest.raises(RungError, match=message):
        ConvnetClassifier().fit(X, y)


def test_pictures_of_another_size_are_refused() -> None:
    X, y = bright(8)
    model = ConvnetRegressor(epochs=1, width=4).fit(X, y)
    with pytest.raises(RungError, match=r"trained on \(12, 12, 3\)"):
        model.predict(X[:, 1:])


def test_constant_pictures_and_targets_give_finite_numbers() -> None:
    X = np.full((10, 8, 8, 1), 7, np.uint8)
    assert np.isfinite(ConvnetRegressor(epochs=2, width=4).fit(X, np.ones(10)).predict(X)).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_on_a_gpu(precision: str) -> None:
    X, y = bright(200)
    model = ConvnetRegressor(random_state=0, device="cuda:0", precision=precision).fit(X, y)
    assert np.corrcoef(model.predict(X), y)[0, 1] > 0.9
    model.set_params(device="cpu", precision="fp32")
    assert np.corrcoef(pickle.loads(pickle.dumps(model)).predict(X), y)[0, 1] > 0.9
