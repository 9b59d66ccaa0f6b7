"""The published results: outcomes, and a page of boards and pictures made from them alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from rung import ladder, render, results, suite
from rung.across import Across
from rung.benchmark import Benchmark
from rung.board import Board, belong_together
from rung.errors import RungError, counted, unknown
from rung.render.page import write as write_file
from rung.trial import Outcome

INTRODUCTION = """# Results

Made by `rung publish` from the outcomes in this folder (every prediction by example id, with its
cost and provenance), and by nothing else: `rung board NAME` makes each table anew from them.
How often such intervals hold what they claim is measured in [coverage.md](coverage.md).
"""


def folder() -> Path:
    """Where the suite keeps what is published."""
    return suite.root / "results"


def boards(
    where: Path, names: Sequence[str] = (), level: float = 0.95, metric: str | None = None
) -> list[Board]:
    """The boards of the published outcomes, of all data sets or of those named.

    metric: decides the ranks instead of the declared one (see `rung.scorers.find`).
    """
    ladder.check_level(level)
    there = results.datasets(where)
    if not there:
        raise RungError(f"nothing is published in {where}; run `rung publish` first")
    for name in names:
        if name not in there:
            raise unknown("published data set", name, there)
    return [
        Board.from_outcomes(results.read(where, name), ladder.reported(name), level, metric)
        for name in names or there
    ]


def across(where: Path, name: str, level: float = 0.95) -> Across:
    """The rungs of a benchmark compared across its data sets, from the published outcomes alone.

    Raises RungError that names what is not published, and how to publish it.
    """
    ladder.check_level(level)
    benchmark: Benchmark = suite.get("benchmarks", name).load()
    there = results.datasets(where)
    missing = [dataset for dataset in benchmark.datasets if dataset not in there]
    if missing:
        to = "" if where == folder() else f" --to {where}"
        raise RungError(
            f"{name}: {', '.join(missing)} not published in {where}; run `rung publish {name}{to}`"
        )
    return Across.from_boards(
        boards(where, benchmark.datasets, level), level, name=name, rungs=benchmark.baselines
    )


def write(outcomes: Iterable[Outcome], where: Path) -> list[Path]:
    """Writes outcomes, pictures and README.md; returns the files. Other outcomes there stay, also
    those of rungs that did not run this time.

    Raises RungError, before anything is written, for outcomes that can't stand on one board with
    those that stay, and where nothing ran.
    """
    from rung.render.plot import plot

    given = list(outcomes)
    outcomes = [o for o in given if not o.status.startswith("not run")]
    if not outcomes and given:
        raise RungError(f"nothing to publish: {given[0].trial.rung} is {given[0].status}")
    names = sorted({o.trial.dataset for o in outcomes})
    for name in names:
        check_company([o for o in outcomes if o.trial.dataset == name], where, name)
    try:
        written = results.write(outcomes, where)
    except OSError as error:
        raise RungError(
            f"can't write into {where} ({error.strerror}); mend that, publish again"
        ) from error
    for board in boards(where, names) if names else []:
        picture = where / board.dataset["name"] / "board.svg"
        plot(board, picture)
        written.append(picture)
    page = where / "README.md"
    write_file(page, readme(where).encode())
    return [*written, page]


def check_company(outcomes: list[Outcome], where: Path, name: str) -> None:
    """Raises RungError unless they go with the published ones that they leave in place."""
    if name not in results.datasets(where):
        return
    staying = results.read(where, name, but={o.trial.row for o in outcomes})
    try:
        belong_together([*outcomes, *staying])
    except RungError as error:
        raise RungError(
            f"{error}; publish the whole ladder, or remove what is old from {where / name} "
            "(nothing was written)"
        ) from error


def writable(where: Path) -> None:
    """Raises RungError for what is no folder and can't become one, or can't be written into."""
    there = next(p for p in (where.absolute(), *where.absolute().parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        why = "may not be written into" if there.is_dir() else "is no folder"
        raise RungError(f"can't write into {where}: {there} {why}; name another folder")


def readme(where: Path) -> str:
    """All boards in Markdown, each with its picture and where it was run."""
    sections = [INTRODUCTION]
    for name in results.datasets(where):
        outcomes = results.read(where, name)
        board = Board.from_outcomes(outcomes, ladder.reported(name))
        heading, _, rest = render.markdown(board).partition("\n\n")
        about = board.dataset
        where_run = sorted(
            {
                f"{o.provenance['machine']}"
                + (f", {o.provenance['accelerator']}" if o.provenance["accelerator"] else "")
                + f", {counted(o.provenance['threads'], 'thread')} a trial, rung {o.provenance['rung_version']}"
                for o in outcomes
                if o.ok
            }
        )
        commits = sorted({o.provenance["git_commit"][:7] for o in outcomes if o.ok} - {""})
        sections.append(
            f"{heading}\n\n![{about['title']}: scores with intervals]({name}/board.svg)\n\n{rest}\n"
            f"- Data: {about['citation'] or about['title']}; licence: {about['licence']}; "
            f"fingerprint `{about['fingerprint'][:16]}`.\n"
            f"- Run on: {'; '.join(where_run)}; commits {', '.join(commits) or 'unknown'}.\n"
        )
    return "\n".join(sections)
