"""The critical-difference diagram (Demšar 2006, figure 1), PNG or SVG by the file's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rung.across import Across
from rung.render.across import heading
from rung.render.page import check_picture, save

BLUE, RED = "#2b5c8a", "#b3401c"
STEP = 0.34  # between lines of the diagram, inches


def plot(across: Across, path: Path) -> None:
    """Writes the picture: the axis of mean ranks with the best on the right, a thick bar over the
    rungs that can't be told apart. Raises RungError for a name that is neither .png nor .svg."""
    check_picture(path)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    k = len(across.rows)
    bars = len(across.groups)
    depth = STEP * (bars + (k + 1) // 2 + 1)  # under the axis
    # A fixed salt, so that the same comparison gives the same bytes.
    with plt.rc_context({"svg.hashsalt": "rung", "svg.fonttype": "none", "font.size": 10}):
        figure, axes = plt.subplots(figsize=(7.2, 1.1 + depth))
        axes.set_xlim(k + 0.02, 0.98)
        axes.set_ylim(-depth, 0.9)
        axes.axis("off")
        axes.hlines(0, 1, k, color="black", lw=1)
        for tick in range(1, k + 1):
            axes.vlines(tick, 0, 0.09, color="black", lw=1)
            axes.text(tick, 0.13, str(tick), ha="center", va="bottom")
        if across.critical_difference is not None:
            draw_difference(axes, k, across.critical_difference)
        for number, group in enumerate(across.groups):
            means = [row.mean_rank for row in across.rows if row.rung in group]
            height = -STEP * (0.45 + number)
            axes.hlines(
                height,
                min(means) - 0.03,
                max(means) + 0.03,
                color=RED,
                lw=4,
                capstyle="round",
                clip_on=False,
            )
        draw_rungs(axes, across, -STEP * (bars + 0.7))
        axes.set_title(
            f"{heading(across)}: mean rank, best on the right\n{said(across)}",
            fontsize=10,
            loc="left",
        )
        save(figure, path)
        plt.close(figure)


def said(across: Across) -> str:
    """What the bars mean."""
    if not across.groups:
        return "all are told apart"
    if across.friedman is None:
        return "bar: not told apart by Wilcoxon's test"
    if across.friedman.f_p_value >= 1 - across.level:
        return "bar: Friedman's test finds no difference"
    return f"bars: not told apart at {100 * across.level:g} %"


def draw_difference(axes: Any, k: int, difference: float) -> None:
    """The critical difference as a length on the axis, cut with an arrow where it is longer."""
    length = min(difference, k - 1)
    axes.hlines(0.5, k - length, k, color="black", lw=1.2)
    axes.vlines(k, 0.44, 0.56, color="black", lw=1.2)
    if difference <= k - 1:
        axes.vlines(k - length, 0.44, 0.56, color="black", lw=1.2)
    else:
        axes.plot(1, 0.5, ">", color="black", ms=5, clip_on=False)
    axes.text(k - length / 2, 0.56, f"CD = {difference:.2f}", ha="center", va="bottom")


def draw_rungs(axes: Any, across: Across, top: float) -> None:
    """An elbow from the mean rank of each rung to its name: the better half to the right."""
    k = len(across.rows)
    right = (k + 1) // 2
    for place, row in enumerate(across.rows):
        better = place < right
        # The outermost is the highest, so that no two lines cross.
        height = top - STEP * (place if better else k - 1 - place)
        end = 1 if better else k
        axes.plot([row.mean_rank, row.mean_rank, end], [0, height, height], color=BLUE, lw=1.1)
        label = (
            f"{row.mean_rank:.2f}  {row.title}" if better else f"{row.title}  {row.mean_rank:.2f}"
        )
        axes.annotate(
            label,
            (end, height),
            xytext=(5 if better else -5, 0),
            textcoords="offset points",
            ha="left" if better else "right",
            va="center",
        )
