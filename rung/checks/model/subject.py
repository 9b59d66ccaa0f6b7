"""A model with data, as its checks see it: what several of them need is fitted once."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rung import features, trial
from rung.checks.base import Check, NotApplicable
from rung.checks.model.given import Given, is_net, nets_of, raised, seeds
from rung.dataset import Dataset, id_hash, is_frame, take
from rung.metrics import SMALLEST_PROBABILITY

if TYPE_CHECKING:
    from torch import nn

    from rung.checks.net.recording import Recording
    from rung.checks.net.seen import Trained

# Rows that are trained and tested on; many fits must be paid for.
MOST_TRAIN, MOST_TEST = 1_500, 1_000
FAST_TRAIN, FAST_TEST = 500, 500
# Answers that differ by less are the same: probabilities, or shares of the targets' deviation.
TOLERANCE = 1e-3


def same(a: Any, b: Any) -> bool:
    """Whether two such hold the same."""
    if is_frame(a):
        return bool(a.equals(b))
    if hasattr(a, "nnz"):
        return bool(a.shape == b.shape and (a != b).nnz == 0)
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


@dataclass(frozen=True, eq=False)
class Predicted:
    """label: (n,) codes or numbers; proba: (n, n_classes) float32 or None."""

    label: NDArray[Any]
    proba: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted model. training: what was seen of torch while it was fitted, None without torch.

    changed: which of X and y it was fitted to are no longer as they were.
    """

    estimator: Any
    dataset: Dataset
    seconds: float
    training: Recording | None
    changed: tuple[str, ...] = ()

    def predict(self, X: Any) -> Predicted:
        """Of a copy of X. Raises what the model raises, and trial.BadPredictions for what can't be
        scored."""
        label, proba, std, _ = trial.predict(self.estimator, None, X.copy(), self.dataset, "cpu")
        trial.check(self.dataset, X.shape[0], label, proba, std)
        return Predicted(label, proba)


@dataclass(frozen=True, eq=False)
class Model:
    """A model and data. X_train, X_test: what it is fed, (n, ...); y as in the data set.

    Raises nothing when it is made; `fitted` raises NotApplicable if the model can't be fitted, and
    `failure` says why.
    """

    given: Given
    dataset: Dataset
    fast: bool = False
    fits: dict[Any, Fitted | Exception] = field(default_factory=dict)
    answers: dict[int, Predicted] = field(default_factory=dict)

    # --- Data -----------------------------------------------------------------------------------

    @cached_property
    def train(self) -> NDArray[np.int64]:
        return self._some(self.dataset.splits[0].train, FAST_TRAIN if self.fast else MOST_TRAIN)

    @cached_property
    def test(self) -> NDArray[np.int64]:
        return self._some(self.dataset.splits[0].test, FAST_TEST if self.fast else MOST_TEST)

    def _some(self, rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        ranks = np.array([id_hash(f"check/{i}") for i in self.dataset.ids[rows]], np.uint64)
        return np.asarray(rows[np.argsort(ranks, kind="stable")[:most]])

    @cached_property
    def _features(self) -> tuple[Any, Any]:
        needs: Any = self.needs
        if self.module and self.dataset.modality == "image":
            pixels = features.pixels(self.dataset, self.given.px)
            train, test = (
                pixels[rows].transpose(0, 3, 1, 2).astype(np.float32)
                for rows in (self.train, self.test)
            )
            if needs == "pixels":
                return train, test
            mean = train.mean(axis=(0, 2, 3), keepdims=True)
            sd = np.maximum(train.std(axis=(0, 2, 3), keepdims=True), 1e-6)
            return (train - mean) / sd, (test - mean) / sd
        X = features.raw(self.dataset, needs, self.given.px)
        train, test = take(X, self.train), take(X, self.test)
        fitted = features.fitted(self.dataset, needs)
        if fitted is None:
            return train, test
        return fitted.fit_transform(train), fitted.transform(test)

    @property
    def X_train(self) -> Any:  # noqa: N802
        return self._features[0]

    @property
    def X_test(self) -> Any:  # noqa: N802
        return self._features[1]

    @cached_property
    def y_train(self) -> NDArray[Any]:
        return np.asarray(self.dataset.y[self.train])

    @cached_property
    def y_test(self) -> NDArray[Any]:
        return np.asarray(self.dataset.y[self.test])

    @property
    def classification(self) -> bool:
        return self.dataset.task == "classification"

    # --- The model ------------------------------------------------------------------------------

    @cached_property
    def module(self) -> bool:
        """Whether the factory makes torch modules, which are then trained by `NetEstimator`."""
        with seeds(0):
            # What it makes can depend on what it is shown, its kind hardly.
            needs: Any = self.given.needs or "numbers"
            X = take(features.raw(self.dataset, needs, self.given.px), self.train)
            try:
                return is_net(self.given.make(self.shown(X, self.y_train), 0))
            except Exception:  # fails again when it is fitted, where `failure` says so
                return False

    @cached_property
    def needs(self) -> str:
        return self.given.needs or "standardized"

    def shown(self, X: Any, y: NDArray[Any]) -> Dataset:
        """A training part as a rung is shown it."""
        ids = np.arange(len(y)).astype(np.str_)
        needs: Any = self.needs
        picture = features.picture_shape(self.dataset, needs, self.given.px)
        return dataclasses.replace(
            self.dataset, X=X, y=y, ids=ids, splits=(), picture=picture, fingerprint="a part of it"
        )

    def net(self, seed: int = 0) -> nn.Module:
        """A fresh module from the factory, for the data as they are; lazy layers get their shape."""
        import torch

        with seeds(seed):
            made: nn.Module = self.given.make(self.shown(self.X_train, self.y_train), seed)
            if any(map(torch.nn.parameter.is_lazy, made.parameters())):
                from rung.checks.net.estimator import tensor

                with torch.no_grad():
                    made.eval()(tensor(self.X_train[:2]))
                made.train()
            return made

    def make(self, X: Any, y: NDArray[Any], seed: int = 0, **options: Any) -> Any:
        """A fresh estimator for this training part. options: of `NetEstimator`, for a module."""
        if self.module:
            from rung.checks.net.estimator import NetEstimator

            return NetEstimator(lambda: self.net(seed), self.dataset.task, seed=seed, **options)
        return self.given.make(self.shown(X, y), seed)

    def fit(
        self,
        X: Any,
        y: NDArray[Any],
        seed: int = 0,
        *,
        parameters: dict[str, Any] | None = None,
        **options: Any,
    ) -> Fitted:
        """A fresh model fitted to copies of X and y, with all random state seeded. parameters: set
        before. Raises what it raises."""
        given_X, given_y = X.copy(), y.copy()
        with seeds(seed):
            estimator = self.make(given_X, given_y, seed, **options)
            if parameters:
                estimator.set_params(**parameters)
            start = time.perf_counter()
            if "torch" in sys.modules:
                from rung.checks.net.recording import recorded

                with recorded() as training:
                    estimator.fit(given_X, given_y)
            else:
                training = None
                estimator.fit(given_X, given_y)
            seconds = time.perf_counter() - start
        pairs = {"X": (X, given_X), "y": (y, given_y)}
        changed = tuple(name for name, (a, b) in pairs.items() if not same(a, b))
        return Fitted(estimator, self.shown(X, y), seconds, training, changed)

    def once(self, what: Any, fit: Callable[[], Fitted]) -> Fitted:
        """What `fit` returned when it was first asked for by this name ("permuted labels").

        Raises NotApplicable if it raised something.
        """
        if what not in self.fits:
            try:
                self.fits[what] = fit()
            except Exception as error:
                self.fits[what] = error
        found = self.fits[what]
        if isinstance(found, Exception):
            raise NotApplicable(f"it can't be fitted to {what}: {raised(found)}")
        return found

    def seed(self, seed: int) -> Fitted:
        """The model fitted to the training part with this seed, once, its `answers` of the test
        part kept. Raises NotApplicable if it can't be fitted or answers with what can't be scored.
        """

        def fit() -> Fitted:
            found = self.fit(self.X_train, self.y_train, seed)
            self.answers[seed] = found.predict(self.X_test)
            return found

        try:
            return self.once(seed, fit)
        except NotApplicable:
            raise NotApplicable("the model can't be fitted or can't predict") from None

    @property
    def fitted(self) -> Fitted:
        return self.seed(0)

    @property
    def failure(self) -> Exception | None:
        """What was raised when the model was fitted with seed 0 or predicted, or None."""
        try:
            self.seed(0)
        except NotApplicable:
            error = self.fits[0]
            assert isinstance(error, Exception)
            return error
        return None

    @cached_property
    def training(self) -> tuple[Any, Recording | None]:
        """The estimator of seed 0 and what was seen of torch in its fit, also where that failed."""
        if not self.failure:
            return self.fitted.estimator, self.fitted.training
        with seeds(0):
            try:
                estimator = self.make(self.X_train, self.y_train)
            except Exception:  # the factory's; `failure` says so
                return None, None
            if "torch" not in sys.modules:
                return estimator, None
            from rung.checks.net.recording import recorded

            # What it raises was told before; of interest is what came before it.
            with recorded() as seen, contextlib.suppress(Exception):
                estimator.fit(self.X_train, self.y_train)
        return estimator, seen

    @cached_property
    def trained(self) -> Trained:
        """Its net after training, with what was seen of that. Raises NotApplicable without one."""
        from rung.checks.net.seen import trained

        return trained(*self.training)

    @cached_property
    def predicted(self) -> Predicted:
        """Of the test rows, by the model of seed 0."""
        return self.of_seed(0)

    def of_seed(self, seed: int) -> Predicted:
        """Of the test rows, by the model of this seed, as it answered first."""
        self.seed(seed)
        return self.answers[seed]

    def values(self, predicted: Predicted, y: NDArray[Any]) -> NDArray[np.float64]:
        """(n,) values per example, higher is better: 1 where the label is right, or minus the
        squared error in units of the variance of the training targets."""
        if self.classification:
            return np.asarray(predicted.label == y, dtype=np.float64)
        missed = np.asarray(predicted.label - y, dtype=np.float64)
        return -(missed**2) / max(float(self.y_train.var()), 1e-300)

    def losses(self, predicted: Predicted, y: NDArray[Any]) -> NDArray[np.float64]:
        """(n,) lower is better: log loss, nats, where there are probabilities, else -`values`."""
        if predicted.proba is None:
            return -self.values(predicted, y)
        right = predicted.proba[np.arange(len(y)), y].astype(np.float64)
        return np.asarray(-np.log(np.clip(right, SMALLEST_PROBABILITY, 1)))

    @cached_property
    def prior(self) -> Predicted:
        """The class frequencies of the training part, or its mean, for each test row."""
        n = len(self.y_test)
        if not self.classification:
            return Predicted(np.full(n, self.y_train.mean()), None)
        shares = np.bincount(self.y_train, minlength=self.dataset.n_classes) / len(self.y_train)
        return Predicted(np.full(n, shares.argmax()), np.tile(shares.astype(np.float32), (n, 1)))

    def differ(self, a: Predicted, b: Predicted) -> NDArray[np.bool_]:
        """(n,) where two answers are not the same up to TOLERANCE."""
        if not self.classification:
            most = TOLERANCE * max(float(self.y_train.std()), 1e-300)
            return np.asarray(np.abs(a.label - b.label) > most)
        if a.proba is None or b.proba is None:
            return np.asarray(a.label != b.label)
        # Of classes that are as probable as each other, rounding may choose either.
        last_two = np.sort(a.proba, axis=1)[:, -2:]
        clear = np.ptp(last_two, axis=1) > TOLERANCE
        changed = np.abs(a.proba - b.proba).max(axis=1) > TOLERANCE
        return np.asarray(changed | (clear & (a.label != b.label)))

    @cached_property
    def offers(self) -> frozenset[str]:
        found: set[str] = {self.dataset.task, self.dataset.modality}
        if self.needs != "nothing":
            found.add("input")
        if self.module:
            found |= {"module", "net"}
        else:
            estimator, training = self.training
            if not self.failure and hasattr(estimator, "predict_proba"):
                found.add("probabilities")
            if nets_of(estimator) or (training is not None and training.steps):
                found.add("net")
        if self.module and self.classification:
            found.add("probabilities")
        return frozenset(found)


class ModelCheck(Check[Model]):
    """A check of a model."""
