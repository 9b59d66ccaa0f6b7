"""Checks that find the mistake before the leaderboard does: of data, of models, of nets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rung.checks.base import FALSE_ALARMS, Check, Finding, NotApplicable, Shown
from rung.checks.report import Report, examine

if TYPE_CHECKING:
    from rung.dataset import Dataset

__all__ = ["Check", "Finding", "NotApplicable", "Report", "Shown", "check", "check_data"]


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
