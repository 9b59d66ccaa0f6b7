"""Calls a function in a process of its own, with limits: whatever happens there costs one answer.

A server, started once, has imported what is heavy. For each call it forks a keeper, and the keeper
forks the process that runs the function. The keeper reads what that process prints, ends it when
it takes too long or too much memory or when the caller is gone, and ends all that it leaves behind.
Where forking a process that has imported much is not safe (systems other than Linux), the server
imports nothing, and each call imports for itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

LINUX = sys.platform == "linux"
TICK = 0.05  # seconds between two looks at the memory
TAIL = 1 << 16  # of what is printed, the last bytes are kept
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
START = """import json, sys
sys.path[:], *arguments = json.loads(sys.argv[1])
from rung import isolate
isolate.serve(*arguments)
"""
# What the libraries that compute with threads read when they are loaded.
THREADS = tuple(
    f"{library}_NUM_THREADS"
    for library in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM", "NUMBA", "NUMEXPR")
)


@dataclass(frozen=True)
class Limits:
    """seconds: by the clock. memory: bytes, of the process and of all that it starts, without
    mapped files. threads: that libraries compute with. None: no limit."""

    seconds: float | None = None
    memory: int | None = None
    threads: int = 1


class Died(Exception):
    """The process ended without an answer. The message says why.

    over: "seconds" or "memory" where it was ended for that. output: what it printed last.
    """

    def __init__(self, cause: str, over: str = "", output: str = "") -> None:
        super().__init__(cause)
        self.over, self.output = over, output


class Lost(Died):
    """Nobody could say how the process ended."""


class Server:
    """Runs calls, any number at a time: `call` may be used from several threads.

    preload: modules to import once, before any call, and MODULE:FUNCTION to call; what raises is
    left out.
    folder: for files that calls read; it goes with the server, even if its caller is killed.
    closed: whether `close` was called.
    """

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self._lock = threading.Lock()
        self._running: set[socket.socket] = set()
        self.closed = False
        self.folder = Path(tempfile.mkdtemp(prefix="rung-"))
        self._start(preload)

    def _start(self, preload: Sequence[str]) -> None:
        self._channel, theirs = socket.socketpair()
        with theirs:
            arguments = json.dumps([sys.path, theirs.fileno(), str(self.folder), list(preload)])
            self._process = subprocess.Popen(
                [sys.executable, "-c", START, arguments],
                pass_fds=[theirs.fileno()],
                env=os.environ | dict.fromkeys(THREADS, "1"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C at a terminal is for the caller alone
            )

    def call(self, function: Callable[..., Any], *arguments: Any, limits: Limits = Limits()) -> Any:
        """function(*arguments), which must pickle, as must the answer. Raises what the function
        raises, and Died."""
        request = pickle.dumps((function, arguments))
        try:
            return self._call(request, limits)
        except Lost:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            if self.closed or not self._dead():
                raise
        return self._call(request, limits)  # the server died, most likely of what it imported

    def _call(self, request: bytes, limits: Limits) -> Any:
        answer, its_answer = socket.socketpair()
        status, its_status = socket.socketpair()
        with answer, status:
            with its_answer, its_status, self._lock:
                if self.closed:
                    raise Died("stopped")
                if self._dead():
                    self._channel.close()
                    self._start(())
                with contextlib.suppress(OSError):  # it died just now
                    descriptors = [its_answer.fileno(), its_status.fileno()]
                    socket.send_fds(self._channel, [b"."], descriptors)
                self._running.add(status)
            try:
                return self._exchange(answer, status, request, limits)
            finally:
                with self._lock:
                    self._running.discard(status)

    def _dead(self) -> bool:
        return self._process.poll() is not None

    def _exchange(
        self, answer: socket.socket, status: socket.socket, request: bytes, limits: Limits
    ) -> Any:
        with contextlib.suppress(OSError):  # it may die before it has read everything
            status.sendall(json.dumps(asdict(limits)).encode() + b"\n")
            answer.sendall(request)
            answer.shutdown(socket.SHUT_WR)
        said, told = bytearray(), bytearray()
        left = [answer, status]
        while status in left:
            for end in set(left).intersection(wait(left)):
                if not (piece := received(end)):
                    left.remove(end)
                (told if end is status else said).extend(piece)
        answer.setblocking(False)
        while answer in left and (piece := received(answer)):
            said.extend(piece)
        if not told:
            raise Lost("stopped" if self.closed else "its process could not be started or kept")
        end_of, whole = json.loads(told), False
        if not end_of["over"]:
            with contextlib.suppress(Exception):  # half an answer is none
                value, error = pickle.loads(said)
                whole = True
            if whole and error is not None:
                raise error
            if whole:
                return value
        raise Died(cause(end_of, limits), end_of["over"], end_of["output"])

    def close(self) -> None:
        """Ends all calls that run, and the server."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            for status in tuple(self._running):
                with contextlib.suppress(OSError):
                    status.shutdown(socket.SHUT_RDWR)
            self._channel.close()
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def received(end: socket.socket) -> bytes:
    """What has come; nothing at the end, and where nothing is left to come."""
    try:
        return end.recv(1 << 20)
    except OSError:
        return b""


def cause(end: dict[str, Any], limits: Limits) -> str:
    if end["over"] == "seconds":
        return f"took more than {limits.seconds:g} s"
    if end["over"] == "memory" and limits.memory is not None:
        return f"took more than {limits.memory / 1e9:.3g} GB of memory"
    code = end["code"]
    if code == -signal.SIGSEGV:
        return "segmentation fault"
    if code == -signal.SIGKILL:
        return "its process was killed, as the system does when memory runs out"
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process left without an answer (exit status {code})"


# --- In the server and its keepers -------------------------------------------------------------


def serve(descriptor: int, folder: str, preload: Sequence[str]) -> None:
    """Forks a keeper for each call, until the caller closes the channel or is dead."""
    tempfile.tempdir = folder
    for name in preload if LINUX else ():
        with contextlib.suppress(Exception):
            module, _, function = name.partition(":")
            imported = importlib.import_module(module)
            if function:
                getattr(imported, function)()
    gc.freeze()  # so that collecting garbage in a fork does not copy all that was imported
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system takes away keepers that have ended
    with socket.socket(fileno=descriptor) as channel:
        while True:
            asked, descriptors, _, _ = socket.recv_fds(channel, 1, 2)
            if not asked:
                break
            ends = [socket.socket(fileno=d) for d in descriptors]
            if os.fork() == 0:
                with leaving():
                    channel.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    keep(*ends)
            for end in ends:
                end.close()
    with contextlib.suppress(ChildProcessError):  # returns when all keepers have ended
        os.waitpid(-1, 0)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """Ends a forked process at the end of the block, whatever happens in it."""
    code = 1
    try:
        yield
        code = 0
    finally:
        os._exit(code)


def keep(answer: socket.socket, status: socket.socket) -> None:
    """Runs one call in a process of its own, watches it, and says on `status` how it ended."""
    if LINUX:  # what the process leaves behind becomes ours
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    with status.makefile() as lines:
        limits = Limits(**json.loads(lines.readline()))
    folder = tempfile.mkdtemp(prefix="rung-")
    printed, prints = os.pipe()
    pid = os.fork()
    if pid == 0:
        with leaving():
            status.close()
            enter(prints, folder, limits.threads)
            respond(answer)
    os.close(prints)
    answer.close()
    try:
        end = watch(pid, printed, status, limits)
    finally:
        end_all(pid)
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # the caller may be gone
        status.sendall(json.dumps(end).encode())


def watch(pid: int, printed: int, status: socket.socket, limits: Limits) -> dict[str, Any]:
    """Waits for the process; returns how it ended: code (negative: the signal), over, output."""
    started, looked = time.monotonic(), 0.0
    ended = [os.pidfd_open(pid)] if hasattr(os, "pidfd_open") else []
    watched: list[Any] = [printed, status, *ended]
    output, over = b"", ""
    memory = Memory(pid)
    while True:
        ready = wait(watched, TICK)
        if printed in ready:
            if not (piece := os.read(printed, TAIL)):  # it has closed its output, and goes on
                watched.remove(printed)
            output = (output + piece)[-TAIL:]
        if status in ready:  # closed: the caller has given up, or is dead
            os.kill(pid, signal.SIGKILL)
            watched.remove(status)
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        now = time.monotonic()
        if over:
            continue
        if limits.seconds is not None and now - started > limits.seconds:
            over = "seconds"
        elif limits.memory is not None and now - looked > TICK:
            looked = now
            over = "memory" if memory.used() > limits.memory else ""
        if over:
            os.kill(pid, signal.SIGKILL)
    os.set_blocking(printed, False)
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(printed, TAIL):
            output = (output + piece)[-TAIL:]
    text = output.decode(errors="replace")
    return {"code": os.waitstatus_to_exitcode(code), "over": over, "output": text}


class Memory:
    """The memory of a process and of all that it has started."""

    def __init__(self, pid: int) -> None:
        import psutil

        self._tree = [psutil.Process(pid)]
        self._counted = 0.0

    def used(self) -> int:
        """Bytes, without mapped files where the system tells them apart."""
        import psutil

        if time.monotonic() - self._counted > 20 * TICK:  # it costs a look at all processes
            with contextlib.suppress(psutil.Error):
                self._tree[1:] = self._tree[0].children(recursive=True)
            self._counted = time.monotonic()
        total = 0
        for process in self._tree:
            with contextlib.suppress(psutil.Error):
                held = process.memory_info()
                total += held.rss - getattr(held, "shared", 0)
        return total


def end_all(pid: int) -> None:
    """Ends the process and all that it has started, also what has left its group and session."""
    import psutil

    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    for _ in range(200):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.005)


# --- In the process of a call ------------------------------------------------------------------


def enter(prints: int, folder: str, threads: int) -> None:
    """Makes a forked process the call's own: its output, its temporary folder, its threads."""
    os.setpgrp()
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(prints, 1)
    os.dup2(prints, 2)
    faulthandler.enable()
    with contextlib.suppress(OSError):  # where memory runs out, this is what the system ends first
        Path("/proc/self/oom_score_adj").write_text("1000")
    os.environ.update(TMPDIR=folder, JOBLIB_TEMP_FOLDER=folder)
    tempfile.tempdir = None
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    if "numpy" in sys.modules:
        import numpy as np

        np.random.seed()  # not the state that all forks share
    if "threadpoolctl" in sys.modules:
        import threadpoolctl

        threadpoolctl.threadpool_limits(threads)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)


def respond(answer: socket.socket) -> None:
    """Reads the call, makes it, sends (value, None) or (None, the exception)."""
    request = bytearray()
    while piece := answer.recv(1 << 20):
        request.extend(piece)
    value: Any = None
    error: BaseException | None = None
    try:
        function, arguments = pickle.loads(request)
        value = function(*arguments)
    except BaseException as raised:  # what it raises is its answer
        error = raised
    try:
        reply = pickle.dumps((value, error))
    except Exception as unsent:
        reply = pickle.dumps((None, RuntimeError(f"its answer can't be sent: {error or unsent}")))
    answer.sendall(reply)
    sys.stdout.flush()
