"""What the checks find and what they leave alone: `python benchmarks/_checks.py [--to results]`.

Runs every planted fault of the tests, the healthy models of the tests, and the data sets that are
here, and prints a page; `--to DIR` writes it as checks.md. About ten minutes; needs a checkout.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import rung
from rung import suite
from rung.checks import Report
from rung.errors import RungError, listed

ROOT = Path(__file__).resolve().parents[1]
HEAD = """# What the checks find, and what they leave alone

Made by `python benchmarks/_checks.py --to results`. Planted faults stand in the tests
(`tests/test_checks_*.py`, `tests/zoo_*.py`): found is what the check that is meant for it reports as
an error or a warning. Thresholds were set while looking at them and at the data sets below, so these
shares are no estimate of what is found elsewhere; the *held out* ones were written by somebody who
had not seen the checks. When these were run on them for the first time, 20 of 22 were found by the
check meant for them: lazy layers could not be watched, and a part of a net was taken for the net.
Both are mended, so now they are no estimate either. Healthy are models and nets that nothing was
done to. A pair is a check and a subject that it applies to; what data sets are warned of is in them.
"""


def tests(name: str) -> Any:
    return importlib.import_module(name)


def faults() -> Iterable[tuple[str, str, list[Report], tuple[str, ...]]]:
    """(kind, name, the report, codes of which one must alarm) of each planted fault."""
    for room in ("duplicates", "labels", "columns"):
        for name, (code, make, *_) in tests(f"test_checks_{room}").FAULTS.items():
            dataset = make()
            kind = {"image": "pictures", "text": "texts", "tabular": "tables"}[dataset.modality]
            yield f"data: {kind}", name, [rung.check_data(dataset, only=[code])], (code,)
    for room, kind in (("zoo_models", "models"), ("zoo_nets", "nets")):
        for name, (codes, factory, data, options) in tests(room).FAULTS.items():
            made = data if isinstance(data, str) else data()
            report = rung.check(factory, made, fast=True, **{**options, "only": list(codes)})
            yield kind, name, [report], codes
    for factory, (codes, data) in tests("zoo_held_out").FAULTS.items():
        report = rung.check(factory, data, fast=True)
        yield "models and nets, held out", factory.__name__, [report], codes


def healthy() -> Iterable[tuple[str, Report]]:
    """(kind, report) of healthy models and of the data sets that are here."""
    for room, kind in (("zoo_models", "models"), ("zoo_nets", "nets")):
        for model, data, options in tests(room).HEALTHY.values():
            made = data if isinstance(data, str) else data()
            yield f"healthy {kind}", rung.check(model, made, fast=True, **options)
    for model, data in tests("zoo_held_out").HEALTHY:
        yield "healthy nets, held out", rung.check(model, data, fast=True)
    for entry in suite.entries("datasets").values():
        try:
            dataset = rung.load(entry.name)
        except RungError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        yield "data sets", rung.check_data(dataset)


def page() -> str:
    found: dict[str, list[bool]] = {}
    missed: list[str] = []
    for kind, name, reports, codes in faults():
        hit = any(r[code].alarms for r in reports for code in codes)
        found.setdefault(kind, []).append(hit)
        missed += [f"{name} ({kind}; {', '.join(codes)})"] * (not hit)
        print(f"{kind}: {name}: {'found' if hit else 'MISSED'}", file=sys.stderr, flush=True)
    lines = [HEAD, "## Planted faults", "", "| | planted | found |", "| :-- | --: | --: |"]
    lines += [f"| {kind} | {len(hits)} | {sum(hits)} |" for kind, hits in found.items()]
    lines += ["", f"Missed: {listed(missed, 50) or 'none'}.", "", "## Healthy subjects", ""]
    lines += ["| | subjects | pairs | errors | warnings |", "| :-- | --: | --: | --: | --: |"]
    kinds: dict[str, list[Report]] = {}
    for kind, report in healthy():
        kinds.setdefault(kind, []).append(report)
        print(f"{kind}: {report.subject}", file=sys.stderr, flush=True)
    for kind, reports in kinds.items():
        pairs = sum(r.status in ("passed", "found") for one in reports for r in one.results)
        counts = [sum(len(getattr(r, what)) for r in reports) for what in ("errors", "warnings")]
        lines.append(f"| {kind} | {len(reports)} | {pairs} | {counts[0]} | {counts[1]} |")
    lines += ["", "What they were warned of:", ""]
    for kind, reports in kinds.items():
        for report in reports:
            for result in [*report.errors, *report.warnings]:
                assert result.finding is not None
                said = result.finding.said
                lines.append(f"- {report.subject} ({kind}), {result.code}: {said}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--to", type=Path, metavar="DIR", help="write checks.md there")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = page()
    print(text)
    if arguments.to is not None:
        (arguments.to / "checks.md").write_text(text)


if __name__ == "__main__":
    main()
