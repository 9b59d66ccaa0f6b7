"""Runs checks on a subject, and what came of it: the report."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rung.checks.base import (
    FALSE_ALARMS,
    Check,
    NotApplicable,
    Result,
    Severity,
    Subject,
    decided,
    lacking,
)
from rung.errors import RungError

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Report:
    """What the checks say of a subject. subject: its name. facts: what was looked at, a line each.

    false_alarms: the share of healthy subjects in which any statistical check would alarm.
    """

    subject: str
    results: tuple[Result, ...]
    facts: tuple[str, ...] = ()
    false_alarms: float = FALSE_ALARMS

    @property
    def ok(self) -> bool:
        """Whether nothing of severity error was found, and every check could do its work."""
        return not self.errors and not any(r.status == "broke" for r in self.results)

    @property
    def errors(self) -> list[Result]:
        return self.of("error")

    @property
    def warnings(self) -> list[Result]:
        return self.of("warning")

    @property
    def told(self) -> list[Result]:
        """What was measured and is no alarm."""
        return self.of("info")

    def of(self, severity: Severity) -> list[Result]:
        return [r for r in self.results if r.status == "found" and r.severity == severity]

    def __getitem__(self, code: str) -> Result:
        return next(r for r in self.results if r.code == code)

    def as_dict(self) -> dict[str, Any]:
        """Plain data with a `schema` number; examples by their ids, no clock."""
        return {
            "schema": SCHEMA,
            "subject": self.subject,
            "ok": self.ok,
            "false_alarms": self.false_alarms,
            "facts": list(self.facts),
            "results": [plain(r) for r in self.results],
        }

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), indent=1)

    def to_html(self) -> str:
        from rung.render.checks import page

        return page([self])

    def _repr_html_(self) -> str:
        from rung.render.checks import fragment

        return fragment(self)

    def __str__(self) -> str:
        from rung.render.checks import text

        return text(self)


def plain(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = {
        "code": result.code,
        "title": result.title,
        "severity": result.severity,
        "status": result.status,
    }
    if result.reason:
        found["reason"] = result.reason
    if result.p_value is not None:
        found["p_holm"] = result.p_value
    if (finding := result.finding) is not None:
        found |= {"said": finding.said, "advice": finding.advice, "values": finding.values}
        found["examples"] = [
            {"said": shown.said, "samples": [s.as_dict() for s in shown.samples]}
            for shown in finding.examples
        ]
    return found


def examine(
    name: str,
    checks: Sequence[type[Check[Any]]],
    subject: Subject,
    *,
    facts: Sequence[str] = (),
    slow: bool = False,
    false_alarms: float = FALSE_ALARMS,
    progress: Callable[[str], None] = lambda line: None,
) -> Report:
    """Runs the checks one after the other. slow: those that are slow too.

    A check that raises anything but NotApplicable has broken, which is said and spoils no other.
    progress: told which one runs, "" at the end. Raises RungError if there is none to run.
    """
    if not checks:
        raise RungError(f"{name}: of the checks asked for none is of its kind")
    results = []
    for check in checks:
        progress(f"{check.code} {check.title}")
        results.append(one(check, subject, slow))
    progress("")
    return Report(name, tuple(decided(results, false_alarms)), tuple(facts), false_alarms)


def one(check: type[Check[Any]], subject: Subject, slow: bool) -> Result:
    doc = " ".join((check.__doc__ or "").split())
    result = Result(check.code, check.title, doc, check.severity, "passed")
    if missing := lacking(check, subject.offers):
        return replace(result, status="not applicable", reason=f"needs {missing}")
    if check.slow and not slow:
        return replace(result, status="left out", reason="slow; --slow runs it")
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is checked; a check says what it means
            finding = check().run(subject)
    except NotApplicable as reason:
        return replace(result, status="not applicable", reason=str(reason))
    except Exception as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return replace(result, status="broke", reason=said)
    seconds = time.perf_counter() - start
    if finding is None:
        return replace(result, seconds=seconds)
    return replace(
        result,
        status="found",
        finding=finding,
        severity=finding.severity or check.severity,
        seconds=seconds,
    )
