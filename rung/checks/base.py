"""What a check is, what it finds, and how the whole family of checks keeps its false-alarm rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rung.describe import Histogram, Sample
from rung.intervals import holm

Severity = Literal["error", "warning", "info"]
Status = Literal["passed", "found", "not applicable", "left out", "broke"]
# In how many of a hundred healthy subjects any of the statistical checks may alarm, all together.
FALSE_ALARMS = 0.01


class NotApplicable(Exception):
    """Raised by a check that can't say anything of this subject; the message says why."""


@dataclass(frozen=True, eq=False)
class Shown:
    """Examples that belong together (the two of a pair, one suspect), with a line on them."""

    said: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, eq=False)
class Lines:
    """A line chart. lines: name → (n,) y values. marks: label → x, drawn as upright lines."""

    title: str
    x: Sequence[float]
    lines: dict[str, Sequence[float]]
    x_title: str = ""
    y_title: str = ""
    log_x: bool = False
    log_y: bool = False
    marks: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Histograms:
    """Histograms below each other, by name."""

    title: str
    rows: dict[str, Histogram]


@dataclass(frozen=True, eq=False)
class Images:
    """Pictures side by side: (height, width, 3) uint8, each with a caption."""

    title: str
    pictures: Sequence[NDArray[np.uint8]]
    captions: Sequence[str]


Figure = Lines | Histograms | Images


@dataclass(frozen=True, eq=False)
class Finding:
    """What a check found.

    said: one sentence with the counts. advice: what to do. values: what was measured, plain data.
    p_value: of a statistical check, how likely a healthy subject is to look at least this bad; the
    family decides whether that is an alarm. severity: where it is not that of the check.
    """

    said: str
    advice: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    examples: tuple[Shown, ...] = ()
    figures: tuple[Figure, ...] = ()
    p_value: float | None = None
    severity: Severity | None = None


class Subject(Protocol):
    """What is checked. offers: what there is of it, in the words of `Check.needs`."""

    @property
    def offers(self) -> frozenset[str]: ...


S = TypeVar("S", bound=Subject, contravariant=True)


class Check(Generic[S]):
    """One check. Its docstring is its documentation: what goes wrong, how it is seen, what to do.

    code: RC and three digits, 1xx of data, 2xx of models, 3xx of nets. title: what is right if
    nothing is found, as a short statement. severity: of what it finds, unless the finding says
    otherwise; "info" tells something and never alarms. needs: words of which the subject must
    offer all; "image|text" is met by either. slow: left out unless it is asked for.
    """

    code: ClassVar[str]
    title: ClassVar[str]
    severity: ClassVar[Severity] = "warning"
    needs: ClassVar[tuple[str, ...]] = ()
    slow: ClassVar[bool] = False

    def run(self, subject: S) -> Finding | None:
        """What was found, or None. A statistical check always returns its finding, with p_value.

        Raises NotApplicable where there is nothing to look at.
        """
        raise NotImplementedError


def lacking(check: type[Check[Any]], offers: frozenset[str]) -> str:
    """What the check needs and the subject does not offer, "" if nothing."""
    missing = [need for need in check.needs if not offers.intersection(need.split("|"))]
    return ", ".join(need.replace("|", " or ") for need in missing)


@dataclass(frozen=True, eq=False)
class Result:
    """A check and what came of it. reason: why it is not applicable, was left out or broke.

    p_value: Holm's, over the statistical checks of the report; None for others.
    """

    code: str
    title: str
    doc: str
    severity: Severity
    status: Status
    finding: Finding | None = None
    reason: str = ""
    p_value: float | None = None
    seconds: float = 0.0

    @property
    def alarms(self) -> bool:
        return self.status == "found" and self.severity != "info"


def decided(results: Sequence[Result], false_alarms: float) -> list[Result]:
    """Statistical findings pass unless the family of them alarms, by Holm's method."""
    tested = [r for r in results if r.finding is not None and r.finding.p_value is not None]
    adjusted = holm([r.finding.p_value for r in tested])  # type: ignore[union-attr,misc]
    p_values = dict(zip(map(id, tested), adjusted, strict=True))
    return [
        (
            replace(
                r, p_value=(p := p_values[id(r)]), status="found" if p <= false_alarms else "passed"
            )
            if id(r) in p_values
            else r
        )
        for r in results
    ]
