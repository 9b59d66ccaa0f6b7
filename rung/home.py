"""The folder where Rung keeps its work (`~/.rung`, or `RUNG_HOME`), and its joblib caches."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rung.errors import RungError

if TYPE_CHECKING:
    import joblib

T = TypeVar("T")


def home() -> Path:
    """The folder, made with mode 0700 if it is not there. Raises RungError if it can't be written."""
    path = Path(os.environ.get("RUNG_HOME") or "~/.rung").expanduser()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RungError(unwritable(path, error)) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise RungError(unwritable(path, "permission denied"))
    return path


def unwritable(path: Path, cause: object) -> str:
    """The line for a folder or disk that can't be written to."""
    reason = cause.strerror if isinstance(cause, OSError) else cause
    return (
        f"can't write to {path} ({reason}); free some space or make it writable, "
        "or set RUNG_HOME to a folder that is"
    )


def memory(room: str) -> joblib.Memory:
    """A joblib cache in the home; arrays come back memory-mapped from the second use on."""
    import joblib

    return joblib.Memory(home() / room, mmap_mode="r", verbose=0)


class NotKept(UserWarning):
    """What was computed could not be written to the cache (a full disk, say)."""


class _Missing(Exception):
    pass


# The one function that joblib sees: it never changes, so that no edit elsewhere drops the cache.
# What identifies the work is `key`, plain data.
def entry(key: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
    """Its value, to be kept under the key."""
    return compute()


def find(room: str, key: Mapping[str, Any], check: Callable[[T], object]) -> T | None:
    """What is kept under the key, or None. `check` raises where the content is not to be believed;
    such an entry is removed, with a warning."""

    def missing() -> T:
        raise _Missing

    kept = memory(room).cache(entry, ignore=["compute"])
    if not kept.check_call_in_cache(key, missing):
        return None
    try:
        with warnings.catch_warnings():
            # joblib reports an unreadable entry with its whole traceback; one line is enough.
            warnings.simplefilter("ignore", UserWarning)
            value: T = kept(key, missing)
        check(value)
    except Exception as error:
        cause = "unreadable" if isinstance(error, _Missing) else str(error)
        warnings.warn(
            f"a cache entry in {home() / room} is damaged ({cause}); redone", stacklevel=2
        )
        kept.call_and_shelve(key, missing).clear()
        return None
    return value


def keep(room: str, key: Mapping[str, Any], compute: Callable[[], T]) -> T:
    """compute(), kept under the key. A disk that can't take it costs a `NotKept` warning only."""
    import joblib

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value: T = memory(room).cache(entry, ignore=["compute"])(key, compute)
    for warning in caught:
        if issubclass(warning.category, joblib.memory.CacheWarning):
            cause = str(warning.message).partition("Exception: ")[2].rstrip(".")
            warnings.warn(unwritable(home() / room, cause), NotKept, stacklevel=2)
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return value


def cached(
    room: str, key: Mapping[str, Any], compute: Callable[[], T], check: Callable[[T], object]
) -> T:
    """What is kept under the key, else compute(), kept."""
    value = find(room, key, check)
    return keep(room, key, compute) if value is None else value
