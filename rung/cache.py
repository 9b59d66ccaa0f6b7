"""What is kept in the home: listed with sizes and times, pruned and cleared.

Only what has the shape that Rung gives it is ever removed, no link is followed, and what a running
process has in use stays (see the locks of `home`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rung import home
from rung.errors import RungError, unknown

# The kinds of entries with a key: what each is called by.
ENTRIES: dict[str, Callable[[dict[str, Any]], str]] = {
    "trials": lambda key: str(trial_of(key)),
    "prepared": lambda key: str(key.get("name") or key["path"]),
    "pixels": lambda key: f"{key['name']} at {key['px']} px",
}
# What the cache consists of. The rest is shown, and removed only where that is said.
CACHED = (*ENTRIES, "downloads", "logs")
KINDS = (*CACHED, "interpreters")
OTHER = "other"
ALL = (*KINDS, OTHER)


@dataclass(frozen=True)
class Kept:
    """Something in the home: an entry, the downloads of a data set, a log, an interpreter.

    bytes: the size of its files. used: when last, in seconds since 1970. stale: nothing reads it
    any more, because this engine asks for another or the process that wrote it was killed.
    """

    kind: str
    path: Path
    about: str
    bytes: int
    used: float
    stale: bool = False


@dataclass
class Removed:
    """What was removed, and what was not because a running process has it in use."""

    removed: list[Kept] = field(default_factory=list)
    in_use: list[Kept] = field(default_factory=list)

    def remove(self, item: Kept) -> bool:
        gone = remove(item)
        (self.removed if gone else self.in_use).append(item)
        return gone


def kept(kinds: Iterable[str] = ALL) -> list[Kept]:
    """All that is there of these kinds, the last used first."""
    found = [item for kind in kinds for item in LOOK.get(kind, entries)(kind)]
    return sorted(found, key=lambda item: -item.used)


def prune(keep: int | None = None) -> Removed:
    """Removes what is stale, then what was not used for longest until at most `keep` bytes are left.

    The interpreters don't count, and stay.
    """
    check_home()
    done, left = Removed(), []
    for item in kept((*CACHED, OTHER)):
        if item.stale:
            done.remove(item)
        elif item.kind != OTHER:
            left.append(item)
    size = total([*left, *done.in_use])
    while keep is not None and left and size > keep:
        item = left.pop()
        if done.remove(item):
            size -= item.bytes
    return done


def clear(kinds: Sequence[str] = ()) -> Removed:
    """Removes all of these kinds; of none named, the whole cache (interpreters are none of it)."""
    check_home()
    done = Removed()
    for item in kept(known(kinds) or CACHED):
        done.remove(item)
    return done


def known(kinds: Sequence[str]) -> list[str]:
    """The kinds, each once. Raises RungError for one that there is not."""
    for kind in kinds:
        if kind not in KINDS:
            raise unknown("kind of thing in the cache", kind, KINDS)
    return list(dict.fromkeys(kinds))


def check_home() -> None:
    """Raises RungError where RUNG_HOME names a folder that is not Rung's alone."""
    if home.place().resolve() in (Path.home().resolve(), Path("/")):
        raise RungError(
            f"RUNG_HOME is {home.place()}, where other things lie too: nothing is removed there; "
            "remove downloads/, logs/, pixels/, prepared/ and trials/ by hand if they are Rung's"
        )


def total(items: Iterable[Kept]) -> int:
    """Their bytes."""
    return sum(item.bytes for item in items)


# --- What is there ----------------------------------------------------------------------------

# What a killed process can leave: a file that it was writing, or a lock.
LEFT = re.compile(r"tmp\w{8}\.part|([0-9a-f]{32}|local)\.lock")
HASH = re.compile(r"[0-9a-f]{32}")


def inside(folder: Path) -> list[tuple[Path, os.stat_result]]:
    """What lies directly in a folder, unless it is a link."""
    found: list[tuple[Path, os.stat_result]] = []
    if folder.is_symlink() or not folder.is_dir():
        return found
    try:
        for name in sorted(os.listdir(folder)):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                found.append((folder / name, (folder / name).lstat()))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise RungError(f"can't read {folder} ({error.strerror})") from error
    return found


def regular(folder: Path) -> list[tuple[Path, os.stat_result]]:
    """The files directly in a folder that are whole."""
    return [
        (path, status)
        for path, status in inside(folder)
        if stat.S_ISREG(status.st_mode) and not LEFT.fullmatch(path.name)
    ]


def leftovers(kind: str, folder: Path) -> Iterator[Kept]:
    """What killed processes left directly in a folder."""
    for path, status in inside(folder):
        if LEFT.fullmatch(path.name) and stat.S_ISREG(status.st_mode) and is_free(path):
            text = "left behind by a killed process"
            yield Kept(kind, path, text, status.st_size, status.st_mtime, stale=True)


def is_free(path: Path) -> bool:
    """Whether no process has a lock on the file."""
    try:
        with path.open("rb+") as file:
            return home.lock(file.fileno(), fcntl.LOCK_EX)
    except OSError:
        return False


def folders(kind: str) -> Iterator[tuple[Path, os.stat_result]]:
    for path, status in inside(home.place() / kind):
        if stat.S_ISDIR(status.st_mode):
            yield path, status


def entries(kind: str) -> Iterator[Kept]:
    yield from leftovers(kind, home.place() / kind)
    is_fresh: Callable[[dict[str, Any]], bool] | None = None
    for folder, _ in folders(kind):
        if not HASH.fullmatch(folder.name):
            continue
        yield from leftovers(kind, folder)
        for path, status in regular(folder):
            if path.name != home.ENTRY:
                continue
            key, about, fresh = home.note(path), "of an older version of Rung", False
            if key is not None:
                is_fresh = is_fresh or freshness(kind)
                # Another version may write other keys.
                with contextlib.suppress(KeyError, TypeError, ValueError):
                    about, fresh = ENTRIES[kind](key), is_fresh(key)
            yield Kept(kind, path, about, status.st_size, status.st_mtime, not fresh)


def freshness(kind: str) -> Callable[[dict[str, Any]], bool]:
    """Whether this engine could ask for the entry with a key."""
    if kind == "trials":
        from rung import suite, trial

        hashes = {name: entry.hash for name, entry in suite.entries("baselines").items()}

        def is_fresh(key: dict[str, Any]) -> bool:
            # A rung that is not in this suite may be in another, and is taken for unchanged.
            now = trial.key(trial_of(key), hashes.get(key["rung"], key["rung_hash"]))
            return home.entry(kind, now) == home.entry(kind, key)

        return is_fresh
    if kind == "pixels":
        from rung.features import written_by
    else:
        from rung.sources import written_by
    now = written_by()
    return lambda key: {**key, **now} == key


def trial_of(key: dict[str, Any]) -> Any:
    """The trial that a key was made of."""
    from rung.benchmark import Trial
    from rung.device import Device

    plain = {f.name: key[f.name] for f in dataclasses.fields(Trial) if f.name in key}
    plain["parameters"] = tuple(tuple(pair) for pair in plain["parameters"])
    plain["device"] = Device(**plain["device"])
    return Trial(**plain)


def downloads(kind: str) -> Iterator[Kept]:
    yield from leftovers(kind, home.place() / kind)
    for folder, status in folders(kind):
        yield from leftovers(kind, folder)
        if files := regular(folder):
            size = sum(s.st_size for _, s in files)
            yield Kept(kind, folder, folder.name, size, status.st_mtime)


def logs(kind: str) -> Iterator[Kept]:
    yield from leftovers(kind, home.place() / kind)
    for path, status in regular(home.place() / kind):
        if path.suffix == ".txt":
            yield Kept(kind, path, path.stem, status.st_size, status.st_mtime)


def interpreters(kind: str) -> Iterator[Kept]:
    for folder, status in folders(kind):
        yield Kept(kind, folder, folder.name, size_of(folder), status.st_mtime)


def other(kind: str) -> Iterator[Kept]:
    yield from leftovers(kind, home.place())
    for path, status in inside(home.place()):
        links = path.is_symlink() or path.name not in KINDS
        if links and path.name != "local.json" and not LEFT.fullmatch(path.name):
            yield Kept(kind, path, path.name, size_of(path), status.st_mtime)


LOOK: dict[str, Callable[[str], Iterator[Kept]]] = {
    "downloads": downloads,
    "logs": logs,
    "interpreters": interpreters,
    OTHER: other,
}


def size_of(path: Path) -> int:
    """The bytes of all files in a folder, or of a file; links are not followed."""
    size = path.lstat().st_size if not path.is_dir() or path.is_symlink() else 0
    for folder, _, names in os.walk(path) if not path.is_symlink() else ():
        for name in names:
            with contextlib.suppress(OSError):  # removed meanwhile
                size += os.lstat(os.path.join(folder, name)).st_size
    return size


# --- Removing ---------------------------------------------------------------------------------


def remove(item: Kept) -> bool:
    """Whether it is gone now: it stays if a running process has it in use."""
    try:
        if item.kind == "interpreters":
            shutil.rmtree(item.path)
        elif not unlink([p for p, _ in regular(item.path)] or [item.path]):
            return False
    except FileNotFoundError:  # somebody else was quicker
        pass
    except OSError as error:
        raise RungError(home.unwritable(item.path, error)) from error
    for empty in (item.path, *item.path.parents):
        if empty == home.place():
            break
        with contextlib.suppress(OSError):  # there is more in it
            empty.rmdir()
    return True


def unlink(paths: Sequence[Path]) -> bool:
    """Removes the files, all or none: none if a process has one in use, or has just replaced it."""
    with contextlib.ExitStack() as held:
        for path in paths:
            file = held.enter_context(path.open("rb+")).fileno()
            if not home.lock(file, fcntl.LOCK_EX) or not home.same_file(file, path):
                return False
        for path in paths:
            path.unlink()
    return True
