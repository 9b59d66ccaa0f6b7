"""A verdict as text, Markdown, CSV, JSON, HTML or a data frame. In words it comes first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rung.intervals import POWER, Interval
from rung.metrics import METRICS
from rung.render import tables
from rung.render.cells import (
    ENOUGH_SEEDS,
    chance,
    heading,
    more_seeds,
    number,
    place,
    size,
    with_interval,
)
from rung.render.tables import Filled, Section
from rung.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd


def render(verdict: Verdict, form: str, width: int | None = None) -> str:
    """In one of `rung.render.FORMATS`. width: columns of the terminal, None where there is none."""
    if form == "json":
        return json.dumps(verdict.as_dict(), indent=1)
    if form == "csv":
        return str(frame(verdict).to_csv(index=False)).rstrip("\n")
    if form == "table":
        return text(verdict, width)
    return markdown(verdict) if form == "markdown" else html(verdict)


def sentence(verdict: Verdict) -> str:
    """The verdict in words, for a paper."""
    metric, best, n = verdict.metric, verdict.to_beat, len(verdict.comparisons)
    found = best.difference
    family = f"({chance(best.p_holm)}, Holm over {n})"
    if best.verdict == "tie":
        against = (
            f"It ties with {best.title}: {signed(verdict, found)} {family}; a difference of "
            f"{size(best.minimum_detectable_difference, metric)} would have been seen with "
            f"{100 * POWER:g} % power."
        )
    else:
        side = 1 if best.verdict == "beats" else -1
        low, high = sorted((side * found.low, side * found.high))
        half = (high - low) / 2
        unit = " points" if metric.percent else ""
        by = number(side * found.estimate, metric, half) + unit
        span = f"[{number(low, metric, half)}, {number(high, metric, half)}]"
        against = f"It {best.verdict} {best.title} by {by} {span} {family}."
    return (
        f"Your model: {metric.title} {with_interval(verdict.score, metric)}, "
        f"rank {place(verdict)} of {n + 1}. {against}"
    )


def signed(verdict: Verdict, difference: Interval) -> str:
    """A difference with its interval; plus is better."""
    half = (difference.high - difference.low) / 2
    estimate, low, high = (
        number(v, verdict.metric, half)
        for v in (difference.estimate, difference.low, difference.high)
    )
    plus = "" if estimate.startswith("-") else "+"
    return f"{plus}{estimate}{' points' if verdict.metric.percent else ''} [{low}, {high}]"


def columns(verdict: Verdict) -> list[Filled]:
    metric, shown = verdict.metric, verdict.comparisons

    half = (verdict.score.high - verdict.score.low) / 2
    unit = " %" if metric.percent else ""
    return [
        Filled("your model", [c.verdict for c in shown], 0, "left"),
        Filled("rung", [c.title for c in shown], 0, "left"),
        Filled(f"its {metric.title}", [number(c.score, metric, half) + unit for c in shown], 3),
        Filled(
            f"better by [{100 * verdict.level:g} %]",
            [signed(verdict, c.difference) for c in shown],
            0,
            "left",
        ),
        Filled("Holm", [chance(c.p_holm) for c in shown], 1),
        Filled(
            "would be seen",
            [size(c.minimum_detectable_difference, metric) for c in shown],
            2,
        ),
    ]


def facts(verdict: Verdict) -> list[str]:
    """The lines under the table: the other metrics, and how to read the numbers."""
    lines = []
    others = [
        f"{METRICS[name].title} {with_interval(score, METRICS[name])}"
        for name, score in verdict.scores.items()
        if name != verdict.metric.name
    ]
    if others:
        lines.append(f"Your model too: {'; '.join(others)}.")
    if verdict.seeds == 1:
        lines.append(
            "One seed: the noise of your model's training was not measured; the verdict is about "
            "this trained model. Give predictions of several training runs to include it."
        )
    elif verdict.seeds < ENOUGH_SEEDS:
        lines.append(more_seeds(verdict.seeds))
    lines.append(
        f"[ ]: {100 * verdict.level:g} % interval for new examples"
        + (" and a new training run" if verdict.seeds > 1 else "")
        + "; better by: paired over the examples, each comparison alone; Holm: p-value adjusted over "
        "all comparisons, which decides; would be seen: the difference that this comparison, so "
        f"adjusted, sees with {100 * POWER:g} % power."
    )
    return lines


def section(verdict: Verdict) -> Section:
    return Section(heading(verdict), columns(verdict), facts(verdict), above=sentence(verdict))


def text(verdict: Verdict, width: int | None = None) -> str:
    """The verdict in words, then a table for the terminal."""
    return tables.text(section(verdict), width)


def markdown(verdict: Verdict) -> str:
    return tables.markdown(section(verdict))


def html(verdict: Verdict) -> str:
    """A table for a notebook."""
    return tables.html(section(verdict))


def frame(verdict: Verdict) -> pd.DataFrame:
    """One row a comparison: the JSON schema, the model's own numbers as model_... in each."""
    import pandas as pd

    plain = verdict.as_dict()
    about = {name: plain[name] for name in ("dataset", "metric", "level", "n_test", "seeds")}
    names = ("score", "low", "high", "rank", "rank_low", "rank_high")
    own = {f"model_{name}": plain[name] for name in names}
    return pd.DataFrame([about | own | comparison for comparison in plain["comparisons"]])
