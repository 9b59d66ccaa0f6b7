"""Rung: the ladder of baselines that every machine-learning project runs first."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rung import intervals
    from rung.baseline import Baseline
    from rung.benchmark import Benchmark, Reported, Variant
    from rung.board import Board
    from rung.checks import check, check_data
    from rung.dataset import Dataset, Split
    from rung.errors import NotRunHere, RungError
    from rung.ladder import run
    from rung.suite import load
    from rung.verdict import Verdict

# Where each public name lives. Imported on first use, so that `rung --help` is quick.
_PUBLIC = {
    "Baseline": "baseline",
    "Benchmark": "benchmark",
    "Board": "board",
    "Dataset": "dataset",
    "NotRunHere": "errors",
    "Reported": "benchmark",
    "RungError": "errors",
    "Split": "dataset",
    "Variant": "benchmark",
    "Verdict": "verdict",
    "check": "checks",
    "check_data": "checks",
    "intervals": "",
    "load": "suite",
    "run": "ladder",
}
__all__ = [
    "Baseline",
    "Benchmark",
    "Board",
    "Dataset",
    "NotRunHere",
    "Reported",
    "RungError",
    "Split",
    "Variant",
    "Verdict",
    "check",
    "check_data",
    "intervals",
    "load",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rung' has no attribute {name!r}")
    if not _PUBLIC[name]:
        return importlib.import_module(f"rung.{name}")
    return getattr(importlib.import_module(f"rung.{_PUBLIC[name]}"), name)
