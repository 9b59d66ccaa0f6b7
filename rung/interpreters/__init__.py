"""Other interpreters, for rungs whose libraries can't live beside the engine's.

A folder here is an environment, of the name that a rung asks for (`Baseline(interpreter="automl")`):
`3.9.txt` is what to install with CPython 3.9; if there is a `3.9-build.txt`, that comes first, and
what is built from source is built with it; `check.py` must run in the end. The environment is built
by `nox -s NAME` in Rung's home, where it is found from whatever folder a run is started.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from rung import home
from rung.errors import NotRunHere

RECIPES = Path(__file__).parent


def folder(name: str) -> Path:
    """Where the environment is or would be."""
    return home.place().absolute() / "interpreters" / name


def find(name: str) -> Path:
    """The interpreter of the environment. Raises NotRunHere if it isn't there, whole and current."""
    built = folder(name)
    python = built / "bin" / "python"
    try:
        stamp = json.loads((built / "stamp.json").read_text())
        if stamp["digest"] == digest(name, stamp["python"]) and python.exists():
            return python
    except (OSError, ValueError, KeyError, TypeError):  # half-built, or not by this version
        pass
    raise NotRunHere(f"nox -s {name}")


def sources(name: str) -> list[Path]:
    """The files that decide what runs there, the worker among them; none for the name ""."""
    return [RECIPES / "worker.py", *sorted((RECIPES / name).glob("*.*"))] if name else []


def requirements(name: str, python: str) -> list[Path]:
    """The files to install one after the other; python: "3.9", say."""
    files = [RECIPES / name / f"{python}-build.txt", RECIPES / name / f"{python}.txt"]
    return [file for file in files if file.exists()]


def digest(name: str, python: str) -> str:
    """Of all that decides what is in the environment."""
    wanted = hashlib.sha256(python.encode())
    for file in (*requirements(name, python), RECIPES / name / "check.py"):
        wanted.update(file.read_bytes())
    return wanted.hexdigest()
