from __future__ import annotations

import functools
import importlib.util
import pickle
import sys
import warnings
from pathlib import Path

import gpytorch
import numpy as np
import pytest
import torch
from gpytorch.kernels import MaternKernel, RBFKernel, ScaleKernel
from gpytorch.likelihoods import DirichletClassificationLikelihood, GaussianLikelihood
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_blobs
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from rung import Dataset
from rung.errors import RungError

PATH = Path(__file__).parents[1] / "baselines" / "gaussian_process.py"
spec = importlib.util.spec_from_file_location("gaussian_process", PATH)
gp = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = gp  # pickle and dataclasses look the module up
spec.loader.exec_module(gp)

GaussianProcessClassifier = gp.GaussianProcessClassifier
GaussianProcessRegressor = gp.GaussianProcessRegressor

pytestmark = pytest.mark.filterwarnings("error")


class Reference(gpytorch.models.ExactGP):
    """GPyTorch's own exact process, with a given kernel and constant means."""

    def __init__(self, X, y, likelihood, kernel, constant):
        super().__init__(X, y, likelihood)
        self.mean_module = gpytorch.means.ConstantMean(batch_shape=y.shape[:-1])
        self.mean_module.initialize(constant=constant)
        self.covar_module = kernel

    def forward(self, X):
        covariance = self.covar_module(X)
        return gpytorch.distributions.MultivariateNormal(self.mean_module(X), covariance)


@pytest.fixture
def blobs():
    return make_blobs(n_samples=[60, 40, 20, 10], n_features=20, cluster_std=6, random_state=1)


def split(loader):
    X, y = loader(return_X_y=True)
    Xtr, Xte, ytr, yte = train_test_split(X, y, test_size=0.3, random_state=0)
    scaler = StandardScaler().fit(Xtr)
    return scaler.transform(Xtr), scaler.transform(Xte), ytr, yte


def matern(nu, features):
    """GPyTorch's kernel with a lengthscale a feature."""
    kind = RBFKernel if nu == np.inf else functools.partial(MaternKernel, nu)
    return kind(ard_num_dims=features).double()


def reference(model, X, y, likelihood):
    """The log marginal likelihood and a function that gives means and variances."""
    base, posterior = matern(model.kernel_.nu, X.shape[1]), model.posterior_
    base.lengthscale = model.kernel_.lengthscale
    kernel = ScaleKernel(base).double()
    kernel.outputscale = model.kernel_.outputscale
    batch = X.expand(*y.shape[:-1], *X.shape)
    process = Reference(batch, y, likelihood, kernel, posterior.constant.reshape(y.shape[:-1]))
    process = process.double()
    with torch.no_grad(), gpytorch.settings.fast_computations(False, False, False):
        process.train()
        evidence = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, process)(process(batch), y)

        def latents(rows):
            process.eval()
            with torch.no_grad():
                found = process(torch.as_tensor(rows).expand(*y.shape[:-1], *rows.shape))
            return found.mean.numpy(), found.variance.numpy()

    return float(evidence.sum()) * len(X), latents


def test_classifier_is_gpytorchs_dirichlet_process(blobs):
    X, y = blobs
    X = X[:, :8]  # a lengthscale each, and not clipped
    X = StandardScaler().fit(X[:100]).transform(X)
    model = GaussianProcessClassifier(random_state=0).fit(X[:100], y[:100])
    likelihood = DirichletClassificationLikelihood(
        torch.as_tensor(y[:100]), alpha_epsilon=model.alpha_epsilon_, dtype=torch.float64
    )
    targets = likelihood.transformed_targets
    evidence, latents = reference(model, torch.as_tensor(X[:100]), targets, likelihood)
    assert model.posterior_.log_evidence == pytest.approx(evidence, rel=1e-8)
    mean, variance = latents(X[100:])
    expected = np.exp(mean + variance / 2)
    expected = (expected / expected.sum(0)).T
    np.testing.assert_allclose(model.predict_proba(X[100:]), expected, rtol=1e-6)


def test_regressor_is_gpytorchs_process():
    X, X_new, y, _ = split(load_diabetes)
    model = GaussianProcessRegressor(random_state=0).fit(X, y)
    likelihood = GaussianLikelihood().double()
    likelihood.noise = model.noise_
    values = torch.as_tensor((y - y.mean()) / y.std())
    evidence, latents = reference(model, torch.as_tensor(X), values, likelihood)
    assert model.posterior_.log_evidence == pytest.approx(evidence, rel=1e-8)
    mean, variance = latents(X_new)
    predicted, std = model.predict(X_new, return_std=True)
    np.testing.assert_allclose(predicted, y.mean() + y.std() * mean, rtol=1e-6)
    np.testing.assert_allclose(std, y.std() * np.sqrt(variance + model.noise_), rtol=1e-6)


@pytest.mark.parametrize("base", [RBFKernel(), MaternKernel(0.5, ard_num_dims=20)])
def test_gradient_is_that_of_the_evidence(blobs, base):
    X, y = blobs
    X = torch.as_tensor(np.vstack([X[:-1], X[:1]]))  # with a duplicate, at distance 0
    labels = GaussianProcessClassifier()._observe(y, 0.01, torch.float64)
    kernel = ScaleKernel(base).double()
    base.lengthscale = 15.0
    parameters = [kernel.raw_outputscale, base.raw_lengthscale]
    K = kernel(X).to_dense()
    gradient = gp._Posterior(K.detach().clone(), labels).gradient()
    slopes = torch.autograd.grad(K, parameters, gradient)

    for parameter, slope in zip(parameters, slopes, strict=True):
        evidence = []
        for shift in (-1e-4, 2e-4):
            parameter.data += shift
            evidence.append(gp._Posterior(kernel(X).to_dense().detach(), labels).log_evidence)
        parameter.data -= 1e-4
        assert float(slope.sum()) == pytest.approx((evidence[1] - evidence[0]) / 2e-4, rel=1e-5)


@pytest.mark.parametrize("loader", [load_digits, load_diabetes])
def test_from_coarse_to_fine_is_as_likely_as_every_kind_climbed_on_all_rows(loader):
    X, _, y, _ = split(loader)
    X = torch.as_tensor(X).clip(-3, 3)
    few = torch.arange(0, len(X), 3)
    if loader is load_digits:
        targets, least = GaussianProcessClassifier()._observe(y, 0.01, torch.float64), 1e-3
    else:
        values = torch.as_tensor((y - y.mean()) / y.std())[:, None]
        targets, least = gp._Targets(values, 0.0, 0.0, [torch.empty(0, dtype=torch.int64)]), 1e-2
    with torch.no_grad():
        guesses = gp._Likelihood(X[few], targets.take(few), None).kinds()
        likelihood = gp._Likelihood(X, targets, None)
        coarse_to_fine = likelihood.best(guesses)
        everything = max(likelihood.kinds(), key=gp._evidence)
    assert coarse_to_fine.point.nu == everything.point.nu
    assert coarse_to_fine.evidence >= everything.evidence - least * abs(everything.evidence)


def test_targets_of_some_rows_are_what_these_rows_alone_would_give(blobs):
    y = blobs[1]
    rows = torch.as_tensor(np.random.default_rng(0).permutation(len(y))[:60])
    observe = GaussianProcessClassifier()._observe
    found = observe(y, 0.01, torch.float64).take(rows)
    expected = observe(y[rows], 0.01, torch.float64)
    assert torch.equal(found.values, expected.values)
    assert (found.noise, found.drop) == (expected.noise, expected.drop)
    for mine, theirs in zip(found.hits, expected.hits, strict=True):
        assert torch.equal(mine, theirs)


def test_kinds_that_may_get_further_are_climbed_too(blobs, monkeypatch):
    X, y = blobs
    targets = GaussianProcessClassifier()._observe(y, 0.01, torch.float64)
    X, few = torch.as_tensor(X), torch.arange(0, len(y), 3)
    likelihood = gp._Likelihood(X, targets, None)
    climb = gp._Likelihood.climb
    climbed = []

    def watched(self, point):
        climbed.append(point)
        return climb(self, point)

    with torch.no_grad():
        guesses = gp._Likelihood(X[few], targets.take(few), None).kinds()
        monkeypatch.setattr(gp._Likelihood, "climb", watched)
        starts = len(guesses) + 1  # and where the likeliest would begin without few rows
        for reach, expected in ((1e9, starts), (0, 1)):
            monkeypatch.setattr(gp, "REACH", reach)
            climbed.clear()
            best = likelihood.best(guesses)
            assert len(climbed) == expected
            here = [likelihood.at(guess.point) for guess in guesses]
            assert likelihood.at(climbed[0]).evidence >= max(map(gp._evidence, here))
            assert best.evidence >= max(map(gp._evidence, here))


def test_few_rows_that_mislead_are_left_behind():
    X = torch.linspace(-3, 3, 200).double()[:, None]
    y = np.where(np.arange(200) % 20 == 7, 5.0, 0.0)  # seldom something, in none of the few rows
    values = torch.as_tensor((y - y.mean()) / y.std())[:, None]
    targets = gp._Targets(values, 0.0, 0.0, [torch.empty(0, dtype=torch.int64)])
    few = torch.as_tensor(np.flatnonzero(y == 0)[::4])
    likelihood = gp._Likelihood(X, targets, None)
    with torch.no_grad():
        best = likelihood.best(gp._Likelihood(X[few], targets.take(few), None).kinds())
        everything = max(likelihood.kinds(), key=gp._evidence)
    assert best.evidence >= everything.evidence - 1


def test_leave_one_out_is_a_fit_without_the_row(blobs):
    X, y = blobs
    row, others = 3, np.delete(np.arange(len(y)), 3)
    kernel = ScaleKernel(RBFKernel()).double()
    kernel.base_kernel.lengthscale = 20.0
    observe = GaussianProcessClassifier()._observe
    with torch.no_grad():
        K = kernel(torch.as_tensor(X)).to_dense()
        everything = gp._Posterior(K.clone(), observe(y, 0.01, torch.float64))
        without = gp._Posterior(K[others][:, others].clone(), observe(y[others], 0.01, K.dtype))
        # The formula leaves a row out of the weights, not out of the constant means.
        of_ones, _ = without._solve()
        without.weights -= (everything.constant - without.constant) * of_ones
        without.constant = everything.constant
        expected = without.predict(K[others][:, [row]], kernel.outputscale)
    for found, wanted in zip(everything.leave_one_out(), expected, strict=True):
        torch.testing.assert_close(found[row], wanted[0])


def test_float32_agrees_with_float64(blobs, monkeypatch):
    X, y = blobs
    model = GaussianProcessClassifier(random_state=0).fit(X, y)
    monkeypatch.setattr(gp, "FLOAT64_ROWS", 0)
    monkeypatch.setattr(gp, "BLOCK", 17)
    single = GaussianProcessClassifier(random_state=0).fit(X, y)
    assert single.X_fit_.dtype == torch.float32
    np.testing.assert_allclose(model.predict_proba(X), single.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("make", [GaussianProcessClassifier, GaussianProcessRegressor])
def test_is_a_scikit_learn_estimator(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = check_estimator(make(random_state=0, tuning_rows=50), on_skip=None, on_fail=None)
    assert not [r["check_name"] for r in results if r["status"] == "failed"]


def test_diabetes_beats_the_mean_and_its_spread():
    X, X_new, y, y_new = split(load_diabetes)
    mean, std = GaussianProcessRegressor(random_state=0).fit(X, y).predict(X_new, return_std=True)

    def nll(mean, std):
        return np.mean(np.log(std) + 0.5 * ((y_new - mean) / std) ** 2)

    assert np.mean((mean - y_new) ** 2) < 0.75 * np.mean((y.mean() - y_new) ** 2)
    assert nll(mean, std) < nll(y.mean(), y.std()) - 0.1


def test_breast_cancer_is_accurate_and_calibrated():
    X, X_new, y, y_new = split(load_breast_cancer)
    probabilities = GaussianProcessClassifier(random_state=0).fit(X, y).predict_proba(X_new)
    assert np.mean(probabilities.argmax(1) == y_new) > 0.94
    assert -np.log(probabilities[np.arange(len(y_new)), y_new]).mean() < 0.15


def test_a_lengthscale_a_feature_finds_the_one_that_counts():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 6))
    y = 1e4 + 50 * np.sin(3 * X[:, 2]) + rng.normal(size=300)
    model = GaussianProcessRegressor(random_state=0).fit(X[:200], y[:200])
    lengthscales = model.kernel_.lengthscale
    assert lengthscales.argmin() == 2
    mean, std = model.predict(X[200:], return_std=True)
    assert np.sqrt(np.mean((mean - y[200:]) ** 2)) < 5  # with one lengthscale it is about 30
    # In units of the target, noise included.
    assert 0.9 < std.min() < 2
    assert np.mean(np.abs(mean - y[200:]) < 1.96 * std) > 0.88


def test_a_seldom_feature_does_not_decide_distances(blobs):
    X, y = blobs
    rare = np.zeros((len(X), 1))
    rare[5] = 1
    model = GaussianProcessClassifier(random_state=0).fit(np.hstack([X, rare]), y)
    usual, off = (model.predict_proba([[*X[5], value]]) for value in (0, 100))
    np.testing.assert_allclose(usual, off, atol=0.1)


def test_rows_beyond_the_limit_are_drawn_by_class(blobs):
    X, y = blobs
    model = GaussianProcessClassifier(max_rows=65, tuning_rows=30, random_state=0).fit(X, y)
    assert model.n_train_ == 65
    assert [len(h) for h in model.posterior_.targets.hits] == [30, 20, 10, 5]
    again = clone(model).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    other = clone(model).set_params(random_state=1).fit(X, y)
    assert not np.allclose(model.predict_proba(X), other.predict_proba(X))
    # Every class is drawn, even where its share, or the limit, is less than a row.
    few = GaussianProcessClassifier(max_rows=2, tuning_rows=2, random_state=0).fit(X, y)
    assert [len(h) for h in few.posterior_.targets.hits] == [1, 1, 1, 1]


def test_of_very_many_rows_fewer_are_drawn(blobs, monkeypatch):
    X, y = blobs
    monkeypatch.setattr(gp, "MANY", len(X) / 4)
    model = GaussianProcessClassifier(max_rows=64, tuning_rows=30, random_state=0).fit(X, y)
    assert model.n_train_ == 32
    assert GaussianProcessRegressor(max_rows=64, random_state=0).fit(X, y).n_train_ == 32


def test_a_class_missing_and_codes_that_are_no_range():
    X, y = make_blobs(n_samples=60, n_features=3, centers=2, random_state=0)
    model = GaussianProcessClassifier(random_state=0).fit(X, np.array([2, 7])[y])
    assert model.classes_.tolist() == [2, 7]
    assert np.mean(model.predict(X) == np.array([2, 7])[y]) > 0.95


@pytest.mark.parametrize("n", [2, 3, 20])
@pytest.mark.parametrize("d", [2, 40])
def test_tiny_degenerate_data(n, d):
    X = np.zeros((n, d))
    X[:, 0] = np.arange(n) // 2  # duplicates, and features that are constant
    y = np.arange(n) % 2  # duplicates that contradict each other
    classifier = GaussianProcessClassifier(random_state=0).fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X).sum(1), 1)
    constant = GaussianProcessRegressor(random_state=0).fit(X, np.full(n, 3.0))
    np.testing.assert_allclose(constant.predict(X), 3)
    mean, std = GaussianProcessRegressor(random_state=0).fit(X, y).predict(X, return_std=True)
    assert np.isfinite(mean).all()
    assert (std > 0).all()
    same = np.ones((n, d))
    assert np.allclose(GaussianProcessClassifier().fit(same, y).predict_proba(same)[0].sum(), 1)


def test_an_indefinite_matrix_gets_jitter():
    factor = gp._cholesky(torch.ones(50, 50) - 1e-6 * torch.eye(50))
    torch.testing.assert_close(factor @ factor.T, torch.ones(50, 50), atol=5e-5, rtol=0)
    with pytest.raises(RungError, match="not positive definite"):
        gp._cholesky(-torch.eye(3))


@pytest.mark.parametrize("coarse_rows", [350, 80])
def test_learns_from_mirrored_pictures_where_that_makes_the_labels_likelier(
    coarse_rows, monkeypatch
):
    monkeypatch.setattr(gp, "COARSE_ROWS", coarse_rows)
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 24))
    grid = X.reshape(-1, 2, 4, 3)
    mirrored = grid[:, :, ::-1].reshape(X.shape)
    y = (np.abs(grid[:, 0, 0, 0] + grid[:, 0, -1, 0]) > 1).astype(int)
    given = {"picture": (2, 4, 3), "random_state": 0}
    model = GaussianProcessClassifier(**given).fit(X[:120], y[:120])
    plain = GaussianProcessClassifier(random_state=0).fit(X[:120], y[:120])
    assert model.chosen_["mirrored"]
    assert model.posterior_.log_evidence > plain.posterior_.log_evidence
    odd = (X[:, 0] > 0).astype(int)
    assert GaussianProcessClassifier(**given).fit(X[:120], odd[:120]).kernel_.picture is None
    # The kernel is the average, and its variances are those of the rows themselves.
    Z, image = (torch.as_tensor(part[:40]) for part in (X, mirrored))
    base = matern(model.kernel_.nu, 24)
    base.lengthscale = model.kernel_.lengthscale
    average = model.kernel_.outputscale * (base(Z) + base(Z, image)).to_dense().detach() / 2
    torch.testing.assert_close(model.kernel_(Z, Z), average)
    torch.testing.assert_close(model.kernel_(Z, Z.clone()), average)
    torch.testing.assert_close(model.kernel_.variance(Z), average.diagonal())


def test_on_a_gpu_its_memory_sets_the_limit(monkeypatch):
    assert GaussianProcessClassifier()._most_rows(1_000, 4) == 12_000
    monkeypatch.setattr(gp, "most_rows", lambda device, size: 120_000 // size)
    gpu = GaussianProcessClassifier(device="cuda")
    assert gpu._most_rows(gp.MANY, 4) == 10_000
    assert gpu._most_rows(gp.MANY, 8) == 5_000
    assert gpu._most_rows(4 * gp.MANY, 4) == 5_000


@pytest.mark.parametrize("make", [GaussianProcessClassifier, GaussianProcessRegressor])
def test_a_fitted_one_survives_pickling(make, blobs):
    X, y = blobs
    model = make(random_state=0).fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("y", "kind"),
    [([0, 1] * 10, GaussianProcessClassifier), (np.arange(20) + 0.5, GaussianProcessRegressor)],
)
def test_make_gives_the_estimator_of_the_task(y, kind):
    data = Dataset.from_arrays(np.random.RandomState(0).normal(size=(20, 3)), y)
    model = gp.baseline.make(data, 7, max_rows=5)
    assert isinstance(model, kind)
    assert (model.random_state, model.max_rows) == (7, 5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("make", [GaussianProcessClassifier, GaussianProcessRegressor])
def test_cuda_agrees_with_the_processor(make, blobs):
    X, y = blobs
    on_gpu = make(random_state=0, device="cuda", precision="bf16").fit(X, y)
    np.testing.assert_allclose(on_gpu.predict(X), make(random_state=0).fit(X, y).predict(X), 1e-3)
