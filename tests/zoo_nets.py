"""Nets and loops that are broken in one way each, and healthy ones.

FAULTS: name → (codes of the checks that are meant to find it, factory, data set, options of
`check`). HEALTHY: name → (factory, data set, options).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor, nn
from torch.nn import functional

from rung import Dataset


def rare() -> Dataset:
    """A table of two classes, one of fifty times the size of the other."""
    rng = np.random.default_rng(0)
    y = (np.arange(1_600) % 51 == 0).astype(int)
    X = rng.normal(size=(len(y), 6))
    X[:, 0] += 2.5 * y
    return Dataset.from_arrays(X, np.array(["no", "yes"])[y], name="rare")


def binary() -> Dataset:
    """A table of two classes of one size."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(800, 6))
    y = (X[:, 0] + X[:, 1] + rng.normal(size=len(X)) / 2 > 0).astype(int)
    return Dataset.from_arrays(X, y, name="binary")


def numbers() -> Dataset:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(800, 6))
    y = X[:, 0] - 2 * X[:, 1] + rng.normal(size=len(X)) / 2
    return Dataset.from_arrays(X, y, name="numbers", task="regression")


# --- Nets -----------------------------------------------------------------------------------------


def mlp(n_features: int, n_outputs: int, width: int = 64) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(n_features, width), nn.ReLU()),
        *(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, n_outputs)),
    )


def convnet(n_outputs: int, norm: bool = True, dropout: float = 0.0) -> nn.Sequential:
    def norm_of(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels) if norm else nn.Identity()

    return nn.Sequential(
        *(nn.Conv2d(1, 12, 3, padding=1), norm_of(12), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 24, 3, padding=1), norm_of(24), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(dropout), nn.Linear(24 * 4, n_outputs)),
    )


class Lightning(nn.Module):
    """A module that brings its loop: what a fault changes is a method of a subclass."""

    lr = 1e-3

    def __init__(self, n_features: int = 64, n_classes: int = 10) -> None:
        super().__init__()
        self.n_features, self.n_classes = n_features, n_classes
        self.body = self.make_body()

    def make_body(self) -> nn.Module:
        return mlp(self.n_features, self.n_classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out

    def compare(self, out: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(out, y)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        return self.compare(self(x), y)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Loop(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator with a loop of its own, for pictures as rows of 64 numbers."""

    epochs, batch, lr = 10, 32, 1e-3

    def __init__(self, random_state: int | None = None) -> None:
        self.random_state = random_state

    def make(self, n_features: int, n_classes: int) -> nn.Module:
        return mlp(n_features, n_classes)

    def optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(net.parameters(), lr=self.lr)

    def order(self, y: Tensor) -> Tensor:
        return torch.randperm(len(y))

    def step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def fit(self, X: Any, y: Any) -> Self:
        self.classes_, codes = np.unique(y, return_inverse=True)
        inputs, targets = torch.tensor(X, dtype=torch.float32), torch.tensor(codes)
        self.net_ = self.make(inputs.shape[1], len(self.classes_))
        optimizer = self.optimizer(self.net_)
        self.net_.train()
        for _ in range(self.epochs):
            for rows in self.order(targets).split(self.batch):
                loss = functional.cross_entropy(self.net_(inputs[rows]), targets[rows])
                self.step(optimizer, loss)
        return self

    def predict_proba(self, X: Any) -> Any:
        self.net_.eval()
        with torch.no_grad():
            return self.net_(torch.tensor(X, dtype=torch.float32)).softmax(1).double().numpy()

    def predict(self, X: Any) -> Any:
        return self.classes_[self.predict_proba(X).argmax(1)]


# --- Faults of loops of one's own -------------------------------------------------------------------


class NeverEval(Loop):
    def make(self, n_features: int, n_classes: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Linear(n_features, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.3)),
            nn.Linear(64, n_classes),
        )

    def predict_proba(self, X: Any) -> Any:
        with torch.no_grad():
            return self.net_(torch.tensor(X, dtype=torch.float32)).softmax(1).double().numpy()


class AlwaysEval(NeverEval):
    def step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        super().step(optimizer, loss)
        self.net_.eval()

    predict_proba = Loop.predict_proba


class NeverCleared(Loop):
    def step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        loss.backward()
        optimizer.step()


class StepsOfNothing(Loop):
    lr = 0.0


class ThousandTimes(Loop):
    lr = 1.0


class TinyGradients(Loop):
    def optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        self.parameters_ = list(net.parameters())
        return torch.optim.SGD(net.parameters(), lr=0.1)

    def step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters_, 1e-6)
        optimizer.step()


class HeadForgotten(Loop):
    def optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(list(net.parameters())[:-2], lr=self.lr)


class HeavyDecay(Loop):
    def optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(net.parameters(), lr=0.01, weight_decay=10)


class HeavyAdamW(Loop):
    def optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(net.parameters(), lr=self.lr, weight_decay=100)


class ByClass(Loop):
    def order(self, y: Tensor) -> Tensor:
        return y.argsort()


class OneByOne(Loop):
    epochs, batch = 1, 1

    def make(self, n_features: int, n_classes: int) -> nn.Module:
        return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), convnet(n_classes))


class Maximised(Loop):
    def step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        super().step(optimizer, -loss)


# --- Faults of modules ------------------------------------------------------------------------------


class DropoutAlways(Lightning):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(functional.dropout(x, 0.3))  # type: ignore[no-any-return]


class SoftmaxFirst(Lightning):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).softmax(1)  # type: ignore[no-any-return]


class NllOfLogits(Lightning):
    def compare(self, out: Tensor, y: Tensor) -> Tensor:
        return functional.nll_loss(out, y)


class NllOfProbabilities(Lightning):
    def compare(self, out: Tensor, y: Tensor) -> Tensor:
        return functional.nll_loss(out.softmax(1), y)


class LossOfWrongAxis(Lightning):
    def compare(self, out: Tensor, y: Tensor) -> Tensor:
        return functional.nll_loss(functional.log_softmax(out, dim=0), y)


class SoftmaxOverBatch(Lightning):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x * x.flatten(1).softmax(0).view_as(x) * len(x))  # type: ignore[no-any-return]


class ViewForPermute(Lightning):
    def make_body(self) -> nn.Module:
        self.mix = nn.Linear(8, 8)
        return mlp(64, self.n_classes)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.view(len(x), 8, 8).permute(1, 0, 2)  # by row of the picture
        return self.body(self.mix(rows).reshape(len(x), 64))  # type: ignore[no-any-return]


class MeanOverBatch(Lightning):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x - x.mean(0))  # type: ignore[no-any-return]


class Frozen(Lightning):
    def make_body(self) -> nn.Module:
        body = mlp(self.n_features, self.n_classes)
        body[1].requires_grad_(False)
        return body


class LeftOut(Lightning):
    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.body[1].parameters(), lr=self.lr)  # type: ignore[index]


class Detached(Lightning):
    def forward(self, x: Tensor) -> Tensor:
        hidden = self.body[:3](x).detach()  # type: ignore[index]
        return self.body[3:](hidden)  # type: ignore[index, no-any-return]


class Unused(Lightning):
    def make_body(self) -> nn.Module:
        self.spare = nn.Linear(5, 5)
        return super().make_body()


class Zeros(Lightning):
    def make_body(self) -> nn.Module:
        body = mlp(self.n_features, self.n_classes)
        for parameter in body.parameters():
            nn.init.zeros_(parameter)
        return body


class Constant(Lightning):
    def make_body(self) -> nn.Module:
        body = mlp(self.n_features, self.n_classes)
        for parameter in body.parameters():
            nn.init.constant_(parameter, 0.02)
        return body


class HugeWeights(Lightning):
    def make_body(self) -> nn.Module:
        body = mlp(self.n_features, self.n_classes)
        for layer in (body[1], body[3], body[5]):
            nn.init.normal_(layer.weight, std=1.0)  # type: ignore[arg-type]
        return body


class ClippedLoss(Lightning):
    def compare(self, out: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(out, y).clamp(max=1.0)


class HalfOverflow(Lightning):
    def forward(self, x: Tensor) -> Tensor:
        hidden = self.body[:2](1e6 * x)  # type: ignore[index]
        return self.body[2:](hidden / 1e6)  # type: ignore[index, no-any-return]


class LogOfZero(Lightning):
    def compare(self, out: Tensor, y: Tensor) -> Tensor:
        wrong = 1 - functional.one_hot(y, self.n_classes)
        return -(wrong * torch.log(functional.relu(out))).mean()


class RootAtZero(Lightning):
    def compare(self, out: Tensor, y: Tensor) -> Tensor:
        moved = out - out.detach()  # 0, where a root has no gradient
        return functional.cross_entropy(out, y) + moved.pow(2).sum().sqrt()


class DeadUnits(Lightning):
    def make_body(self) -> nn.Module:
        body = mlp(self.n_features, self.n_classes)
        nn.init.constant_(body[3].bias, -10.0)  # type: ignore[arg-type]
        return body


class Saturated(Lightning):
    def make_body(self) -> nn.Module:
        first = nn.Linear(self.n_features, 64)
        nn.init.normal_(first.weight, std=5.0)
        return nn.Sequential(nn.Flatten(), first, nn.Tanh(), nn.Linear(64, self.n_classes))


class Raw(Lightning):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(127 + 64 * x)  # type: ignore[no-any-return]


class AugmentedAlways(Lightning):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x + 0.5 * torch.randn_like(x))  # type: ignore[no-any-return]


class ShuffledInputs(Lightning):
    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        return self.compare(self(x[torch.randperm(len(x))]), y)


class ShiftedLabels(Lightning):
    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        return self.compare(self(x), (y + 1) % self.n_classes)


class Remembers(Lightning):
    def forward(self, x: Tensor) -> Tensor:
        before = getattr(self, "before", torch.zeros(()))
        self.before = x.detach().mean()
        return self.body(x + 5 * before)  # type: ignore[no-any-return]


class PredictsInTraining(Lightning):
    def make_body(self) -> nn.Module:
        return convnet(self.n_classes, dropout=0.2)

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.train()
        return self(batch)  # type: ignore[no-any-return]


class DeepSigmoids(Lightning):
    def make_body(self) -> nn.Module:
        hidden = [m for _ in range(8) for m in (nn.Linear(32, 32), nn.Sigmoid())]
        first = nn.Linear(self.n_features, 32)
        return nn.Sequential(nn.Flatten(), first, *hidden, nn.Linear(32, self.n_classes))


class TimeFirst(nn.Module):
    """A GRU that takes the examples for the moments."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.gru = nn.GRU(8, 32)
        self.head = nn.Linear(32, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(x.squeeze(1))[0][:, -1])  # type: ignore[no-any-return]


class SlowNorm(Lightning):
    def make_body(self) -> nn.Module:
        body = convnet(self.n_classes)
        for layer in body:
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 1e-5
        return nn.Sequential(Scaled(20.0, 100.0), body)


class Scaled(nn.Module):
    def __init__(self, by: float, shift: float) -> None:
        super().__init__()
        self.by, self.shift = by, shift

    def forward(self, x: Tensor) -> Tensor:
        return self.by * x + self.shift


class Half(Lightning):
    """Looks at the left half only."""

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.ones_like(x)
        mask[..., 4:] = 0
        return self.body(x * mask)  # type: ignore[no-any-return]


class ColumnCut(nn.Module):
    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.body = mlp(n_features - 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x[:, 2:])  # type: ignore[no-any-return]


class AllPairs(nn.Module):
    """(n, 1) against (n,)."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.body = mlp(n_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)  # type: ignore[no-any-return]

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return ((output - target) ** 2).mean()


class AllPairsOfLoss(AllPairs):
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(output, target)


class FarTarget(AllPairs):
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(output.squeeze(1), target + 100)


class SigmoidFirst(nn.Module):
    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(mlp(n_features, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)  # type: ignore[no-any-return]

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(output.squeeze(1), target.float())


def raw_mlp(n_features: int, n_classes: int) -> nn.Module:
    return mlp(n_features, n_classes)


Fault = tuple[tuple[str, ...], Callable[..., Any], str | Callable[[], Dataset], dict[str, Any]]
DIGITS = "digits"

FAULTS: dict[str, Fault] = {
    "eval never called": (("RC331",), NeverEval, DIGITS, {}),
    "eval never called in predict_step": (("RC331",), PredictsInTraining, DIGITS, {}),
    "trained in eval mode": (("RC332",), AlwaysEval, DIGITS, {}),
    "dropout functional always on": (("RC334",), DropoutAlways, DIGITS, {}),
    "augmentation at test": (("RC334",), AugmentedAlways, DIGITS, {}),
    "retained input": (("RC334",), Remembers, DIGITS, {}),
    "softmax before cross-entropy": (("RC302",), SoftmaxFirst, DIGITS, {}),
    "nll of logits": (("RC302",), NllOfLogits, DIGITS, {}),
    "nll of probabilities": (("RC302",), NllOfProbabilities, DIGITS, {}),
    "sigmoid before bce with logits": (("RC302",), SigmoidFirst, binary, {}),
    "loss of the wrong axis": (("RC302", "RC304"), LossOfWrongAxis, DIGITS, {}),
    "softmax over the batch": (("RC304", "RC321"), SoftmaxOverBatch, DIGITS, {}),
    "view for permute": (("RC321",), ViewForPermute, DIGITS, {}),
    "mean over the batch": (("RC321",), MeanOverBatch, DIGITS, {}),
    "batch axis taken for time": (("RC321",), TimeFirst, DIGITS, {}),
    "vanishing gradient": (("RC316",), DeepSigmoids, DIGITS, {}),
    "frozen layer": (("RC311",), Frozen, DIGITS, {}),
    "parameter not in optimizer": (("RC311",), LeftOut, DIGITS, {}),
    "head not in optimizer": (("RC311",), HeadForgotten, DIGITS, {}),
    "detached branch": (("RC312",), Detached, DIGITS, {}),
    "unused layer": (("RC312",), Unused, DIGITS, {}),
    "zero initialisation": (("RC312", "RC323"), Zeros, DIGITS, {}),
    "constant initialisation": (("RC323",), Constant, DIGITS, {}),
    "huge initial weights": (("RC301",), HugeWeights, DIGITS, {}),
    "bias of rare class unset": (("RC301",), raw_mlp, rare, {}),
    "bias of number unset": (("RC301",), FarTarget, numbers, {}),
    "learning rate zero": (("RC314",), StepsOfNothing, DIGITS, {}),
    "learning rate a thousand times too high": (("RC314",), ThousandTimes, DIGITS, {}),
    "gradient cut to 1e-6": (("RC314",), TinyGradients, DIGITS, {}),
    "gradient never cleared": (("RC313",), NeverCleared, DIGITS, {}),
    "loss maximised": (("RC307",), Maximised, DIGITS, {}),
    "loss clipped": (("RC305",), ClippedLoss, DIGITS, {}),
    "weight decay of 10": (("RC315",), HeavyDecay, DIGITS, {}),
    "AdamW with a decay of 100": (("RC315",), HeavyAdamW, DIGITS, {}),
    "(n, 1) against (n,)": (("RC303",), AllPairs, numbers, {}),
    "(n, 1) against (n,) in mse_loss": (("RC303",), AllPairsOfLoss, numbers, {}),
    "batch norm with batches of one": (("RC333",), OneByOne, DIGITS, {}),
    "fp16 overflow": (("RC325",), HalfOverflow, DIGITS, {}),
    "log of zero": (("RC306",), LogOfZero, DIGITS, {}),
    "root at zero": (("RC306",), RootAtZero, DIGITS, {}),
    "dead units": (("RC324",), DeadUnits, DIGITS, {}),
    "saturated units": (("RC324",), Saturated, DIGITS, {}),
    "input 0 to 255": (("RC341",), Raw, DIGITS, {}),
    "x shuffled without y": (("RC307",), ShuffledInputs, DIGITS, {}),
    "labels shifted by one": (("RC308",), ShiftedLabels, DIGITS, {}),
    "batches by class": (("RC342",), ByClass, DIGITS, {}),
    "half of the picture unused": (("RC322",), Half, DIGITS, {}),
    "columns cut off": (("RC322",), ColumnCut, binary, {}),
    "running statistics never learnt": (("RC335",), SlowNorm, DIGITS, {}),
}


# --- Healthy ----------------------------------------------------------------------------------------


class Residual(nn.Module):
    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 12, 3, padding=1)
        self.a, self.b = (nn.Conv2d(12, 12, 3, padding=1, bias=False) for _ in range(2))
        self.norm_a, self.norm_b = nn.BatchNorm2d(12), nn.BatchNorm2d(12)
        nn.init.zeros_(self.norm_b.weight)
        self.head = nn.Linear(12 * 16, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        inner = self.norm_b(self.b(functional.relu(self.norm_a(self.a(x)))))
        pooled = functional.max_pool2d(functional.relu(x + inner), 2)
        return self.head(pooled.flatten(1))  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    """A GRU over the rows of a picture."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.gru = nn.GRU(8, 32, batch_first=True)
        self.head = nn.Linear(32, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(x.squeeze(1))[0][:, -1])  # type: ignore[no-any-return]


class Attentive(nn.Module):
    """A transformer layer over the rows of a picture."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 32)
        self.place = nn.Parameter(torch.randn(1, 8, 32) / 10)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True)
        self.head = nn.Linear(32, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        found = self.layer(self.embed(x.squeeze(1)) + self.place)
        return self.head(found.mean(1))  # type: ignore[no-any-return]


class Scheduled(Lightning):
    """Its own optimizer and schedule, label smoothing, log_softmax twice (which is harmless)."""

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).log_softmax(1)  # type: ignore[no-any-return]

    def compare(self, out: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(out, y, label_smoothing=0.05)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def layer_norms(n_features: int, n_classes: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Flatten(), nn.LayerNorm(n_features), nn.Linear(n_features, 64), nn.GELU()),
        *(nn.LayerNorm(64), nn.Linear(64, n_classes)),
    )


def linear(n_features: int, n_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(n_features, n_classes))


def with_dropout(n_classes: int) -> nn.Module:
    return convnet(n_classes, norm=False, dropout=0.3)


def with_norms(n_classes: int) -> nn.Module:
    return convnet(n_classes)


def of_numbers(n_features: int) -> nn.Module:
    return mlp(n_features, 1)


def one_logit(n_features: int) -> nn.Module:
    return mlp(n_features, 1)


HEALTHY: dict[str, tuple[Any, str | Callable[[], Dataset], dict[str, Any]]] = {
    "MLP": (raw_mlp, DIGITS, {}),
    "convnet with batch norm": (with_norms, DIGITS, {}),
    "convnet with dropout": (with_dropout, DIGITS, {}),
    "residual net": (Residual, DIGITS, {}),
    "GRU": (Recurrent, DIGITS, {}),
    "transformer": (Attentive, DIGITS, {}),
    "layer norms": (layer_norms, DIGITS, {}),
    "linear": (linear, DIGITS, {}),
    "regression": (of_numbers, "diabetes", {}),
    "own step": (Lightning, DIGITS, {}),
    "one logit": (one_logit, binary, {}),
    "own optimizer and schedule": (Scheduled, DIGITS, {}),
    "own loop": (Loop, DIGITS, {}),
    "MLP on a table": (raw_mlp, "penguins", {}),
    "rung convnet": ("convnet", DIGITS, {}),
    "rung net": ("net", "penguins", {}),
    "rung net for numbers": ("net", "diabetes", {}),
}
