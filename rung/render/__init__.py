"""A board as text, Markdown, CSV, JSON, HTML, a data frame or a picture."""

from __future__ import annotations

import html as html_escape
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rung.board import Board
from rung.render.cells import COLUMNS, cells, facts, heading

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("table", "markdown", "csv", "json", "html")
WIDE = 170  # columns of a table that is not printed on a terminal


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


def text(board: Board, width: int | None = None) -> str:
    """A table for the terminal. Where it is narrow, the least important columns are left out."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    lines = [cells(board, row) for row in board.rows]
    shown = [c for c in COLUMNS if any(line[c.name] for line in lines)]
    while True:
        needed = sum(max(len(line[c.name]) for line in lines) for c in shown) + 3 * len(shown)
        if needed <= (width or WIDE) or len(shown) <= 3:
            break
        shown.remove(max(shown, key=lambda c: c.priority))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in shown:
        table.add_column(column.title(board), justify=column.justify, no_wrap=True)
    for line in lines:
        table.add_row(*(escape(line[c.name]) for c in shown))
    out = io.StringIO()
    console = Console(
        file=out, width=width or WIDE, force_terminal=width is not None, highlight=False
    )
    console.print(f"[bold]{escape(heading(board))}[/bold]")
    console.print(table)
    for fact in facts(board):
        console.print(escape(fact), style="dim" if width else None)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def markdown(board: Board) -> str:
    """A section: heading, table, what it says."""
    lines = [cells(board, row) for row in board.rows]
    shown = [c for c in COLUMNS if any(line[c.name] for line in lines)]
    align = {"left": ":--", "right": "--:"}
    table = [
        [c.title(board) for c in shown],
        [align[c.justify] for c in shown],
        *([line[c.name].replace("|", "\\|") for c in shown] for line in lines),
    ]
    body = "\n".join("| " + " | ".join(line) + " |" for line in table)
    return f"### {heading(board)}\n\n{body}\n\n" + "\n".join(f"- {f}" for f in facts(board))


def html(board: Board) -> str:
    """A table for a notebook."""
    lines = [cells(board, row) for row in board.rows]
    shown = [c for c in COLUMNS if any(line[c.name] for line in lines)]
    head = "".join(f"<th>{html_escape.escape(c.title(board))}</th>" for c in shown)
    body = "".join(
        "<tr>" + "".join(f"<td>{html_escape.escape(line[c.name])}</td>" for c in shown) + "</tr>"
        for line in lines
    )
    notes = "".join(f"<p>{html_escape.escape(fact)}</p>" for fact in facts(board))
    return (
        f"<h3>{html_escape.escape(heading(board))}</h3>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"
    )


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
