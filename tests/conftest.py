"""What the tests share: a home of their own, small data, and the command as a subprocess."""

from __future__ import annotations

import os

# Tests run side by side: one thread each, as trials have. Before numpy and torch are imported.
os.environ["OMP_NUM_THREADS"] = "1"

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rung import Dataset

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty RUNG_HOME for every test."""
    path = tmp_path / "home"
    monkeypatch.setenv("RUNG_HOME", str(path))
    monkeypatch.delenv("RUNG_SUITE", raising=False)
    return path


@pytest.fixture
def rung(home: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`rung("list")` runs the command in an empty folder and returns the finished process."""

    def call(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        empty = tmp_path / "cwd"
        empty.mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, "-m", "rung", *map(str, arguments)],
            cwd=empty,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "RUNG_HOME": str(home)},
            **options,  # type: ignore[call-overload]
        )

    return call


def table(n: int = 90, classes: int = 3, seed: int = 0, task: str = "classification") -> Dataset:
    """A small table that a linear model can learn."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    y = (
        rng.permutation(np.arange(n) % classes)
        if task == "classification"
        else X @ [3.0, -2, 0, 1] + 100 + rng.normal(size=n)
    )
    if task == "classification":
        X[:, 0] += 2.5 * y
    return Dataset.from_arrays(X, y, name=f"table_{task}", task=task)


def mixed(n: int = 120, seed: int = 0, task: str = "classification") -> Dataset:
    """A table of numbers, a category, many strings and dates, some missing, that can be learnt."""
    rng = np.random.default_rng(seed)
    c = rng.permutation(np.arange(n) % 3)
    frame = pd.DataFrame(
        {
            "length": c + rng.normal(size=n) / 2,
            "colour": np.array(["red", "green", "blue"])[np.where(rng.random(n) < 0.8, c, 0)],
            "name": [f"{'abc'[k]}{'abc'[k]} {i}" for i, k in enumerate(c)],
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
        }
    )
    for column in ("length", "colour", "day"):
        frame.loc[rng.choice(n, n // 10, replace=False), column] = None
    y = c if task == "classification" else 10.0 * c + 100 + rng.normal(size=n)
    return Dataset.from_arrays(frame, y, name=f"mixed_{task}", task=task)


def texts(n: int = 120, seed: int = 0, task: str = "classification") -> Dataset:
    """Short texts with words of their kind and words of none."""
    rng = np.random.default_rng(seed)
    c = rng.permutation(np.arange(n) % 3)
    own = [["goal", "match", "team"], ["vote", "party", "law"], ["cell", "atom", "energy"]]
    rest = [f"word{i}" for i in range(30)]
    X = [" ".join(rng.permutation([*rng.choice(own[k], 3), *rng.choice(rest, 6)])) for k in c]
    y = c if task == "classification" else 10.0 * c + 100 + rng.normal(size=n)
    return Dataset.from_arrays(X, y, name=f"texts_{task}", task=task, modality="text")


def pictures(
    n: int = 60, side: int = 12, channels: int = 3, seed: int = 0, task: str = "classification"
) -> Dataset:
    """Small pictures whose class is where the bright half is."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 3)
    X = rng.integers(0, 120, size=(n, side, side, channels))
    for i, c in enumerate(y):
        X[i, (c * side // 3) : ((c + 1) * side // 3)] += 130
    target = y if task == "classification" else y + rng.normal(size=n) / 10
    return Dataset.from_arrays(X.astype(np.uint8), target, name=f"pictures_{task}", task=task)


@pytest.fixture
def suite_folder(tmp_path: Path) -> Path:
    """An empty suite folder of a user's own."""
    folder = tmp_path / "own"
    for kind in ("baselines", "datasets", "benchmarks"):
        (folder / kind).mkdir(parents=True)
    return folder


CSV_DATA = '''
"""A table of a user's own."""
from rung.sources import Table

dataset = Table(title="Mine", path="mine.csv", target="kind")
'''

RUNG_FILE = '''
"""A rung of a user's own."""
from sklearn.naive_bayes import GaussianNB
from rung import Baseline


def make(dataset, seed):
    {body}


baseline = Baseline(rung=2.5, title="{name}", make=make, {meta})
'''


def write_rung(
    folder: Path, name: str, body: str = "return GaussianNB()", meta: str = "deterministic=True"
) -> Path:
    path = folder / "baselines" / f"{name}.py"
    path.write_text(RUNG_FILE.format(body=body, name=name, meta=meta))
    return path


def write_table(folder: Path, name: str = "mine", n: int = 60) -> Path:
    rng = np.random.default_rng(0)
    kind = np.arange(n) % 2
    X = rng.normal(size=(n, 3)) + 1.5 * kind[:, None]
    lines = [
        f"{a:.4f},{b:.4f},{c:.4f},{'yes' if k else 'no'}"
        for (a, b, c), k in zip(X, kind, strict=True)
    ]
    (folder / "datasets" / "mine.csv").write_text("\n".join(["a,b,c,kind", *lines]) + "\n")
    path = folder / "datasets" / f"{name}.py"
    path.write_text(CSV_DATA)
    return path
