"""What torch did while a model was trained, seen from outside.

Every loop is seen, whoever wrote it: calls of torch's functions through a `TorchFunctionMode`,
modules and optimizers through torch's global hooks. Nothing of it changes a number: no random
number is drawn, no tensor of the training is written. What costs time (copies of weights, norms) is
done at some of the steps.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ParamSpec

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import module as module_hooks
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.optim import Optimizer
from torch.optim import optimizer as optimizer_hooks
from torch.overrides import TorchFunctionMode

P = ParamSpec("P")

FIRST, EVERY = 8, 24  # steps that are looked at closely: the first ones, then every so many
KEPT_ROWS = 256  # of the inputs of training
MOST_ORDER = 500  # batches whose sum is kept

CLASS_LOSSES = {
    functional.cross_entropy,
    functional.nll_loss,
    functional.binary_cross_entropy,
    functional.binary_cross_entropy_with_logits,
}
NUMBER_LOSSES = {
    functional.mse_loss,
    functional.l1_loss,
    functional.smooth_l1_loss,
    functional.huber_loss,
}
LOSSES = CLASS_LOSSES | NUMBER_LOSSES
SOFTMAX = {
    *(functional.softmax, functional.log_softmax, torch.softmax, torch.log_softmax),
    *(Tensor.softmax, Tensor.log_softmax),
}
SUBTRACTIONS = {Tensor.sub, Tensor.__sub__, Tensor.__rsub__, torch.sub}
CLAMPS = {
    *(torch.clamp, Tensor.clamp, torch.clamp_max, Tensor.clamp_max, torch.clip, Tensor.clip),
    *(torch.minimum, torch.maximum, Tensor.minimum, Tensor.maximum),
}
BACKWARD: Any = Tensor.backward
WATCHED = {BACKWARD, *LOSSES, *SOFTMAX, *SUBTRACTIONS, *CLAMPS}
# Layers that do another thing in training than in prediction.
TWO_MODES = (_BatchNorm, _DropoutNd)


@dataclass(frozen=True)
class LossCall:
    """A call of a loss of torch while gradients are kept.

    step: how many steps were done before it. output, target: shapes. flaw: what is wrong with what
    it was given, "" if nothing. plain: a mean in which all examples count alike. classes: different
    ones in a target of codes, 0 for others. means, variances: of output and target.
    """

    name: str
    step: int
    output: tuple[int, ...]
    target: tuple[int, ...]
    value: float
    flaw: str
    plain: bool
    classes: int
    means: tuple[float, float]
    variances: tuple[float, float]


@dataclass(frozen=True)
class Step:
    """A step of an optimizer. loss: the one that was differentiated last. cleared: whether
    gradients were empty when they were first added to since the step before, None if not looked at.
    training: the mode of the net. weights, gradients, updates: id of a parameter → L2 norm, at some
    of the steps; a parameter without a gradient is not in `gradients`.
    """

    optimizer: int
    loss: float
    learning_rates: tuple[float, ...]
    training: bool
    rows: int
    cleared: bool | None
    weights: dict[int, float] = field(default_factory=dict)
    gradients: dict[int, float] = field(default_factory=dict)
    updates: dict[int, float] = field(default_factory=dict)


@dataclass(eq=False)
class Root:
    """A module that was called by itself, with parameters.

    inputs: of training, up to KEPT_ROWS rows. modes: (training, whether gradients were kept) of its
    calls.
    """

    module: nn.Module
    arguments: int
    inputs: list[Tensor] = field(default_factory=list)
    calls: int = 0
    modes: set[tuple[bool, bool]] = field(default_factory=set)


@dataclass(frozen=True)
class FirstInput:
    """What the first layer with weights was fed. normalized: by a layer before or by itself."""

    layer: nn.Module
    mean: float
    sd: float
    low: float
    high: float
    normalized: bool


@dataclass
class TwoModes:
    """A batch norm or dropout. training: modes that it was called in; fewest: values per channel
    and rows in one call of it in training mode."""

    module: nn.Module
    training: set[bool] = field(default_factory=set)
    fewest: tuple[int, int] | None = None


@dataclass
class Recording:
    """What was seen. steps: of all optimizers, in order. order: the sum of each batch of training.
    initial: id of a parameter or buffer → what it was when it was first met.

    softmax_over_batch: sizes of the first axis, that of the batch, over which a softmax went.
    broadcasts: pairs of shapes (output, target) that made a larger one. clamped: how often a clamp
    changed a loss. connected: ids of parameters that a loss depends on. broke: what went wrong in
    the watching itself; then nothing here can be trusted.
    """

    steps: list[Step] = field(default_factory=list)
    losses: list[LossCall] = field(default_factory=list)
    roots: list[Root] = field(default_factory=list)
    initial: dict[int, Tensor] = field(default_factory=dict)
    optimizers: list[Optimizer] = field(default_factory=list)
    two_modes: dict[int, TwoModes] = field(default_factory=dict)
    first_input: FirstInput | None = None
    order: list[float] = field(default_factory=list)
    softmax_over_batch: set[int] = field(default_factory=set)
    broadcasts: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = field(default_factory=dict)
    clamped: int = 0
    backwards: int = 0
    connected: set[int] = field(default_factory=set)
    broke: list[str] = field(default_factory=list)

    def held(self, net: nn.Module) -> set[int]:
        """Which of the optimizers hold any of the net's parameters."""
        own = {id(p) for p in net.parameters()}
        return {
            i for i, o in enumerate(self.optimizers) if any(id(p) in own for p in parameters(o))
        }

    @property
    def main(self) -> Root | None:
        """Of the roots that were trained the last one."""
        return next((r for r in reversed(self.roots) if self.held(r.module)), None)


@contextlib.contextmanager
def recorded() -> Iterator[Recording]:
    """Watches all training by torch within; all hooks are gone after it, however it ends."""
    watch = Watch()
    with contextlib.ExitStack() as stack:
        for handle in (
            module_hooks.register_module_forward_pre_hook(watch.before_forward),
            module_hooks.register_module_forward_hook(watch.after_forward, always_call=True),
            optimizer_hooks.register_optimizer_step_pre_hook(watch.enter_step),
            optimizer_hooks.register_optimizer_step_post_hook(watch.leave_step),
        ):
            stack.callback(handle.remove)
        stack.enter_context(watch)
        stack.callback(watch.listen)
        yield watch.seen


def safely(method: Callable[P, None]) -> Callable[P, None]:
    """A look that can't break what is looked at, and is not looked at itself."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        watch: Any = args[0]
        if watch.looking or watch.seen.broke:
            return
        watch.looking = True
        try:
            with torch.no_grad():
                method(*args, **kwargs)
        except Exception as error:
            watch.seen.broke.append(f"{method.__name__}: {type(error).__name__}: {error}")
        finally:
            watch.looking = False

    return call


class Watch(TorchFunctionMode):
    """Fills a `Recording`."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Recording()
        self.looking = False
        self.depth = 0
        self.root: Root | None = None
        self.root_training = True
        self.rows = 0
        self.fresh = True  # whether the next module with weights is the first of this call
        self.normalized = False
        self.loss = float("nan")
        self.cleared: bool | None = None
        self.waiting = False  # for the first backward since a step
        self.last_optimizer: int | None = None
        self.deaf: Any = None
        self.met: set[tuple[int, bool, int]] = set()
        self.before: dict[int, Tensor] = {}
        self.norms: tuple[dict[int, float], dict[int, float]] = ({}, {})
        self.known: dict[int, Root] = {}
        self.indices: dict[int, int] = {}

    @property
    def close(self) -> bool:
        """Whether this step is one of those that are looked at closely."""
        done = len(self.seen.steps)
        return done < FIRST or done % EVERY == 0

    # --- Functions ------------------------------------------------------------------------------

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        if func not in WATCHED or self.looking:
            return func(*args, **kwargs) if kwargs else func(*args)
        kwargs = kwargs or {}
        if func is BACKWARD:
            self.before_backward(args[0])
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        self.called(func, args, kwargs, result, torch.is_grad_enabled())
        return result

    @safely
    def before_backward(self, loss: Tensor) -> None:
        self.seen.backwards += 1
        if loss.numel() == 1:
            self.loss = float(loss)
        if self.waiting:
            self.waiting = False
            held = self.seen.optimizers[self.seen.steps[-1].optimizer]
            gradients = [p.grad for p in parameters(held) if p.grad is not None]
            self.cleared = not any(bool(g.any()) for g in gradients)
        if self.close:
            self.seen.connected.update(map(id, leaves(loss)))

    @safely
    def called(self, func: Any, args: Any, kwargs: Any, result: Any, grad: bool) -> None:
        if not grad or not args or not isinstance(result, Tensor):
            return
        first = args[0]
        if func in SOFTMAX:
            dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
            if dim is None:  # what torch takes then
                dim = 0 if first.ndim in (0, 1, 3) else 1
            if dim in (0, -first.ndim) and first.ndim > 1 and len(first) == self.rows > 1:
                self.seen.softmax_over_batch.add(self.rows)
        elif func in SUBTRACTIONS or func in NUMBER_LOSSES:
            second = args[1] if len(args) > 1 else kwargs.get("target", kwargs.get("other"))
            if isinstance(first, Tensor) and isinstance(second, Tensor):
                self._pair(func, first, second)
            if func in NUMBER_LOSSES and isinstance(second, Tensor):
                self._loss(func, first, second, result, args, kwargs)
        elif func in CLASS_LOSSES:
            second = args[1] if len(args) > 1 else kwargs["target"]
            self._loss(func, first, second, result, args, kwargs)
        elif result.ndim == 0 and isinstance(first, Tensor) and result.requires_grad and self.close:
            self.seen.clamped += int(bool((result != first).any()))

    def _pair(self, func: Any, a: Tensor, b: Tensor) -> None:
        """(n, 1) against (n,): every output is compared with every target."""
        if a.shape == b.shape or a.requires_grad == b.requires_grad or self.rows < 2:
            return
        sizes = sorted((tuple(a.shape), tuple(b.shape)), key=len)
        if sizes == [(self.rows,), (self.rows, 1)]:
            pair = (
                (tuple(a.shape), tuple(b.shape))
                if a.requires_grad
                else (
                    tuple(b.shape),
                    tuple(a.shape),
                )
            )
            self.seen.broadcasts[pair] = self.seen.broadcasts.get(pair, 0) + 1

    def _loss(
        self, func: Any, output: Tensor, target: Tensor, result: Tensor, args: Any, kwargs: Any
    ) -> None:
        if not self.close:
            return
        codes = not target.is_floating_point()
        given = [t.detach().double() for t in (output, target)]
        self.seen.losses.append(
            LossCall(
                func.__name__,
                len(self.seen.steps),
                tuple(output.shape),
                tuple(target.shape),
                float(result.double().mean()),
                flaw(func, output),
                plain(args, kwargs),
                len(target.unique()) if codes else 0,
                (float(given[0].mean()), float(given[1].mean())),
                (float(given[0].var(correction=0)), float(given[1].var(correction=0))),
            )
        )

    # --- Modules --------------------------------------------------------------------------------

    def before_forward(self, module: nn.Module, args: Any) -> None:
        self.depth += 1
        if self.depth == 1:
            self.listen()  # a step of an optimizer that failed never ended
            self.enter(module, args, torch.is_grad_enabled())
        if isinstance(module, TWO_MODES):
            met = (id(module), module.training, self.rows)
            if met not in self.met:
                self.met.add(met)
                self.two_modes(module, args)
        elif self.fresh and self.root is not None and "weight" in module._parameters:
            self.first(module, args)
        elif self.fresh and "Norm" in type(module).__name__:
            self.normalized = True

    def after_forward(self, module: nn.Module, args: Any, result: Any) -> None:
        self.depth = max(0, self.depth - 1)
        if self.depth == 0:
            self.fresh = False

    @safely
    def enter(self, module: nn.Module, args: Any, grad: bool) -> None:
        self.fresh = False
        root = self.known.get(id(module))
        if root is None:
            if next(module.parameters(), None) is None:
                return  # a loss, an activation
            if any(map(nn.parameter.is_lazy, module.parameters())):
                return  # it gets its weights by this call
            root = Root(module, len(args))
            for tensor in module.state_dict(keep_vars=True).values():
                if id(tensor) not in self.seen.initial:
                    self.seen.initial[id(tensor)] = tensor.detach().clone()
            self.known[id(module)] = root
            self.seen.roots.append(root)
        self.root = root
        self.root_training = module.training
        root.calls += 1
        root.modes.add((module.training, grad))
        given = args[0] if args and isinstance(args[0], Tensor) and args[0].ndim else None
        if given is None:
            return
        self.rows = len(given)
        if grad:
            kept = sum(map(len, root.inputs))
            if kept < KEPT_ROWS and all(i.shape[1:] == given.shape[1:] for i in root.inputs):
                root.inputs.append(given[: KEPT_ROWS - kept].detach().clone())
            if len(self.seen.order) < MOST_ORDER:
                self.seen.order.append(float(given.detach().double().sum()))
            self.fresh, self.normalized = self.seen.first_input is None, False

    @safely
    def first(self, module: nn.Module, args: Any) -> None:
        self.fresh = False
        given = args[0] if args and isinstance(args[0], Tensor) else None
        if given is None or not given.is_floating_point() or given.numel() < 2:
            return
        normalizes = isinstance(module, _BatchNorm) or "Norm" in type(module).__name__
        spread, mean = torch.std_mean(given.float())
        self.seen.first_input = FirstInput(
            module,
            float(mean),
            float(spread),
            float(given.min()),
            float(given.max()),
            self.normalized or normalizes,
        )

    @safely
    def two_modes(self, module: nn.Module, args: Any) -> None:
        if self.fresh and isinstance(module, _BatchNorm):
            self.normalized = True
        seen = self.seen.two_modes.setdefault(id(module), TwoModes(module))
        seen.training.add(module.training)
        if module.training and isinstance(module, _BatchNorm) and isinstance(args[0], Tensor):
            given = args[0]
            values = given.numel() // given.shape[1] if given.ndim > 1 else given.shape[0]
            size = (values, len(given))
            seen.fewest = min(seen.fewest or size, size)

    # --- Optimizers -----------------------------------------------------------------------------

    def enter_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self.listen()
        self.before_step(optimizer, args, kwargs)
        # A step calls most functions of all and none of interest, unless it has a closure. A mode
        # of the user's own (a default device, say) must go on.
        if not with_closure(args, kwargs) and torch._C._len_torch_function_stack() == 1:
            self.deaf = torch._C.DisableTorchFunction()
            self.deaf.__enter__()

    def leave_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self.listen()
        self.after_step(optimizer, args, kwargs)

    def listen(self) -> None:
        """Sees calls of functions again."""
        if self.deaf is not None:
            self.deaf.__exit__(None, None, None)
            self.deaf = None

    @safely
    def before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if id(optimizer) not in self.indices:
            self.indices[id(optimizer)] = len(self.seen.optimizers)
            self.seen.optimizers.append(optimizer)
        self.before, self.norms = {}, ({}, {})
        if self.close and not with_closure(args, kwargs):  # else gradients come within
            self.before = {id(p): p.detach().clone() for p in parameters(optimizer)}
            self.norms = (
                norms(self.before.items()),
                norms((id(p), p.grad) for p in parameters(optimizer) if p.grad is not None),
            )

    @safely
    def after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        index = self.indices[id(optimizer)]
        updates = norms(
            (id(p), p.detach() - self.before[id(p)])
            for p in parameters(optimizer)
            if id(p) in self.before
        )
        weights, gradients = self.norms
        self.seen.steps.append(
            Step(
                index,
                self.loss,
                tuple(float(group["lr"]) for group in optimizer.param_groups),
                self.root_training,
                self.rows,
                # With several optimizers in turn, each clears its own gradients when it pleases.
                self.cleared if self.last_optimizer == index else None,
                weights,
                gradients,
                updates,
            )
        )
        self.before, self.cleared, self.last_optimizer = {}, None, index
        self.waiting = self.close


def with_closure(args: Any, kwargs: Any) -> bool:
    return len(args) > 1 or bool(kwargs)  # the optimizer itself is the first of them


def parameters(optimizer: Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]


def norms(tensors: Iterable[tuple[int, Tensor]]) -> dict[int, float]:
    return {
        key: float(torch.linalg.vector_norm(t.float())) for key, t in tensors if not t.is_sparse
    }


def leaves(loss: Any) -> list[Tensor]:
    """The tensors that a backward pass from here reaches."""
    found, met, left = [], set(), [loss.grad_fn]
    while left:
        node = left.pop()
        if node is None or node in met:
            continue
        met.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        left.extend(following for following, _ in node.next_functions)
    return found


def flaw(func: Any, output: Tensor) -> str:
    """What is wrong with what a loss was given, from its values, "" if nothing."""
    values = output.detach().float()
    if not values.isfinite().all() or values.ndim == 0:
        return ""
    several = values.ndim > 1 and values.shape[1] > 1
    shares = bool(values.min() >= 0) and bool(values.max() <= 1)
    if func is functional.cross_entropy and several and shares:
        return "probabilities" if bool(((values.sum(1) - 1).abs() < 1e-3).all()) else ""
    if func is functional.nll_loss and several:
        return "no log-probabilities" if bool((values.logsumexp(1).abs() > 1e-2).any()) else ""
    if func is functional.binary_cross_entropy_with_logits and shares:
        return "probabilities" if made_by(output).startswith(("Sigmoid", "Softmax")) else ""
    return ""


def plain(args: Any, kwargs: Any) -> bool:
    """Whether a loss was asked for as a mean without weights. (Third comes `weight`.)"""
    weights = (kwargs.get("weight"), kwargs.get("pos_weight"), *args[2:3])
    return not any(isinstance(w, Tensor) for w in weights) and kwargs.get("reduction") != "sum"


def made_by(tensor: Tensor) -> str:
    """The name of the operation that made it, changes of shape aside."""
    node = tensor.grad_fn
    passing = ("View", "Squeeze", "Unsqueeze", "Reshape", "Select", "Slice", "ToCopy", "Flatten")
    while node is not None and node.name().startswith(passing):
        node = node.next_functions[0][0]
    return "" if node is None else str(node.name())
