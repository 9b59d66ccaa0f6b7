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
    parser.add_argument("--to", type=Path, metavar="DIR", help="write bench.md and bench.json here")
    arguments = parser.parse_args(argv)
    found = Bench(device.processor(), torch.get_num_threads(), __version__)
    try:
        for name in arguments.work:
            if name not in WORK:
                raise unknown("part of the bench", name, WORK)
        before = read(arguments.against) if arguments.against else None
        if arguments.to is not None and not arguments.to.is_dir():
            raise RungError(f"--to {arguments.to}: there is no such folder")
        for name, work in WORK.items():
            if arguments.work and name not in arguments.work:
                found.add(LeftOut(name, "not asked for"))
                continue
            for one in work(arguments.full):
                found.add(one)
                print(line(one), flush=True)
        if pictures.cache_info().currsize and (why := pictures()[1]):
            found.add(LeftOut("Imagenette, in place of which stands Imagenette mini", why))
    except RungError as error:
        print(f"bench: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    if arguments.to is not None:
        (arguments.to / "bench.json").write_text(found.to_json(), encoding="utf-8")
        (arguments.to / "bench.md").write_text(page(found), encoding="utf-8")
    lines = [] if before is None else slower(found, before)
    for kind, said in (("slower", lines), ("missed", found.missed)):
        for one_line in said:
            print(f"{kind}: {one_line}")
    return 1 if lines or found.missed else 0


def line(found: Record | LeftOut) -> str:
    """For the terminal."""
    if isinstance(found, LeftOut):
        return f"left out: {found.what}: {found.why}"
    return f"{found.name}: {', '.join(f'{k} {v}' for k, v in found.cells.items() if v)}"


if __name__ == "__main__":
    sys.exit(main())
