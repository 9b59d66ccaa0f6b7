"""Runs one trial: fit, predict, measure. Leaves an outcome; only the engine scores it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import hashlib
import inspect
import json
import platform
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rung import device as devices
from rung import features, home, interpreters
from rung.baseline import Baseline
from rung.benchmark import Trial
from rung.dataset import LARGEST, LEAST_STD, Dataset, take

LIBRARIES = (
    *("numpy", "scipy", "scikit-learn", "torch", "gpytorch", "pandas", "joblib", "pillow"),
    *("skrub", "fasttext-community"),
)
NOT_RUN = "not run: "  # how the status of a trial begins that a budget or a stop left out
# The rooms that decide what any trial predicts: a change in one of them makes old trials stale.
# Rooms that single rungs import count in the hash of those rungs.
NUMERIC_ROOMS = ("dataset", "features", "device", "trial")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a trial leaves: predictions with example ids, cost and provenance, or why there is none.

    label: (n_test,) codes or numbers; proba: (n_test, n_classes) float32 or None; std: (n_test,)
    float32 or None. cost: fit_s, predict_s (per 1,000 examples), peak_mib, gpu_peak_mib, n_train.
    """

    trial: Trial
    dataset: dict[str, Any]
    status: str  # "ok", "failed: cause", "not run here: how to" or "not run: why"
    ids: NDArray[np.str_]
    target: NDArray[Any]
    label: NDArray[Any]
    proba: NDArray[np.float32] | None = None
    std: NDArray[np.float32] | None = None
    cost: dict[str, Any] = dataclasses.field(default_factory=dict)
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    digest: str = ""

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    def computed_digest(self) -> str:
        """sha256 of all that is in it, for noticing a damaged file."""
        digest = hashlib.sha256()
        for array in (self.target, self.label, self.proba, self.std):
            if array is not None:
                digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        digest.update("\n".join(self.ids.tolist()).encode())
        plain = (self.trial.as_dict(), self.dataset, self.status)
        # A round trip through JSON, so that tuples and lists are one.
        described = json.dumps([plain, self.cost, self.provenance], sort_keys=True, default=str)
        digest.update(described.encode())
        return digest.hexdigest()

    def sealed(self) -> Outcome:
        return dataclasses.replace(self, digest=self.computed_digest())

    def of(self, dataset: Dataset) -> Outcome:
        """Itself, with what is now said of the data: names and notes are not part of the work."""
        said = describe(dataset)
        return self if said == self.dataset else dataclasses.replace(self, dataset=said).sealed()

    def verify(self) -> None:
        if self.computed_digest() != self.digest:
            raise ValueError(f"the outcome of {self.trial} does not have its digest")


class BadPredictions(Exception):
    """A rung answered with something that can't be scored."""


def describe(dataset: Dataset) -> dict[str, Any]:
    """What a board says of the data set, as plain data."""
    return {
        "name": dataset.name,
        "title": dataset.title or dataset.name,
        "task": dataset.task,
        "modality": dataset.modality,
        "classes": list(dataset.classes),
        "fingerprint": dataset.fingerprint,
        "local_copy": dataset.local_copy,
        "source": dataset.source,
        "licence": dataset.licence,
        "citation": dataset.citation,
        # Left out where there are none, so that published outcomes stay as they were written.
        **({"notes": list(dataset.notes)} if dataset.notes else {}),
    }


def without_predictions(trial: Trial, baseline: Baseline, dataset: Dataset, status: str) -> Outcome:
    """The outcome of a trial that failed or can't run here."""
    none = np.empty(0)
    return Outcome(
        trial,
        describe(dataset),
        status,
        none.astype(np.str_),
        none,
        none,
        provenance=described(trial, baseline, dataset),
    ).sealed()


def described(trial: Trial, baseline: Baseline, dataset: Dataset) -> dict[str, Any]:
    """What a board says of the rung, as plain data."""
    return {
        "title": baseline.title,
        "rung": baseline.rung,
        "deterministic": baseline.fixed(trial.train_size, len(dataset.split(trial.split).train)),
    }


def key(trial: Trial, rung_hash: str) -> dict[str, Any]:
    """What identifies the work of a trial: if all of this is the same, so are the predictions."""
    return {
        **trial.as_dict(),
        "parameters": [list(p) for p in trial.parameters],
        "rung_hash": rung_hash,
        "engine": engine_hash(),
        "libraries": libraries(),
        "python": platform.python_version(),
    }


@functools.cache
def engine_hash() -> str:
    """Of the version and of the source of the rooms that decide what a trial predicts."""
    return home.engine_hash(NUMERIC_ROOMS)


@functools.cache
def libraries() -> dict[str, str]:
    """Installed versions of those that can matter to a trial; "" for one that is not there."""
    return home.versions(LIBRARIES)


@functools.cache
def git_state() -> dict[str, Any]:
    """The commit of the checkout that this code was run from, and whether it was clean."""
    folder = Path(__file__).resolve().parents[1]

    def git(*args: str) -> str:
        answer = subprocess.run(
            ["git", "-C", str(folder), *args], capture_output=True, text=True, timeout=10
        )
        return answer.stdout.strip() if answer.returncode == 0 else ""

    try:
        if not (folder / "noxfile.py").exists():  # installed: some other repository, or none
            return {"git_commit": "", "git_clean": None}
        commit = git("rev-parse", "HEAD")
        clean = git("status", "--porcelain", "--", "rung", "baselines", "datasets") == ""
    except (OSError, subprocess.TimeoutExpired):
        return {"git_commit": "", "git_clean": None}
    return {"git_commit": commit, "git_clean": clean if commit else None}


def provenance(trial: Trial, threads: int) -> dict[str, Any]:
    from rung import __version__

    return {
        "rung_version": __version__,
        **git_state(),
        "python": platform.python_version(),
        "libraries": libraries(),
        "machine": devices.processor(),
        "accelerator": devices.describe(trial.device.kind) if trial.device.kind != "cpu" else "",
        "threads": threads,
        "seed": trial.seed,
    }


def run(trial: Trial, baseline: Baseline, dataset: Dataset, threads: int = 1) -> Outcome:
    """Fits the rung on the training part and keeps its predictions of the test part.

    Raises what the rung raises, BadPredictions for an answer that can't be scored, and NotRunHere
    without the interpreter that the rung names.
    """
    if baseline.interpreter:
        interpreters.find(baseline.interpreter)  # before any work
    split = dataset.split(trial.split)
    train = subset(split.train, trial)
    px = trial.px or baseline.px
    X = features.raw(dataset, baseline.needs, px)
    picture = features.picture_shape(dataset, baseline.needs, px)
    X_train, X_test = take(X, train), take(X, split.test)
    y_train, target = np.asarray(dataset.y[train]), np.asarray(dataset.y[split.test])
    del X
    device = trial.device
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # One model a training part: what is random in the features of a deterministic rung (the
        # start of an SVD) must not depend on the seed.
        seed = 0 if baseline.deterministic else trial.seed
        scaler = features.fitted(dataset, baseline.needs, seed)
        warm_up("cpu")
        reset_peak_memory()
        if scaler is not None:
            Z: list[Any] = []
            fit_s = clocked(lambda: Z.append(scaler.fit_transform(X_train)), "cpu")
            X_train = Z.pop()
        else:
            fit_s = 0.0
        shown = dataclasses.replace(
            dataset, X=X_train, y=y_train, ids=dataset.ids[train], splits=(), picture=picture
        )
        estimator = baseline.make(shown, trial.seed, **dict(trial.parameters))
        if baseline.gpu:
            estimator.set_params(device=device.kind, precision=device.precision)
        warm_up(device.kind)
        devices.reset_peak(device.kind)
        fit_s += clocked(lambda: estimator.fit(X_train, y_train), device.kind)
        label, proba, std, predict_s = predict(estimator, scaler, X_test, dataset, device.kind)
    check(dataset, len(target), label, proba, std)
    if dataset.task == "classification":
        label = label.astype(np.int64)
    cost = {
        "fit_s": round(fit_s, 4),
        "predict_s": round(predict_s * 1000 / len(target), 4),
        "peak_mib": round(max(peak_memory_mib(), getattr(estimator, "peak_mib_", 0)), 1),
        "gpu_peak_mib": devices.peak_gpu_mib(device.kind),
        "n_train": int(getattr(estimator, "n_train_", len(y_train))),
    }
    # Left out where there is none, so that published outcomes stay as they were written.
    chosen = {"chosen": estimator.chosen_} if hasattr(estimator, "chosen_") else {}
    notes = sorted({f"{w.category.__name__}: {w.message}".partition("\n")[0] for w in caught})
    return Outcome(
        trial,
        describe(dataset),
        "ok",
        np.asarray(dataset.ids[split.test]),
        target,
        label,
        proba,
        std,
        cost,
        {
            **described(trial, baseline, dataset),
            **provenance(trial, threads),
            **chosen,
            "warnings": notes[:5],
        },
    ).sealed()


def subset(train: NDArray[np.int64], trial: Trial) -> NDArray[np.int64]:
    """The rows to train on: all, or `train_size` of them drawn with the trial's seed."""
    if trial.train_size is None or trial.train_size >= len(train):
        return train
    drawn = np.random.default_rng(trial.seed).choice(train, trial.train_size, replace=False)
    return np.sort(drawn)


def predict(
    estimator: Any, scaler: Any, X: NDArray[Any], dataset: Dataset, device: str
) -> tuple[NDArray[Any], NDArray[np.float32] | None, NDArray[np.float32] | None, float]:
    """(label, proba, std, seconds). Probabilities get a zero column for a class not trained on."""
    Z: list[Any] = []
    scale_s = clocked(lambda: Z.append(scaler.transform(X) if scaler else X), device)
    answer: list[Any] = []
    if dataset.task == "regression":
        gives_std = "return_std" in inspect.signature(estimator.predict).parameters
        extra = {"return_std": True} if gives_std else {}
        seconds = clocked(lambda: answer.append(estimator.predict(Z[0], **extra)), device)
        mean, std = answer[0] if gives_std else (answer[0], None)
        deviation = None if std is None else np.asarray(std, dtype=np.float32)
        return np.asarray(mean, dtype=np.float64), None, deviation, scale_s + seconds
    if not hasattr(estimator, "predict_proba"):
        seconds = clocked(lambda: answer.append(estimator.predict(Z[0])), device)
        return np.asarray(answer[0]), None, None, scale_s + seconds
    seconds = clocked(lambda: answer.append(estimator.predict_proba(Z[0])), device)
    given = np.asarray(answer[0], dtype=np.float32)
    classes = np.asarray(estimator.classes_, dtype=np.int64)
    if given.ndim != 2 or given.shape[1] != len(classes):
        raise BadPredictions(f"predict_proba gave shape {given.shape} for {len(classes)} classes")
    proba = np.zeros((len(given), dataset.n_classes), np.float32)
    proba[:, classes] = given
    # Asked for apart and outside the clock: an estimator's label need not be the most probable
    # class (uniform guessing draws one).
    return np.asarray(estimator.predict(Z[0])), proba, None, scale_s + seconds


def check(
    dataset: Dataset,
    n: int,
    label: NDArray[Any],
    proba: NDArray[np.float32] | None,
    std: NDArray[np.float32] | None,
) -> None:
    """Raises BadPredictions for shapes and values that can't be scored."""
    if label.shape != (n,):
        raise BadPredictions(f"predict gave shape {label.shape} for {n} examples")
    if label.dtype.kind not in "iuf" or not np.isfinite(label).all():
        bad = 0 if label.dtype.kind not in "iuf" else int((~np.isfinite(label)).sum())
        raise BadPredictions(f"predict gave {bad} NaN or infinite values" if bad else "no numbers")
    if np.abs(label).max() > LARGEST:
        raise BadPredictions("predict gave numbers that are too large to be scored")
    if dataset.task == "classification" and not np.isin(label, np.arange(dataset.n_classes)).all():
        raise BadPredictions("predict gave labels that are no class of the data set")
    if proba is not None:
        if proba.shape != (n, dataset.n_classes) or not np.isfinite(proba).all():
            raise BadPredictions("predict_proba gave NaN, infinite values or a wrong shape")
        if proba.min() < 0 or np.abs(proba.sum(axis=1) - 1).max() > 1e-3:
            raise BadPredictions("predict_proba gave rows that do not sum to one")
    if std is not None and (
        std.shape != (n,) or not np.isfinite(std).all() or std.min() < LEAST_STD
    ):
        raise BadPredictions(
            "return_std gave values that are not positive numbers, or too small ones"
        )


def clocked(work: Callable[[], Any], device: str) -> float:
    """Wall-clock seconds of work(), with the GPU synchronised before and after."""
    devices.synchronize(device)
    start = time.perf_counter()
    work()
    devices.synchronize(device)
    return time.perf_counter() - start


def warm_up(device: str) -> None:
    """Starts what starts on first use (thread pools, BLAS, the GPU's context) outside the clock."""
    ones = np.ones((256, 256))
    np.linalg.cholesky(ones @ ones + 1e6 * np.eye(256))
    if "torch" in sys.modules:
        import torch

        square = torch.ones(256, 256, device=device)
        (square @ square).sum().item()
    devices.synchronize(device)


def reset_peak_memory() -> None:
    """Starts the measure of peak memory anew, where the system can (Linux)."""
    gc.collect()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mib() -> float:
    """The largest resident memory of this process since `reset_peak_memory`, MiB."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
