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


@dataclass(frozen=True)
class Section:
    """A table with a heading, lines below it, and perhaps a line above that says all.

    notes: lines between heading and table.
    """

    heading: str
    columns: Sequence[Filled]
    facts: Sequence[str]
    above: str = ""
    notes: Sequence[str] = ()

    @property
    def shown(self) -> list[Filled]:
        return [c for c in self.columns if any(c.cells)]


def text(section: Section, width: int | None) -> str:
    """For a terminal of that width, or None. Columns that don't fit are left out; of the last three
    the widest are cut."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = section.shown
    while len(shown) > 3:
        if sum(max(len(c.title), *map(len, c.cells)) + 2 for c in shown) <= (width or WIDE):
            break
        shown.remove(max(shown, key=lambda c: c.priority))
    widths = [max(len(c.title), *map(len, c.cells)) for c in shown]
    widest = max(widths, default=0)
    while sum(min(w, widest) + 2 for w in widths) - 2 > (width or WIDE) and widest > 8:
        widest -= 1
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in shown:
        table.add_column(
            escape(column.title), justify=column.justify, no_wrap=True, max_width=widest
        )
    for line in zip(*(c.cells for c in shown), strict=True):
        table.add_row(*map(escape, line))
    out = io.StringIO()
    console = Console(
        file=out,
        width=width or WIDE,
        force_terminal=width is not None,
        highlight=False,
        emoji=False,
    )
    first = section.above or section.heading
    # Whole where there is no terminal, so that the first line can be taken as it is.
    console.print(escape(first), style="bold", soft_wrap=width is None)
    if section.above:
        console.print(escape(section.heading))
    for note in section.notes:
        console.print(escape(note), soft_wrap=width is None)
    console.print(table)
    for fact in section.facts:
        console.print(escape(fact), style="dim" if width else None)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def markdown(section: Section) -> str:
    shown = section.shown
    align = {"left": ":--", "right": "--:"}
    titles, *cells = [
        [cell.replace("|", "\\|") for cell in column]
        for column in ([c.title for c in shown], *(c.cells for c in shown))
    ]
    lines = [
        titles,
        [align[c.justify] for c in shown],
        *zip(*cells, strict=True),
    ]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    facts = "\n".join(f"- {fact}" for fact in section.facts)
    above = f"{section.above}\n\n" if section.above else ""
    notes = "".join(f"- {note}\n" for note in section.notes) + ("\n" if section.notes else "")
    return f"{above}### {section.heading}\n\n{notes}{table}\n\n{facts}"


def html(section: Section) -> str:
    """For a notebook."""
    escape = html_escape.escape
    shown = section.shown
    head = "".join(f"<th>{escape(c.title)}</th>" for c in shown)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>"
        for line in zip(*(c.cells for c in shown), strict=True)
    )
    above = f"<p><b>{escape(section.above)}</b></p>" if section.above else ""
    return (
        f"{above}<h3>{escape(section.heading)}</h3>"
        + "".join(f"<p>{escape(note)}</p>" for note in section.notes)
        + f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        + "".join(f"<p>{escape(fact)}</p>" for fact in section.facts)
    )
