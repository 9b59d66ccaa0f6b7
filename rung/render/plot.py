"""A dot-and-interval plot of a board, PNG or SVG by the file's name."""

from __future__ import annotations

from pathlib import Path

from rung.board import Board
from rung.render.cells import cells, heading, input_size
from rung.render.page import check_picture, save


def plot(board: Board, path: Path) -> None:
    """Writes the picture. Raises RungError for a name that is neither .png nor .svg."""
    check_picture(path)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [r for r in board.rows if r.ok][::-1]
    factor = 100 if board.metric.percent else 1
    # A fixed salt, so that the same board gives the same bytes.
    with plt.rc_context({"svg.hashsalt": "rung", "svg.fonttype": "none", "font.size": 10}):
        figure, axes = plt.subplots(figsize=(7.2, 1.2 + 0.38 * (len(rows) + 1)))
        for place, row in enumerate(rows):
            score = row.score
            best = row is board.to_beat
            colour = "#b3401c" if best else "#2b5c8a"
            axes.plot(
                [factor * score.low, factor * score.high], [place, place], color=colour, lw=2.4
            )
            axes.plot(factor * score.estimate, place, "o", color=colour, ms=6)
            axes.annotate(
                cells(board, row)["score"],
                (1.02, place),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=9,
            )
        names = [
            f"{r.full_title}{', ' + input_size(board, r) if r.px and not r.sized else ''}"
            for r in rows
        ]
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        for reported in board.reported:
            axes.axvline(factor * reported.score, color="#999999", lw=0.7, ls=":", zorder=0)
        unit = ", %" if board.metric.percent else ""
        more = "; dotted: reported elsewhere" if board.reported else ""
        axes.set_xlabel(f"{board.metric.title}{unit} ({100 * board.level:g} % interval{more})")
        axes.set_title(heading(board), fontsize=10, loc="left")
        axes.grid(axis="x", color="#e6e6e6")
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(axis="y", length=0)
        save(figure, path)
        plt.close(figure)
