"""Fits a model and asks it, in another interpreter: `python worker.py FOLDER`.

Needs numpy and CPython 3.8 or newer, nothing of the engine. A request is `request.json` in the
folder and a byte on standard input; the answer is `answer.json` and a byte on standard output.
Arrays are files beside them: no pickle has to be read by another version of Python. When standard
input ends, because the process that asks is no more, so do the worker, all that it has started
and the folder.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import resource
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import numpy as np

END = 'kill -9 -"$1"; sleep 0.2; rm -rf -- "$2"'


def listen(folder: Path, asked: queue.SimpleQueue[bytes]) -> None:
    # Not sys.stdin: a process that is forked while another thread reads it can't close it.
    while request := os.read(0, 1):
        asked.put(request)
    group = str(os.getpgrp())
    subprocess.Popen(["sh", "-c", END, "sh", group, str(folder)], start_new_session=True)


def fit(folder: Path, request: dict[str, Any]) -> Any:
    """(model, what it chose), of the function whose source is in the request."""
    scope: dict[str, Any] = {"__name__": "elsewhere"}
    exec("from __future__ import annotations\n" + request["source"], scope)
    return scope[request["function"]](
        np.load(folder / "X.npy"),
        np.load(folder / "y.npy"),
        folder=str(folder),
        **request["settings"],
    )


def peak_mib() -> float:
    """The largest resident memory of this process, or of one that it started and has ended."""
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return max(resource.getrusage(who).ru_maxrss for who in both) / unit


def main(folder: Path) -> None:
    answers = os.dup(1)
    os.dup2(2, 1)  # what the model prints goes to the log
    # So that the end of this process is seen at once, whoever of its children lives on.
    os.register_at_fork(after_in_child=lambda: os.close(answers))
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=listen, args=(folder, asked), daemon=True).start()
    model: Any = None
    while asked.get():
        request = json.loads((folder / "request.json").read_text())
        answer: dict[str, Any] = {}
        try:
            if request["call"] == "fit":
                model, answer["chosen"] = fit(folder, request)
                answer["python"] = platform.python_version()
            else:
                X = np.load(folder / "X.npy")
                np.save(folder / "answer.npy", getattr(model, request["call"])(X))
        except Exception as error:  # the asking process raises it
            answer = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        answer["peak_mib"] = peak_mib()
        (folder / "answer.json").write_text(json.dumps(answer))
        os.write(answers, b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
