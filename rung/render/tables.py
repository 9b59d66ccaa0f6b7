"""Tables of text cells: for the terminal, in Markdown and in HTML."""

from __future__ import annotations

import html as html_escape
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

WIDE = 170  # columns of a table that is not printed on a terminal


@dataclass(frozen=True)
class Filled:
    """A column with its cells. priority: the higher, the sooner it is left out on a narrow
    terminal; one without any text is left out everywhere."""

    title: str
    cells: Sequence[str]
    priority: int
    justify: Literal["left", "right"] = "right"


def with_text(columns: Sequence[Filled]) -> list[Filled]:
    return [c for c in columns if any(c.cells)]


def text(
    heading: Sequence[str], columns: Sequence[Filled], facts: Sequence[str], width: int | None
) -> str:
    """Heading lines (the first in bold), table, lines below. width: of the terminal, or None."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = with_text(columns)
    while True:
        needed = sum(max(len(c.title), *map(len, c.cells)) + 2 for c in shown)
        if needed <= (width or WIDE) or len(shown) <= 3:
            break
        shown.remove(max(shown, key=lambda c: c.priority))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in shown:
        table.add_column(column.title, justify=column.justify, no_wrap=True)
    for line in zip(*(c.cells for c in shown), strict=True):
        table.add_row(*map(escape, line))
    out = io.StringIO()
    console = Console(
        file=out, width=width or WIDE, force_terminal=width is not None, highlight=False
    )
    for place, line_above in enumerate(heading):
        # Whole where there is no terminal, so that the first line can be taken as it is.
        console.print(escape(line_above), style=None if place else "bold", soft_wrap=width is None)
    console.print(table)
    for fact in facts:
        console.print(escape(fact), style="dim" if width else None)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def markdown(columns: Sequence[Filled]) -> str:
    shown = with_text(columns)
    align = {"left": ":--", "right": "--:"}
    cells = [[cell.replace("|", "\\|") for cell in c.cells] for c in shown]
    lines = [
        [c.title for c in shown],
        [align[c.justify] for c in shown],
        *zip(*cells, strict=True),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def html(columns: Sequence[Filled]) -> str:
    shown = with_text(columns)
    head = "".join(f"<th>{html_escape.escape(c.title)}</th>" for c in shown)
    body = "".join(
        "<tr>" + "".join(f"<td>{html_escape.escape(cell)}</td>" for cell in line) + "</tr>"
        for line in zip(*(c.cells for c in shown), strict=True)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<p>{html_escape.escape(line)}</p>" for line in lines)
