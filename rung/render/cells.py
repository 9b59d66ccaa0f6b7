"""What stands in each cell of a board, and the lines under it, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rung.board import Board, Row
from rung.intervals import POWER, Interval
from rung.metrics import DECLARED, METRICS, Metric
from rung.verdict import Verdict

ENOUGH_SEEDS = 5  # from here on quantiles of Student's t are not far from the normal ones


@dataclass(frozen=True)
class Column:
    """priority: the higher, the sooner it is left out on a narrow terminal."""

    name: str
    title: Callable[[Board], str]
    cell: Callable[[Board, Row], str]
    priority: int
    justify: Literal["left", "right"] = "right"


def decimals(half_width: float) -> int:
    """Enough decimals to show two digits of the error, at most 4."""
    if not np.isfinite(half_width) or half_width <= 0:
        return 3
    return int(np.clip(1 - np.floor(np.log10(half_width)), 0, 4))


def number(value: float, metric: Metric, error: float) -> str:
    """A score in the metric's unit: percent with one decimal, else by the size of its error."""
    if metric.percent:
        return f"{100 * value:z.1f}"  # z: no minus before a zero
    return f"{value:z.{decimals(error)}f}"


def with_interval(score: Interval, metric: Metric) -> str:
    half = (score.high - score.low) / 2
    low, high = (number(v, metric, half) for v in (score.low, score.high))
    unit = " %" if metric.percent else ""
    return f"{number(score.estimate, metric, half)}{unit} [{low}, {high}]"


def error_part(se: float | None, metric: Metric) -> str:
    if se is None:
        return ""
    return f"{100 * se:.2f}" if metric.percent else f"{se:.{decimals(se)}f}"


def primary(board: Board, row: Row) -> str:
    return with_interval(row.score, board.metric) if row.ok else row.status


def rank(board: Board, row: Row) -> str:
    return "–" if row.rank is None else place(row)


def place(of: Row | Verdict) -> str:
    """The rank, with those that it may be."""
    span = f" ({of.rank_low}–{of.rank_high})" if of.rank_low != of.rank_high else ""
    return f"{of.rank}{span}"


def test_part(board: Board, row: Row) -> str:
    return error_part(row.score.test_se, board.metric) if row.ok else ""


def seed_part(board: Board, row: Row) -> str:
    if not row.ok:
        return ""
    if board.n_splits > 1:
        return ""  # the splits have it in them
    if row.deterministic:
        return "none"
    part = error_part(row.score.seed_se, board.metric)
    return part or "not measured"


def second(board: Board) -> Metric | None:
    """The metric beside the one that decides: the first declared that some row has."""
    for name in DECLARED[board.dataset["task"]]:
        if name != board.metric.name and any(name in row.scores for row in board.rows):
            return METRICS[name]
    return None


def second_cell(board: Board, row: Row) -> str:
    metric = second(board)
    if metric is None or metric.name not in row.scores:
        return "–" if row.ok and metric else ""
    return with_interval(row.scores[metric.name], metric)


def below(board: Board, row: Row) -> str:
    if row.below is None:
        return ""
    half = (row.below.high - row.below.low) / 2
    p = row.below_p_holm or 0.0
    return f"+{number(row.below.estimate, board.metric, half)} ({chance(p)})"


def chance(p: float) -> str:
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)


def size(difference: float, metric: Metric) -> str:
    """The size of a difference, with its unit."""
    if metric.percent:
        return f"{100 * difference:.1f} points"
    return f"{difference:.{decimals(difference)}f}"


def seconds(value: float | None) -> str:
    if value is None:
        return ""
    if value < 0.01:
        return "< 0.01 s"
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def memory(mib: float | None) -> str:
    if mib is None:
        return ""
    return f"{mib:.0f} MiB" if mib < 1000 else f"{mib / 1024:.1f} GiB"


def input_size(board: Board, row: Row) -> str:
    return f"{row.px} px" if row.px is not None else ""


def device(board: Board, row: Row) -> str:
    """Said on every row as soon as one row ran on a GPU."""
    if all(r.device == "cpu" for r in board.rows):
        return ""
    gpu = f" ({memory(row.gpu_peak_mib)})" if row.gpu_peak_mib else ""
    return "cpu fp32" if row.device == "cpu" else f"{row.device} {row.precision}{gpu}"


COLUMNS = [
    Column("rank", lambda b: "rank", rank, 0, "left"),
    Column("group", lambda b: "", lambda b, r: r.group, 2, "left"),
    Column("title", lambda b: "rung", lambda b, r: r.full_title, 0, "left"),
    Column("score", lambda b: f"{b.metric.title} [{100 * b.level:g} %]", primary, 0, "left"),
    Column("test", lambda b: "test ±", test_part, 4),
    Column("seed", lambda b: "seed ±", seed_part, 3),
    Column("second", lambda b: m.title if (m := second(b)) else "", second_cell, 5, "left"),
    Column("below", lambda b: "above the next", below, 2),
    Column("fit", lambda b: "fit", lambda b, r: seconds(r.fit_s), 1),
    Column("predict", lambda b: "predict 1,000", lambda b, r: seconds(r.predict_s), 6),
    Column("memory", lambda b: "peak memory", lambda b, r: memory(r.peak_mib), 7),
    Column("rows", lambda b: "trained on", lambda b, r: f"{r.n_train:,}" if r.n_train else "", 8),
    Column("px", lambda b: "input", input_size, 9),
    Column("seeds", lambda b: "seeds", lambda b, r: str(r.seeds or ""), 10),
    Column("device", lambda b: "device", device, 1, "left"),
]


def cells(board: Board, row: Row) -> dict[str, str]:
    return {column.name: column.cell(board, row) for column in COLUMNS}


def heading(board: Board | Verdict) -> str:
    about = board.dataset
    parts = [about["title"]]
    if about["local_copy"]:
        parts.append(f"local copy {about['fingerprint'][:8]}, not the official archive")
    if about["classes"]:
        parts.append(f"{len(about['classes'])} classes")
    if isinstance(board, Board) and board.n_splits > 1:
        parts.append(f"{board.n_splits} splits")
        return f"{', '.join(parts)} of {board.n_test:,} test examples each"
    parts.append(f"{board.n_test:,} test examples")
    return ", ".join(parts)


def more_seeds(seeds: int) -> str:
    """Why intervals and p-values are what they are with so few seeds."""
    return (
        f"{seeds} seeds say little of the noise of training, which the intervals and p-values allow "
        f"for; {ENOUGH_SEEDS} or more make them much sharper."
    )


def facts(board: Board) -> list[str]:
    """The lines under the table: what has to be beaten, and how to read the numbers."""
    lines = []
    best = board.to_beat
    if best is not None:
        one = [r.title for r in board.rows].count(best.title) == 1
        name = best.title if one else best.full_title
        lines.append(f"To beat: {name}, {with_interval(best.score, board.metric)}.")
    spread = board.minimum_detectable_difference
    if spread is not None:
        lines.append(
            f"A difference of about {size(spread, board.metric)} between the first two would be seen "
            f"with {100 * POWER:g} % power (Holm's correction included)."
        )
    level = f"{100 * board.level:g} %"
    if board.n_splits == 1:
        lines.append(
            f"[ ]: {level} interval for new examples and a new training run; test ± and seed ±: "
            "standard errors from the test set and from training; rank (best–worst it may be)."
        )
    else:
        lines.append(
            f"[ ]: {level} corrected resampled interval (Nadeau and Bengio 2003): the splits share "
            "examples; test ±: its standard error; rank (best–worst it may be)."
        )
    if any(row.group for row in board.rows):
        lines.append(
            "Rungs that share a letter can't be told apart; p: of the paired difference, Holm's "
            "correction over all pairs."
        )
    if board.uninformed:
        names = ", ".join(row.title for row in board.uninformed)
        what = "common each class is"
        if board.dataset["task"] == "regression":
            what = "targets are spread"
        lines.append(f"Their probabilities tell no more than how {what}: {names}.")
    unmeasured = [r.title for r in board.rows if r.ok and r.seeds == 1 and not r.deterministic]
    if unmeasured and board.n_splits == 1:
        lines.append(
            f"One seed, so the noise of training is not measured: {', '.join(unmeasured)}."
        )
    few = [
        r.seeds for r in board.rows if r.ok and not r.deterministic and 1 < r.seeds < ENOUGH_SEEDS
    ]
    if few and board.n_splits == 1:
        lines.append(more_seeds(min(few)))
    if board.reported:
        lines.append("Reported elsewhere, not run here:")
        for r in board.reported:
            score = number(r.score, board.metric, 0.01)
            unit = " %" if board.metric.percent else ""
            lines.append(f"  {r.title}: {score}{unit} ({r.source})")
    return lines
