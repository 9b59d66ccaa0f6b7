"""A report of checks: for the terminal, as JSON, as JUnit's XML and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rung.checks.report import Report


def text(report: Report, width: int | None = None) -> str:
    lines = [report.subject, *report.facts]
    for result in report.results:
        said = result.finding.said if result.finding else result.reason
        lines.append(
            f"{result.status:<15}{result.severity:<9}{result.code} {result.title} "
            f"({result.seconds:.1f} s, p {result.p_value}): {said}"
        )
    return "\n".join(lines)


def fragment(report: Report) -> str:
    raise NotImplementedError


def page(reports: Sequence[Report]) -> str:
    raise NotImplementedError
