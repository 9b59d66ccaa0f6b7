"""Checks that find the mistake before the leaderboard does: of data, of models, of nets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rung.checks.base import FALSE_ALARMS, Check, Finding, NotApplicable, Shown
from rung.checks.report import Report, examine

if TYPE_CHECKING:
    from rung.dataset import Dataset

__all__ = [
    "Check",
    "Finding",
    "NotApplicable",
    "Report",
    "Shown",
    "check",
    "check_data",
    "check_ladder",
]


def check_data(
    dataset: str | Dataset,
    *,
    fast: bool = False,
    slow: bool = False,
    only: Sequence[str] = (),
    ignore: Sequence[str] = (),
    rung: str = "",
    false_alarms: float = FALSE_ALARMS,
    progress: Callable[[str], None] = lambda line: None,
) -> Report:
    """Looks for what is wrong with a data set (by name, or a `Dataset`), in its first split.

    fast: spend less time. slow: run what takes long too. only, ignore: codes of checks, or how they
    begin. rung: whose out-of-sample probabilities judge the labels. false_alarms: the share of
    healthy data sets in which any of the statistical checks would alarm.
    """
    from rung import suite
    from rung.checks.catalogue import chosen
    from rung.checks.data.subject import Data

    if rung:
        suite.get("baselines", rung)
    found = suite.load(dataset) if isinstance(dataset, str) else dataset
    subject = Data(found, fast, rung)
    split = subject.split
    facts = [f"{len(split.train):,} rows to train on, {len(split.test):,} to test on."]
    return examine(
        found.name,
        chosen(["data"], only, ignore),
        subject,
        facts=facts,
        slow=slow,
        false_alarms=false_alarms,
        progress=progress,
    )


def check(
    model: Any,
    dataset: str | Dataset,
    *,
    fast: bool = False,
    slow: bool = False,
    only: Sequence[str] = (),
    ignore: Sequence[str] = (),
    needs: str = "",
    px: int | None = None,
    false_alarms: float = FALSE_ALARMS,
    progress: Callable[[str], None] = lambda line: None,
) -> Report:
    """Looks for what is wrong with a model, by training it in many ways on some of the data.

    model: a function that makes estimators of scikit-learn's kind or torch modules, an estimator,
    a rung (or its name), or "MODULE:FACTORY". needs, px: what it is fed, as of a `Baseline`
    ("standardized" numbers). The rest as of `check_data`.
    """
    from rung import suite
    from rung.checks.catalogue import chosen
    from rung.checks.model.given import given
    from rung.checks.model.subject import Model

    data = suite.load(dataset) if isinstance(dataset, str) else dataset
    subject = Model(given(model, needs, px), data, fast)
    facts = [
        f"Trained on {len(subject.train):,} rows of {data.title or data.name}, tested on "
        f"{len(subject.test):,}."
    ]
    return examine(
        subject.given.name,
        chosen(["model", "net"], only, ignore),
        subject,
        facts=facts,
        slow=slow,
        false_alarms=false_alarms,
        progress=progress,
    )


def check_ladder(
    names: Sequence[str] | None = None,
    baselines: Sequence[str] | None = None,
    *,
    only: Sequence[str] = (),
    ignore: Sequence[str] = (),
    **options: Any,
) -> list[Report]:
    """Checks data sets, and every rung (or these baselines) on each: a report for each of them.

    names: of benchmarks or data sets (quick); a rung has the parameters that the benchmark gives
    it. options: as of `check`. A rung whose interpreter is not there is left out.
    """
    from rung import interpreters, ladder, suite
    from rung.benchmark import variants_of
    from rung.checks.catalogue import chosen
    from rung.checks.model.given import with_parameters
    from rung.errors import NotRunHere

    reports = []
    of_data, of_models = chosen(["data"], only, ignore), chosen(["model", "net"], only, ignore)
    for benchmark in [ladder.find(name) for name in names or [ladder.DEFAULT]]:
        rungs = baselines or benchmark.baselines or [entry.name for entry in suite.ladder()]
        for name in benchmark.datasets:
            dataset = suite.load(name)
            if of_data:
                reports.append(check_data(dataset, only=only, ignore=ignore, **options))
            for rung in rungs if of_models else []:
                baseline = suite.baseline(rung)
                if not baseline.applies_to(dataset):
                    continue
                if baseline.interpreter:
                    try:
                        interpreters.find(baseline.interpreter)
                    except NotRunHere:
                        continue
                for variant in variants_of(benchmark.variants, rung, name):
                    model = with_parameters(baseline, variant)
                    report = check(model, dataset, only=only, ignore=ignore, **options)
                    reports.append(replace(report, subject=f"{report.subject} on {name}"))
    return reports
