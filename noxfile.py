import hashlib
import sys
from pathlib import Path

import nox

nox.options.sessions = ["ladder"]
nox.options.reuse_venv = "yes"


def install(session: nox.Session, extra: str = "") -> None:
    """Installs the checkout with pinned versions, unless that was done for these very files."""
    wanted = b"".join(Path(f).read_bytes() for f in ("pyproject.toml", "constraints.txt"))
    stamp = Path(session.virtualenv.location) / "installed"
    digest = hashlib.sha256(wanted + extra.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        session.install("-c", "constraints.txt", "-e", f".[{extra}]" if extra else ".")
        # By a command that `nox -R` leaves out too.
        write = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"
        session.run_install("python", "-c", write, str(stamp), digest, silent=True)


def run(session: nox.Session, *command: str) -> None:
    """Runs it as a shell would: what it says of its progress stays out of what it prints, and at
    Ctrl-C it has the time to end."""
    session.run(*command, *session.posargs, stderr=None, interrupt_timeout=None)


@nox.session
def ladder(session: nox.Session) -> None:
    """Run the ladder: on the quick data sets, or on what you name."""
    on_cluster = any(a.startswith(("--scheduler", "--workers")) for a in session.posargs)
    install(session, "cluster" if on_cluster else "")
    run(session, "rung", "run")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests."""
    install(session, "test")
    run(session, "pytest", "-n", "2")


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, style and types."""
    install(session, "lint")
    session.run("black", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")


@nox.session
def board(session: nox.Session) -> None:
    """Print the published boards."""
    install(session)
    run(session, "rung", "board")


@nox.session(default=False)
def beat(session: nox.Session) -> None:
    """Compare predictions of your own with the published board."""
    install(session)
    run(session, "rung", "beat")


@nox.session(default=False)
def check(session: nox.Session) -> None:
    """Check the ladder on the quick data sets; or `-- data NAME`, `-- model FILE.py:FACTORY ...`."""
    install(session)
    run(session, "rung", "check", *([] if session.posargs else ["ladder"]))


@nox.session(default=False)
def publish(session: nox.Session) -> None:
    """Run a benchmark and write its outcomes and boards to results/."""
    install(session)
    run(session, "rung", "publish")


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Simulate how often the intervals hold what they claim, and write results/coverage.md."""
    install(session)
    run(session, "python", "benchmarks/_coverage.py")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Time Rung beside what one would do instead, and as data grow; or what you name of it."""
    install(session, "bench")
    run(session, "python", "-m", "rung.suite.benchmarks._bench")


@nox.session(default=False, venv_backend="none")
def automl(session: nox.Session) -> None:
    """Build the environment of auto-sklearn in Rung's home; `-- 3.11` builds it with that Python."""
    session.run(sys.executable, "-m", "rung.interpreters", "automl", *session.posargs)
