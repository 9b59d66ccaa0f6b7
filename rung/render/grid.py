"""A table with a heading and lines under it, on paper: terminal, Markdown or HTML."""

from __future__ import annotations

import html as html_escape
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

WIDE = 170  # columns of a table that is not printed on a terminal


@dataclass(frozen=True)
class Heading:
    """Of a column. priority: the higher, the sooner it is left out on a narrow terminal."""

    title: str
    priority: int = 0
    justify: Literal["left", "right"] = "right"


@dataclass(frozen=True)
class Grid:
    """lines: a cell for each column; a column without any content is not shown. facts: the lines
    under the table."""

    heading: str
    columns: Sequence[Heading]
    lines: Sequence[Sequence[str]]
    facts: Sequence[str] = ()

    @property
    def filled(self) -> list[int]:
        """The columns that have content."""
        return [i for i in range(len(self.columns)) if any(line[i] for line in self.lines)]


def text(grid: Grid, width: int | None = None) -> str:
    """For the terminal. Where it is narrow, the least important columns are left out."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = grid.filled
    widest = [
        max(len(cell) for cell in column)
        for column in zip([c.title for c in grid.columns], *grid.lines, strict=True)
    ]
    while len(shown) > 3 and sum(widest[i] + 2 for i in shown) > (width or WIDE):
        shown.remove(max(shown, key=lambda i: grid.columns[i].priority))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for i in shown:
        column = grid.columns[i]
        table.add_column(column.title, justify=column.justify, no_wrap=True)
    for line in grid.lines:
        table.add_row(*(escape(line[i]) for i in shown))
    out = io.StringIO()
    console = Console(
        file=out, width=width or WIDE, force_terminal=width is not None, highlight=False
    )
    console.print(f"[bold]{escape(grid.heading)}[/bold]")
    console.print(table)
    for fact in grid.facts:
        console.print(escape(fact), style="dim" if width else None)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def markdown(grid: Grid) -> str:
    """A section: heading, table, what it says."""
    align = {"left": ":--", "right": "--:"}
    table = [
        [grid.columns[i].title for i in grid.filled],
        [align[grid.columns[i].justify] for i in grid.filled],
        *([line[i].replace("|", "\\|") for i in grid.filled] for line in grid.lines),
    ]
    body = "\n".join("| " + " | ".join(line) + " |" for line in table)
    return f"### {grid.heading}\n\n{body}\n\n" + "\n".join(f"- {f}" for f in grid.facts)


def html(grid: Grid) -> str:
    """A table for a notebook."""
    head = "".join(f"<th>{html_escape.escape(grid.columns[i].title)}</th>" for i in grid.filled)
    body = "".join(
        "<tr>" + "".join(f"<td>{html_escape.escape(line[i])}</td>" for i in grid.filled) + "</tr>"
        for line in grid.lines
    )
    notes = "".join(f"<p>{html_escape.escape(fact)}</p>" for fact in grid.facts)
    return (
        f"<h3>{html_escape.escape(grid.heading)}</h3>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"
    )
