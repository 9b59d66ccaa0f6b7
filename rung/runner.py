"""Runs many trials: from the cache what is there, the rest in parallel, with live progress."""

from __future__ import annotations

import os
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rung import features, home, suite
from rung import trial as trials_room
from rung.baseline import Baseline
from rung.benchmark import Trial
from rung.dataset import Dataset, Pictures
from rung.errors import NotRunHere, RungError
from rung.trial import Outcome, without_predictions

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


@dataclass
class Report:
    """What a run has to show: outcomes in the order of the trials, and what to tell the user."""

    outcomes: list[Outcome]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Finished:
    """What a worker sends back of a trial. seconds: what it took there, loading and all.
    notices: warnings end with the worker; these are warned of anew in the main process."""

    outcome: Outcome
    seconds: float = 0.0
    trace: str = ""
    notices: tuple[tuple[str, type[home.Notice]], ...] = ()


def run(
    plan: Sequence[Trial],
    datasets: dict[str, Dataset],
    baselines: dict[str, Baseline],
    *,
    jobs: int | None = None,
    progress: str = "auto",
) -> Report:
    """The outcomes of all trials. Finished ones come from the cache; failures are never cached.

    jobs: trials at a time (default: one for each core, up to 8); each gets an equal share of the
    cores as threads. GPU trials run one at a time, after the others.
    """
    cores = os.cpu_count() or 1
    jobs = jobs or min(cores, 8)
    threads = max(1, cores // jobs)
    report = Report([])
    found: dict[Trial, Outcome] = {}
    hashes = {name: suite.get("baselines", name).hash for name in {t.rung for t in plan}}
    for trial in plan:
        outcome: Outcome | None = home.find(
            "trials", trials_room.key(trial, hashes[trial.rung]), Outcome.verify
        )
        if outcome is not None:
            found[trial] = outcome.of(datasets[trial.dataset])

    pending = [t for t in plan if t not in found]
    if pending:
        with Progress(plan, found, jobs, progress) as shown:
            prepare(pending, datasets, shown)
            for trial, finished in execute(
                pending, datasets, baselines, hashes, jobs, threads, shown
            ):
                found[trial] = finished.outcome
                for text, kind in finished.notices:
                    warnings.warn(text, kind, stacklevel=2)
                if finished.trace:
                    report.notes.append(
                        f"{trial}: {finished.outcome.status}; {log(trial, finished)}"
                    )
    report.outcomes = [found[t] for t in plan]
    return report


def prepare(pending: Sequence[Trial], datasets: dict[str, Dataset], shown: Progress) -> None:
    """Decodes pictures once here, so that the workers find them memory-mapped."""
    wanted = {
        (t.dataset, t.px)
        for t in pending
        if t.px is not None and isinstance(datasets[t.dataset].X, Pictures)
    }
    for name, px in sorted(wanted):
        shown.say(f"preparing the pictures of {name} at {px} px")
        features.pixels(datasets[name], px)


def execute(
    pending: Sequence[Trial],
    datasets: dict[str, Dataset],
    baselines: dict[str, Baseline],
    hashes: dict[str, str],
    jobs: int,
    threads: int,
    shown: Progress,
) -> Iterator[tuple[Trial, Finished]]:
    """Runs the trials in worker processes and yields them as they finish."""
    import joblib
    from joblib.externals.loky.process_executor import BrokenProcessPool

    def queue(trials: Sequence[Trial]) -> Iterator[Any]:
        for trial in trials:
            shown.started(trial)
            yield joblib.delayed(work)(
                trial, baselines[trial.rung], datasets[trial.dataset], hashes[trial.rung], threads
            )

    on_gpu = [t for t in pending if t.device.kind != "cpu"]
    on_cpu = [t for t in pending if t.device.kind == "cpu"]
    for batch, width in ((on_cpu, min(jobs, max(len(on_cpu), 1))), (on_gpu, 1)):
        left = list(batch)
        while left:
            try:
                with joblib.parallel_config("loky", inner_max_num_threads=threads):
                    # Two workers at least: with one, joblib would run the trial in this process,
                    # which must outlive it. pre_dispatch is what bounds the trials at a time.
                    pool = joblib.Parallel(
                        n_jobs=max(width, 2),
                        return_as="generator_unordered",
                        pre_dispatch=width,
                        batch_size=1,
                    )
                    # From a copy: `left` shrinks while the queue is read.
                    for finished in pool(queue(tuple(left))):
                        trial = finished.outcome.trial
                        left.remove(trial)
                        shown.finished(trial, finished)
                        yield trial, finished
            except BrokenProcessPool as error:
                # A worker was killed, and with it the pool. Go on one trial at a time, so that
                # the next death is surely that of the trial which runs.
                if width == 1:
                    trial = left.pop(0)
                    outcome = without_predictions(
                        trial,
                        baselines[trial.rung],
                        datasets[trial.dataset],
                        "failed: its process was killed",
                    )
                    died = Finished(outcome, trace=str(error))
                    shown.finished(trial, died)
                    yield trial, died
                width = 1
                shown.forget()


def work(
    trial: Trial, baseline: Baseline, dataset: Dataset, rung_hash: str, threads: int
) -> Finished:
    """One trial, in a worker process. What goes wrong in the rung becomes a row, not an exception."""
    from joblib.externals.loky import process_executor

    # Where psutil is installed, loky ends a worker that has grown by 300 MB, and the pool goes on
    # with one fewer. Trials grow by more than that (torch alone is as large) and are measured.
    process_executor._USE_PSUTIL = False
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trace = ""
        try:
            outcome = home.keep(
                "trials",
                trials_room.key(trial, rung_hash),
                lambda: trials_room.run(trial, baseline, dataset, threads),
            )
        except NotRunHere as error:
            outcome = without_predictions(trial, baseline, dataset, f"not run here: {error}")
        except ModuleNotFoundError as error:
            outcome = without_predictions(
                trial, baseline, dataset, f"not run here: pip install {error.name}"
            )
        except Exception as error:  # whatever a rung raises is its result
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            outcome = without_predictions(trial, baseline, dataset, f"failed: {cause[:200]}")
            trace = traceback.format_exc()
    notices = {str(w.message): w.category for w in caught if issubclass(w.category, home.Notice)}
    return Finished(outcome, time.perf_counter() - start, trace, tuple(notices.items()))


def log(trial: Trial, finished: Finished) -> str:
    """Writes the traceback of a failed trial and says where it is."""
    path = home.home() / "logs" / f"{trial.dataset}-{trial.row}-{trial.seed_index}.txt"
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(finished.trace, encoding="utf-8")
    except OSError as error:
        return f"its log could not be written ({error.strerror})"
    return f"log: {path}"


class Progress:
    """What runs, what is done and about how long the rest takes: live on a terminal, else plain
    lines, on standard error. mode: "auto", "plain" or "none"."""

    def __init__(
        self, plan: Sequence[Trial], found: dict[Trial, Outcome], jobs: int, mode: str
    ) -> None:
        self.total, self.kept = len(plan), len(found)
        self.done, self.jobs, self.mode = len(found), jobs, mode
        self.left = [t for t in plan if t not in found]
        self.running: dict[Trial, float] = {}
        self.seconds: dict[tuple[str, str], list[float]] = {}
        for trial, outcome in found.items():
            self._learn(trial, outcome.cost.get("fit_s"))
        self.bar: Bar | None = None

    def __enter__(self) -> Progress:
        if self.mode == "auto" and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self.bar = Progress(
                TextColumn("{task.completed:.0f}/{task.total:.0f} trials"),
                BarColumn(bar_width=24),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
                console=Console(stderr=True),
                transient=True,
            )
            self.bar.start()
            self.task = self.bar.add_task("starting", total=self.total, completed=self.done)
        elif self.kept:
            self.say(f"{self.kept} of {self.total} trials were done before")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def say(self, line: str) -> None:
        if self.bar is not None:
            self.bar.update(self.task, description=line)
        elif self.mode != "none":
            print(line, file=sys.stderr, flush=True)

    def started(self, trial: Trial) -> None:
        self.running[trial] = time.perf_counter()
        if self.bar is not None:
            self.say(self._status())

    def finished(self, trial: Trial, finished: Finished) -> None:
        self.done += 1
        self.left.remove(trial)
        self.running.pop(trial, None)
        self._learn(trial, finished.seconds)
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done)
            self.say(self._status())
        elif self.mode != "none":
            state = "" if finished.outcome.ok else f" {finished.outcome.status}"
            took = f"{finished.seconds:.1f} s"
            self.say(f"{self.done}/{self.total} {trial} {took}{state}{self._eta()}")

    def forget(self) -> None:
        """Nothing runs any more: the workers died."""
        self.running.clear()

    def _learn(self, trial: Trial, seconds: float | None) -> None:
        if seconds is not None:
            self.seconds.setdefault((trial.dataset, trial.rung), []).append(seconds)

    def _status(self) -> str:
        return ", ".join(str(t) for t in self.running) + self._eta()

    def _eta(self) -> str:
        """About how long the rest takes, from what the same rung took before."""
        known = [s for took in self.seconds.values() for s in took]
        if not known or not self.left:
            return ""
        now = time.perf_counter()
        rest = 0.0
        for trial in self.left:
            took = self.seconds.get((trial.dataset, trial.rung), known)
            rest += max(sum(took) / len(took) - (now - self.running.get(trial, now)), 0.0)
        return f", about {rest / self.jobs:.0f} s left"


def need_home() -> None:
    """Raises RungError at once if nothing could be kept."""
    probe = home.home() / ".probe"
    try:
        probe.write_bytes(b"rung")
        probe.unlink()
    except OSError as error:
        raise RungError(home.unwritable(home.home(), error)) from error
