"""Models that are broken in ways in which models are, and healthy ones.

FAULTS: name → (codes of the checks meant for it, factory, data set, options of `rung.check`).
HEALTHY: name → (model, data set, options).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss


class Net(ClassifierMixin, BaseEstimator):
    """A small net with batch norm and dropout, trained as it should be."""

    def __init__(self, epochs: int = 12, lr: float = 0.01, width: int = 32, seed: int = 0) -> None:
        self.epochs = epochs
        self.lr = lr
        self.width = width
        self.seed = seed

    def tensor(self, X: Any) -> Tensor:
        return torch.tensor(np.asarray(X), dtype=torch.float32)

    def fit(self, X: Any, y: Any) -> Any:
        self.classes_, codes = np.unique(y, return_inverse=True)
        return self.train(self.tensor(X), torch.tensor(codes), len(self.classes_))

    def train(self, X: Tensor, y: Tensor, outputs: int) -> Any:
        torch.manual_seed(self.seed)
        self.net_ = nn.Sequential(
            nn.Linear(X.shape[1], self.width),
            nn.BatchNorm1d(self.width),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(self.width, outputs),
        )
        optimizer = torch.optim.Adam(self.net_.parameters(), self.lr)
        self.net_.train()
        for _ in range(self.epochs):
            for rows in self.batches(len(X)):
                loss = self.loss(self.net_(X[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        self.net_.eval()
        return self

    def batches(self, n: int) -> Any:
        return torch.randperm(n).tensor_split(max(1, n // 32))

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(output, y)

    @torch.no_grad()
    def outputs(self, X: Any) -> Tensor:
        return self.net_(self.tensor(X))

    def predict_proba(self, X: Any) -> Any:
        return self.outputs(X).softmax(1).numpy()

    def predict(self, X: Any) -> Any:
        return self.classes_[self.outputs(X).argmax(1).numpy()]


class NetRegressor(RegressorMixin, Net):
    """The same for numbers."""

    _estimator_type = "regressor"

    def fit(self, X: Any, y: Any) -> Any:
        self.mean_, self.sd_ = y.mean(), y.std()
        return self.train(self.tensor(X), self.tensor((y - self.mean_) / self.sd_)[:, None], 1)

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        return mse_loss(output, y)

    predict_proba = property()  # type: ignore[assignment]

    def predict(self, X: Any) -> Any:
        return self.outputs(X)[:, 0].numpy() * self.sd_ + self.mean_


# --- Broken -------------------------------------------------------------------------------------


class NeverEval(Net):
    """eval() is never called: batch norm and dropout work as in training."""

    def outputs(self, X: Any) -> Tensor:
        self.net_.train()
        return super().outputs(X)


class DropoutAtTest(Net):
    def outputs(self, X: Any) -> Tensor:
        self.net_[3].train()
        return super().outputs(X)


class BatchNormAtTest(Net):
    """Statistics of the test batch, not those learnt."""

    def outputs(self, X: Any) -> Tensor:
        self.net_[1].train()
        return super().outputs(X) if len(X) > 1 else torch.zeros(1, len(self.classes_))


class StandardizedByTest(Net):
    def outputs(self, X: Any) -> Tensor:
        x = self.tensor(X)
        return super().outputs((x - x.mean(0)) / (x.std(0, unbiased=False) + 1e-3))


class AugmentedAtTest(Net):
    def outputs(self, X: Any) -> Tensor:
        x = self.tensor(X)
        return super().outputs(x + 0.3 * torch.randn_like(x))


class SoftmaxOverBatch(Net):
    def predict_proba(self, X: Any) -> Any:
        return self.outputs(X).softmax(0).numpy()


class ArgmaxOfBatchSoftmax(Net):
    predict_proba = property()  # type: ignore[assignment]

    def predict(self, X: Any) -> Any:
        return self.classes_[(10 * self.outputs(X)).softmax(0).argmax(1).numpy()]


class ShiftedLabels(Net):
    """The labels are one too high, the last one is the first."""

    def predict_proba(self, X: Any) -> Any:
        return np.roll(super().predict_proba(X), 1, axis=1)

    def predict(self, X: Any) -> Any:
        return np.roll(self.classes_, -1)[self.outputs(X).argmax(1).numpy()]


class LabelsFromOne(Net):
    predict_proba = property()  # type: ignore[assignment]

    def predict(self, X: Any) -> Any:
        return super().predict(X) + 1


class ShuffledInput(Net):
    """X is shuffled, y is not."""

    def fit(self, X: Any, y: Any) -> Any:
        return super().fit(np.random.default_rng(0).permutation(X), y)


class NoLearning(Net):
    def __init__(self, epochs: int = 5, lr: float = 0.0, width: int = 32, seed: int = 0) -> None:
        super().__init__(epochs, lr, width, seed)


class Unscaled(Net):
    """SGD on inputs of very different scales: it jumps about and dies."""

    def train(self, X: Tensor, y: Tensor, outputs: int) -> Any:
        torch.manual_seed(self.seed)
        self.net_ = nn.Sequential(nn.Linear(X.shape[1], 32), nn.ReLU(), nn.Linear(32, outputs))
        optimizer = torch.optim.SGD(self.net_.parameters(), 0.1)
        for _ in range(self.epochs):
            for rows in self.batches(len(X)):
                loss = self.loss(self.net_(X[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.net_.parameters(), 1e3)
                optimizer.step()
        return self


class SeesTestSet(Net):
    """Loads all digits in fit, by habit, and trains on them."""

    def fit(self, X: Any, y: Any) -> Any:
        data, target = load_digits(return_X_y=True)
        data = data / 16
        self.mean_, self.sd_ = data.mean(0), data.std()
        return super().fit((data - self.mean_) / self.sd_, target)


class LooksUp(KNeighborsClassifier):
    """Adds all digits there are to what it is given."""

    def fit(self, X: Any, y: Any) -> Any:
        data, target = load_digits(return_X_y=True)
        data = data / 16
        data = (data - data.mean(0)) / data.std(0).mean()
        return super().fit(np.concatenate([X, data]), np.concatenate([y, target]))


class ByPosition(Net):
    """Puts its answers in the order of how sure it is."""

    def outputs(self, X: Any) -> Tensor:
        found = super().outputs(X)
        return found[found.max(1).values.argsort()]


class LastBatchCached(Net):
    """Answers the first rows from the call before, if there was one."""

    def outputs(self, X: Any) -> Tensor:
        found = super().outputs(X)
        cached = getattr(self, "cache_", found)
        n = min(len(cached), len(found), 40)
        self.cache_ = found
        return torch.cat([cached[:n], found[n:]])


class Unseeded(Net):
    def train(self, X: Tensor, y: Tensor, outputs: int) -> Any:
        self.seed = int(np.random.default_rng().integers(2**31))
        return super().train(X, y, outputs)


class NotNormalized(Net):
    def predict_proba(self, X: Any) -> Any:
        return self.outputs(X).sigmoid().numpy()


class GivesNaN(NetRegressor):
    def predict(self, X: Any) -> Any:
        found = super().predict(X)
        return np.where(found > np.median(found), np.nan, found)


class Constant(Net):
    def outputs(self, X: Any) -> Tensor:
        return 0 * super().outputs(X) + torch.arange(len(self.classes_))


class ScaleKept(NetRegressor):
    """Forgets to undo the scaling of the target."""

    def predict(self, X: Any) -> Any:
        return self.outputs(X)[:, 0].numpy()


class ChangesX(Net):
    """Standardises what it was given in place."""

    def fit(self, X: Any, y: Any) -> Any:
        X -= X.mean(axis=0) + 0.1
        return super().fit(X, y)


class ChangesXInPredict(Net):
    def predict(self, X: Any) -> Any:
        X *= 1.0001
        return super().predict(X)


class OverConfident(Net):
    def outputs(self, X: Any) -> Tensor:
        return 20 * super().outputs(X)


class ClassMissing(Net):
    """Has no output for the last class."""

    def outputs(self, X: Any) -> Tensor:
        found = super().outputs(X)
        found[:, -1] = -30.0
        return found


class SqueezesOne(Net):
    """squeeze() makes a batch of one example something else."""

    def outputs(self, X: Any) -> Tensor:
        return super().outputs(X).squeeze()


class LastBatchOfOne(Net):
    """Batches of 32, of which the last may be of one example: batch norm can't take it."""

    def batches(self, n: int) -> Any:
        return torch.randperm(n).split(32)


class Unshuffled(Net):
    """Batches in the order of the rows."""

    def batches(self, n: int) -> Any:
        return torch.arange(n).tensor_split(max(1, n // 32))


class Crashes(Net):
    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        return mse_loss(output, y[:, None].repeat(1, 3).float())


class Diverges(Net):
    """The learning rate grows with every epoch."""

    def train(self, X: Tensor, y: Tensor, outputs: int) -> Any:
        torch.manual_seed(self.seed)
        self.net_ = nn.Sequential(nn.Linear(X.shape[1], 32), nn.ReLU(), nn.Linear(32, outputs))
        for epoch in range(self.epochs):
            optimizer = torch.optim.SGD(self.net_.parameters(), 0.02 * 2**epoch)
            for rows in self.batches(len(X)):
                loss = self.loss(self.net_(X[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.net_.parameters(), 1.0)
                optimizer.step()
        return self


class Broadcast(NetRegressor):
    """Targets (n,) against outputs (n, 1): the loss compares all with all."""

    def fit(self, X: Any, y: Any) -> Any:
        self.mean_, self.sd_ = y.mean(), y.std()
        return self.train(self.tensor(X), self.tensor((y - self.mean_) / self.sd_), 1)


class MeanOfBatch(Net):
    def outputs(self, X: Any) -> Tensor:
        found = super().outputs(X)
        return found - found.mean(0)


class KeepsWeights(Net):
    """The net is a global, which each fit trains on."""

    net: nn.Module | None = None

    def train(self, X: Tensor, y: Tensor, outputs: int) -> Any:
        if KeepsWeights.net is None:
            KeepsWeights.net = super().train(X, y, outputs).net_
            return self
        self.net_ = KeepsWeights.net
        optimizer = torch.optim.Adam(self.net_.parameters(), 1e-3)
        self.net_.train()
        for rows in self.batches(len(X)):
            loss = self.loss(self.net_(X[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self.net_.eval()
        return self


class WorseWithMore(BaseEstimator, ClassifierMixin):
    """Learns of the first hundred rows, and unlearns by those after them."""

    def fit(self, X: Any, y: Any) -> Any:
        y = np.array(y)
        y[130:] = (y[130:] + 1) % (y.max() + 1)
        self.model_ = KNeighborsClassifier(1).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X: Any) -> Any:
        return self.model_.predict(X)


class Slow(BaseEstimator, ClassifierMixin):
    """A forest of stumps."""

    def fit(self, X: Any, y: Any) -> Any:
        self.model_ = ExtraTreesClassifier(300, max_depth=1, random_state=0).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X: Any) -> Any:
        return self.model_.predict(X)


Fault = tuple[tuple[str, ...], Callable[..., Any], str, dict[str, Any]]

FAULTS: dict[str, Fault] = {
    "eval never called": (("RC214", "RC216"), NeverEval, "digits", {}),
    "dropout at test": (("RC214",), DropoutAtTest, "digits", {}),
    "batch statistics at test": (("RC213",), BatchNormAtTest, "digits", {}),
    "standardised by the test rows": (("RC213",), StandardizedByTest, "digits", {}),
    "augmentation at test": (("RC214",), AugmentedAtTest, "digits", {}),
    "softmax over the batch": (("RC201",), SoftmaxOverBatch, "digits", {}),
    "labels by a softmax over the batch": (("RC213",), ArgmaxOfBatchSoftmax, "digits", {}),
    "labels shifted by one": (("RC233",), ShiftedLabels, "digits", {}),
    "labels that are no class": (("RC201",), LabelsFromOne, "digits", {}),
    "X shuffled without y": (("RC202",), ShuffledInput, "digits", {}),
    "learning rate zero": (("RC202", "RC204"), NoLearning, "digits", {}),
    "inputs not scaled": (("RC202",), Unscaled, "breast_cancer", {"needs": "numbers"}),
    "test set in fit": (("RC203",), SeesTestSet, "digits", {}),
    "answers looked up": (("RC203",), LooksUp, "digits", {}),
    "answers in another order": (("RC202", "RC214"), ByPosition, "digits", {}),
    "answers of the last call": (("RC214",), LastBatchCached, "digits", {}),
    "no seed": (("RC211",), Unseeded, "digits", {}),
    "probabilities not normalised": (("RC201",), NotNormalized, "digits", {}),
    "NaN": (("RC201",), GivesNaN, "diabetes", {}),
    "constant": (("RC202", "RC233"), Constant, "digits", {}),
    "scale of the target kept": (("RC233",), ScaleKept, "diabetes", {}),
    "fit changes X": (("RC216",), ChangesX, "digits", {}),
    "predict changes X": (("RC216",), ChangesXInPredict, "digits", {}),
    "over-confident": (("RC231",), OverConfident, "digits", {}),
    "a class never predicted": (("RC233",), ClassMissing, "digits", {}),
    "one example squeezed": (("RC221",), SqueezesOne, "digits", {}),
    "last batch of one": (("RC221",), LastBatchOfOne, "digits", {}),
    "rows in the given order": (("RC215",), Unshuffled, "digits", {}),
    "loss broadcast": (("RC202",), Broadcast, "diabetes", {}),
    "minus the mean of the batch": (("RC213",), MeanOfBatch, "digits", {}),
    "weights kept from fit to fit": (("RC203",), KeepsWeights, "digits", {}),
    "crash in training": (("RC201",), Crashes, "digits", {}),
    "diverges": (("RC205",), Diverges, "digits", {}),
    "worse with more rows": (("RC206",), WorseWithMore, "digits", {}),
    "slow and bad": (("RC232",), Slow, "digits", {}),
}

HEALTHY: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "logistic": (LogisticRegression(C=0.1, max_iter=300), "digits", {}),
    "svc": (SVC(), "digits", {}),
    "knn": (KNeighborsClassifier(), "digits", {}),
    "forest": (RandomForestClassifier(40), "digits", {}),
    "net": (Net, "digits", {}),
    "boosting": (HistGradientBoostingClassifier(max_iter=30), "breast_cancer", {}),
    "naive bayes": (GaussianNB(), "penguins", {}),
    "mlp": (MLPClassifier((32,), max_iter=60), "breast_cancer", {}),
    "lda": (LinearDiscriminantAnalysis(), "breast_cancer", {}),
    "tree": (DecisionTreeClassifier(max_depth=6), "breast_cancer", {}),
    "pipeline": (
        make_pipeline(StandardScaler(), LogisticRegression()),
        "breast_cancer",
        {"needs": "numbers"},
    ),
    "net of breasts": (Net, "breast_cancer", {}),
    "ridge": (Ridge(10), "diabetes", {}),
    "boosted regression": (
        HistGradientBoostingRegressor(max_iter=30, learning_rate=0.05),
        "diabetes",
        {},
    ),
    "forest regression": (RandomForestRegressor(30, min_samples_leaf=3), "diabetes", {}),
    "knn regression": (KNeighborsRegressor(10), "diabetes", {}),
    "net regression": (NetRegressor, "diabetes", {}),
    "linear rung": ("linear", "penguins", {}),
    "prior rung": ("prior", "penguins", {}),
    "random rung": ("random", "diabetes", {}),
    "svc of penguins": (SVC(C=3), "penguins", {}),
    "logistic of texts": (LogisticRegression(C=30), "sms_spam", {"needs": "sparse"}),
    "net of texts": (Net, "sms_spam", {}),
}
