"""The net of a fitted model with what was seen of its training, as the checks of nets look at it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from rung.checks.base import NotApplicable
from rung.checks.model.given import nets_of
from rung.checks.net.recording import TWO_MODES, LossCall, Recording, Root, Step, parameters

NAMED = 4  # layers that a finding names; of more it tells how many


def trained(estimator: Any, recording: Recording | None) -> Trained:
    """Raises NotApplicable if no net was trained."""
    if recording is None:
        raise NotApplicable("no training by torch was seen")
    if recording.broke:
        raise RuntimeError(f"watching the training broke: {recording.broke[0]}")
    # Of a net and its parts, kept beside it, the net.
    held_nets = [net for net in nets_of(estimator) if recording.held(net)]
    kept = max(held_nets, key=lambda net: sum(1 for _ in net.parameters()), default=None)
    if kept is None and recording.main is None:
        raise NotApplicable("no step of an optimizer of torch was seen")
    net = kept if kept is not None else recording.main.module  # type: ignore[union-attr]
    held = recording.held(net)
    if not any(s.optimizer in held for s in recording.steps):
        raise NotApplicable("no step of an optimizer of torch was finished")
    own = {id(p) for p in net.parameters()}
    called = [r for r in recording.roots if any(id(p) in own for p in r.module.parameters())]
    if not called:
        raise NotApplicable("no call of its net was seen")
    # A training step may call the parts one by one; then the largest of these is looked at.
    in_training = [r for r in called if r.inputs]
    root = max(in_training or called, key=lambda r: sum(p.numel() for p in r.module.parameters()))
    return Trained(recording, net, root)


@dataclass(frozen=True, eq=False)
class Trained:
    """net: has all parameters. root: what was called, mostly the same; only copies of it are run."""

    recording: Recording
    net: nn.Module
    root: Root

    # --- What was seen --------------------------------------------------------------------------

    @cached_property
    def names(self) -> dict[int, str]:
        """id of a parameter → its qualified name."""
        return {id(p): name for name, p in self.net.named_parameters()}

    @cached_property
    def start(self) -> int:
        """Which of all steps of the recording was the first of this net."""
        held = self.recording.held(self.net)
        return next(i for i, s in enumerate(self.recording.steps) if s.optimizer in held)

    @cached_property
    def steps(self) -> list[Step]:
        held = self.recording.held(self.net)
        return [s for s in self.recording.steps if s.optimizer in held]

    @cached_property
    def looked(self) -> list[Step]:
        """The steps that were looked at closely."""
        return [s for s in self.steps if s.weights]

    @cached_property
    def losses(self) -> list[LossCall]:
        """Calls of torch's losses. Raises NotApplicable if there were none."""
        found = [c for c in self.recording.losses if c.step >= self.start]
        if not found:
            raise NotApplicable("the training called no loss of torch")
        return found

    @cached_property
    def covered(self) -> set[int]:
        """ids of what the optimizers hold."""
        return {id(p) for o in self.recording.optimizers for p in parameters(o)}

    # --- The net, to be run ---------------------------------------------------------------------

    @cached_property
    def inputs(self) -> Tensor:
        """(n, ...) of what the net was fed in training. Raises NotApplicable if it is no tensor."""
        if self.root.arguments != 1 or not self.root.inputs:
            raise NotApplicable("its net takes something else than one tensor")
        return torch.cat(self.root.inputs)

    def copy(self, initial: bool = False) -> nn.Module:
        """The net as it is called, in eval mode; initial: as it was before training."""
        try:
            net = copy.deepcopy(self.root.module)
        except Exception as error:
            raise NotApplicable(f"its net can't be copied: {error}") from error
        if initial:
            kept = self.root.module.state_dict(keep_vars=True)
            copied = net.state_dict(keep_vars=True)
            first = self.recording.initial
            with torch.no_grad():
                for name, value in kept.items():
                    if id(value) in first:
                        copied[name].copy_(first[id(value)])
        net.zero_grad()
        for parameter in net.parameters():
            parameter.requires_grad_(True)
        return net.eval()

    @property
    def finite(self) -> bool:
        return all(bool(t.isfinite().all()) for t in self.net.state_dict().values())


def answer(net: nn.Module, x: Tensor) -> Tensor:
    """(n, ...) its output. Raises NotApplicable if it is no tensor of as many rows."""
    found = net(x)
    if not isinstance(found, Tensor) or found.ndim == 0 or len(found) != len(x):
        raise NotApplicable("its output is no tensor with a row for each example")
    return found


def training_but_for_norms(net: nn.Module) -> nn.Module:
    """In training mode, but for batch norm, which may look at the whole batch."""
    net.train()
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    return net


def weighted(net: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers with a weight of two or more axes, by qualified name."""
    return [
        (name or type(layer).__name__, layer)
        for name, layer in net.named_modules()
        if isinstance(weight := layer._parameters.get("weight"), Tensor) and weight.ndim > 1
    ]


@contextmanager
def outputs_of(net: nn.Module, modules: dict[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """name → the last output of the module within, where that is a tensor."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, args: Any, result: Any) -> None:
            if isinstance(result, Tensor):
                found[name] = result

        return hook

    handles = [m.register_forward_hook(keep(name)) for name, m in modules.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def leaf_modules(net: nn.Module) -> dict[str, nn.Module]:
    return {
        name or type(m).__name__: m for name, m in net.named_modules() if not list(m.children())
    }


def two_modes(net: nn.Module) -> bool:
    return any(isinstance(m, TWO_MODES) for m in net.modules())
