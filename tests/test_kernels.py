from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.dummy import DummyClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from rung import Baseline, Dataset, kernels
from rung.benchmark import trials
from rung.kernels import KernelRidgeClassifier, KernelRidgeRegressor
from rung.trial import run

pytestmark = pytest.mark.filterwarnings("error")


def wave(n, seed=0, noise=0.1):
    """n points in a square and a smooth function of them."""
    random = np.random.default_rng(seed)
    X = random.uniform(-2, 2, size=(n, 2))
    return X, np.sin(2 * X[:, 0]) * X[:, 1] + noise * random.normal(size=n)


def parts(loader):
    X, y = loader(return_X_y=True)
    A, B, a, b = train_test_split(X, y, test_size=0.3, random_state=0)
    scale = StandardScaler().fit(A)
    return scale.transform(A), a, scale.transform(B), b


def kernel(A, B, model):
    distance = np.sqrt(((A[:, None, :] - B) ** 2).sum(2))
    if model.kernel_ == "rbf":
        return np.exp(-(distance**2) / (2 * model.bandwidth_**2))
    return np.exp(-distance / model.bandwidth_)


@pytest.mark.parametrize("estimator", [KernelRidgeClassifier(), KernelRidgeRegressor()])
@pytest.mark.filterwarnings("default")
def test_follows_the_scikit_learn_contract(estimator):
    check_estimator(estimator, on_skip=None)


@pytest.mark.parametrize("name", ["rbf", "laplacian"])
@pytest.mark.parametrize("double_rows", [3_000, 0])  # in float64 and in float32
def test_exact_solution_and_its_leave_one_out_error(name, double_rows, monkeypatch):
    monkeypatch.setattr(kernels, "FLOAT64_ROWS", double_rows)
    monkeypatch.setattr(kernels, "BLOCK", 16)
    X, y = wave(70)
    model = KernelRidgeRegressor(name, random_state=0).fit(X, y)
    assert model.kernel_ == name
    target = (y - y.mean()) / y.std()
    G = kernel(X, X, model) + model.penalty_ * np.eye(len(X))
    new = np.random.default_rng(1).normal(size=(40, 2))
    expected = y.mean() + y.std() * kernel(new, X, model) @ np.linalg.solve(G, target)
    np.testing.assert_allclose(model.predict(new), expected, atol=2e-3)
    misses = []
    for i in range(len(X)):
        rest = np.delete(np.arange(len(X)), i)
        dual = np.linalg.solve(G[np.ix_(rest, rest)], target[rest])
        misses.append(target[i] - kernel(X[[i]], X[rest], model)[0] @ dual)
    assert model.loo_score_ == pytest.approx(-np.mean(np.square(misses)), rel=1e-3)


def test_penalty_follows_the_noise():
    quiet = KernelRidgeRegressor("rbf", random_state=0).fit(*wave(300, noise=0.001))
    loud = KernelRidgeRegressor("rbf", random_state=0).fit(*wave(300, noise=1.0))
    assert quiet.penalty_ < loud.penalty_ / 100


def test_more_rows_than_are_tuned_on_try_neighbouring_penalties(monkeypatch):
    X, y = wave(400, noise=0.5)
    coarse = KernelRidgeRegressor("rbf", random_state=0)
    monkeypatch.setattr(kernels, "TUNING_ROWS", 40)
    coarse.fit(X, y)
    at = np.flatnonzero(np.isclose(kernels.PENALTIES, coarse.penalty_))
    assert len(at) == 1
    test_X, test_y = wave(500, seed=5, noise=0)
    assert np.mean((coarse.predict(test_X) - test_y) ** 2) < 0.1 * test_y.var()


def test_nystrom_on_all_rows_as_landmarks_is_exact():
    X, y = wave(300)
    exact = KernelRidgeRegressor("laplacian", random_state=0).fit(X, y)
    low_rank = KernelRidgeRegressor("laplacian", max_exact=100, random_state=0).fit(X, y)
    assert low_rank.loo_score_ == pytest.approx(exact.loo_score_, rel=0.02)
    np.testing.assert_allclose(low_rank.predict(X), exact.predict(X), atol=0.05)


def test_nystrom_uses_rows_that_are_no_landmarks():
    X, y = wave(2_000, noise=0.5)
    test_X, test_y = wave(500, seed=5, noise=0)
    few = KernelRidgeRegressor(max_exact=100, n_landmarks=60, random_state=0).fit(X, y)
    assert len(few.X_fit_) == 60
    assert few.n_train_ == 2_000
    landmarks_alone = KernelRidgeRegressor(random_state=0).fit(X[:60], y[:60])
    error = np.mean((few.predict(test_X) - test_y) ** 2)
    assert error < np.mean((landmarks_alone.predict(test_X) - test_y) ** 2) / 2
    # Left-out rows carry noise of variance 0.25 that the truth does not.
    assert -few.loo_score_ * y.var() == pytest.approx(0.25 + error, rel=0.15)


def test_of_very_many_rows_some_are_drawn():
    X, y = wave(400)
    model = KernelRidgeRegressor(max_rows=150, random_state=0).fit(X, y)
    assert (model.n_train_, len(model.X_fit_)) == (150, 150)
    labels = KernelRidgeClassifier(max_rows=150, random_state=0).fit(X, y > np.median(y))
    assert labels.n_train_ == 150
    assert labels.score(X, y > np.median(y)) > 0.9


def test_nystrom_classifier(monkeypatch):
    A, a, B, b = parts(load_digits)
    model = KernelRidgeClassifier(max_exact=500, n_landmarks=400, random_state=0).fit(A, a)
    assert model.score(B, b) > 0.96
    assert log_loss(b, model.predict_proba(B)) < 0.2


def test_digits_and_breast_cancer_are_classified_with_good_probabilities():
    for loader, accuracy, loss in ((load_digits, 0.975, 0.1), (load_breast_cancer, 0.96, 0.12)):
        A, a, B, b = parts(loader)
        model = KernelRidgeClassifier(random_state=0).fit(A, a)
        P = model.predict_proba(B)
        assert model.score(B, b) >= accuracy
        assert log_loss(b, P) < loss
        np.testing.assert_allclose(P.sum(axis=1), 1)
        assert (model.predict(B) == model.classes_[P.argmax(axis=1)]).all()


def test_probabilities_are_calibrated_where_classes_overlap():
    random = np.random.default_rng(0)
    X = random.normal(size=(1_500, 2))
    chance = 1 / (1 + np.exp(-1.5 * X[:, 0]))
    y = (random.uniform(size=1_500) < chance).astype(int)
    P = KernelRidgeClassifier(random_state=0).fit(X[:700], y[:700]).predict_proba(X[700:])
    assert np.abs(P[:, 1] - chance[700:]).mean() < 0.06


def test_diabetes_is_clearly_better_than_the_mean():
    A, a, B, b = parts(load_diabetes)
    assert KernelRidgeRegressor(random_state=0).fit(A, a).score(B, b) > 0.3


def test_learns_from_mirror_images_where_that_helps_and_only_there():
    random = np.random.default_rng(0)
    X = random.normal(size=(400, 6))
    symmetric, odd = np.sin(X[:, 4] * X[:, 5]) * X[:, 3], X[:, 4] + X[:, 5]
    plain = KernelRidgeRegressor(random_state=0).fit(X[:150], symmetric[:150])
    model = KernelRidgeRegressor(n_odd=2, random_state=0).fit(X[:150], symmetric[:150])
    assert model.mirrored_
    image = X * [1, 1, 1, 1, -1, -1]
    np.testing.assert_allclose(model.predict(image), model.predict(X), atol=1e-6)
    assert model.score(X[150:], symmetric[150:]) > plain.score(X[150:], symmetric[150:]) + 0.05
    assert not KernelRidgeRegressor(n_odd=2, random_state=0).fit(X[:150], odd[:150]).mirrored_


@pytest.mark.parametrize("width", [4, 5])
def test_learns_from_mirrored_pictures(width):
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 3 * width * 2))
    grid = X.reshape(-1, 3, width, 2)
    y = np.sin(grid[:, 1, 0, 0]) + np.sin(grid[:, 1, -1, 0])
    plain = KernelRidgeRegressor(random_state=0).fit(X[:150], y[:150])
    model = KernelRidgeRegressor(picture=(3, width, 2), random_state=0).fit(X[:150], y[:150])
    assert model.mirrored_
    mirrored = grid[:, :, ::-1].reshape(X.shape)
    np.testing.assert_allclose(model.predict(mirrored), model.predict(X), atol=1e-6)
    assert model.score(X[150:], y[150:]) > plain.score(X[150:], y[150:])
    # It is the kernel averaged over pictures and their mirror images.
    K = (kernel(X[:150], X[:150], model) + kernel(X[:150], mirrored[:150], model)) / 2
    target = (y[:150] - y[:150].mean()) / y[:150].std()
    dual = np.linalg.solve(K + model.penalty_ * np.eye(150), target)
    np.testing.assert_allclose(model.dual_coef_[:, 0], dual, rtol=1e-6)


def test_a_rung_is_told_what_pictures_its_rows_are():
    told = []

    def make(dataset, seed):
        told.append((dataset.picture, dataset.X.shape[1:]))
        return DummyClassifier()

    random = np.random.default_rng(0)
    for shape, needs in (((5, 7, 4), "numbers"), ((40, 40, 1), "standardized")):
        X = random.integers(0, 256, (24, *shape)).astype(np.uint8)
        data = Dataset.from_arrays(X, np.arange(24) % 2)
        baseline = Baseline(rung=1, title="Dummy", needs=needs, make=make)
        (planned,) = trials(data, [("dummy", baseline)], seeds=1)
        run(planned, baseline, data)
    assert told == [((5, 7, 4), (140,)), ((32, 32, 1), (1024,))]


def test_picture_and_n_odd_exclude_one_another():
    with pytest.raises(ValueError, match="picture or n_odd"):
        KernelRidgeRegressor(n_odd=2, picture=(1, 2, 1)).fit(np.eye(4)[:, :2], np.arange(4.0))


def single(monkeypatch):
    """Everything in float32, in small blocks."""
    monkeypatch.setattr(kernels, "FLOAT64_ROWS", 0)
    monkeypatch.setattr(kernels, "FLOAT64_FEATURES", 0)
    monkeypatch.setattr(kernels, "BLOCK", 64)


def test_a_badly_conditioned_float32_solution_is_refined(monkeypatch):
    X, y = wave(400, noise=0)
    new, _ = wave(100, seed=5)
    model = KernelRidgeRegressor("laplacian", random_state=0)
    wanted = model.fit(X, y).predict(new)
    assert model.penalty_ < kernels.REFINED_PENALTY
    single(monkeypatch)
    refined = np.abs(model.fit(X, y).predict(new) - wanted).max()
    assert refined < 1e-6
    monkeypatch.setattr(kernels, "REFINED_PENALTY", 0)
    assert np.abs(model.fit(X, y).predict(new) - wanted).max() > 10 * refined


def test_what_float32_cannot_solve_is_solved_in_float64(monkeypatch):
    X, y = wave(400, noise=0)
    model = KernelRidgeRegressor("rbf", random_state=0)
    wanted = model.fit(X, y).predict(X)
    single(monkeypatch)
    with pytest.raises(torch.linalg.LinAlgError):
        model._solve_in(torch.float32, X, y[:, None] - y.mean())
    np.testing.assert_allclose(model.fit(X, y).predict(X), wanted, rtol=1e-6)
    assert model.dual_coef_.dtype == np.float64
    # And by Nyström's method where float64 takes more memory than there is.
    monkeypatch.setattr(kernels, "most_rows", lambda device, size: 500 if size == 12 else 100)
    assert model.chosen_["landmarks"] is None
    assert model.set_params(n_landmarks=150).fit(X, y).chosen_["landmarks"] == 150


def test_on_a_gpu_its_memory_sets_the_limit(monkeypatch):
    assert kernels.most_rows("cpu", 12) is None
    assert KernelRidgeRegressor()._most_exact(4) == 10_000
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (48 * 10**9, 80 * 10**9))
    gpu = KernelRidgeRegressor(device="cuda:0")
    assert gpu._most_exact(4) == 60_000  # three matrices of 14.4 GB, and a tenth left
    assert gpu._most_exact(8) == 42_426
    assert gpu.set_params(max_exact=7)._most_exact(8) == 7


def test_duplicates_get_the_same_answer_in_float32():
    random = np.random.default_rng(0)
    X = (1_000 + random.normal(size=(50, 300))).astype(np.float32)
    a = torch.tensor(X - X.mean(axis=0))
    squares = kernels.squared_distances(a, a.clone())
    assert (squares.diagonal() == 0).all()
    assert (squares + torch.eye(50) > 0).all()


@pytest.mark.parametrize("n", [2, 3, 5, 20])
@pytest.mark.parametrize("width", [1, 7])
def test_few_rows_constant_and_doubled_features(n, width):
    random = np.random.default_rng(n)
    X = random.normal(size=(n, width))
    for inputs in (X, np.zeros((n, width)), np.repeat(X[:1], n, axis=0), np.round(X)):
        y = np.arange(n) % 2
        P = KernelRidgeClassifier(random_state=0).fit(inputs, y).predict_proba(inputs)
        assert P.shape == (n, 2)
        np.testing.assert_allclose(P.sum(axis=1), 1)
        number = KernelRidgeRegressor(random_state=0).fit(inputs, X[:, 0]).predict(inputs)
        assert np.isfinite(number).all()
        assert np.abs(number).max() < 10


def test_a_class_may_be_tiny_or_absent():
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = np.where(X[:, 0] > 0, 5, 2)
    y[0] = 9
    model = KernelRidgeClassifier(random_state=0).fit(X, y)
    assert model.classes_.tolist() == [2, 5, 9]
    P = model.predict_proba(X[1:])
    assert 0 < P[:, 2].mean() < 0.1


@pytest.mark.parametrize("max_exact", [10_000, 50])
def test_same_seed_same_predictions_also_through_pickle(max_exact):
    X, y = wave(200)
    codes = (y > 0).astype(int)
    model = KernelRidgeClassifier(max_exact=max_exact, n_landmarks=40, random_state=3)
    first = model.fit(X, codes).predict_proba(X)
    again = clone(model).fit(X, codes)
    assert np.array_equal(again.predict_proba(X), first)
    assert np.array_equal(pickle.loads(pickle.dumps(again)).predict_proba(X), first)


def test_tf32_is_off_while_fitting_and_as_before_afterwards():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with kernels.full_float32():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


def test_an_unknown_kernel_is_named():
    with pytest.raises(ValueError, match="no kernel 'linear'; say auto, rbf or laplacian"):
        KernelRidgeRegressor("linear").fit([[0.0], [1.0]], [0.0, 1.0])
