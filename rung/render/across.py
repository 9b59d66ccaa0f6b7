"""A comparison across data sets as text, Markdown, CSV, JSON or HTML."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from rung.across import (
    ENOUGH_DATASETS,
    ENOUGH_RUNGS,
    ENOUGH_TO_RESAMPLE,
    Across,
    Friedman,
)
from rung.metrics import METRICS
from rung.render import tables
from rung.render.cells import chance, number
from rung.render.tables import Filled, Section

if TYPE_CHECKING:
    import pandas as pd


def render(across: Across, form: str, width: int | None = None) -> str:
    """One of rung.render.FORMATS. width: columns of the terminal, None where there is none."""
    if form == "json":
        return json.dumps(across.as_dict(), indent=1)
    if form == "csv":
        return str(frame(across).to_csv(index=False)).rstrip("\n")
    sections = (standings(across), pairs(across))
    if form == "table":
        return "\n\n".join(tables.text(s, width) for s in sections)
    page = tables.markdown if form == "markdown" else tables.html
    return "\n\n".join(page(s) for s in sections)


def frame(across: Across) -> pd.DataFrame:
    """One row a rung: rung, title, mean_rank, low, high, groups, and for each data set the columns
    score_DATASET and rank_DATASET. The pairs stand in the JSON alone."""
    import pandas as pd

    flat = []
    for row in across.as_dict()["rows"]:
        scores, places = row.pop("scores"), row.pop("ranks")
        row["groups"] = letters(row["groups"])
        for dataset in across.datasets:
            row[f"score_{dataset}"], row[f"rank_{dataset}"] = scores[dataset], places[dataset]
        flat.append(row)
    return pd.DataFrame(flat)


def letters(numbers: tuple[int, ...]) -> str:
    """The groups as in a compact letter display: "ab"."""
    return "".join(chr(ord("a") + n) for n in numbers)


def heading(across: Across) -> str:
    name = f"{across.name}: " if across.name else ""
    return f"{name}{len(across.rows)} rungs across {len(across.datasets)} data sets"


def standings(across: Across) -> Section:
    """The rungs by mean rank, with their score and rank on each data set."""
    rows = across.rows
    columns = [
        Filled("rung", [row.title for row in rows], 0, "left"),
        Filled(
            f"mean rank [{100 * across.level:g} %]",
            [f"{row.mean_rank:.2f} [{row.low:.2f}, {row.high:.2f}]" for row in rows],
            0,
            "left",
        ),
        Filled("group", [letters(row.groups) for row in rows], 0, "left"),
    ]
    for i, (title, metric) in enumerate(zip(across.titles, across.metrics, strict=True)):
        cells = [f"{score_cell(row.scores[i], metric)} ({row.ranks[i]:g})" for row in rows]
        columns.append(Filled(title, cells, 1 + i))
    return Section(heading(across), columns, facts(across))


def score_cell(score: float, metric: str) -> str:
    known = METRICS.get(metric)
    if known is None:
        return f"{score:.3f}"
    # Three digits; the intervals stand on the boards.
    return number(score, known, abs(score) / 10) + (" %" if known.percent else "")


def pairs(across: Across) -> Section:
    """All pairs of rungs."""
    titles = {row.rung: row.title for row in across.rows}
    shown = across.pairs
    columns = [
        Filled("better mean rank", [titles[pair.better] for pair in shown], 0, "left"),
        Filled("than", [titles[pair.worse] for pair in shown], 0, "left"),
        Filled("mean ranks apart", [f"{pair.difference:.2f}" for pair in shown], 1),
        Filled("Wilcoxon T", [f"{pair.t:g}" for pair in shown], 4),
        Filled("p", [bare(pair.p_value) for pair in shown], 3),
        Filled("p (Holm)", [bare(pair.holm) for pair in shown], 0),
        Filled("better in resamples", [f"{100 * pair.share:.1f} %" for pair in shown], 2),
    ]
    facts = [
        "p: Wilcoxon's signed-rank test over data sets, exact; p (Holm): adjusted for all pairs; "
        "better in resamples: share of bootstrap samples of data sets, ties count half (no test)."
    ]
    own_unit = [
        title
        for title, metric in zip(across.titles, across.metrics, strict=True)
        if metric in METRICS and not METRICS[metric].percent
    ]
    if own_unit:
        facts.append(
            "Wilcoxon's test takes the error as a share of the median rung's where it has a unit "
            f"of its own ({', '.join(own_unit)}); ranks need no such choice."
        )
    return Section("Pairs of rungs", columns, facts)


def bare(p_value: float) -> str:
    return chance(p_value).removeprefix("p ").removeprefix("= ")


def facts(across: Across) -> list[str]:
    """The lines under the table: what is told apart, how to read it, and what N can't show."""
    n = len(across.datasets)
    lines = []
    if across.friedman is None or across.critical_difference is None:
        verdict = "can't be told apart" if across.groups else "are told apart"
        lines.append(
            "Two rungs: Friedman's test needs three, so Wilcoxon's test decides alone "
            f"({chance(across.pairs[0].p_value)}); they {verdict}."
        )
    else:
        lines += [friedman_line(across.friedman, across.level), difference_line(across)]
    lines += few(across)
    lines.append(
        f"( ): rank on that data set; [ ]: {100 * across.level:g} % interval of the mean rank for "
        "other data sets like these, paired bootstrap over data sets."
    )
    if n < ENOUGH_TO_RESAMPLE:
        lines.append(
            "The intervals of mean ranks are too short with so few data sets: in simulations those "
            "of 95 % covered about 70 % with 3 data sets, 80 % with 4, 90 % with 6, 94 % with 10."
        )
    same = [row.title for row in across.rows if row.low == row.high]
    if same:
        lines.append(
            f"The same rank everywhere gives an interval without width ({', '.join(same)}); that "
            f"is all that {n} data sets can say of it."
        )
    if across.settings_differ:
        lines.append(
            f"Not run with the same settings everywhere: {', '.join(across.settings_differ)}."
        )
    if across.left_out:
        lines.append(
            "Left out: " + "; ".join(f"{r.title} ({r.reason})" for r in across.left_out) + "."
        )
    return lines


def friedman_line(test: Friedman, level: float) -> str:
    ties = ""
    if not math.isclose(test.chi_square, test.chi_square_ties):
        ties = f"; {test.chi_square_ties:.2f} corrected for ties"
    f = f"{test.f:.2f}" if math.isfinite(test.f) else "∞"
    found = "the rungs differ" if test.f_p_value < 1 - level else "no difference is found"
    return (
        f"Friedman: χ² = {test.chi_square:.2f} ({test.df} df, {chance(test.p_value)}{ties}); "
        f"Iman–Davenport: F = {f} ({test.f_df[0]} and {test.f_df[1]} df, "
        f"{chance(test.f_p_value)}): {found}."
    )


def difference_line(across: Across) -> str:
    said = f"Critical difference of mean ranks (Nemenyi): {across.critical_difference:.2f}"
    if across.friedman and across.friedman.f_p_value >= 1 - across.level:
        return f"{said}; not used, since Friedman's test finds no difference."
    return (
        f"{said}; rungs that share a letter differ by less, and this test does not tell them apart."
    )


def few(across: Across) -> list[str]:
    """What can't be found with so few data sets, however large the differences."""
    n, k, m = len(across.datasets), len(across.rows), len(across.pairs)
    lines = []
    if across.critical_difference is not None and across.critical_difference > k - 1:
        lines.append(
            f"Too few data sets: mean ranks of {k} rungs can't be more than {k - 1} apart, so "
            "Nemenyi's test can't tell any two apart."
        )
    if across.smallest_p >= 1 - across.level:
        adjusted = f" (Holm, {m} pairs)" if m > 1 else ""
        lines.append(
            f"Too few data sets: with {n} of them Wilcoxon's p{adjusted} can't be smaller than "
            f"{bare(across.smallest_p)}, however large the differences; {across.datasets_needed} "
            "would do."
        )
    if across.friedman and (n < ENOUGH_DATASETS or k < ENOUGH_RUNGS):
        lines.append(
            f"The p-values of χ² and F are approximations for more than {ENOUGH_DATASETS - 1} data "
            f"sets and {ENOUGH_RUNGS - 1} rungs (Demšar 2006)."
        )
    return lines
