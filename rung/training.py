"""The one training loop of all nets: SGD, for convolutions Muon, under a one-cycle schedule.

It knows nothing of pictures or tables: a net, tensors on a device, a loss, and maybe a function
that makes a batch (augmentation). There is no DataLoader, since small data fits on the device
and indexing a tensor there is faster than any worker.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from rung.device import Pieces, autocast
from rung.memory import kept_memory

# (rows of X, generator on their device, progress of the training from 0 to 1) -> input of the net
Augment = Callable[[Tensor, torch.Generator, float], Tensor]
# (output of the net in fp32, rows of y) -> mean over the rows
Loss = Callable[[Tensor, Tensor], Tensor]


@contextlib.contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[torch.Generator]:
    """Everything random inside depends on `seed` alone; global random state is left as it was.

    Seeds torch's global generators (initial weights, dropout) and yields a generator of its own
    on `device` for what takes one.
    """
    gpus = [torch.device(device)] if device != "cpu" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield torch.Generator(device).manual_seed(seed)


@kept_memory()
def train(
    net: nn.Module,
    X: Tensor,
    y: Tensor,
    *,
    loss: Loss,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    generator: torch.Generator,
    convolution_rate: float = 0.0,
    augment: Augment | None = None,
    momentum: float = 0.9,
    warm_up: float = 0.25,
    precision: str = "fp32",
    longest_gradient: float = math.inf,
) -> None:
    """Trains `net` in place and leaves it in eval mode.

    A batch that does not fit into the GPU's memory is worked on in halves (quarters, ...), of which
    the gradients are summed: only batch norm sees the difference. A warning says so.

    X: (n, ...) and y: (n, ...), on the device of `net` and `generator`. learning_rate: the
    peak, reached linearly after the share `warm_up` of all steps; from there it falls linearly to
    zero (Smith and Topin, 2018, arXiv:1708.07120). weight_decay: not for parameters of one
    dimension (biases and norms; He et al., 2019, arXiv:1812.01187). convolution_rate: the peak for
    the weights of convolutions, which Muon trains then, without weight decay; 0: SGD trains them
    too. precision: "fp32", or "bf16" and "fp16" on a GPU; fp16 comes with loss scaling.
    longest_gradient: to which norm a longer one is cut (Pascanu et al., 2013, arXiv:1211.5063).
    Raises FloatingPointError if the loss becomes NaN or infinite.
    """
    device = str(X.device)
    parameters = [p for p in net.parameters() if p.requires_grad]
    filters = [p for p in parameters if p.ndim == 4] if convolution_rate else []
    others = [p for p in parameters if p.ndim != 4] if filters else parameters
    sgd = torch.optim.SGD(
        [
            {"params": [p for p in others if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=learning_rate,
        momentum=momentum,
        nesterov=True,
    )
    optimizers: list[torch.optim.Optimizer] = [sgd]
    if filters:
        optimizers.append(Muon(filters, convolution_rate))
    peaks = [(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]
    batches = math.ceil(len(X) / batch_size)
    steps = epochs * batches
    scaler = torch.amp.GradScaler(X.device.type, enabled=precision == "fp16")
    pieces = Pieces()

    def gradients(rows: Tensor, progress: float) -> Tensor:
        """Leaves the gradient of the batch's loss in the parameters."""
        net.zero_grad(set_to_none=True)
        total = torch.zeros((), device=X.device)
        for piece in pieces.of(rows):
            batch = X.index_select(0, piece)  # a twentieth of the time of X[piece]
            if augment is not None:
                batch = augment(batch, generator, progress)
            with autocast(device, precision):
                output = net(batch)
            value = loss(output.float(), y[piece]) * (len(piece) / len(rows))
            scaler.scale(value).backward()
            total += value.detach()
        return total

    net.train()
    for epoch in range(epochs):
        total = torch.zeros((), device=X.device)
        order = torch.randperm(len(X), generator=generator, device=X.device)
        # Parts of nearly equal size: no last batch of one row, which batch norm can't take.
        for i, rows in enumerate(order.tensor_split(batches)):
            progress = (epoch * batches + i) / steps
            for group, peak in peaks:
                group["lr"] = peak * one_cycle(progress + 1 / steps, warm_up)
            total += pieces.fitting(functools.partial(gradients, rows, progress), len(rows))
            if longest_gradient < math.inf:
                for optimizer in optimizers:
                    scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(parameters, longest_gradient)
            for optimizer in optimizers:
                scaler.step(optimizer)
            scaler.update()
        # Looked at once an epoch, as every look makes the processor wait for the GPU.
        if not math.isfinite(total.item()):
            raise FloatingPointError(
                f"the training loss became NaN or infinite in epoch {epoch + 1} of {epochs}; "
                "lower the learning rate"
            )
    net.eval()


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are made orthogonal: all directions of a weight learn at one speed.

    Jordan et al., 2024, kellerjordan.github.io/posts/muon. For filters (outputs, ...), contiguous or
    channels-last, which a norm follows: each weight is kept at the Frobenius norm √outputs, which
    the norm makes idle, so that the learning rate is the most by which a step turns it.
    (torch.optim.Muon takes matrices only and works in bf16, which most processors have to emulate.)
    """

    def __init__(self, weights: list[nn.Parameter], lr: float, momentum: float = 0.8) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                state, slope = self.state[weight], weight.grad
                if slope is None:
                    continue
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                mean = state["momentum"]
                torch.add(slope, mean, alpha=group["momentum"], out=mean)
                ahead = torch.empty_like(weight)  # Nesterov's
                torch.add(slope, mean, alpha=group["momentum"], out=ahead)
                weight.mul_(len(weight) ** 0.5 / weight.norm())
                as_matrix(weight).addmm_(*orthogonal(as_matrix(ahead)), alpha=-group["lr"])


def as_matrix(filters: Tensor) -> Tensor:
    """Filters (outputs, ...) as a matrix of a row each, without a copy; columns in memory's order."""
    if filters.ndim == 4 and filters.is_contiguous(memory_format=torch.channels_last):
        filters = filters.permute(0, 2, 3, 1)
    return filters.view(len(filters), -1)


def orthogonal(matrix: Tensor, iterations: int = 3) -> tuple[Tensor, Tensor]:
    """Two matrices whose product is about the nearest one with orthonormal rows or columns.

    That is with singular values near 1. Newton and Schulz's iteration, a quintic with the
    coefficients of Jordan et al. (2024).
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    # What the matrix is multiplied with depends on XXᵀ alone, so all products but one are small.
    A = matrix @ matrix.T if wide else matrix.T @ matrix
    square = A.trace().clamp(min=1e-14)  # of the matrix's Frobenius norm
    A /= square
    P = quintic(A)
    factor = P / square.sqrt()
    for _ in range(iterations - 1):
        A = P @ A @ P
        P = quintic(A)
        factor = P @ factor
    return (factor, matrix) if wide else (matrix, factor)


def quintic(A: Tensor) -> Tensor:
    """a + b A + c A², the factor of X in an iteration where A = XXᵀ."""
    P = torch.addmm(A, A, A, beta=-4.7750, alpha=2.0315)
    P.diagonal().add_(3.4445)
    return P


def one_cycle(progress: float, warm_up: float) -> float:
    """The share of the peak learning rate, `progress` in [0, 1] of the way through training."""
    return min(progress / warm_up, (1 - progress) / (1 - warm_up))


@kept_memory()
@torch.inference_mode()
def outputs(net: nn.Module, X: Tensor, *, batch_size: int = 512, precision: str = "fp32") -> Tensor:
    """What `net` in eval mode says for X (n, ...): (n, n_outputs) float32, on the device of X."""
    net.eval()

    def answers(rows: Tensor) -> Tensor:
        with autocast(str(X.device), precision):
            return torch.cat([net(piece).float() for piece in pieces.of(rows)])

    pieces = Pieces()
    return torch.cat(
        [pieces.fitting(functools.partial(answers, b), len(b)) for b in X.split(batch_size)]
    )
