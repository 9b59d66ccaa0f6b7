"""Estimators that are fitted in another interpreter, for libraries that can't live in this one.

They hand arrays to a worker process there (`rung/interpreters/worker.py`), which keeps the fitted
model and answers until the estimator is gone.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import shutil
import signal
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted

from rung import interpreters, isolate
from rung.dataset import is_frame

WORKER = Path(interpreters.__file__).with_name("worker.py")


class WorkerFailed(Exception):
    """What a model raised in the other interpreter, or the last line before its process died."""


class Worker:
    """A process of another interpreter and its folder; both end with this object.

    One that outlives a killed process of ours ends by itself, as its standard input does.
    """

    def __init__(self, python: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rung-"))
        own = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV")
        environment = {
            **{k: v for k, v in os.environ.items() if k not in own},
            "PYTHONNOUSERSITE": "1",
            # One core, so that what a search by the clock finds does not depend on how many trials
            # run side by side.
            **dict.fromkeys(isolate.THREADS, "1"),
            # Libraries leave files in both.
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
        }
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [python, WORKER, self.folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                cwd=self.folder,
                env=environment,
                start_new_session=True,  # a group of its own, which can be killed whole
            )
        self.close = weakref.finalize(self, _end, self.process, self.folder)

    def ask(self, call: str, X: NDArray[Any], y: NDArray[Any] | None = None, **more: Any) -> Any:
        """The answer, as plain data or, to all but "fit", an array.

        Raises WorkerFailed for what goes wrong there, and is then closed.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if not self.close.alive:
            raise WorkerFailed("its process has ended; fit again")
        np.save(self.folder / "X.npy", X)
        if y is not None:
            np.save(self.folder / "y.npy", y)
        (self.folder / "request.json").write_text(json.dumps({"call": call, **more}))
        try:
            self.process.stdin.write(b"\n")
            answered = self.process.stdout.read(1)
        except BrokenPipeError:
            answered = b""
        if not answered:
            status = self.process.wait()
            log = (self.folder / "log").read_text(errors="replace").strip()
            self.close()
            how = f"was killed (signal {-status})" if status < 0 else f"ended (status {status})"
            last = log.splitlines()[-1] if log else "it said nothing"
            raise WorkerFailed(f"its process {how}: {last}")
        answer = json.loads((self.folder / "answer.json").read_text())
        if "error" in answer:
            self.close()
            raise WorkerFailed(answer["error"]) from WorkerFailed(answer["trace"])
        return answer if call == "fit" else np.load(self.folder / "answer.npy")


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()
    shutil.rmtree(folder, ignore_errors=True)


class _Elsewhere(BaseEstimator):  # type: ignore[misc]
    """interpreter: its name, a folder of rung/interpreters.

    function: gives the fitted model, with the methods `predict` and, of classes, `predict_proba`,
    and what it chose, as plain data. Its source is what the worker gets, so all that it uses must
    be imported in it, in the Python of the other interpreter. It is called as `function(X, y,
    categorical=, folder=, **settings)`: X (n, n_features) float, with NaN where something is
    missing; y (n,) float, or int codes of classes from 0; categorical: the columns that are codes
    of categories; folder: for its files, removed in the end.
    After fit: chosen_, peak_mib_ (of the largest process there), n_train_ (all rows, unless what
    it chose says "n_train").
    """

    def __init__(
        self,
        interpreter: str,
        function: Callable[..., Any],
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.interpreter = interpreter
        self.function = function
        self.settings = settings

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _fit(self, X: Any, y: NDArray[Any]) -> Self:
        python = interpreters.find(self.interpreter)
        # A new category is none of those that were learnt: it is missing.
        self.categories_ = (
            {
                i: X.iloc[:, i].cat.categories
                for i, kind in enumerate(X.dtypes)
                if kind == "category"
            }
            if is_frame(X)
            else {}
        )
        self.worker_ = Worker(python)
        answer = self.worker_.ask(
            "fit",
            self._numbers(X),
            y,
            function=self.function.__name__,
            source=inspect.getsource(self.function),
            settings={**(self.settings or {}), "categorical": list(self.categories_)},
        )
        self.chosen_ = {"python": answer["python"], **answer["chosen"]}
        self.n_train_ = int(self.chosen_.get("n_train", len(y)))
        self.peak_mib_ = float(answer["peak_mib"])
        return self

    def _numbers(self, X: Any) -> NDArray[Any]:
        """X as floats, categories as codes, with NaN where something is missing."""
        if is_frame(X):
            X = np.column_stack([self._column(X.iloc[:, i], i) for i in range(X.shape[1])])
        kinds = [np.float64, np.float32]
        return np.asarray(check_array(X, dtype=kinds, ensure_all_finite="allow-nan"))

    def _column(self, column: Any, i: int) -> NDArray[np.float64]:
        if i not in self.categories_:
            return np.asarray(column.to_numpy(np.float64, na_value=np.nan))
        codes = column.cat.set_categories(self.categories_[i]).cat.codes.to_numpy()
        return np.where(codes < 0, np.nan, codes)

    def _ask(self, method: str, X: Any) -> NDArray[Any]:
        check_is_fitted(self, "chosen_")
        return np.asarray(self.worker_.ask(method, self._numbers(X)))


class ElsewhereClassifier(ClassifierMixin, _Elsewhere):  # type: ignore[misc]
    """A classifier in another interpreter. After fit also: classes_."""

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """y: (n,) labels. Raises NotRunHere without the interpreter, WorkerFailed for what goes
        wrong there."""
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        return self._fit(X, codes)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities, (n, n_classes)."""
        return self._ask("predict_proba", X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Labels, (n,)."""
        return np.asarray(self.classes_[self._ask("predict", X).astype(np.int64)])


class ElsewhereRegressor(RegressorMixin, _Elsewhere):  # type: ignore[misc]
    """A regressor in another interpreter."""

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """y: (n,) numbers. Raises as the classifier does."""
        return self._fit(X, np.asarray(y, dtype=np.float64))

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Numbers, (n,)."""
        return self._ask("predict", X).ravel()
