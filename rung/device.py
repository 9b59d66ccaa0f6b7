"""Where a trial runs: on the processor or on a GPU, and in which precision."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from rung.errors import RungError
from rung.home import Notice

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

DEVICES = "auto, cpu, cuda or cuda:N"
PRECISIONS = ("auto", "bf16", "fp16", "fp32")


@dataclass(frozen=True)
class Device:
    """A resolved choice, as plain data: `kind` is "cpu" or "cuda:N"."""

    kind: str = "cpu"
    precision: str = "fp32"

    @property
    def label(self) -> str:
        """How rows and files name it: "cpu", or "cuda bf16"."""
        return "cpu" if self.kind == "cpu" else f"cuda {self.precision}"


def resolve(device: str = "auto", precision: str = "auto", on_cluster: bool = False) -> Device:
    """What `--device` and `--precision` mean on this machine. Raises RungError if it can't be had.

    auto takes a GPU where there is one; on it bf16 where the GPU has it, else fp16; on a
    processor always fp32. What the machines of a cluster have is not known here: there auto is a
    processor, and on GPUs bf16.
    """
    if precision not in PRECISIONS:
        raise RungError(f"no precision {precision!r}; there are: {', '.join(PRECISIONS)}")
    name, _, index = device.partition(":")
    if name not in ("auto", "cpu", "cuda") or (index and (name != "cuda" or not index.isdigit())):
        raise RungError(f"no device {device!r}; say {DEVICES}")
    gpus, number = 0, int(index or 0)
    if on_cluster:
        gpus = number + 1 if name == "cuda" else 0
    elif name != "cpu":
        import torch

        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cuda" and gpus <= number:
        raise RungError(
            f"--device {device}: this machine has {gpus or 'no'} CUDA GPU{'s' * (gpus != 1)} "
            "that torch can use; say --device cpu"
        )
    if not gpus:
        if precision in ("bf16", "fp16"):
            raise RungError(f"--precision {precision} needs a GPU; a processor runs fp32")
        return Device()
    if precision == "auto":
        precision = "bf16" if on_cluster or has_bf16(number) else "fp16"
    return Device(f"cuda:{number}", precision)


def has_bf16(index: int) -> bool:
    """Whether the GPU works in bf16 itself. (torch also says so of those for which it emulates it,
    slower than fp32.)"""
    import torch

    return torch.version.hip is not None or torch.cuda.get_device_capability(index) >= (8, 0)


def synchronize(device: str) -> None:
    """Waits until the GPU has done all that was asked of it; nothing on a processor."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize(device)


@contextlib.contextmanager
def autocast(device: str, precision: str) -> Iterator[None]:
    """Mixed precision around forward passes; weights and losses stay fp32. Nothing for fp32."""
    import torch

    if precision == "fp32":
        yield
        return
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    with torch.autocast(torch.device(device).type, dtype=dtype):
        yield


class Pieces:
    """In how many pieces a batch is worked on: twice as many whenever the GPU's memory runs out."""

    def __init__(self) -> None:
        self.number = 1

    def of(self, rows: Tensor) -> Sequence[Tensor]:
        """The rows of a batch in that many pieces, of which none is empty."""
        return rows.tensor_split(min(self.number, len(rows)))

    def fitting(self, work: Callable[[], T], rows: int) -> T:
        """work(), anew in smaller pieces until it fits. rows: of the batch, the most pieces.

        Raises OutOfMemoryError where a single row does not fit.
        """
        import torch

        while True:
            try:
                return work()
            except torch.OutOfMemoryError:
                if self.number >= rows:
                    raise
            # Outside the handler, whose traceback keeps what is to be freed.
            self.number = min(2 * self.number, rows)
            torch.cuda.empty_cache()
            warnings.warn(
                f"out of GPU memory with batches of {rows}; going on in {self.number} pieces of a "
                "batch",
                Notice,
                stacklevel=3,
            )


def peak_gpu_mib(device: str) -> float | None:
    """Peak GPU memory since `reset_peak`, MiB; None on a processor."""
    if device == "cpu":
        return None
    import torch

    return float(torch.cuda.max_memory_allocated(device)) / 2**20


def reset_peak(device: str) -> None:
    """Starts the measure of peak GPU memory anew; nothing on a processor."""
    if device != "cpu":
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def describe(device: str) -> str:
    """The name of the GPU or of the processor."""
    if device != "cpu":
        import torch

        return str(torch.cuda.get_device_name(device))
    return processor()


def processor() -> str:
    import os
    import platform
    from pathlib import Path

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines: list[Any] = [
            line.split(":", 1)[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        name = lines[0] if lines else name
    return f"{name}, {os.cpu_count()} cores"
