"""A description of a data set: tables for the terminal and Markdown, JSON, a page, a picture sheet."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rung.describe import (
    GROUPS,
    PICTURES,
    QUANTILES,
    SIDE,
    Column,
    Count,
    Description,
    Histogram,
    Numbers,
    Part,
    Sample,
)
from rung.errors import RungError, listed
from rung.render import tables
from rung.render.page import (
    GAP,
    article,
    bar,
    cell,
    data_uri,
    histogram,
    number,
    one_line,
    percent,
    strip,
    table,
    whole,
    write,
)
from rung.render.tables import Filled, Section

if TYPE_CHECKING:
    pass

FORMATS = ("table", "markdown", "json", "html")
# Rows of a table that are shown; JSON has all of them.
SHOWN = 40
HELD_BACK = (
    "Of the test part only counts, classes and missing values are shown; all else comes from the "
    "training part"
)


def render(description: Description, form: str, width: int | None = None) -> str:
    """In one of FORMATS. width: columns of the terminal, None where there is none."""
    if form == "json":
        return json.dumps(description.as_dict(), indent=1)
    if form == "html":
        return page(description)
    if form == "markdown":
        return "\n\n".join(tables.markdown(s).rstrip() for s in sections(description))
    return text(description, width)


def text(description: Description, width: int | None = None) -> str:
    return "\n\n".join(tables.text(s, width) for s in sections(description))


def frequent(counts: Sequence[Count], of: int, letters: int) -> str:
    """The first three values, each cut to so many letters, with its share."""
    return ", ".join(f"{one_line(c.value, letters)} {percent(c.count / of)}" for c in counts[:3])


# --- Sections ---------------------------------------------------------------------------------


def sections(description: Description) -> list[Section]:
    """All that is shown in text, and, but for the samples, in HTML."""
    return [*about(description), *samples(description)]


def about(description: Description) -> list[Section]:
    parts = [
        overview(description),
        *([classes(description)] if description.classes else []),
        *([numbers("Target", {"": description.target}, [])] if description.target else []),
        *([columns(description)] if description.columns else []),
        *texts(description),
        *pixels(description),
    ]
    return parts


def overview(description: Description) -> Section:
    d, shown = description, description.parts[:SHOWN]
    if len(d.parts) > 1 and len({(p.train, p.test) for p in d.parts}) == 1:
        name = f"{d.parts[0].name} to {d.parts[-1].name}, each"
        shown = (Part(name, d.parts[0].train, d.parts[0].test),)
    kinds = f", {len(d.classes)} classes" if d.classes else ""
    split = f" of split {d.split}" if len(d.parts) > 1 else ""
    where = "a local copy, not the published files" if d.local_copy else "as published"
    facts = [
        *(rest(len(d.parts), "split") if len(shown) > 1 else []),
        f"{HELD_BACK}{split}.",
        *([f"Source: {d.source} ({where})"] if d.source else []),
        *([f"Licence: {d.licence}"] if d.licence else []),
        *([f"Citation: {d.citation}"] if d.citation else []),
        f"Fingerprint: {d.fingerprint[:16]}",
    ]
    return Section(
        f"{d.title}: {d.modality} {d.task}, {d.examples:,} examples{kinds}",
        [
            Filled("split", [p.name for p in shown], 0, "left"),
            Filled("train", [f"{p.train:,}" for p in shown], 0),
            Filled("test", [f"{p.test:,}" for p in shown], 0),
        ],
        facts,
        notes=d.notes or ["Nothing looks wrong."],
    )


def rest(n: int, what: str) -> list[str]:
    """The line on what is not shown of n."""
    return [f"And {n - SHOWN:,} more, of {n:,} {what}{'e' * (what[-1] == 's')}s."] * (n > SHOWN)


def classes(description: Description) -> Section:
    found = description.classes
    n_train, n_test = sum(c.train for c in found), sum(c.test for c in found)
    by_size = sorted(found, key=lambda c: -c.train)
    # In their own order, unless there are too many.
    shown: Sequence[Part] = found if len(found) <= SHOWN else by_size[:SHOWN]
    first, last = by_size[0], by_size[-1]
    balance = "Of equal size in the training part."
    if first.train > last.train:
        balance = (
            f"The largest, {first.name}, is {number(round(first.train / last.train, 1))} times the "
            f"smallest, {last.name}; to say it always would be right in "
            f"{percent(first.train / n_train)} of the training part."
        )
    return Section(
        "Classes",
        [
            Filled("class", [one_line(c.name, 40) for c in shown], 0, "left"),
            Filled("train", [f"{c.train:,}" for c in shown], 0),
            Filled("of train", [percent(c.train / n_train) for c in shown], 1),
            Filled("test", [f"{c.test:,}" for c in shown], 0),
            Filled("of test", [percent(c.test / n_test) for c in shown], 2),
            Filled("", [bar(c.train, first.train) for c in shown], 3, "left"),
        ],
        [*rest(len(found), "class"), balance],
    )


def numbers(heading: str, found: dict[str, Numbers], facts: Sequence[str]) -> Section:
    """A row of quantiles for each, named by its key."""
    rows = found.values()
    quantiles = [
        Filled(name, [number(r.quantiles[name]) for r in rows], 0 if name in ENDS else 3)
        for name in QUANTILES
    ]
    return Section(
        heading,
        [
            Filled("", list(found), 0, "left"),
            *quantiles,
            Filled("mean", [number(r.mean) for r in rows], 1),
            Filled("sd", [number(r.sd) for r in rows], 2),
            Filled("histogram", [histogram(r.histogram, 260, 40) for r in rows], 0, "left"),
        ],
        [*facts, *clipped(r.histogram for r in rows)],
    )


ENDS = ("min", "median", "max")


def clipped(histograms: Iterable[Histogram | None]) -> list[str]:
    some = any(h.clipped for h in histograms if h)
    said = "A histogram of values of which a few lie far out spans the middle 98 %; its outermost"
    return [f"{said} bars count those beyond as well."] * some


def columns(description: Description) -> Section:
    shown = description.columns[:SHOWN]
    part = description.parts[0]
    missing = any(c.missing_train or c.missing_test for c in description.columns)
    kinds = {k: sum(c.kind == k for c in description.columns) for k in KINDS}

    def share(count: int, of: int) -> str:
        return f"{count:,} ({percent(count / of)})" if count else ""

    def most(column: Column) -> str:
        # Those that name rows have no frequent values.
        few = column.distinct < part.train - column.missing_train
        return frequent(column.frequent, part.train, 18) if few else ""

    return Section(
        "Columns",
        [
            Filled("column", [one_line(c.name, 30) for c in shown], 0, "left"),
            Filled("kind", [c.kind for c in shown], 5, "left"),
            Filled("distinct", [f"{c.distinct:,}" for c in shown], 4),
            Filled("missing", [share(c.missing_train, part.train) for c in shown], 1),
            Filled("in test", [share(c.missing_test, part.test) for c in shown], 6),
            Filled("min", [number(c.low) for c in shown], 3),
            Filled("median", [number(c.median) for c in shown], 2),
            Filled("max", [number(c.high) for c in shown], 3),
            Filled("values", [histogram(c.histogram) or most(c) for c in shown], 0, "left"),
        ],
        [
            *rest(len(description.columns), "column"),
            ", ".join(f"{n:,} of {kind}" for kind, n in kinds.items() if n)
            + ("." if missing else "; nothing is missing, in train or test."),
            *clipped(c.histogram for c in shown),
        ],
    )


KINDS = ("numbers", "strings", "dates")


def texts(description: Description) -> list[Section]:
    found = description.texts
    if found is None:
        return []
    empty = f"Empty: {found.empty_train:,} in train, {found.empty_test:,} in test."
    lengths = {"words": found.words, "characters": found.characters}
    groups = found.groups[:SHOWN]

    def some(counts: Sequence[Count], of: int) -> str:
        return ", ".join(f"{c.value} {100 * c.count / of:.0f} %" for c in counts[:6])

    words = Section(
        "Words",
        [
            Filled(
                "class" if description.classes else "target", [g.group for g in groups], 0, "left"
            ),
            Filled("texts", [f"{g.texts:,}" for g in groups], 2),
            Filled("typical", [some(g.typical, g.texts) for g in groups], 0, "left"),
            Filled("most frequent", [some(g.frequent, g.texts) for g in groups], 1, "left"),
        ],
        [
            *rest(len(found.groups), "class"),
            "%: of the texts that have the word; typical: more often than in the other texts.",
        ],
    )
    return [numbers("Lengths", lengths, [empty]), words]


def pixels(description: Description) -> list[Section]:
    found = description.pixels
    if found is None:
        return []
    part = description.parts[0]
    modes = ", ".join(f"{c.value} {percent(c.count / part.train)}" for c in found.modes)
    sizes = f"All are {found.sizes[0].value} pixels."
    shown = {"brightness": found.brightness}
    if len(found.sizes) > 1:
        shown = {"width": found.width, "height": found.height, **shown}
        (small, small_size), (large, large_size) = found.smallest, found.largest
        sizes = (
            f"Most frequent sizes: {frequent(found.sizes, part.train, 20)}; smallest: {small_size} "
            f"({small}), largest: {large_size} ({large})."
        )
    of = f"{found.decoded:,} training pictures" if found.decoded < part.train else "all of them"
    colour = " ".join(f"{c:.0f}" for c in found.colour)
    facts = [
        sizes,
        f"Modes: {modes}.",
        f"Mean colour: {colour}, of 255; this and brightness are of {of}.",
    ]
    return [numbers("Pictures", shown, facts)]


def samples(description: Description) -> list[Section]:
    found = description.samples
    kind = "class" if description.classes else "target"
    targets = [s.target if isinstance(s.target, str) else number(s.target) for s in found]
    facts = ["From the training part, chosen by a hash of their ids."]
    rows: list[Filled] = []
    if description.modality == "tabular":
        shown = description.columns[: len(found[0].row or {})]
        side: dict[str, Literal["left", "right"]] = {"numbers": "right"}
        rows = [
            Filled(kind, targets, 0, "left"),
            *(
                Filled(
                    one_line(c.name, 20),
                    [cell((s.row or {})[c.name]) for s in found],
                    1 + i,
                    side.get(c.kind, "left"),
                )
                for i, c in enumerate(shown)
            ),
        ]
        if len(shown) < len(description.columns):
            facts.append(f"The first {len(shown)} of {len(description.columns):,} columns.")
    elif description.modality == "text":
        lines = [one_line(s.text or "", 110) for s in found]
        rows = [Filled(kind, targets, 0, "left"), Filled("text", lines, 0, "left")]
    else:
        by_group = strips(description)
        ids = [listed((s.id for s in members), 3) for _, members in by_group]
        names = [name for name, _ in by_group]
        rows = [Filled(kind, names, 0, "left"), Filled("ids", ids, 0, "left")]
        facts.append("--sheet FILE.png or --html FILE shows the pictures.")
    return [Section("Samples", rows, facts)]


# --- Pictures ---------------------------------------------------------------------------------


def strips(description: Description) -> list[tuple[str, list[Sample]]]:
    """The sample pictures by class, or by range of the target."""
    return [(name, list(found)) for name, found in groupby(description.samples, lambda s: s.group)]


def sheet(description: Description, path: Path) -> None:
    """Writes the sample pictures as .png, a row for each class. Raises RungError for data without
    pictures and for a name that ends otherwise."""
    if path.suffix != ".png":
        raise RungError(f"--sheet {path}: the sheet is written as .png")
    if description.modality != "image":
        raise RungError(
            f"--sheet {path}: {description.name} has no pictures, but {MODALITIES[description.modality]}"
        )
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(14)
    rows = [(one_line(name, 30), strip(found)) for name, found in strips(description)]
    left = int(max(font.getlength(name) for name, _ in rows)) + 24
    wide = left + max(row.width for _, row in rows) + 12
    whole = Image.new("RGB", (wide, sum(row.height + GAP for _, row in rows) + 24), "white")
    draw, top = ImageDraw.Draw(whole), 12
    for name, row in rows:
        draw.text((12, top + row.height // 2), name, "#222222", font, anchor="lm")
        whole.paste(row, (left, top))
        top += row.height + GAP
    out = io.BytesIO()
    whole.save(out, "PNG")
    write(path, out.getvalue())


MODALITIES = {"text": "texts", "tabular": "rows of a table"}


# --- HTML -------------------------------------------------------------------------------------


def page(description: Description) -> str:
    """One file that needs no other: pictures and charts are part of it."""
    return whole(description.title, fragment(description))


def fragment(description: Description) -> str:
    """The body of the page, for a notebook too."""
    first, *others = about(description)
    title, _, lead = first.heading.rpartition(": ")
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(lead)}</p>',
        *(f'<p class="{_kind(note)}">{escape(note)}</p>' for note in first.notes),
        table(first),
        *(f"<h2>{escape(s.heading)}</h2>{table(s)}" for s in others),
        f"<h2>Samples</h2>{_samples(description)}",
    ]
    return article("".join(body))


def _kind(note: str) -> str:
    return "note warning" if note.startswith("Warning") else "note"


def _samples(description: Description) -> str:
    """Pictures in strips, texts with their line breaks, rows as they are in text."""
    (section,) = samples(description)
    if description.modality == "tabular":
        return table(section)
    kind, lines = section.columns[0].title, []
    if description.modality == "text":
        targets = section.columns[0].cells
        for target, sample in zip(targets, description.samples, strict=True):
            lines.append(
                f'<td>{escape(target)}</td><td class="text">{escape(sample.text or "")}</td>'
            )
        head = f"<th>{kind}</th><th>text</th>"
    else:
        found_pixels = description.pixels
        photographs = bool(found_pixels and found_pixels.height.quantiles["max"] > SIDE)
        for name, found in strips(description):
            source = data_uri(strip(found), photographs)
            ids = escape(listed((s.id for s in found), PICTURES))
            lines.append(
                f'<td>{escape(name)}</td><td><img src="{source}" alt="{ids}" title="{ids}"></td>'
            )
        head = f"<th>{kind}</th><th>pictures</th>"
    rows = "".join(f"<tr>{line}</tr>" for line in lines)
    more = ""
    if len(description.classes) > GROUPS:
        more = f"<p>The first {GROUPS} of {len(description.classes):,} classes.</p>"
    facts = f"<p>{escape(section.facts[0])}</p>{more}"
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{facts}"
