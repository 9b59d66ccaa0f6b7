"""A torch module as an estimator: trained by its own training step, or by a plain loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import ReduceLROnPlateau

from rung.errors import RungError

STEPS = 400  # as many epochs as they pay for, within EPOCHS
EPOCHS = (4, 40)
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
PREDICTED_AT_ONCE = 512


class NetEstimator(BaseEstimator):  # type: ignore[misc]
    """Trains what `factory` makes, in mini-batches shuffled with `seed`.

    A module with `training_step(batch[, batch_idx])` and `configure_optimizers()` is trained by them
    (Lightning's convention), so that a loop is checked as its owner wrote it: one optimizer, with
    its schedule. Else by its `loss(output, target)`, else by the cross-entropy or the mean squared
    error, with Adam. Classes are codes 0, 1, ...; a module of one output is a logit of the second
    of two. A number reaches `training_step` and `loss` as it is; for the default loss it is
    standardised here, and predictions are put back. epochs: None for about STEPS steps.

    After fit: net_, classes_ (as many as the module has outputs), probable_ (whether outputs are
    probabilities), epochs_, n_steps_.
    """

    def __init__(
        self,
        factory: Callable[[], nn.Module],
        task: str,
        seed: int = 0,
        epochs: int | None = None,
        batch_size: int = BATCH_SIZE,
        learning_rate: float = LEARNING_RATE,
    ) -> None:
        self.factory = factory
        self.task = task
        self.seed = seed
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate

    def fit(self, X: Any, y: Any) -> Self:
        """X: (n, ...) float, or whole numbers. y: (n,) codes of classes, or numbers."""
        inputs = tensor(X)
        target = np.asarray(y)
        self.net_ = net = self.factory()
        own = hasattr(net, "training_step") or hasattr(net, "loss")
        self.mean_, self.scale_ = 0.0, 1.0
        if self.task == "classification":
            targets = torch.as_tensor(target, dtype=torch.int64)
        else:
            if not own:
                self.mean_, self.scale_ = float(target.mean()), float(target.std()) or 1.0
            targets = torch.as_tensor((target - self.mean_) / self.scale_, dtype=torch.float32)
        batches = max(1, round(len(inputs) / self.batch_size))
        self.epochs_ = self.epochs or int(np.clip(STEPS // batches, *EPOCHS))
        self.n_steps_ = self.epochs_ * batches
        generator = torch.Generator().manual_seed(self.seed)
        optimizer, schedule, each_step = self._optimizer(net)
        waits = isinstance(schedule, ReduceLROnPlateau)  # for a loss, so it moves once an epoch
        for _ in range(self.epochs_):
            net.train()
            order, losses = torch.randperm(len(inputs), generator=generator), []
            for i, rows in enumerate(order.tensor_split(batches)):
                loss = self._loss(net, inputs[rows], targets[rows], i)
                if loss is None:  # a training step may leave a batch out
                    continue
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
                if schedule is not None and each_step and not waits:
                    schedule.step()
            if waits:
                schedule.step(float(torch.stack(losses).mean()) if losses else float("nan"))
            elif schedule is not None and not each_step:
                schedule.step()
        if self.task == "classification":
            outputs = self._outputs(inputs)
            # One output is the logit of one of two classes.
            self.classes_ = np.arange(max(2, outputs.shape[1]))
            # Of the training part, once: a few logits may well lie between 0 and 1.
            one, inside = outputs.shape[1] == 1, bool(outputs.min() >= 0 and outputs.max() <= 1)
            self.probable_ = inside and (one or bool(((outputs.sum(1) - 1).abs() < 1e-3).all()))
        return self

    def _optimizer(self, net: Any) -> tuple[Any, Any, bool]:
        """(optimizer, schedule or None, whether the schedule moves at each step)."""
        if not hasattr(net, "configure_optimizers"):
            trained = [p for p in net.parameters() if p.requires_grad]
            return torch.optim.Adam(trained, lr=self.learning_rate), None, False
        given = net.configure_optimizers()
        if isinstance(given, dict):
            optimizer, schedule = given["optimizer"], given.get("lr_scheduler")
        elif isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], list):
            optimizer, schedule = given[0], given[1][0] if given[1] else None
        else:
            optimizer, schedule = given, None
        if isinstance(optimizer, list | tuple):
            if len(optimizer) != 1:
                raise RungError(
                    "configure_optimizers gives several optimizers; train the module in the fit of "
                    "an estimator of your own, and check that"
                )
            optimizer = optimizer[0]
        if isinstance(schedule, dict):
            return optimizer, schedule["scheduler"], schedule.get("interval") == "step"
        return optimizer, schedule, False

    def _loss(self, net: Any, x: Tensor, y: Tensor, i: int) -> Tensor | None:
        if hasattr(net, "training_step"):
            taken = inspect.signature(net.training_step).parameters.values()
            numbered = len(taken) > 1 or any(p.kind == p.VAR_POSITIONAL for p in taken)
            step = net.training_step((x, y), *([i] if numbered else []))
            loss = step["loss"] if isinstance(step, dict) else step
        else:
            output = net(x)
            if hasattr(net, "loss"):
                loss = net.loss(output, y)
            elif self.task == "regression":
                loss = functional.mse_loss(output.reshape(len(y)), y)
            elif output.ndim == 1 or output.shape[1] == 1:
                loss = functional.binary_cross_entropy_with_logits(
                    output.reshape(len(y)), y.float()
                )
            else:
                loss = functional.cross_entropy(output, y)
        assert loss is None or isinstance(loss, Tensor), "training_step gives no tensor"
        return loss

    def _outputs(self, X: Any) -> Tensor:
        """(n, n_outputs) float64, by `predict_step` if that gives numbers and no labels. As Lightning
        does, it is called in eval mode, which it may leave."""
        inputs = tensor(X)
        net: Any = self.net_
        net.eval()
        parts = []
        with torch.no_grad():
            for i, batch in enumerate(inputs.split(PREDICTED_AT_ONCE)):
                found = net.predict_step(batch, i) if hasattr(net, "predict_step") else net(batch)
                labels = isinstance(found, Tensor) and not found.is_floating_point()
                parts.append(net(batch) if labels else found)
        found = torch.cat(parts).double()
        return found.reshape(len(found), -1)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """(n, n_classes): the softmax of the outputs, or these if they are (log-)probabilities."""
        outputs = self._outputs(X)
        if outputs.shape[1] == 1:
            second = outputs.clamp(0, 1) if self.probable_ else outputs.sigmoid()
            return np.asarray(torch.cat([1 - second, second], 1))
        if self.probable_:
            return np.asarray(outputs / outputs.sum(1, keepdim=True))
        return np.asarray(outputs.softmax(1))

    def predict(self, X: Any) -> NDArray[Any]:
        """(n,) codes of classes, or numbers."""
        if self.task == "classification":
            return np.asarray(self.classes_[self.predict_proba(X).argmax(1)])
        outputs = self._outputs(X)
        if outputs.shape[1] != 1:
            raise RungError(f"the module gives {outputs.shape[1]} numbers for one example, not one")
        return np.asarray(outputs[:, 0] * self.scale_ + self.mean_)


def tensor(X: Any) -> Tensor:
    """A float32 tensor, or one of whole numbers as it is."""
    dense = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    return torch.tensor(dense, dtype=torch.float32 if dense.dtype.kind == "f" else None)
