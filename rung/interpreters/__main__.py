"""Builds the environment of an interpreter: `python -m rung.interpreters NAME [PYTHON VERSION]`.

Needs the standard library alone, so that any interpreter can run it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from rung import home
from rung.errors import NotRunHere, RungError, unknown
from rung.interpreters import RECIPES, digest, find, folder, requirements


def versions(name: str) -> list[str]:
    """Of Python, those that there are requirements for: first those that need no compiler."""
    if not (RECIPES / name / "check.py").exists():
        raise unknown(
            "interpreter", name, [file.parent.name for file in RECIPES.glob("*/check.py")]
        )
    files = {file.stem for file in (RECIPES / name).glob("*.txt")}
    plain = [stem for stem in files if not stem.endswith("-build")]
    return sorted(plain, key=lambda version: (f"{version}-build" in files, version))


def python_of(version: str) -> str | None:
    """A CPython of that version which really runs (a shim may be on the path without one)."""
    shims = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    places = sorted(shims.glob(f"versions/{version}.*/bin/python"))
    code = "import sys; print(sys.implementation.name + '%d.%d' % sys.version_info[:2])"
    for python in (sys.executable, f"python{version}", *map(str, places)):
        try:
            done = subprocess.run([python, "-c", code], capture_output=True, text=True)
        except OSError:
            continue
        if done.stdout.strip() == f"cpython{version}":
            return python
    return None


def build(name: str, version: str | None = None) -> str:
    """Builds the environment, unless it is there; returns the line to print. version: of Python;
    default: that of the environment if it is there, else the first that is found."""
    known = versions(name)
    if version is not None and version not in known:
        raise unknown("Python version", version, known)
    stamp = folder(name) / "stamp.json"
    try:
        python = find(name)
        there = json.loads(stamp.read_text())["python"]
        if version in (None, there):
            return f"{name}: CPython {there} in {python.parents[1]}, nothing to do"
    except NotRunHere:
        pass
    found = {v: python_of(v) for v in ([version] if version else known)}
    chosen = next((v for v, python in found.items() if python), None)
    if chosen is None:
        raise RungError(f"no CPython {' or '.join(found)} found on the path; install one")
    home.home()
    stamp.unlink(missing_ok=True)
    install(name, chosen, str(found[chosen]))
    # The stamp comes last: what was interrupted or failed is built anew.
    stamp.write_text(json.dumps({"python": chosen, "digest": digest(name, chosen)}))
    return f"{name}: CPython {chosen} in {folder(name)}"


def install(name: str, version: str, python: str) -> None:
    """Makes the environment, installs what it needs, and checks that it works."""
    to = folder(name)
    where = {
        # How many files scikit-learn compiles at a time.
        "SKLEARN_BUILD_PARALLEL": str(os.cpu_count()),
        **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")},
        "PATH": f"{to / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }

    def run(*command: object) -> None:
        print(*command, flush=True)
        code = subprocess.run([str(part) for part in command], env=where).returncode
        if code:
            raise RungError(f"{name}: `{' '.join(map(str, command))}` failed (status {code})")

    # Debian's venv lacks pip where its package python3-venv is not installed; nox has virtualenv.
    if importlib.util.find_spec("virtualenv"):
        run(sys.executable, "-m", "virtualenv", "--quiet", "--clear", "--python", python, to)
    else:
        run(python, "-m", "venv", "--clear", to)
    files = requirements(name, version)
    inside = to / "bin" / "python"
    for file in files:
        isolation = ["--no-build-isolation"] if file is files[-1] and len(files) > 1 else []
        run(inside, "-m", "pip", "install", "--quiet", *isolation, "-r", file)
    run(inside, RECIPES / name / "check.py")


if __name__ == "__main__":
    try:
        if not 2 <= len(sys.argv) <= 3:
            raise RungError("say which: python -m rung.interpreters automl [PYTHON]")
        print(build(*sys.argv[1:3]))
    except RungError as error:
        print(f"rung: error: {error}", file=sys.stderr)
        sys.exit(2)
