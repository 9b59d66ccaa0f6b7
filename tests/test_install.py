"""The wheel carries the content and the results, and works from an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("rung-*.whl"))


def test_wheel_carries_content_and_results(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for kind in ("baselines", "datasets", "benchmarks", "results"):
        mine = {
            p.relative_to(ROOT).as_posix()
            for p in (ROOT / kind).rglob("*")
            if p.is_file() and "__pycache__" not in p.parts
        }
        packed = {
            n.removeprefix("rung/suite/") for n in names if n.startswith(f"rung/suite/{kind}/")
        }
        assert packed == mine
    assert not [n for n in names if n.startswith(("tests/", "datasets/", "baselines/"))]
    for file in ("worker.py", "automl/3.9.txt", "automl/3.11-build.txt", "automl/check.py"):
        assert f"rung/interpreters/{file}" in names


def test_installed_command_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(target), str(wheel)],
        check=True,
        capture_output=True,
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    # Before the checkout on the path; the libraries are those of the environment.
    environment = {**os.environ, "PYTHONPATH": str(target), "RUNG_HOME": str(tmp_path / "home")}

    def call(*arguments: str) -> str:
        command = [sys.executable, "-m", "rung", *arguments]
        done = subprocess.run(
            command, cwd=empty, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = subprocess.run(
        [sys.executable, "-c", "import rung.suite; print(rung.suite.root)"],
        cwd=empty, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert where.stdout.strip() == str(target / "rung" / "suite")
    assert "Imagenette" in call("run", "imagenette_mini", "--baselines", "random,prior")
    assert "To beat:" in call("board", "digits")
    assert list(empty.iterdir()) == []
