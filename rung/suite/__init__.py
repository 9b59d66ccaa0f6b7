"""The content: `baselines/`, `datasets/` and `benchmarks/`, found by looking into the folders.

This package's path is the folder that holds the three (the repository root in a checkout, this
folder in an installed wheel), so `rung.suite.baselines.linear` is an ordinary module. Folders of a
user's own, laid out the same way, come first: `--suite DIR`, or `RUNG_SUITE` (several separated
as in PATH).
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rung import fetch, interpreters
from rung.baseline import Baseline
from rung.dataset import Dataset
from rung.errors import RungError, unknown
from rung.home import versions

Kind = Literal["baselines", "datasets", "benchmarks"]
SINGULAR = {"baselines": "baseline", "datasets": "dataset", "benchmarks": "benchmark"}
SAID = {"baselines": "rung", "datasets": "data set", "benchmarks": "benchmark"}

_here = Path(__file__).resolve().parent
root = _here if (_here / "baselines").is_dir() else _here.parents[1]
own = [Path(p).resolve() for p in os.environ.get("RUNG_SUITE", "").split(os.pathsep) if p]
__path__ = [str(p) for p in [*own, root]]


@dataclass(frozen=True)
class Entry:
    """A file of the content: `doc` is its first docstring line, `meta` its literal metadata."""

    kind: Kind
    name: str
    path: Path
    doc: str
    meta: dict[str, Any]
    # Whether `meta` is all there is to know without importing the file (but for functions).
    literal: bool

    @property
    def hash(self) -> str:
        """Of the file's text, of the files beside it and the rooms of the engine that it imports by
        name, of the versions of libraries that it imports and that are called as their modules, and
        of what the interpreter is made of that it runs in."""
        digest = hashlib.sha256(self.path.read_bytes())
        for file in self.helpers:
            digest.update(file.read_bytes())
        libraries = {name.partition(".")[0] for name in self.imports} - {"rung"}
        digest.update(json.dumps(versions(sorted(libraries))).encode())
        for file in interpreters.sources(self.meta.get("interpreter", "")):
            digest.update(file.read_bytes())
        return digest.hexdigest()[:16]

    @property
    def imports(self) -> set[str]:
        """The modules that the file imports, at its head or anywhere in it."""
        return imported(self.path, f"rung.suite.{self.kind}")[0]

    @property
    def helpers(self) -> list[Path]:
        """The files of the suite that it imports, also by way of one another, and the rooms of the
        engine that one of them names."""
        found: list[Path] = []
        waiting = [self.path]
        while waiting:
            modules, names = imported(waiting.pop(), f"rung.suite.{self.kind}")
            for name in sorted(modules | names):
                home, _, rest = name.partition(".")
                inside = rest.startswith("suite.")
                places = __path__ if inside else [str(_here.parent)]
                file = f"{rest.removeprefix('suite.').replace('.', '/')}.py"
                # By the listing: some systems would find `Baseline.py` in baseline.py.
                here = [p for at in places if (p := Path(at, file)) in p.parent.glob("*.py")]
                if home == "rung" and here and here[0] not in (self.path, *found):
                    found.append(here[0])
                    waiting += here[:1] if inside else []
        return found  # in an order that is the same wherever the files lie

    def load(self) -> Any:
        """The object that the file defines. Raises RungError where it doesn't define it."""
        module = importlib.import_module(f"rung.suite.{self.kind}.{self.name}")
        variable = SINGULAR[self.kind]
        if not hasattr(module, variable):
            raise RungError(f"{self.path} defines no `{variable}`; see the others in its folder")
        return getattr(module, variable)


def imported(path: Path, package: str) -> tuple[set[str], set[str]]:
    """The modules that a file in the package imports, and what it imports from them, which may be
    modules too."""
    found: set[str] = set()
    inside: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            found.add(module)
            inside.update(f"{module}.{alias.name}" for alias in node.names)
    return found, inside


@functools.cache
def entries(kind: Kind) -> dict[str, Entry]:
    """All files of a kind by name. Nothing is imported: the text is parsed.

    Raises RungError for two files of one name and for a file that is no Python.
    """
    found: dict[str, Entry] = {}
    for folder in [*own, root]:
        for path in sorted((folder / kind).glob("*.py")):
            if path.name.startswith("_"):
                continue
            if path.stem in found:
                raise RungError(
                    f"two files are named {path.stem!r}: {found[path.stem].path} and {path}; "
                    "rename one"
                )
            found[path.stem] = _parse(kind, path)
    return found


def _parse(kind: Kind, path: Path) -> Entry:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise RungError(f"{path} can't be read as Python: {error}") from error
    doc = (ast.get_docstring(tree) or "").partition("\n")[0]
    meta = dict(_literals(tree, SINGULAR[kind]))
    literal = {"rung", "title"} <= set(meta) and _NOT_LITERAL not in meta.values()
    meta = {k: v for k, v in meta.items() if v is not _NOT_LITERAL}
    return Entry(kind, path.stem, path, doc, meta, literal)


_NOT_LITERAL = object()


def _literals(tree: ast.Module, variable: str) -> Iterator[tuple[str, Any]]:
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and any(isinstance(t, ast.Name) and t.id == variable for t in node.targets)
        ):
            for keyword in node.value.keywords:
                try:
                    yield str(keyword.arg), ast.literal_eval(keyword.value)
                except ValueError:
                    if keyword.arg != "make":
                        yield str(keyword.arg), _NOT_LITERAL


def get(kind: Kind, name: str) -> Entry:
    """The entry of that name. Raises RungError that names the nearest ones."""
    try:
        return entries(kind)[name]
    except KeyError:
        raise unknown(SAID[kind], name, entries(kind)) from None


def ladder() -> list[Entry]:
    """All rungs, lowest first."""
    return sorted(entries("baselines").values(), key=lambda e: (e.meta.get("rung", 99), e.name))


def baseline(name: str) -> Baseline:
    """The rung of that name. Its file is imported only when an estimator is made, so that a run
    which finds all its work in the cache does not wait for torch."""
    entry = get("baselines", name)
    if not entry.literal:
        loaded: Baseline = entry.load()
        return loaded

    def make(*args: Any, **parameters: Any) -> Any:
        return entry.load().make(*args, **parameters)

    try:
        return Baseline(make=make, **entry.meta)
    except TypeError as error:
        raise RungError(f"{entry.path}: {error}") from error


def load(name: str) -> Dataset:
    """The data set of that name, prepared (and memory-mapped when it was prepared before)."""
    entry = get("datasets", name)
    dataset: Dataset = entry.load().load(name, entry.path.parent, fetch.on_terminal())
    return dataset
