"""The folder where Rung keeps its work (`~/.rung`, or `RUNG_HOME`), and the caches in it.

A cache is laid out as joblib.Memory lays out its own, and joblib writes and reads the entries, so
that arrays come back memory-mapped. Memory itself drops all that a function has computed when its
note of the function's source is damaged (before joblib 1.6: half-written by another process), and
raises KeyError on a full disk; an entry here depends on its own file alone. Behind the pickle the
file has its key, one line of JSON, so that `rung cache` can say what it is.

Processes that share a home agree through the kernel's locks on files (flock), which end with the
process that has them, however it ends. A file system without such locks costs work done twice, and
never a wrong entry: each appears whole or not at all, and is checked when it is read.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import mmap
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

from rung.errors import RungError

T = TypeVar("T")
ENTRY = "output.pkl"  # the file of an entry


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


def need() -> None:
    """Raises RungError at once if nothing could be kept."""
    try:
        with tempfile.TemporaryFile(dir=home()) as probe:
            probe.write(b"rung")
    except OSError as error:
        raise RungError(unwritable(home(), error)) from error


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


def folder(*names: str) -> Path:
    """A folder in the home: what is missing of it is made with mode 0700, whatever the umask."""
    path = home()
    for name in names:
        path /= name
        path.mkdir(mode=0o700, exist_ok=True)
    return path


@contextlib.contextmanager
def new_file(*names: str) -> Iterator[IO[bytes]]:
    """A file of the home to write to, mode 0600, which appears whole at the end or not at all.

    Raises OSError or RungError where it can't be written.
    """
    file = _part(*names[:-1])
    part = Path(file.name)
    try:
        with file:
            yield file
            file.flush()
            part.replace(part.with_name(names[-1]))
    finally:
        part.unlink(missing_ok=True)


def _part(*names: str) -> IO[bytes]:
    """A new file there, locked so that a prune sees that somebody writes it."""
    while True:
        try:
            where = folder(*names)
            file = tempfile.NamedTemporaryFile(  # noqa: SIM115
                dir=where, delete=False, suffix=".part"
            )
        except FileNotFoundError:
            if place().joinpath(*names).is_dir():
                raise
            continue  # a prune has just removed the folder, which was empty
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if same_file(file.fileno(), Path(file.name)):
            return file
        file.close()  # a prune has just removed it


# --- Locks ------------------------------------------------------------------------------------


def lock(file: int, how: int) -> bool:
    """Locks an open file at once. False if somebody else has it; where there are no locks, nobody
    ever has."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems
        pass
    return True


def locked(path: Path, wait: bool = False) -> contextlib.ExitStack | None:
    """A lock by that name, which whoever gets it gives back with `close()` or by leaving a `with`.

    None if somebody else has it, or waits until nobody has. The file is there only as long as the
    lock (one that a killed process left is in nobody's way). If it can't be made, on a full disk,
    say, everybody gets the lock.
    """
    while True:
        with contextlib.ExitStack() as held:
            try:
                file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError:
                return held.pop_all()
            held.callback(os.close, file)
            if not lock(file, fcntl.LOCK_EX):
                if not wait:
                    return None
                fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever had it before has removed the file: a lock on that keeps nobody out.
            if same_file(file, path):
                held.callback(path.unlink, missing_ok=True)
                return held.pop_all()


def same_file(file: int, path: Path) -> bool:
    """Whether the open file is still the one at the path."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def claim(room: str, key: Mapping[str, Any], wait: bool = False) -> contextlib.ExitStack | None:
    """The right to compute an entry, held as `locked` says; None if another process has it now.

    Only those who ask are kept from computing: `find`, `keep` and `write` don't ask. Look with
    `find` once more when the claim is there: whoever had it before may have kept the entry.
    """
    with contextlib.suppress(OSError, RungError):
        folder(room)
    return locked(entry(room, key).parent.with_suffix(".lock"), wait)


@contextlib.contextmanager
def claimed(room: str, key: Mapping[str, Any]) -> Iterator[None]:
    """`claim`, and if another process has it, says so and waits."""
    held = claim(room, key)
    if held is None:
        text = "another process prepares the same data; waiting for it"
        warnings.warn(text, Notice, stacklevel=4)
        held = claim(room, key, wait=True)
    assert held is not None
    with held:
        yield


# Files that this process has memory-mapped, or is about to read, by device and inode. They stay
# open with a shared lock, so that a prune leaves them: worker processes open them by their names.
_in_use: dict[tuple[int, int], int] = {}
MOST_IN_USE = 100  # of the 256 files or more that a process may have open


def use(file: int) -> None:
    """Keeps a prune from removing the open file as long as this process lives."""
    status = os.fstat(file)
    if (status.st_dev, status.st_ino) in _in_use:
        return
    if len(_in_use) == MOST_IN_USE:
        os.close(_in_use.pop(next(iter(_in_use))))
    held = os.dup(file)
    lock(held, fcntl.LOCK_SH)
    _in_use[status.st_dev, status.st_ino] = held


# --- Entries ----------------------------------------------------------------------------------


def written_by(rooms: Sequence[str], libraries: Sequence[str]) -> dict[str, Any]:
    """What a key says of the code that makes the entry: another version never finds it."""
    return {"engine": engine_hash(rooms), "libraries": versions(libraries)}


def engine_hash(rooms: Sequence[str]) -> str:
    """Of the version and of the source of these rooms."""
    import rung

    digest = hashlib.sha256(rung.__version__.encode())
    for room in rooms:
        digest.update((Path(__file__).parent / f"{room}.py").read_bytes())
    return digest.hexdigest()[:16]


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Installed versions; "" for one that is not there."""
    found = {}
    for name in libraries:
        try:
            found[name] = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    return found


def cached(
    room: str, key: Mapping[str, Any], compute: Callable[[], T], check: Callable[[T], object]
) -> T:
    """What is kept under the key, else compute(), kept; with its arrays memory-mapped.

    key: plain data (what JSON can say) that identify the work. check: as for `find`. Of several
    processes one computes it, and the others wait. A disk that can't take it costs a `NotKept`
    warning, and the arrays are then in memory.
    """
    found = find(room, key, check, stay=True)
    if found is not None:
        return found
    with claimed(room, key):
        found = find(room, key, check, stay=True)
        if found is not None:
            return found
        value = compute()
        if not write(room, key, value):
            return value
        again = find(room, key, check, stay=True)
        return value if again is None else again


def find(
    room: str,
    key: Mapping[str, Any],
    check: Callable[[T], object],
    stay: bool = False,
    mapped: bool = True,
) -> T | None:
    """What is kept under the key, or None. Its time is set: that of the last use.

    check raises where the content is not to be believed; an entry that fails it or can't be read
    is removed, with a `Notice`. stay: no prune removes it as long as this process lives. mapped:
    whether its arrays stay in the file, which each then holds open.
    """
    import joblib

    path = entry(room, key)
    try:
        opened = path.open("rb")
    except OSError:  # not there, or not to be read by this user
        return None
    with opened:
        file = opened.fileno()
        if stay:
            use(file)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # joblib warns of what only looks like old files
                value: T = joblib.load(path, mmap_mode="r" if mapped else None)
        except FileNotFoundError:
            return None
        except OSError as error:  # too many open files, a disk that does not answer
            text = f"the cache entry {path} can't be read now ({error.strerror or error}); redone"
            warnings.warn(text, Notice, stacklevel=2)
            return None
        except Exception:  # a damaged pickle raises anything
            cause = "it can't be read"
        else:
            try:
                check(value)
            except Exception as error:  # so does a check of what came out of one
                cause = " ".join(str(error).split())
            else:
                with contextlib.suppress(OSError):  # where nothing can be written
                    os.utime(file)
                return value
        if same_file(file, path):  # else another process has just written it anew
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
    try:
        with new_file(room, path.parent.name, path.name) as file:
            joblib.dump(value, file)
            file.write(b"\n" + json.dumps(key).encode())  # what reads the pickle stops before it
        return True
    except (OSError, RungError) as error:
        cause = unwritable(path.parents[1], error) if isinstance(error, OSError) else error
        warnings.warn(str(cause), NotKept, stacklevel=3)
        return False


def note(path: Path) -> dict[str, Any] | None:
    """The key of the entry in that file, without reading the rest; None where there is none."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            key = json.loads(text[text.rfind(b"\n") :])
        return key if entry(path.parents[1].name, key) == path else None
    except (OSError, ValueError):
        return None


def entry(room: str, key: Mapping[str, Any]) -> Path:
    """The file of an entry."""
    # In the order they come in: that of a mapping can matter to the work.
    plain = json.dumps(key)
    return place() / room / hashlib.sha256(plain.encode()).hexdigest()[:32] / ENTRY
