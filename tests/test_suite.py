from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, write_rung, write_table

from rung import suite
from rung.errors import RungError

Rung = Callable[..., subprocess.CompletedProcess[str]]


def test_every_file_of_the_content_is_found_with_a_line_about_it() -> None:
    for kind in ("baselines", "datasets", "benchmarks"):
        files = {p.stem for p in (ROOT / kind).glob("*.py") if not p.stem.startswith("_")}
        found = suite.entries(kind)  # type: ignore[arg-type]
        assert set(found) == files
        assert all(len(entry.doc) > 20 for entry in found.values())


def test_ladder_starts_with_guessing() -> None:
    assert [e.name for e in suite.ladder()][:3] == ["random", "prior", "linear"]


def test_content_imports_nothing_of_its_own_kind() -> None:
    for kind in ("baselines", "datasets", "benchmarks"):
        for entry in suite.entries(kind).values():  # type: ignore[arg-type]
            for node in ast.walk(ast.parse(entry.path.read_text())):
                names = [node.module] if isinstance(node, ast.ImportFrom) else []
                names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
                for name in names:
                    assert not re.match(
                        r"(rung\.suite|baselines|datasets|benchmarks)\b", name or ""
                    )


def test_the_engine_names_no_content() -> None:
    names = {e.name for kind in ("baselines", "datasets") for e in suite.entries(kind).values()}  # type: ignore[arg-type]
    for path in (ROOT / "rung").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                # Words that mean something else as well; "net" is what a check may need.
                assert node.value not in names - {
                    "digits",
                    "random",
                    "net",
                }, f"{path}: {node.value}"


@pytest.mark.parametrize("kind", ["rung", "data set", "benchmark"])
def test_unknown_names_are_met_with_the_nearest(kind: str) -> None:
    asked = {
        "rung": ("baselines", "linaer"),
        "data set": ("datasets", "digit"),
        "benchmark": ("benchmarks", "quik"),
    }
    near = {"rung": "linear", "data set": "digits", "benchmark": "quick"}
    with pytest.raises(RungError, match=f"no {kind} named .* did you mean .*{near[kind]}"):
        suite.get(*asked[kind])  # type: ignore[arg-type]


def test_a_double_name_is_an_error_that_names_both_files(rung: Rung, suite_folder: Path) -> None:
    path = write_rung(suite_folder, "linear")
    done = rung("list", "--suite", suite_folder)
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert str(ROOT / "baselines" / "linear.py") in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [("def (", "can't be read as Python"), ('"""A file."""\nx = 1\n', "defines no `baseline`")],
)
def test_a_broken_file_is_named(rung: Rung, suite_folder: Path, text: str, says: str) -> None:
    write_table(suite_folder)
    path = suite_folder / "baselines" / "odd.py"
    path.write_text(text)
    done = rung("run", "mine", "--suite", suite_folder, "--baselines", "odd")
    assert done.returncode == 2
    assert says in done.stderr
    assert str(path) in done.stderr


def examples() -> dict[str, str]:
    """The files that the README shows, by the path in their first comment."""
    blocks = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    return dict(blocks)


def test_the_readme_adds_a_rung_and_a_data_set_in_fifteen_lines(
    rung: Rung, suite_folder: Path
) -> None:
    shown = examples()
    kinds = {path.partition("/")[0] for path in shown}
    assert kinds == {"baselines", "datasets"}
    for path, text in shown.items():
        assert len(text.strip().splitlines()) <= 15, path
        (suite_folder / path).write_text(text)
    lines = ["sepal,petal,species"]
    lines += [f"{5 + i % 7 / 10},{1 + i % 3 + i % 5 / 10},kind{i % 3}" for i in range(90)]
    (suite_folder / "datasets" / "flowers.csv").write_text("\n".join(lines))
    names = {Path(p).stem for p in shown if p.startswith("baselines")}
    (data,) = (Path(p).stem for p in shown if p.startswith("datasets"))
    listed = rung("list", "--suite", suite_folder).stdout
    assert all(name in listed for name in (*names, data))
    done = rung("run", data, "--suite", suite_folder, "--baselines", ",".join(["prior", *names]))
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout
    assert "k nearest neighbours" in done.stdout


def test_the_hash_of_a_rung_follows_the_files_that_it_imports(tmp_path: Path) -> None:
    code = """
        import sys
        from rung import suite
        print(suite.get("baselines", "mine").hash)
    """

    def now() -> str:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**os.environ, "RUNG_SUITE": str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    folder = tmp_path / "baselines"
    folder.mkdir()
    (folder / "_more.py").write_text("A = 1\n")
    (folder / "_shared.py").write_text("from rung.suite.baselines._more import A\n")
    (folder / "_other.py").write_text("B = 1\n")
    (folder / "mine.py").write_text('"""Mine."""\nfrom ._shared import A\nbaseline = None\n')
    before = now()
    (folder / "_other.py").write_text("B = 2\n")
    assert now() == before
    (folder / "_more.py").write_text("A = 2\n")
    changed = now()
    assert changed != before
    (folder / "_shared.py").write_text("from ._more import A as A\n")
    assert now() not in (before, changed)


def test_rooms_of_the_engine_count_however_they_are_imported() -> None:
    assert "kernels.py" in [p.name for p in suite.get("baselines", "kernel_ridge").helpers]
