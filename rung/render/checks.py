"""A report of checks: for the terminal, as JSON, as JUnit's XML and as a page."""

from __future__ import annotations

import io
import json
import textwrap
from collections.abc import Sequence
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from rung.checks.base import Check, Figure, Histograms, Images, Lines, Result, Shown
from rung.describe import Sample
from rung.errors import listed
from rung.render import tables
from rung.render.page import (
    article,
    cell,
    data_uri,
    histogram,
    number,
    one_line,
    strip,
    table,
    whole,
)
from rung.render.tables import Filled, Section

if TYPE_CHECKING:
    from rung.checks.report import Report

FORMATS = ("table", "json", "html", "junit")
WIDTH = 100  # columns of what is not printed on a terminal
# Of the examples of a finding: groups in text, and on a page.
IN_TEXT, ON_PAGE = 3, 24
COLOURS = {"error": "bold red", "broke": "bold red", "warning": "yellow", "info": "cyan"}


def render(reports: Sequence[Report], form: str, width: int | None = None) -> str:
    """In one of FORMATS. width: columns of the terminal, None where there is none."""
    if form == "json":
        found = [report.as_dict() for report in reports]
        return json.dumps(found[0] if len(found) == 1 else found, indent=1)
    if form == "html":
        return page(reports)
    if form == "junit":
        return junit(reports)
    return "\n\n".join(text(report, width) for report in reports)


# --- Terminal ---------------------------------------------------------------------------------


def text(report: Report, width: int | None = None) -> str:
    """What was found, the worst first, with examples; then what passed, in a line each."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    console = Console(
        file=out, width=min(width or WIDTH, 120), force_terminal=width is not None, highlight=False
    )
    console.print(Text(heading(report), style="bold"))
    for fact in report.facts:
        console.print(Text(fact))
    for result in ranked(report):
        console.print()
        grid = Table.grid(padding=(0, 2, 0, 0))
        first, *others = body(result)
        name = Text(f"{label(result).upper():<7}", style=COLOURS[label(result)])
        grid.add_row(name, result.code, Text(first, style="bold"))
        for line in others:
            grid.add_row("", "", Text(line))
        console.print(grid)
    console.print()
    for line in closing(report):
        console.print(Text(line), style="dim" if width else None)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def heading(report: Report) -> str:
    counts = [
        counted(len(report.errors), "error"),
        counted(len(report.warnings), "warning"),
        *([f"{counted(n, 'check')} broke"] if (n := len(of(report, "broke"))) else []),
        f"{counted(len(of(report, 'passed')), 'check')} passed",
    ]
    return f"{report.subject}: {', '.join(counts)}"


def counted(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n or 'no'} {what}s"


def of(report: Report, status: str) -> list[Result]:
    return [r for r in report.results if r.status == status]


def ranked(report: Report) -> list[Result]:
    """What was found and what broke, the worst first."""
    broke = of(report, "broke")
    return [*report.errors, *broke, *report.warnings, *report.told]


def label(result: Result) -> str:
    return "broke" if result.status == "broke" else result.severity


def body(result: Result) -> list[str]:
    """What was found, in lines of text."""
    finding = result.finding
    if finding is None:
        return [
            f"{result.reason}. The check could not be made; the others don't depend on it.",
            checked(result),
        ]
    lines = [said(result)]
    lines += [f"→ {finding.advice}"] * bool(finding.advice)
    for shown in finding.examples[:IN_TEXT]:
        lines.append(f"· {shown.said.rstrip('.') + ': ' if shown.said else ''}{sample_line(shown)}")
    more = len(finding.examples) - IN_TEXT
    lines += [f"· and {more:,} more (--html FILE shows them)"] * (more > 0)
    return [*lines, checked(result)]


def said(result: Result) -> str:
    assert result.finding is not None
    p = result.p_value
    return result.finding.said + (f" (p {p_value(p)}, Holm)" if p is not None else "")


def checked(result: Result) -> str:
    """The title says what is right, and stands below what is not."""
    return f"Checked: {result.title[0].lower()}{result.title[1:]}."


def p_value(p: float) -> str:
    return "< .001" if p < 0.001 else f"= {p:.3f}".replace("0.", ".")


def sample_line(shown: Shown) -> str:
    def one(sample: Sample) -> str:
        target = sample.target if isinstance(sample.target, str) else number(sample.target)
        said = f"{sample.group + ' ' if sample.group else ''}{sample.id} ({target})"
        return f'{said} "{one_line(sample.text, 60)}"' if sample.text is not None else said

    return "; ".join(map(one, shown.samples))


def closing(report: Report) -> list[str]:
    """Lines on the checks that did not find anything."""
    passed = [f"{r.code} {r.title}" for r in of(report, "passed")]
    lines = []
    if passed:
        lines += textwrap.wrap(f"Passed: {'; '.join(passed)}.", WIDTH)
    for status in ("not applicable", "left out"):
        results = sorted(of(report, status), key=lambda r: r.reason)
        grouped = [
            f"{listed((r.code for r in found), 30)} ({reason})"
            for reason, found in groupby(results, lambda r: r.reason)
        ]
        if grouped:
            lines += textwrap.wrap(f"{status.capitalize()}: {'; '.join(grouped)}.", WIDTH)
    return [*lines, *family(report)]


def family(report: Report) -> list[str]:
    n = sum(r.p_value is not None for r in report.results)
    share = f"{100 * report.false_alarms:g} %"
    said = f"The {n} statistical checks alarm together" if n > 1 else "The statistical check alarms"
    return [f"{said} for at most {share} of healthy subjects."] * bool(n)


def catalogue(found: Sequence[type[Check[object]]], width: int | None) -> str:  # type: ignore[type-var]
    """A table of checks, or what is to be known of one."""
    if len(found) == 1:
        check = found[0]
        needs = f"; needs {', '.join(n.replace('|', ' or ') for n in check.needs)}"
        kind = check.severity + (needs if check.needs else "") + ("; slow" if check.slow else "")
        doc = textwrap.wrap(" ".join((check.__doc__ or "").split()), min(width or WIDTH, WIDTH))
        return "\n".join([f"{check.code} {check.title} ({kind})", *doc])
    columns = [
        Filled("code", [c.code for c in found], 0, "left"),
        Filled("severity", [c.severity for c in found], 0, "left"),
        Filled("what is right if it finds nothing", [c.title for c in found], 0, "left"),
        Filled("needs", [", ".join(c.needs).replace("|", "/") for c in found], 1, "left"),
        Filled("", ["slow" if c.slow else "" for c in found], 2, "left"),
    ]
    return tables.text(Section("Checks", columns, ["`rung check list CODE` explains one."]), width)


# --- JUnit ------------------------------------------------------------------------------------


def junit(reports: Sequence[Report]) -> str:
    """A suite for each report, a case for each check: errors are failures, warnings output."""
    top = ElementTree.Element("testsuites")
    for report in reports:
        results = report.results
        suite = ElementTree.SubElement(
            top,
            "testsuite",
            name=printable(report.subject),
            tests=str(len(results)),
            failures=str(len(report.errors)),
            errors=str(len(of(report, "broke"))),
            skipped=str(len(of(report, "not applicable") + of(report, "left out"))),
        )
        for result in results:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=printable(f"rung.{report.subject}"),
                name=f"{result.code} {result.title}",
                time=f"{result.seconds:.3f}",
            )
            said = printable("\n".join(body(result))) if result.finding else result.reason
            if result.status == "broke":
                ElementTree.SubElement(case, "error", message=printable(result.reason))
            elif result.status in ("not applicable", "left out"):
                ElementTree.SubElement(case, "skipped", message=printable(result.reason))
            elif result.alarms and result.severity == "error":
                first = said.partition("\n")[0]
                ElementTree.SubElement(case, "failure", message=first).text = said
            elif result.status == "found":
                ElementTree.SubElement(case, "system-out").text = said
    ElementTree.indent(top)
    return ElementTree.tostring(top, encoding="unicode", xml_declaration=True)


def printable(text: str) -> str:
    """Without the control characters that XML can't hold."""
    return "".join(c if c >= " " or c in "\t\n" else "\ufffd" for c in text)


# --- HTML -------------------------------------------------------------------------------------

STYLE = """<style>
.rung-page section { border-left: 4px solid #2b5c8a; padding: 2px 0 2px 16px; margin: 22px 0 }
.rung-page section.error, .rung-page section.broke { border-color: #b3401c }
.rung-page section.warning { border-color: #d99a1c }
.rung-page h3 { font-size: 16px; margin: 0 0 4px } .rung-page h3 small { color: #777 }
.rung-page h3 small { font-weight: normal } .rung-page .advice { color: #222 }
.rung-page .shown { display: flex; flex-wrap: wrap; gap: 14px 22px; margin: 10px 0 }
.rung-page figure { margin: 0; font-size: 13px; color: #555; max-width: 100% }
.rung-page figcaption { max-width: 420px; overflow-wrap: anywhere }
.rung-page .texts { display: block } .rung-page .texts figure { margin: 0 0 12px }
.rung-page figure svg, .rung-page .chart svg { fill: revert; stroke: revert }
.rung-page details { margin: 6px 0; font-size: 14px; color: #555 }
.rung-page summary { cursor: pointer }
</style>"""


def page(reports: Sequence[Report]) -> str:
    """One file that needs no other: pictures and charts are part of it."""
    if len(reports) == 1:
        return whole(f"Checks of {reports[0].subject}", fragment(reports[0]))
    names = [f"report-{i}" for i in range(len(reports))]
    columns = [
        Filled("subject", [r.subject for r in reports], 0, "left"),
        Filled("errors", [str(len(r.errors) + len(of(r, "broke"))) for r in reports], 0),
        Filled("warnings", [str(len(r.warnings)) for r in reports], 0),
        Filled("passed", [str(len(of(r, "passed"))) for r in reports], 0),
    ]
    index = table(Section("", columns, []))
    for report, name in zip(reports, names, strict=True):
        subject = escape(report.subject)
        index = index.replace(f"<td>{subject}<", f'<td><a href="#{name}">{subject}</a><', 1)
    articles = [
        f'<hr id="{name}">{fragment(report)}' for report, name in zip(reports, names, strict=True)
    ]
    return whole(f"Checks of {len(reports)} subjects", "\n".join([article(index), *articles]))


def fragment(report: Report) -> str:
    """The body of the page, for a notebook too."""
    kinds = {"error": "Errors", "broke": "Broke", "warning": "Warnings", "info": "Measured"}
    parts = [
        STYLE,
        f"<h1>{escape(report.subject)}</h1>",
        f'<p class="lead">{escape(heading(report).rpartition(": ")[2])}.</p>',
        *(f"<p>{escape(fact)}</p>" for fact in [*report.facts, *family(report)]),
    ]
    for kind, found in groupby(ranked(report), label):
        parts.append(f"<h2>{kinds[kind]}</h2>")
        parts += [card(result, kind) for result in found]
    rest = [r for r in report.results if r.status not in ("found", "broke")]
    columns = [
        Filled("code", [r.code for r in rest], 0, "left"),
        Filled("what is right if it finds nothing", [r.title for r in rest], 0, "left"),
        Filled("", [r.status for r in rest], 0, "left"),
        Filled("", [remark(r) for r in rest], 0, "left"),
    ]
    parts.append(f"<h2>All other checks</h2>{table(Section('', columns, []))}")
    return article("".join(parts))


def remark(result: Result) -> str:
    """Why it is not applicable; of what passed, what was measured."""
    return result.finding.said if result.finding else result.reason


def card(result: Result, kind: str) -> str:
    finding = result.finding
    first = said(result) if finding else result.reason
    content = [f"<h3>{escape(first)} <small>{result.code}</small></h3>"]
    if finding is not None:
        if finding.advice:
            content.append(f'<p class="advice">→ {escape(finding.advice)}</p>')
        content.append(examples(finding.examples))
        content += [chart(figure) for figure in finding.figures]
    about = f"<summary>{escape(checked(result))}</summary>{escape(result.doc)}"
    content.append(f"<details>{about}</details>")
    return f'<section class="{kind}">{"".join(content)}</section>'


def examples(found: Sequence[Shown]) -> str:
    if not found:
        return ""
    pictures = found[0].samples[0].picture is not None
    cards = "".join(
        f"<figure><figcaption>{escape(shown.said)}</figcaption>{example(shown)}</figure>"
        for shown in found[:ON_PAGE]
    )
    more = len(found) - ON_PAGE
    rest = f"<p>And {more:,} more, in --format json.</p>" if more > 0 else ""
    return f'<div class="shown{"" if pictures else " texts"}">{cards}</div>{rest}'


def example(shown: Shown) -> str:
    """Pictures side by side, texts and rows below each other."""
    first = shown.samples[0]
    if first.picture is not None:
        names = escape(sample_line(shown))
        source = data_uri(strip(shown.samples), photographs=False)
        return f'<img src="{source}" alt="{names}" title="{names}"><figcaption>{names}</figcaption>'
    targets = [s.target if isinstance(s.target, str) else number(s.target) for s in shown.samples]
    columns = [
        Filled("", [s.group for s in shown.samples], 0, "left"),
        Filled("id", [s.id for s in shown.samples], 0, "left"),
        Filled("target", targets, 0, "left"),
    ]
    if first.text is not None:
        columns.append(Filled("text", [s.text or "" for s in shown.samples], 0, "left"))
    else:
        for name in first.row or {}:
            cells = [cell((s.row or {}).get(name)) for s in shown.samples]
            columns.append(Filled(one_line(name, 20), cells, 0, "left"))
    return table(Section("", columns, []))


def chart(figure: Figure) -> str:
    title = f"<p>{escape(figure.title)}</p>"
    if isinstance(figure, Histograms):
        columns = [
            Filled("", list(figure.rows), 0, "left"),
            Filled("from", [number(h.edges[0]) for h in figure.rows.values()], 0),
            Filled("", [histogram(h) for h in figure.rows.values()], 0, "left"),
            Filled("to", [number(h.edges[-1]) for h in figure.rows.values()], 0),
        ]
        return f"{title}{table(Section('', columns, []))}"
    if isinstance(figure, Images):
        from PIL import Image

        cards = "".join(
            f'<figure><img src="{data_uri(Image.fromarray(picture), False)}" alt="{escape(said)}">'
            f"<figcaption>{escape(said)}</figcaption></figure>"
            for picture, said in zip(figure.pictures, figure.captions, strict=True)
        )
        return f'{title}<div class="shown">{cards}</div>'
    return f'{title}<div class="chart">{lines(figure)}</div>'


def lines(figure: Lines) -> str:
    """A line chart as SVG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context({"svg.hashsalt": "rung", "svg.fonttype": "none", "font.size": 9}):
        drawing, axes = plt.subplots(figsize=(6.4, 2.8))
        for name, values in figure.lines.items():
            axes.plot(figure.x, values, lw=1.6, label=name)
        for name, x in figure.marks.items():
            axes.axvline(x, color="#b3401c", lw=1, ls="--")
            axes.annotate(
                name, (x, 1.01), xycoords=("data", "axes fraction"), color="#b3401c", ha="center"
            )
        if figure.log_x:
            axes.set_xscale("log")
        if figure.log_y:
            axes.set_yscale("log")
        axes.set_xlabel(figure.x_title)
        axes.set_ylabel(figure.y_title)
        axes.grid(color="#e6e6e6")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        if len(figure.lines) > 1:
            axes.legend(frameon=False)
        out = io.StringIO()
        drawing.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
        plt.close(drawing)
    picture = out.getvalue()
    return picture[picture.index("<svg") :]
