"""The page and the file of what the bench found, and what has become slower than in another."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rung.errors import RungError, counted

from .records import KINDS, LEAST_GROWTH, SHORTEST, LeftOut, Measure, Record

SCHEMA = 2  # of the file; raised whenever what stands in it changes its meaning
LEFT_OUT = "left_out"  # what stands in the file in place of a record's section
# How much more is noise, beyond all turns of before; a single turn says little of its own noise.
MARGIN, MARGIN_OF_ONE = 1.1, 1.3


@dataclass
class Bench:
    """What was found, by the name of the part. threads: that libraries compute with."""

    machine: str
    threads: int
    version: str
    parts: dict[str, list[Record | LeftOut]] = field(default_factory=dict)

    @property
    def records(self) -> list[Record]:
        return [one for part in self.parts.values() for one in part if isinstance(one, Record)]

    @property
    def left_out(self) -> list[LeftOut]:
        return [one for part in self.parts.values() for one in part if isinstance(one, LeftOut)]

    def of(self, section: str) -> list[Record]:
        return [r for r in self.records if r.section == section]

    @property
    def missed(self) -> list[str]:
        """A line for each promise that was not kept."""
        return [f"{r.name}: {p}" for r in self.records for p in r.promises if not p.kept]

    def to_json(self) -> str:
        plain = {
            "schema": SCHEMA,
            "version": self.version,
            "machine": self.machine,
            "threads": self.threads,
            "parts": {name: list(map(to_plain, part)) for name, part in self.parts.items()},
        }
        return json.dumps(plain, indent=1) + "\n"


def to_plain(found: Record | LeftOut) -> dict[str, Any]:
    if isinstance(found, LeftOut):
        return {"section": LEFT_OUT, **dataclasses.asdict(found)}
    return {"section": found.section, **dataclasses.asdict(found)}  # type: ignore[call-overload]


def of_plain(plain: dict[str, Any]) -> Record | LeftOut:
    section, rest = plain["section"], {k: v for k, v in plain.items() if k != "section"}
    return LeftOut(**rest) if section == LEFT_OUT else KINDS[section].of(rest)


def read(path: Path) -> Bench:
    """What `to_json` wrote. Raises RungError for a file that is none of these."""
    advice = "nox -s bench -- --to DIR makes one"
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RungError(f"{path} can't be read ({error}); {advice}") from error
    schema = plain.get("schema") if isinstance(plain, dict) else None
    if schema != SCHEMA:
        raise RungError(f"{path} has schema {schema}, not {SCHEMA}; {advice} anew")
    try:
        parts = {name: list(map(of_plain, part)) for name, part in plain["parts"].items()}
        bench = Bench(plain["machine"], plain["threads"], plain["version"], parts)
        if not all(len(m.values) for r in bench.records for m in r.measures):
            raise ValueError("no turns")
        return bench
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise RungError(f"{path} is damaged ({error!r}); {advice} anew") from error


def slower(now: Bench, before: Bench) -> list[str]:
    """A line for each measure of which every turn lies above every turn of before, by a margin.

    Seconds and bytes are compared only on the same machine with as many threads.
    """
    same = (now.machine, now.threads) == (before.machine, before.threads)
    known = {(r.section, r.name, m.what): m for r in before.records for m in r.measures}
    lines = []
    for record in now.records:
        for measure in record.measures:
            old = known.get((record.section, record.name, measure.what))
            if old is not None and (same or measure.anywhere) and above(measure, old):
                lines.append(
                    f"{record.name}: {min(measure.values):.3g} {measure.what} or more, "
                    f"before {max(old.values):.3g} or less"
                )
    return lines


def above(now: Measure, old: Measure) -> bool:
    """Whether all of now is more than the noise of both allows."""
    margin = MARGIN if min(len(now.values), len(old.values)) > 1 else MARGIN_OF_ONE
    least, most = min(now.values), max(old.values)
    return least > most + margin - 1 if now.exponent else least > margin * most


TITLES = {
    "pairs": """## Ours, and instead

The same data, in turns, in one run. A ratio of 0.1 is ten times as fast; in brackets its range over
the turns, where there are several. Beside each time stands a score, in brackets that of what one
would do instead: ours is no worse, by more than can be seen on so many examples. A ladder is the
whole run of `quick` on the table with one seed, the start of its processes included, without
auto-sklearn, whose time is a budget; its score, as that of LazyClassifier and LazyRegressor, is of
the model that turns out best on the test part, which is kind to whoever has more models.""",
    "scaling": f"""## As rows are added

Each rung at n, 2n, 4n and 8n training rows on one thread, each fit in a process of its own; medians
of up to three fits. The exponent is p of n^p, fitted by least squares in logarithms; in brackets its
range from one size to the next. Peak memory includes the interpreter and the libraries, so its
exponent is of what it grows by from one size to the next, in which they drop out. Sizes that take
less than {SHORTEST} s and steps of less than {LEAST_GROWTH:.0f} MiB are not fitted; –: too few are left.""",
    "pipeline": """## Pictures on their way

First: from the archive, which the system holds in memory, in a home where nothing is prepared.
Again: by a new process, which finds it prepared and checks that the archive is the same. Into the
net: the convnet's training, step by step in turns with nothing but forward and backward passes on
batches that were made before. The difference is the steps of its optimizers, in which it learns, and
what it waits for: indexing, augmentation, the loop. Both as shares of the training.""",
    "isolation": """## A process for each trial

A trivial trial in this process and in one of its own, in turns (medians).""",
}


def page(found: Bench) -> str:
    """Markdown."""
    return "\n\n".join(parts(found)) + "\n"


def parts(found: Bench) -> Iterator[str]:
    yield (
        "# What it costs\n\n"
        "Made by `nox -s bench -- --full --to results`, from [bench.json](bench.json) alone.\n"
        f"On {found.machine}, {counted(found.threads, 'thread')}, rung {found.version}."
    )
    missed = [f"- {line}" for line in found.missed]
    yield "\n".join(["Missed:\n", *missed]) if missed else "All that is promised is kept."
    for section, text in TITLES.items():
        if records := found.of(section):
            yield text
            yield table(records)
    if found.left_out:
        left_out = [f"- {one.what}: {one.why}." for one in found.left_out]
        yield "\n".join(["## Left out\n", *left_out])


def table(records: list[Record]) -> str:
    """A row for each record, with the columns of the first."""
    columns = list(records[0].cells)
    rows = [[r.name, *(r.cells[c] for c in columns)] for r in records]
    lines = [["", *columns], [":--", *("--:" for _ in columns)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
