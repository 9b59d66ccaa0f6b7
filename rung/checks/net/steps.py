"""Checks of the steps: which parameters move, how far, and by what."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from rung.checks.base import Finding, NotApplicable
from rung.checks.model.subject import Model, ModelCheck
from rung.checks.net.seen import NAMED, Trained
from rung.errors import listed

LARGEST_UPDATE = 0.1  # of a weight in one step, relative to it; 1e-3 is usual
SMALLEST_UPDATE = 1e-6
GRADIENT_SPAN = 1e3  # between layers


def update_ratios(seen: Trained) -> dict[str, list[float]]:
    """Name of a parameter of two or more axes → length of an update relative to the weight's."""
    found: dict[str, list[float]] = {}
    matrices = {id(p) for p in seen.net.parameters() if p.ndim > 1}
    for step in seen.looked:
        for key, update in step.updates.items():
            weight = step.weights.get(key, 0.0)
            if key in matrices and weight > 0 and math.isfinite(update):
                found.setdefault(seen.names[key], []).append(update / weight)
    return found


def gradient_sizes(seen: Trained) -> dict[str, list[float]]:
    """Name of a parameter of two or more axes → root mean square of its gradients."""
    sizes = {id(p): math.sqrt(p.numel()) for p in seen.net.parameters() if p.ndim > 1}
    found: dict[str, list[float]] = {}
    for step in seen.looked:
        for key, norm in step.gradients.items():
            if key in sizes and norm > 0 and math.isfinite(norm):
                found.setdefault(seen.names[key], []).append(norm / sizes[key])
    return found


class InOptimizer(ModelCheck):
    """A parameter that no optimizer holds stays as it was drawn: a layer made after the optimizer,
    kept in a plain list, or forgotten. One that is frozen (requires_grad is False) stays too, which
    is right for pretrained layers only. Seen by the parameter groups of the optimizers. Give
    model.parameters() to the optimizer, and keep layers in nn.ModuleList."""

    code = "RC311"
    title = "The optimizer holds every parameter"
    severity = "error"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        named = dict(seen.net.named_parameters())
        frozen = [n for n, p in named.items() if not p.requires_grad]
        left = [n for n, p in named.items() if p.requires_grad and id(p) not in seen.covered]
        values = {"left_out": left, "frozen": frozen}
        if left:
            return Finding(
                f"No optimizer holds {listed(left, NAMED)}.",
                "Make the optimizer after all layers, from model.parameters().",
                values,
            )
        if frozen:
            return Finding(
                f"{listed(frozen, NAMED)} {'is' if len(frozen) == 1 else 'are'} frozen.",
                "Leave requires_grad as it is, unless these weights were trained before.",
                values,
                severity="warning",
            )
        return None


class GradientReaches(ModelCheck):
    """Every trained parameter gets a gradient and changes. One that gets none is not used, or
    behind a detach, a no_grad, an argmax or a conversion to numpy; one whose gradient is always
    zero is behind units that are dead, or weights that are zero. Seen by the graph of the loss, by
    gradients at some of the steps, and by what changed."""

    code = "RC312"
    title = "Every parameter gets a gradient and changes"
    severity = "error"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        held = {
            n: p
            for n, p in seen.net.named_parameters()
            if p.requires_grad and id(p) in seen.covered
        }
        if not seen.looked or not held:
            raise NotApplicable("no gradients were seen")
        graph = seen.recording.backwards > 0
        apart = [n for n, p in held.items() if graph and id(p) not in seen.recording.connected]
        if apart:
            return Finding(
                f"The loss does not depend on {listed(apart, NAMED)}.",
                "Use it, or look for detach, no_grad, argmax and numpy between it and the loss.",
                {"parameters": apart},
            )
        zero = [
            n for n, p in held.items() if not any(s.gradients.get(id(p), 0.0) for s in seen.looked)
        ]
        # The bias before a softmax or a norm may have a gradient of nearly zero, never of zero.
        if zero and len(zero) < len(held):
            return Finding(
                f"The gradient of {listed(zero, NAMED)} was zero at all {len(seen.looked)} steps that "
                "were looked at.",
                "Look for dead units and for weights that start at zero.",
                {"parameters": zero},
            )
        if zero:
            return Finding(
                "All gradients were zero at all steps that were looked at.",
                "Look at the loss: it is constant, cut, or cut off from the net.",
                {"parameters": zero},
            )
        first = seen.recording.initial
        fixed = [
            n
            for n, p in held.items()
            if id(p) in first and torch.equal(p.detach().cpu(), first[id(p)].cpu())
        ]
        if fixed and any(any(s.learning_rates) for s in seen.steps):
            return Finding(
                f"{listed(fixed, NAMED)} did not change in {len(seen.steps):,} steps.",
                "Look at the learning rate of its group, and at the size of its gradient.",
                {"parameters": fixed},
            )
        return None


class GradientsCleared(ModelCheck):
    """Gradients add up until they are cleared: without zero_grad each step goes along the sum of
    all gradients so far, which is a momentum of 1. Seen by what parameters hold as gradient when
    the first backward pass after a step begins. Call optimizer.zero_grad() once for each step."""

    code = "RC313"
    title = "Gradients are cleared between steps"
    severity = "error"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        looked = [s.cleared for s in model.trained.steps if s.cleared is not None]
        if not looked:
            raise NotApplicable("no two steps of one optimizer with backward between were seen")
        kept = looked.count(False)
        if kept <= len(looked) / 2:
            return None
        return Finding(
            f"Gradients of the step before were still there in {kept} of {len(looked)} steps.",
            "Call optimizer.zero_grad() before each backward pass, or after each step.",
            {"kept": kept, "looked_at": len(looked)},
        )


class LearningRate(ModelCheck):
    """A step changes a weight by about a thousandth of its size. A tenth and more forgets what was
    learnt, a millionth and less learns nothing in any time. Seen by the length of the update
    relative to that of each weight matrix (the first, and the median over steps). Change the learning rate by
    powers of ten, or by the learning-rate range test; see whether gradients are cut too short."""

    code = "RC314"
    title = "The learning rate is neither far too high nor too low"
    severity = "error"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        rates = [rate for s in seen.steps for rate in s.learning_rates]
        if rates and not any(rates):
            return Finding("The learning rate is zero at every step.", "Set it.", {"rate": 0.0})
        ratios = {name: r for name, r in update_ratios(seen).items() if len(r) >= 3}
        if not ratios:
            raise NotApplicable("too few steps were looked at")
        # Weights that were thrown far off are so large that later steps look short.
        early = float(np.median([r[0] for r in ratios.values()]))
        middle = {name: float(np.median(r)) for name, r in ratios.items()}
        most = max(middle, key=lambda name: middle[name])
        top = {name: float(np.max(r)) for name, r in ratios.items()}
        values = {"first": early, "update_to_weight": middle, "rates": [min(rates), max(rates)]}
        if early > 10 * LARGEST_UPDATE:
            return Finding(
                f"The first step changes weights by {early:.2g} times their size.",
                "Lower the learning rate; a thousandth is usual.",
                values,
            )
        if middle[most] > LARGEST_UPDATE:
            return Finding(
                f"A step changes {most} by {middle[most]:.2g} of its size.",
                "Lower the learning rate; a thousandth is usual.",
                values,
                severity="error" if middle[most] > 10 * LARGEST_UPDATE else "warning",
            )
        if max(top.values()) < SMALLEST_UPDATE:
            return Finding(
                f"No step changes any weight by more than {max(top.values()):.1g} of its size.",
                "Raise the learning rate, and see whether gradients are cut too short.",
                values,
            )
        return None


class WeightDecay(ModelCheck):
    """Weight decay pulls weights to zero a little; where it is stronger than the gradient from
    the first steps on, nothing stays that was learnt. Seen by the decay's share of the first
    updates. Usual values are 1e-4 to 1e-1, the latter for AdamW."""

    code = "RC315"
    title = "Weight decay is weaker than the gradient"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        strongest, name = 0.0, ""
        for optimizer in seen.recording.optimizers:
            decoupled = optimizer.defaults.get("decoupled_weight_decay", False) or (
                type(optimizer).__name__ == "AdamW"
            )
            for group in optimizer.param_groups:
                decay = float(group.get("weight_decay") or 0.0)
                for p in group["params"] if decay else []:
                    share = self._share(seen, p, decay, decoupled)
                    if share > strongest:
                        strongest, name = share, seen.names.get(id(p), "?")
        if strongest < 1:
            return None
        return Finding(
            f"In the first steps, weight decay pulls {name} {strongest:.1f} times as strongly as "
            "the loss does.",
            "Lower weight_decay; 1e-4 to 1e-2 is usual.",
            {"ratio": strongest, "parameter": name},
        )

    def _share(self, seen: Trained, p: Tensor, decay: float, decoupled: bool) -> float:
        """How strong the decay is relative to the gradient, the median of the first steps."""
        found = []
        for step in seen.looked[:6]:
            weight = step.weights.get(id(p), 0.0)
            against = (
                step.updates.get(id(p), 0.0) - step.learning_rates[0] * decay * weight
                if decoupled
                else step.gradients.get(id(p), 0.0)
            )
            pull = decay * weight * (step.learning_rates[0] if decoupled else 1)
            if weight > 0 and math.isfinite(pull):
                found.append(pull / max(against, 1e-12) if p.ndim > 1 else 0.0)
        return float(np.median(found)) if found else 0.0


class GradientsLevel(ModelCheck):
    """Each layer multiplies the gradient on its way back: by less than one in saturating units and
    small weights, so that it vanishes over many layers and the first ones learn nothing; by more
    than one it explodes. Seen by the root mean square gradient of each weight matrix in the first
    steps: between layers of healthy nets it differs by a factor of ten or so. Take residual
    connections, norms, rectifiers (or GELU) and initial weights made for them (Kaiming)."""

    code = "RC316"
    title = "Gradients neither vanish nor explode over the layers"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        rows = {id(m.weight) for m in seen.net.modules() if isinstance(m, nn.Embedding)}
        sizes = {
            name: float(np.median(values[:4]))
            for name, values in gradient_sizes(seen).items()
            if id(seen.net.get_parameter(name)) not in rows  # only few rows of it have a gradient
        }
        if len(sizes) < 2:
            raise NotApplicable("fewer than two layers have a gradient")
        low, high = (f(sizes, key=lambda name: sizes[name]) for f in (min, max))
        span = sizes[high] / sizes[low]
        if span < GRADIENT_SPAN:
            return None
        return Finding(
            f"The gradient of {low} is {span:.2g} times smaller than that of {high}.",
            "Take norms, residual connections and rectifiers, with initial weights made for them.",
            {"gradient_rms": sizes},
        )
