"""Time and memory of every rung at n, 2n, 4n and 8n training rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rung import features, suite
from rung.benchmark import Variant, picture_size, trials
from rung.dataset import Dataset
from rung.errors import RungError

from .records import Growth, LeftOut
from .shared import Run, apart, pictures

SIZES = (1, 2, 4, 8)
TURNS, ENOUGH = 3, 3.0  # fits of a size, as long as they took fewer seconds in all


@dataclass(frozen=True)
class Case:
    """What a rung grows on: a data set, "" for pictures; most: rows at 8n, None for all."""

    dataset: str = ""
    most: int | None = None
    px: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


# Nets learn for a fixed number of epochs here: left alone, their budget of pixels or steps makes
# them take about as long for any number of rows.
CASES = {
    "random": Case("adult"),
    "prior": Case("adult"),
    "linear": Case(),
    "kernel_ridge": Case(most=8_000),
    "gaussian_process": Case("adult", most=8_000),
    "random_forest": Case("adult"),
    "gradient_boosting": Case("adult"),
    "net": Case("adult", parameters={"epochs": 10, "dropout": 0.1}),
    "random_patches": Case(most=8_000),
    "convnet": Case(px=32, parameters={"epochs": 2}),
    "fasttext": Case("sst2"),
}
NOT_MEASURED = {"auto_sklearn": "it takes the time that it is given, whatever the rows"}


def scaling(full: bool) -> Iterator[Growth | LeftOut]:
    """Every rung of the ladder, on one thread."""
    with apart(threads=1) as run:
        for entry in suite.ladder():
            what = f"scaling of {entry.name}"
            if entry.name not in CASES:
                yield LeftOut(what, NOT_MEASURED.get(entry.name, "no data are named for it"))
                continue
            case = CASES[entry.name]
            try:
                dataset = suite.load(case.dataset) if case.dataset else pictures()[0]
            except RungError as error:
                yield LeftOut(what, str(error))
            else:
                yield grown(entry.name, dataset, case, run)


def grown(rung: str, dataset: Dataset, case: Case, run: Run) -> Growth:
    """The rung fitted to n, 2n, 4n and 8n rows drawn from the training part."""
    baseline = suite.baseline(rung)
    train = len(dataset.splits[0].train)
    rows = [size * (min(case.most or train, train) // SIZES[-1]) for size in SIZES]
    dataset = dataclasses.replace(dataset, splits=dataset.splits[:1])
    px = picture_size(dataset, case.px or baseline.px) if baseline.needs != "nothing" else None
    if px is not None:
        features.pixels(dataset, px)  # kept for the processes of the trials
    variants = [Variant(rung, px=case.px, parameters=case.parameters)]
    fit_s, peak_mib = [], []
    for n in rows:
        (trial,) = trials(dataset, [(rung, baseline)], seeds=1, variants=variants, train_size=n)
        costs: list[dict[str, float]] = []
        while len(costs) < TURNS and sum(c["fit_s"] for c in costs) < ENOUGH:
            costs.append(run(trial, dataset).cost)
        fit_s.append([c["fit_s"] for c in costs])
        peak_mib.append([c["peak_mib"] for c in costs])
    said = ", ".join(f"{k} {v}" for k, v in case.parameters.items())
    title = f"{baseline.title} ({said})" if said else baseline.title
    where = dataset.title or dataset.name
    return Growth(f"{title}, {where}{f' {px} px' if px else ''}", rows, fit_s, peak_mib)
