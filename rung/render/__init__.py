"""A board as text, Markdown, CSV, JSON, HTML, a data frame or a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rung.board import Board
from rung.render import tables
from rung.render.cells import COLUMNS, facts, heading
from rung.render.tables import Filled, Section

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("table", "markdown", "csv", "json", "html")


def render(boards: Sequence[Board], form: str, width: int | None = None) -> str:
    """All boards in one of FORMATS. width: columns of the terminal, None where there is none."""
    if form == "json":
        plain = [board.as_dict() for board in boards]
        return json.dumps(plain[0] if len(plain) == 1 else plain, indent=1)
    if form == "csv":
        import pandas as pd

        return str(pd.concat([frame(b) for b in boards]).to_csv(index=False)).rstrip("\n")
    if form == "table":
        return "\n\n".join(text(board, width) for board in boards)
    return "\n\n".join(markdown(b) if form == "markdown" else html(b) for b in boards)


def section(board: Board) -> Section:
    columns = [
        Filled(c.title(board), [c.cell(board, row) for row in board.rows], c.priority, c.justify)
        for c in COLUMNS
    ]
    return Section(heading(board), columns, facts(board), notes=board.notes)


def text(board: Board, width: int | None = None) -> str:
    """A table for the terminal. Where it is narrow, the least important columns are left out."""
    return tables.text(section(board), width)


def markdown(board: Board) -> str:
    """A section: heading, table, what it says."""
    return tables.markdown(section(board))


def html(board: Board) -> str:
    """A table for a notebook."""
    return tables.html(section(board))


def frame(board: Board) -> pd.DataFrame:
    """One row a rung: the JSON schema, metrics and the difference from below flattened."""
    import pandas as pd

    flat = []
    for row in board.rows:
        plain = {"dataset": board.dataset["name"], **row.as_dict()}
        metrics, below = plain.pop("metrics"), plain.pop("below") or {}
        parameters = plain.pop("parameters")
        for name, metric in metrics.items():
            plain[name] = metric["score"]
            plain[f"{name}_low"], plain[f"{name}_high"] = metric["low"], metric["high"]
        plain |= {f"below_{k}": v for k, v in below.items()}
        plain["parameters"] = json.dumps(parameters) if parameters else ""
        flat.append(plain)
    return pd.DataFrame(flat)
