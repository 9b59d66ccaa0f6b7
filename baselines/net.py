"""A small net for tables: two hidden layers, SGD, one cycle; stopped by held-out rows (Rumelhart et al., 1986)."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from rung.baseline import Baseline
from rung.dataset import Dataset
from rung.training import Loss, outputs, seeded, train

FARTHEST = 5.0  # standard deviations, to which inputs are clipped
# Epochs and dropout that are compared: from noisy targets that a net soon learns by heart to
# functions without noise. The middle one is taken where there are too few rows to compare.
SETTINGS = ((10, 0.3), (30, 0.1), (100, 0.0))
MOST_STEPS = 6_000  # updates
FEWEST_ROWS = 50  # to hold out a fifth of
FEWEST_OF_A_CLASS = 5


def make(dataset: Dataset, seed: int, **parameters: Any) -> Any:
    """The classifier or the regressor, unfitted."""
    if dataset.task == "classification":
        return NetClassifier(random_state=seed, **parameters)
    return NetRegressor(random_state=seed, **parameters)


baseline = Baseline(
    rung=7,
    title="Net",
    modalities=("tabular",),
    needs="standardized",
    gpu=True,
    make=make,
)


def rows_of_batch(n: int) -> int:
    return min(max(n // 16, 8), 256)


def affordable(epochs: int, n: int) -> int:
    """So many epochs of n rows, or those that make MOST_STEPS updates."""
    return max(1, min(epochs, MOST_STEPS * rows_of_batch(n) // n))


class _Net(BaseEstimator):  # type: ignore[misc]
    """What the classifier and the regressor share.

    X: (n, n_features) float, on comparable scales. epochs, dropout (the share of hidden values
    left out in training): given together, else those are taken that predict a fifth of the
    training rows best, by a net trained on the rest. Many rows are passed over less often: after
    MOST_STEPS updates it is enough. width: of the hidden layers.
    """

    _learning_rate: float  # the peak

    def __init__(
        self,
        epochs: int | None = None,
        dropout: float | None = None,
        width: int = 128,
        weight_decay: float = 1e-3,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        precision: str = "fp32",
    ) -> None:
        self.epochs = epochs
        self.dropout = dropout
        self.width = width
        self.weight_decay = weight_decay
        self.random_state = random_state
        self.device = device
        self.precision = precision

    def _fit(
        self, X: NDArray[Any], y: Tensor, n_outputs: int, loss: Loss, strata: NDArray[Any] | None
    ) -> Self:
        """strata: codes of classes, of which the held-out rows have their share, or None."""
        self.n_train_ = n = len(X)
        random = check_random_state(self.random_state)
        seed = random.randint(2**31 - 1)
        chosen = SETTINGS[1]
        smallest = FEWEST_OF_A_CLASS if strata is None else np.bincount(strata).min()
        if self.epochs is not None and self.dropout is not None:
            chosen = (self.epochs, self.dropout)
        elif n >= FEWEST_ROWS and smallest >= FEWEST_OF_A_CLASS:
            rest, held = train_test_split(
                np.arange(n), test_size=0.2, stratify=strata, random_state=seed
            )
            losses = []
            for setting in SETTINGS:
                net = self._train(X[rest], y[rest], n_outputs, loss, seed, *setting)
                losses.append(float(loss(self._answers(net, X[held]), y[held].to(self.device))))
            chosen = SETTINGS[int(np.argmin(losses))]
        self.epochs_, self.dropout_ = affordable(chosen[0], n), chosen[1]
        self.net_ = self._train(X, y, n_outputs, loss, seed, *chosen).cpu()  # for any machine
        return self

    def _train(
        self,
        X: NDArray[Any],
        y: Tensor,
        n_outputs: int,
        loss: Loss,
        seed: int,
        epochs: int,
        dropout: float,
    ) -> nn.Module:
        with seeded(seed, self.device) as generator:
            layers: list[nn.Module] = []
            for inputs in (X.shape[1], self.width):
                layers += [nn.Linear(inputs, self.width), nn.GELU(), nn.Dropout(dropout)]
            net = nn.Sequential(*layers, nn.Linear(self.width, n_outputs)).to(self.device)
            train(
                net,
                self._tensor(X),
                y.to(self.device),
                loss=loss,
                epochs=affordable(epochs, len(X)),
                batch_size=rows_of_batch(len(X)),
                learning_rate=self._learning_rate,
                weight_decay=self.weight_decay,
                generator=generator,
                precision=self.precision,
                longest_gradient=1.0,
            )
        return net

    def _answers(self, net: nn.Module, X: NDArray[Any]) -> Tensor:
        return outputs(net, self._tensor(X), precision=self.precision)

    def _outputs(self, X: Any) -> Tensor:
        """What the net says, (n, n_outputs) float64."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        net = copy.deepcopy(self.net_).to(self.device)
        if self.device == "cpu":  # so that a row's answer does not depend on those beside it
            return outputs(net.double(), self._tensor(X).double()).double()
        return self._answers(net, X).cpu().double()

    def _tensor(self, X: NDArray[Any]) -> Tensor:
        clipped = np.clip(X, -FARTHEST, FARTHEST)
        return torch.tensor(clipped, dtype=torch.float32, device=self.device)


class NetClassifier(ClassifierMixin, _Net):  # type: ignore[misc]
    """A small net for classes. After fit: classes_, net_, epochs_, dropout_, n_train_."""

    _learning_rate = 0.05

    def fit(self, X: Any, y: Any) -> Self:
        """y: (n,) labels. Raises ValueError for NaN, FloatingPointError if training diverges."""
        X, y = validate_data(self, X, y, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        loss = nn.CrossEntropyLoss()
        return self._fit(X, torch.tensor(codes), len(self.classes_), loss, codes)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities, (n, n_classes)."""
        return np.asarray(self._outputs(X).softmax(1))

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable labels, (n,)."""
        best = self._outputs(X).argmax(1).numpy()
        return np.asarray(self.classes_[best])


class NetRegressor(RegressorMixin, _Net):  # type: ignore[misc]
    """A small net for a number; the target is standardised inside."""

    _learning_rate = 0.1

    def fit(self, X: Any, y: Any) -> Self:
        """y: (n,) numbers. Raises ValueError for NaN, FloatingPointError if training diverges."""
        X, y = validate_data(self, X, y, ensure_min_samples=2, y_numeric=True)
        y = y.astype(np.float64)
        self.mean_, self.scale_ = float(y.mean()), float(y.std()) or 1.0
        target = torch.tensor((y - self.mean_) / self.scale_).float()[:, None]
        return self._fit(X, target, 1, nn.MSELoss(), None)

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Numbers, (n,)."""
        return np.asarray(self._outputs(X)[:, 0] * self.scale_ + self.mean_)
