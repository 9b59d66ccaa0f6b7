"""What is measured of a net and tells something without being right or wrong."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rung.checks.base import Finding, Histograms, Images, Lines, NotApplicable
from rung.checks.model.given import seeds
from rung.checks.model.subject import Model, ModelCheck
from rung.checks.net.estimator import NetEstimator, tensor
from rung.checks.net.losses import loss_lines
from rung.checks.net.seen import answer, leaf_modules, outputs_of, weighted
from rung.checks.net.steps import gradient_sizes, update_ratios
from rung.describe import Histogram

MOST_SHOWN = 12  # layers, filters
RANGE = (1e-6, 10.0)  # learning rates that are tried
TRIED = 80
BATCHES = (4, 8, 16)  # of which the memory is measured
LARGEST_BATCH = 2**20
SHOWN_EXAMPLES, MOMENTS = 6, 12  # predictions over training


class Layers(ModelCheck):
    """How activations, gradients and updates are spread over the layers. Healthy layers look alike:
    activations neither shrink nor grow with depth, no gradient is a thousandth of that of the next
    layer, updates are about a thousandth of the weights. Activations are of the trained net on rows
    of training; gradients and updates are those of training, at the steps that were looked at."""

    code = "RC351"
    title = "Activations, gradients and updates by layer"
    severity = "info"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        net = seen.copy()
        with torch.no_grad(), outputs_of(net, leaf_modules(net)) as found:
            answer(net, seen.inputs)
        activations = {
            name: Histogram.of(values.numpy())
            for name, out in list(found.items())[:MOST_SHOWN]
            if len(values := sampled(out)) > 1
        }
        gradients = {n: [math.log10(v) for v in found] for n, found in gradient_sizes(seen).items()}
        ratios = {
            name: logs
            for name, r in update_ratios(seen).items()
            if (logs := [math.log10(v) for v in r if v > 0])
        }
        if not gradients:
            raise NotApplicable("no gradients were seen")
        size = {name: float(np.median(v)) for name, v in gradients.items()}
        span = max(size.values()) - min(size.values())
        middle = {name: 10 ** float(np.median(v)) for name, v in ratios.items()}
        said = f"Root mean square gradients of {len(size)} layers span a factor of {10**span:.3g}"
        if middle:
            low, high = min(middle.values()), max(middle.values())
            said += f"; a step changes a layer by {low:.2g} to {high:.2g} of its size"
        return Finding(
            said + ".",
            values={
                "gradient_rms": {name: 10**v for name, v in size.items()},
                "update_to_weight": middle,
            },
            figures=(
                Histograms("Activations", activations),
                histograms("Gradients, log10 of the root mean square", gradients),
                histograms("Updates, log10 of their share of the weights", ratios),
                loss_lines(seen),
            ),
        )


def sampled(out: Tensor, most: int = 20_000) -> Tensor:
    """Some of its finite values."""
    values = out.detach().float().flatten().cpu()
    values = values[:: max(1, len(values) // most)]
    return values[values.isfinite()]


def histograms(title: str, rows: dict[str, list[float]]) -> Histograms:
    shown = list(rows.items())[:MOST_SHOWN]
    return Histograms(title, {name: Histogram.of(np.array(values)) for name, values in shown})


class RateFinder(NetEstimator):
    """Trains with a learning rate that grows at each step, and keeps the losses."""

    def fit(self, X: Any, y: Any) -> RateFinder:
        self.losses: list[float] = []
        self.rates = np.geomspace(*RANGE, TRIED)
        with contextlib.suppress(StopIteration):  # far enough
            super().fit(X, y)
        return self

    def _loss(self, net: Any, x: Tensor, y: Tensor, i: int) -> Tensor | None:
        step = len(self.losses)
        loss = super()._loss(net, x, y, i)
        value = math.nan if loss is None else float(loss.detach())
        if step >= TRIED or not math.isfinite(value):
            raise StopIteration
        self.losses.append(value)
        if value > 4 * max(self.losses[0], 1e-12) and step > 10:
            raise StopIteration
        for group in self.optimizer_.param_groups:
            group["lr"] = float(self.rates[step])
        return loss

    def _optimizer(self, net: Any) -> tuple[Any, Any, bool]:
        self.optimizer_ = super()._optimizer(net)[0]
        return self.optimizer_, None, False


class LearningRateRange(ModelCheck):
    """The learning-rate range test (Smith, 2017, arXiv:1506.01186): one training, in which the
    learning rate grows from 1e-6 to 10 while the loss is watched. Good rates lie where it falls;
    a tenth of the rate at which it is lowest is a good first choice. It tests the optimizer of the
    module (configure_optimizers), or Adam."""

    code = "RC352"
    title = "Learning rates under which the loss falls"
    severity = "info"
    needs = ("module",)

    def run(self, model: Model) -> Finding | None:
        finder = RateFinder(lambda: model.net(0), model.dataset.task, epochs=TRIED)
        with seeds(0):
            finder.fit(model.X_train, model.y_train)
        losses = np.array(finder.losses)
        if len(losses) < 20:
            raise NotApplicable("the loss is not finite from the start")
        kernel = np.ones(5) / 5
        smooth = np.convolve(np.pad(losses, 2, mode="edge"), kernel, mode="valid")
        rates = finder.rates[: len(losses)]
        lowest = int(np.argmin(smooth))
        if smooth[lowest] > 0.98 * smooth[:5].mean():
            return Finding(
                "The loss falls at no learning rate from 1e-6 to 10.",
                "Look at the loss and at the gradients first.",
                {"rates": rates.tolist(), "losses": losses.tolist()},
                figures=(lines(rates, smooth, {}),),
            )
        suggested = float(rates[lowest]) / 10
        used = {float(group["lr"]) for group in configured(model)}
        return Finding(
            f"The loss is lowest at a learning rate of {rates[lowest]:.1g}; start with about "
            f"{suggested:.1g} (it is trained with {', '.join(f'{r:.2g}' for r in sorted(used))}).",
            values={"suggested": suggested, "rates": rates.tolist(), "losses": losses.tolist()},
            figures=(lines(rates, smooth, {"suggested": suggested}),),
        )


def configured(model: Model) -> list[dict[str, Any]]:
    """The parameter groups that the module is trained with."""
    made = NetEstimator(lambda: model.net(0), model.dataset.task)
    groups: list[dict[str, Any]] = made._optimizer(model.net(0))[0].param_groups
    return groups


def lines(rates: NDArray[Any], losses: NDArray[Any], marks: dict[str, float]) -> Lines:
    return Lines(
        "Learning-rate range test", rates.tolist(), {"loss": losses.tolist()}, "learning rate",
        "loss", log_x=True, marks=marks,
    )  # fmt: skip


class LargestBatch(ModelCheck):
    """How many examples fit into memory in one step of training: what the backward pass keeps of
    each example, over what is free after weights, gradients and two moments of each weight. On a
    processor it is measured at three batch sizes and extrapolated; on a GPU it is tried."""

    code = "RC353"
    title = "The largest batch that fits"
    severity = "info"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        x = seen.inputs
        fixed = 4 * sum(p.numel() * p.element_size() for p in seen.root.module.parameters())
        net = seen.copy().train()
        kept = [kept_bytes(net, grown(x, size)) for size in BATCHES]
        each = float(np.polyfit(BATCHES, kept, 1)[0]) + x[0].numel() * x.element_size()
        if torch.cuda.is_available():
            largest, where = tried(net.cuda(), x.cuda()), "this GPU"
        else:
            free = psutil.virtual_memory().available
            # Gradients of activations need as much again at most.
            largest, where = int((free - fixed) / (2 * max(each, 1.0))), "the memory that is free"
        values = {"bytes_each": each, "bytes_fixed": fixed, "largest": largest}
        return Finding(
            f"A step keeps {each / 2**20:.3g} MiB for each example and {fixed / 2**20:.3g} MiB "
            f"for weights; about {10 ** int(math.log10(max(largest, 1))) if largest > 1e4 else largest:,}"
            f"{' and more' if largest > 1e4 else ''} examples fit into {where}.",
            values=values,
        )


def grown(x: Tensor, size: int) -> Tensor:
    """As many rows, repeated if need be."""
    return x.repeat(-(-size // len(x)), *[1] * (x.ndim - 1))[:size]


def kept_bytes(net: nn.Module, x: Tensor) -> int:
    """What autograd keeps for a backward pass from the output, weights aside."""
    weights = {p.untyped_storage().data_ptr() for p in net.parameters()}
    kept: dict[int, int] = {}

    def pack(given: Tensor) -> Tensor:
        storage = given.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return given

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda given: given):
        answer(net, x)
    return sum(kept.values())


def tried(net: nn.Module, x: Tensor) -> int:
    """The largest power of two of rows that a forward and a backward pass take on this GPU."""
    size = 1
    while size < LARGEST_BATCH:
        try:
            answer(net, grown(x, 2 * size)).float().sum().backward()
        except torch.OutOfMemoryError:
            break
        finally:
            net.zero_grad()
            torch.cuda.empty_cache()
        size *= 2
    return size


class Watching(NetEstimator):
    """Trains, and asks for the outputs of some fixed rows now and then."""

    def fit(self, X: Any, y: Any) -> Watching:
        self.fixed_ = tensor(X[:SHOWN_EXAMPLES])
        self.steps_ = 0
        self.moments_: list[tuple[int, Tensor]] = []
        super().fit(X, y)
        return self

    def _loss(self, net: Any, x: Tensor, y: Tensor, i: int) -> Tensor | None:
        if self.steps_ % max(1, self.n_steps_ // MOMENTS) == 0:
            with torch.no_grad():
                self.moments_.append((self.steps_, answer(net.eval(), self.fixed_).float()))
            net.train()
        self.steps_ += 1
        return super()._loss(net, x, y, i)


class Pictured(ModelCheck):
    """What the first layer looks for, and how predictions of a few fixed rows move in training
    (Karpathy, 2019): smooth filters and predictions that settle are good signs; noise in filters,
    and predictions that jump until the end, say that the learning rate or the noise is high."""

    code = "RC354"
    title = "First filters, and predictions over training"
    severity = "info"
    needs = ("module",)

    def run(self, model: Model) -> Finding | None:
        watching = Watching(lambda: model.net(0), model.dataset.task, epochs=4)
        with seeds(0):
            watching.fit(model.X_train, model.y_train)
        outputs = torch.stack([out for _, out in watching.moments_])
        if outputs.ndim == 3 and outputs.shape[2] > 1 and model.classification:
            own = torch.as_tensor(np.asarray(model.y_train[: outputs.shape[1]], dtype=np.int64))
            moved = outputs.softmax(2)[:, torch.arange(len(own)), own]
            title = "Probability of the true class"
        else:
            moved, title = outputs.flatten(2)[:, :, 0] if outputs.ndim > 2 else outputs, "Output"
        figures: list[Any] = [
            Lines(
                f"{title} of {moved.shape[1]} rows of training, over training",
                [step for step, _ in watching.moments_],
                {f"row {i + 1}": moved[:, i].tolist() for i in range(moved.shape[1])},
                "step",
                title.lower(),
            )
        ]
        layers = weighted(model.trained.net)
        if layers and isinstance(layers[0][1], nn.Conv2d):
            filters = pictures(layers[0][1].weight.detach().float())
            figures.append(Images(f"Filters of {layers[0][0]}", filters, [""] * len(filters)))
        jump = float((moved[-1] - moved[-2]).abs().mean()) if len(moved) > 1 else 0.0
        return Finding(
            f"Outputs of {moved.shape[1]} rows were taken at {len(moved)} moments of training; "
            f"between the last two they moved by {jump:.2g} on average.",
            values={"last_move": jump},
            figures=tuple(figures),
        )


def pictures(weight: Tensor) -> list[NDArray[np.uint8]]:
    """Filters (n, channels, height, width) as pictures, each on its own scale."""
    found = []
    for kernel in weight[:MOST_SHOWN]:
        shown = kernel if len(kernel) == 3 else kernel.mean(0, keepdim=True).expand(3, -1, -1)
        low, high = shown.min(), shown.max()
        scaled = 255 * (shown - low) / (high - low).clamp(min=1e-12)
        found.append(scaled.round().byte().permute(1, 2, 0).contiguous().numpy())
    return found
