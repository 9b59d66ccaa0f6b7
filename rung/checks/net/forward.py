"""Checks of the net itself: what an output depends on, and how its units respond."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from rung.checks.base import Finding, NotApplicable
from rung.checks.model.given import seeds
from rung.checks.model.subject import Model, ModelCheck
from rung.checks.net.seen import (
    answer,
    leaf_modules,
    outputs_of,
    training_but_for_norms,
    weighted,
)

HALF_MAX = 65_504.0  # the largest number of fp16
KINDS: dict[Any, str] = {
    **dict.fromkeys((functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_), "relu"),
    functional.relu6: "relu",
    **dict.fromkeys((functional.sigmoid, torch.sigmoid, Tensor.sigmoid), "sigmoid"),
    **dict.fromkeys((functional.tanh, torch.tanh, Tensor.tanh), "tanh"),
}


class ExamplesApart(ModelCheck):
    """What a net says of an example depends on that example alone. A view or reshape where a
    permute was meant, a softmax or a mean over the batch axis, an attention over the wrong axis mix
    the examples of a batch: training still works, and predictions depend on the company. Seen by
    replacing one row of a batch by another: no other row's output may change; in prediction, and in
    training but for batch norm."""

    code = "RC321"
    title = "Examples of a batch don't mix"
    severity = "error"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        x = seen.inputs[:8]
        if len(x) < 3:
            raise NotApplicable("fewer than three rows were fed")
        for mode in ("prediction", "training"):
            # As it was at first: a net that has come to say the same of all shows nothing.
            net = seen.copy(initial=True)
            if mode == "training":
                training_but_for_norms(net)
            changed = x.clone()
            changed[0] = x[-1]
            with torch.no_grad():
                before, after = (self._seeded(net, rows) for rows in (x, changed))
            moved = (after - before).abs().flatten(1).amax(1)[1:]
            scale = float(before.abs().max()) + 1e-12
            mixed = int((moved > 1e-4 * scale).sum())
            if mixed:
                return Finding(
                    f"In {mode}, the outputs for {mixed} of {len(x) - 1} other examples change "
                    "when one example of the batch is replaced.",
                    "Look for view or reshape in the place of permute, and for softmax, mean, "
                    "attention or a norm over axis 0.",
                    {"mode": mode, "changed": mixed, "rows": len(x)},
                )
        return None

    def _seeded(self, net: nn.Module, x: Tensor) -> Tensor:
        with seeds(0):
            return answer(net, x).float()


class InputsUsed(ModelCheck):
    """Every input that varies has some influence on the output. One that has none is cut off by a
    slice, a stride or a wrong reshape, or multiplied by a weight that is zero. Seen by the gradient
    of the outputs with respect to the inputs, exactly zero in all rows."""

    code = "RC322"
    title = "Every input that varies is used"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        x = seen.inputs[:64].clone()
        if x.dtype == torch.uint8:  # pixels
            x = x.float()
        if not x.is_floating_point():
            raise NotApplicable("its net takes whole numbers")
        used = torch.zeros(x.shape[1:], dtype=torch.bool, device=x.device)
        for initial in (True, False):
            x.requires_grad_(True)
            net = seen.copy(initial)
            out = answer(net, x)
            if not out.requires_grad:
                raise NotApplicable("its output has no gradient")
            # Random weights: the sum of a softmax, say, is constant.
            weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).to(out)
            (gradient,) = torch.autograd.grad((out * weights).sum(), x, allow_unused=True)
            used |= torch.zeros_like(used) if gradient is None else (gradient != 0).any(0)
        varies = x.detach().std(0) > 0
        dead, inputs = int((varies & ~used).sum()), int(varies.sum())
        if not dead:
            return None
        share = dead / inputs
        tabular = x.ndim == 2
        places = [list(map(int, p)) for p in torch.argwhere(varies & ~used)[:10]]
        return Finding(
            f"{dead:,} of {inputs:,} inputs that vary have no influence on any output.",
            "Look for slices, strides and reshapes that leave them out, and for dead units.",
            {"unused": dead, "inputs": inputs, "places": places},
            # The border of a picture may be cut by strides without a loss.
            severity=("error" if share > 0.5 else "warning") if tabular or share > 0.2 else "info",
        )


class UnitsDiffer(ModelCheck):
    """Units of a layer that start with the same weights get the same gradients and stay the same:
    a layer of a hundred is one of one. That is what zero or constant initialisation does. (The last
    layer may start at zero.) Seen by rows of a weight matrix that are alike after training."""

    code = "RC323"
    title = "Units of a layer differ"
    severity = "error"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        alike = {}
        layers = weighted(model.trained.net)
        for name, layer in layers[:-1] or layers:
            weight: Any = layer.weight
            if isinstance(layer, nn.Embedding) or len(weight) < 3:
                continue
            rows = weight.detach().float().flatten(1)
            scale = float(rows.abs().max()) or 1.0
            kinds = len((rows / scale).mul(1e5).round().unique(dim=0))
            if kinds <= len(rows) / 2:
                alike[name] = (kinds, len(rows))
        if not alike:
            return None
        name, (kinds, units) = next(iter(alike.items()))
        return Finding(
            f"The {units} units of {name} are {kinds} in truth: the rest have the same weights"
            + (f"; so in {len(alike) - 1} more layers." if len(alike) > 1 else "."),
            "Draw initial weights at random (torch's default, Kaiming, Xavier).",
            {name: {"different": k, "units": n} for name, (k, n) in alike.items()},
        )


class Responses(TorchFunctionMode):
    """Keeps what rectifiers and sigmoids said, as functions: modules call these."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, Tensor]] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        kind = KINDS.get(func, "")
        if kind and isinstance(result, Tensor) and result.ndim > 1:
            self.found.append((kind, result.detach().clone()))
        return result


def same(a: Tensor, b: Tensor) -> bool:
    return a.numel() == b.numel() and bool((a.flatten() == b.flatten()).all())


class UnitsRespond(ModelCheck):
    """A rectifier that is never positive is dead: no gradient passes it, so that it stays dead
    (too high a learning rate, a negative bias, inputs all negative). A sigmoid or tanh at its ends
    is saturated, and passes next to none. Seen in the trained net on a few hundred rows of
    training. Lower the learning rate, standardise inputs, normalise layers, or take another
    activation (leaky ReLU, GELU)."""

    code = "RC324"
    title = "Units respond: few are dead or saturated"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        if not seen.finite:
            raise NotApplicable("its weights are not finite")
        with torch.no_grad(), Responses() as responses:
            said = answer(seen.copy(), seen.inputs)
        # A probability that is sure of itself is what was learnt.
        inner = [(k, out) for k, out in responses.found if k == "relu" or not same(out, said)]
        if not inner:
            raise NotApplicable("it has no rectifier, sigmoid or tanh inside")
        dead, saturated = [], []
        for kind, out in inner:
            if kind == "relu":
                # Of three axes, the units may be the second (channels) or the third (features).
                axes = (1, 2) if out.ndim == 3 else (1,)
                active = [(out > 0).transpose(0, a).flatten(1).any(1).float() for a in axes]
                dead.append(1 - max(float(a.mean()) for a in active))
            else:
                size = out.abs() if kind == "tanh" else (2 * out - 1).abs()
                saturated.append(float((size > 0.99).float().mean()))
        values = {"dead": dead, "saturated": saturated}
        for shares, what in ((dead, "units are dead"), (saturated, "values are saturated")):
            if shares and max(shares) > 0.5:
                place = int(np.argmax(shares)) + 1
                return Finding(
                    f"{max(shares):.0%} of the {what} in activation {place} of {len(shares)}, "
                    f"on {len(seen.inputs)} rows of training.",
                    "Lower the learning rate, look at the initial biases, standardise the inputs.",
                    values,
                    severity="error" if max(shares) == 1 and what.endswith("dead") else None,
                )
        return None


class HalfPrecision(ModelCheck):
    """What works in fp32 can fail in half precision: fp16 ends at 65,504, where a larger activation
    becomes infinite; bf16 has three digits, which is too few for sums of large numbers and small
    differences. Seen by the largest activation of any layer, and by predictions under bf16 autocast
    that differ from those of fp32. Standardise, normalise layers, or keep the layer in fp32."""

    code = "RC325"
    title = "Activations fit into half precision"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        if not seen.finite:
            raise NotApplicable("its weights are not finite")
        net, x = seen.copy(), seen.inputs
        with torch.no_grad(), outputs_of(net, leaf_modules(net)) as found:
            exact = answer(net, x).float()
        sizes = {n: float(t.abs().max()) for n, t in found.items() if t.is_floating_point()}
        sizes["the output"] = float(exact.abs().max())
        largest = max(sizes, key=lambda name: sizes[name])
        infinite = [name for name, size in sizes.items() if not np.isfinite(size)]
        if infinite:
            return Finding(
                f"{infinite[0]} gives NaN or infinite values in fp32.",
                "Look for log, sqrt and divisions at 0 in it.",
                {"layers": infinite},
                severity="error",
            )
        values = {"largest": sizes[largest], "layer": largest}
        if sizes[largest] > HALF_MAX:
            return Finding(
                f"{largest} gives values up to {sizes[largest]:,.0f}; fp16 ends at 65,504.",
                "Standardise the inputs or normalise the layer; else use bf16 or fp32.",
                values,
            )
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            rough = answer(net, x).float()
        if not bool(rough.isfinite().all()):
            return Finding(
                "Under bf16 autocast the outputs are not all finite.",
                "Keep logarithms, roots and divisions in fp32.",
                values,
                severity="error",
            )
        if exact.ndim == 2 and exact.shape[1] > 1:
            differs = float((exact.argmax(1) != rough.argmax(1)).float().mean())
        else:
            differs = float((exact - rough).square().mean().sqrt() / exact.std().clamp(min=1e-12))
        if differs <= 0.1:
            return None
        return Finding(
            f"Under bf16 autocast the predictions differ from those of fp32 by {differs:.0%}.",
            "Keep sensitive layers in fp32.",
            {**values, "differs": differs},
        )
