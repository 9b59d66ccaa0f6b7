"""The folder where Rung keeps its work (`~/.rung`, or `RUNG_HOME`), and the caches in it.

A cache is laid out as joblib.Memory lays out its own, and joblib writes and reads the entries, so
that arrays come back memory-mapped. Memory itself drops all that a function has computed when its
note of the function's source is damaged (before joblib 1.6: half-written by another process), and
raises KeyError on a full disk; an entry here depends on its own file alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rung.errors import RungError

T = TypeVar("T")


class Notice(UserWarning):
    """What a user should know of and need not act on; the command prints it as one plain line."""


class NotKept(Notice):
    """What was computed could not be written to the cache (a full disk, say)."""


def home() -> Path:
    """The folder, made with mode 0700 if it is not there. Raises RungError if it can't be written."""
    path = place()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RungError(unwritable(path, error)) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise RungError(unwritable(path, "permission denied"))
    return path


def place() -> Path:
    """Where the folder is or would be."""
    return Path(os.environ.get("RUNG_HOME") or "~/.rung").expanduser()


def unwritable(path: Path, cause: object) -> str:
    """The line for a folder or disk that can't be written to."""
    reason = cause.strerror if isinstance(cause, OSError) else cause
    return (
        f"can't write to {path} ({reason}); free some space or make it writable, "
        "or set RUNG_HOME to a folder that is"
    )


def cached(
    room: str, key: Mapping[str, Any], compute: Callable[[], T], check: Callable[[T], object]
) -> T:
    """What is kept under the key, else compute(), kept; with its arrays memory-mapped.

    key: plain data (what JSON can say) that identify the work. check: as for `find`. A disk that
    can't take it costs a `NotKept` warning, and the arrays are then in memory.
    """
    found = find(room, key, check)
    if found is not None:
        return found
    value = compute()
    if not write(room, key, value):
        return value
    again = find(room, key, check)
    return value if again is None else again


def find(room: str, key: Mapping[str, Any], check: Callable[[T], object]) -> T | None:
    """What is kept under the key, or None.

    check raises where the content is not to be believed; an entry that fails it or can't be read
    is removed, with a `Notice`.
    """
    import joblib

    path = entry(room, key)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib warns of files that only look like old ones
            value: T = joblib.load(path, mmap_mode="r")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except Exception:  # a damaged pickle raises anything
        cause = "it can't be read"
    else:
        try:
            check(value)
            return value
        except Exception as error:  # so does a check of what came out of one
            cause = " ".join(str(error).split())
    with contextlib.suppress(OSError):
        path.unlink()
    warnings.warn(f"the cache entry {path} is damaged ({cause}); redone", Notice, stacklevel=2)
    return None


def keep(room: str, key: Mapping[str, Any], compute: Callable[[], T]) -> T:
    """compute(), kept under the key. A disk that can't take it costs a `NotKept` warning only."""
    value = compute()
    write(room, key, value)
    return value


def write(room: str, key: Mapping[str, Any], value: object) -> bool:
    """Writes an entry, which appears whole or not at all. False, with `NotKept`, if it can't."""
    import joblib

    path = entry(room, key)
    part = None
    try:
        home()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False, suffix=".part") as file:
            part = Path(file.name)
            joblib.dump(value, file)
        part.replace(path)
        return True
    except (OSError, RungError) as error:
        cause = unwritable(path.parents[1], error) if isinstance(error, OSError) else error
        warnings.warn(str(cause), NotKept, stacklevel=3)
        return False
    finally:
        if part is not None:
            with contextlib.suppress(OSError):
                part.unlink()


def entry(room: str, key: Mapping[str, Any]) -> Path:
    """The file of an entry."""
    # In the order they come in: that of a mapping can matter to the work.
    plain = json.dumps(key)
    return place() / room / hashlib.sha256(plain.encode()).hexdigest()[:32] / "output.pkl"
