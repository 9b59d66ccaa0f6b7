"""A benchmark: which data sets, which rungs, which protocol; and the trials it consists of."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rung.baseline import Baseline
from rung.dataset import Dataset, seen
from rung.device import Device

ALONE = ("holdout", "official", "test", "groups", "time")  # names of a split that is the only one


@dataclass(frozen=True)
class Reported:
    """A number that somebody else published, in the data set's primary metric: shown apart, never
    ranked. Accuracy from 0 to 1, RMSE in units of the target."""

    title: str
    score: float
    source: str


@dataclass(frozen=True)
class Variant:
    """A rung with another picture size or other parameters of its `make`, on all data sets of a
    benchmark or on those named."""

    rung: str
    px: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    datasets: Sequence[str] | None = None

    def replaces(self, rung: str, dataset: str) -> bool:
        return self.rung == rung and (self.datasets is None or dataset in self.datasets)


@dataclass(frozen=True)
class Benchmark:
    """One question. Rungs: all that apply to a data set, or those named; variants replace the rung
    of their name. reported: rows for the one data set, or {data set: rows}."""

    datasets: Sequence[str]
    baselines: Sequence[str] | None = None
    variants: Sequence[Variant] = ()
    seeds: int = 3
    reported: Sequence[Reported] | Mapping[str, Sequence[Reported]] = ()

    def reported_on(self, dataset: str) -> list[Reported]:
        if isinstance(self.reported, Mapping):
            return list(self.reported.get(dataset, ()))
        return list(self.reported) if dataset in self.datasets else []


@dataclass(frozen=True)
class Trial:
    """One rung fitted once, as plain data: it identifies the work and is written with the outcome."""

    dataset: str
    fingerprint: str
    split: str
    rung: str
    px: int | None  # side of the pictures; None for other data
    seed_index: int
    parameters: tuple[tuple[str, Any], ...] = ()
    train_size: int | None = None
    device: Device = field(default_factory=Device)
    sized: bool = False  # whether px is not the rung's own choice, but that of a variant

    def as_dict(self) -> dict[str, Any]:
        """Plain data. `sized` stands there where it is true, so that outcomes which were published
        before there was such a thing stay as they were written."""
        plain = dataclasses.asdict(self)
        return plain if self.sized else {k: v for k, v in plain.items() if k != "sized"}

    @property
    def seed(self) -> int:
        """31 bits, from hashing the axes of the experiment: no counter that a change could shift."""
        axes = f"{self.dataset}/{self.split}/{self.rung}/{self.seed_index}"
        return int.from_bytes(hashlib.sha256(axes.encode()).digest()[:4], "big") >> 1

    @property
    def row(self) -> str:
        """What all trials of one row of the board share, e.g. "convnet-epochs=20-cuda-bf16"."""
        parts = [self.rung, *(f"{k}={v}" for k, v in self.parameters)]
        if self.sized:
            parts.append(f"{self.px}px")
        if self.train_size is not None:
            parts.append(f"n={self.train_size}")
        if self.device.kind != "cpu":
            parts.append(self.device.label.replace(" ", "-"))
        return "-".join(parts)

    @property
    def of_split(self) -> str:
        """Which of several splits, "" where there is one."""
        return "" if self.split in ALONE else f"split {self.split}"

    def __str__(self) -> str:
        words = (self.dataset, self.row, self.of_split, f"seed {self.seed_index}")
        return " ".join(filter(None, words))


def picture_size(dataset: Dataset, px: int) -> int | None:
    """The side at which the pictures are seen: smaller ones stay as they are."""
    if dataset.modality != "image":
        return None
    return max(seen(dataset.X, px)[:2])


def variants_of(variants: Sequence[Variant], rung: str, dataset: str) -> Sequence[Variant]:
    """Those in place of the rung on the data set, or the rung as it is."""
    return [v for v in variants if v.replaces(rung, dataset)] or [Variant(rung)]


def trials(
    dataset: Dataset,
    baselines: Iterable[tuple[str, Baseline]],
    *,
    seeds: int,
    variants: Sequence[Variant] = (),
    train_size: int | None = None,
    device: Device = Device(),  # noqa: B008 (frozen)
) -> list[Trial]:
    """The trials of a ladder on a data set: rung by rung, lowest first.

    A rung is fitted once where the same training part always gives the same model. Rungs that can't
    use the GPU run on the processor.
    """
    plan = []
    for name, baseline in baselines:
        if not baseline.applies_to(dataset):
            continue
        for variant in variants_of(variants, name, dataset.name):
            usual = None if baseline.needs == "nothing" else picture_size(dataset, baseline.px)
            px = usual and picture_size(dataset, variant.px or baseline.px)
            plan += [
                Trial(
                    dataset=dataset.name,
                    fingerprint=dataset.fingerprint,
                    split=split.name,
                    rung=name,
                    px=px,
                    seed_index=index,
                    parameters=tuple(sorted(variant.parameters.items())),
                    train_size=train_size,
                    device=device if baseline.gpu else Device(),
                    sized=px != usual,
                )
                for split in dataset.splits
                for index in range(1 if baseline.fixed(train_size, len(split.train)) else seeds)
            ]
    return plan
