"""What the pages of data and of checks are made of: small charts, tables, pictures, one file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from rung.describe import Histogram, Sample
from rung.errors import RungError
from rung.render.tables import Filled, Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image


class Chart(str):
    """A histogram or a bar: a string of blocks in text, `svg` in HTML."""

    svg: str


def histogram(found: Histogram | None, width: int = 160, height: int = 26) -> str:
    """As high as the most frequent bin; an empty one is a dot. width, height: of the SVG."""
    if found is None:
        return ""
    top, n = max(found.counts), len(found.counts)
    chart = Chart("".join("▁▂▃▅▇"[-(-5 * c // top) - 1] if c else "·" for c in found.counts))
    step = min(width / n, 16)
    bars = []
    for i, count in enumerate(found.counts):
        tall = height * count / top
        span = f"{number(found.edges[i])} to {number(found.edges[i + 1])}: {count:,}"
        bars.append(
            f'<rect x="{i * step:.2f}" y="{height - tall:.2f}" width="{max(step - 1, 1):.2f}" '
            f'height="{tall:.2f}"><title>{span}</title></rect>'
        )
    chart.svg = (
        f'<svg width="{width}" height="{height + 1}" role="img" aria-label="histogram">'
        f'{"".join(bars)}<path d="M0 {height + 0.5}H{width}"/></svg>'
    )
    return chart


def bar(share: float, largest: float) -> str:
    """A share of the largest one."""
    chart = Chart("▇" * max(round(20 * share / largest), 1))
    chart.svg = (
        '<svg width="160" height="12" aria-hidden="true">'
        f'<rect width="{max(160 * share / largest, 1):.2f}" height="12"/></svg>'
    )
    return chart


def number(value: float | str | None) -> str:
    """Four digits, or all before the point; a date as it is."""
    if value is None or isinstance(value, str):
        return value or ""
    if abs(value) >= 1e12:
        return f"{value:.3e}"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def cell(value: float | str | None) -> str:
    """Of a sample row."""
    return one_line(value, 30) if isinstance(value, str) else number(value)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def one_line(value: str, most: int) -> str:
    flat = " ".join(value.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


GAP = 3  # between pictures, pixels


def strip(found: Sequence[Sample]) -> Image:
    """The pictures side by side, on white."""
    from PIL import Image

    pictures = [Image.fromarray(s.picture) for s in found if s.picture is not None]
    wide = sum(p.width + GAP for p in pictures) - GAP
    whole = Image.new("RGB", (wide, max(p.height for p in pictures)), "white")
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width + GAP
    return whole


# --- HTML -------------------------------------------------------------------------------------

STYLE = """
.rung-page { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 1060px }
.rung-page h1 { font-size: 26px; margin: 0 } .rung-page h2 { font-size: 18px; margin: 34px 0 8px }
.rung-page p { margin: 4px 0; color: #555; font-size: 14px; overflow-wrap: anywhere }
.rung-page .lead { font-size: 16px; color: #222; margin-bottom: 14px }
.rung-page .note { color: #222; border-left: 3px solid #2b5c8a; padding-left: 10px }
.rung-page .warning { border-color: #b3401c }
.rung-page div { overflow-x: auto }
.rung-page table { border-collapse: collapse; margin: 8px 0; font-size: 14px; color: #222 }
.rung-page th { font-weight: 600; color: #555; border-bottom: 1px solid #bbb; white-space: nowrap }
.rung-page th, .rung-page td { padding: 4px 14px 4px 0; text-align: left; vertical-align: middle }
.rung-page td { border-bottom: 1px solid #eee } .rung-page tr { background: none }
.rung-page .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.rung-page svg { display: block; fill: #2b5c8a; stroke: #bbb }
.rung-page rect { stroke: none } .rung-page img { display: block }
.rung-page td:first-child { white-space: nowrap }
.rung-page .words { min-width: 260px }
.rung-page .text { white-space: pre-wrap; overflow-wrap: anywhere }
"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body {{ margin: 32px auto; padding: 0 20px; max-width: 1060px }}</style>
</head>
<body>
{body}
</body>
</html>"""


def whole(title: str, body: str) -> str:
    """A page that needs no other file, of a body made by `article`."""
    return PAGE.format(title=escape(title), body=body)


def article(content: str) -> str:
    """The body of a page, for a notebook too."""
    return f'<article class="rung-page"><style>{STYLE}</style>{content}</article>'


def table(section: Section) -> str:
    """The table and the lines below it, charts drawn."""
    shown = section.shown
    kinds = [' class="n"' if c.justify == "right" else ' class="words"' * wordy(c) for c in shown]
    head = "".join(f"<th{k}>{escape(c.title)}</th>" for c, k in zip(shown, kinds, strict=True))
    lines = zip(*(c.cells for c in shown), strict=True)
    body = "".join(
        "<tr>"
        + "".join(f"<td{k}>{drawn(cell)}</td>" for cell, k in zip(line, kinds, strict=True))
        + "</tr>"
        for line in lines
    )
    facts = "".join(f"<p>{escape(fact)}</p>" for fact in section.facts)
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{facts}"


def wordy(column: Filled) -> bool:
    return any(len(c) > 40 and not isinstance(c, Chart) for c in column.cells)


def drawn(cell: str) -> str:
    # A number and its percent sign stay on one line.
    return cell.svg if isinstance(cell, Chart) else escape(cell).replace(" %", "&nbsp;%")


def data_uri(picture: Image, photographs: bool) -> str:
    out = io.BytesIO()
    # Photographs are a tenth of the size as JPEG; enlarged pixels stay sharp as PNG.
    form = "JPEG" if photographs else "PNG"
    picture.save(out, form, quality=88)
    return f"data:image/{form.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


def check_picture(path: Path) -> None:
    """Raises RungError for a name that is neither .png nor .svg."""
    if path.suffix not in (".png", ".svg"):
        raise RungError(f"{path}: a plot is written as .png or .svg")


def save(figure: Figure, path: Path) -> None:
    """Writes a picture of matplotlib's; the same figure gives the same bytes."""
    form = path.suffix.removeprefix(".")
    out = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else {}
    figure.savefig(out, format=form, bbox_inches="tight", dpi=150, metadata=metadata)
    write(path, out.getvalue())


def write(path: Path, content: bytes) -> None:
    """Raises RungError where it can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise RungError(f"can't write {path} ({error.strerror}); name another file") from error
