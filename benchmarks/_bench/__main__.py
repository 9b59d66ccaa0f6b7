"""The command: `python -m rung.suite.benchmarks._bench`, or `nox -s bench`."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rung import __version__, device
from rung.errors import RungError, unknown

from .isolation import isolation
from .pairs import PAIRS, pairs
from .pipeline import pipeline
from .records import LeftOut, Record
from .report import Bench, page, read, slower
from .scaling import scaling
from .shared import pictures

# Name → what it finds; takes whether to run in full.
WORK: dict[str, Callable[[bool], Iterator[Record | LeftOut]]] = {
    **{name: functools.partial(pairs, name) for name in PAIRS},
    "scaling": scaling,
    "pipeline": pipeline,
    "isolation": isolation,
}


def main(argv: list[str] | None = None) -> int:
    """The exit status: 0 done, 1 slower than before or a promise missed, 2 usage or input error."""
    import torch

    parser = argparse.ArgumentParser(
        prog="nox -s bench --", description="What Rung costs, beside what one would do instead."
    )
    parser.add_argument("work", nargs="*", metavar="NAME", help=f"of {', '.join(WORK)} (all)")
    parser.add_argument("--full", action="store_true", help="kernel ridge on all rows: 20 minutes")
    parser.add_argument("--against", type=Path, metavar="FILE", help="bench.json of before")
    parser.add_argument(
        "--to",
        type=Path,
        metavar="DIR",
        help="write bench.md and bench.json here; parts not named stay as they are there",
    )
    arguments = parser.parse_args(argv)
    found = Bench(device.processor(), torch.get_num_threads(), __version__)
    to: Path | None = arguments.to
    try:
        for name in arguments.work:
            if name not in WORK:
                raise unknown("part of the bench", name, WORK)
        before = read(arguments.against) if arguments.against else None
        if to is not None and not to.is_dir():
            raise RungError(f"--to {to}: there is no such folder")
        asked = arguments.work or list(WORK)
        kept = {} if to is None or not arguments.work else others(to / "bench.json", found)
        for name in WORK:
            why = "not reached" if name in asked else "not asked for"
            found.parts[name] = kept.get(name, [LeftOut(name, why)])
        for name in asked:
            part, before_it = [], asked_for()
            for one in WORK[name](arguments.full):
                part.append(one)
                print(line(one), flush=True)
            if asked_for() > before_it and (why := pictures()[1]):
                part.append(
                    LeftOut(f"{name} on Imagenette, in place of which stands its mini", why)
                )
            found.parts[name] = part
            if to is not None:  # now, since a later part may fail
                (to / "bench.json").write_text(found.to_json(), encoding="utf-8")
                (to / "bench.md").write_text(page(found), encoding="utf-8")
    except RungError as error:
        print(f"bench: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    lines = [] if before is None else slower(found, before)
    for kind, said in (("slower", lines), ("missed", found.missed)):
        for one_line in said:
            print(f"{kind}: {one_line}")
    return 1 if lines or found.missed else 0


def asked_for() -> int:
    """How often the pictures were asked for."""
    info = pictures.cache_info()
    return info.hits + info.misses


def others(file: Path, now: Bench) -> dict[str, list[Record | LeftOut]]:
    """The parts of a file that only some are measured for anew.

    Raises RungError where they are of another machine or version, as no page is of two.
    """
    if not file.exists():
        return {}
    old = read(file)
    if (old.machine, old.threads, old.version) != (now.machine, now.threads, now.version):
        raise RungError(
            f"{file} is of {old.machine}, {old.threads} threads, rung {old.version}; here is "
            f"{now.machine}, {now.threads} threads, rung {now.version}; measure all parts, or "
            "write to another folder"
        )
    return old.parts


def line(found: Record | LeftOut) -> str:
    """For the terminal."""
    if isinstance(found, LeftOut):
        return f"left out: {found.what}: {found.why}"
    return f"{found.name}: {', '.join(f'{k} {v}' for k, v in found.cells.items() if v)}"


if __name__ == "__main__":
    sys.exit(main())
