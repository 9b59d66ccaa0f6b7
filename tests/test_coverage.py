"""The simulation behind results/coverage.md, with few repetitions."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage", ROOT / "benchmarks" / "_coverage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_published_page_is_made_from_the_cells_alone(coverage: ModuleType) -> None:
    results = ROOT / "results"
    cells = pd.read_csv(results / "coverage.csv")
    assert coverage.report(cells, 2000) == (results / "coverage.md").read_text(encoding="utf-8")


def test_world_has_the_accuracy_and_the_noise_it_was_asked_for(coverage: ModuleType) -> None:
    rng = np.random.default_rng(0)
    right, models = coverage.answers(rng, 0.8, rng.standard_normal(4_000), 2.0, 200, 0.3)
    assert right.mean() == pytest.approx(0.8, abs=0.02)
    assert models.mean() == pytest.approx(0.8, abs=0.01)
    assert models.std() > 0.02
    hard = right.mean(axis=0)
    assert hard.std() > 0.2  # examples differ, for all models alike


def test_intervals_hold_where_the_usual_ones_do_not(coverage: ModuleType) -> None:
    found = {row["method"]: row for row in coverage.scores(150, 1000, 5, 0.8, 2.0, 0.3)}
    assert found["rung"]["coverage"] > 0.88
    assert found["all answers pooled"]["coverage"] < 0.7
    assert found["test set alone"]["coverage"] < 0.8


@pytest.mark.parametrize(
    ("section", "cell"),
    [
        ("differences", (20, 100, 3, 0.8, 2.0, 0.3, 0.2)),
        ("false_alarms", (5, 100, 3, 0.8, 0.15)),
        ("ranks", (5, 100, 3, 0.15)),
        ("power", (2, 100, 3, 0.15)),
        ("skewed", (20, "lognormal", 30)),
        ("resampled", (10, 60, 0.1, 1.0)),
        ("metric_cells", (5, {"log_loss": 1.0, "f1_macro": 0.5}, 100, 3, 4, 0.15, 1.0)),
    ],
)
def test_cells_say_what_was_counted(
    coverage: ModuleType, section: str, cell: tuple[object, ...]
) -> None:
    rows = getattr(coverage, section)(*cell)
    assert rows == getattr(coverage, section)(*cell)  # seeded by the axes of the cell
    for row in rows:
        share = row.get("coverage", row.get("share"))
        assert 0 <= share <= 1
        assert round(share * row["repetitions"], 6).is_integer()
