"""Runs many trials: from the cache what is there, the rest side by side, each in a process of its own."""

from __future__ import annotations

import contextlib
import time
import traceback
import warnings
from collections.abc import Collection, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path

from rung import features, home, interpreters, isolate, results, suite
from rung import trial as trials_room
from rung.baseline import Baseline
from rung.benchmark import Trial
from rung.dataset import Dataset, Pictures
from rung.errors import NotRunHere, RungError
from rung.isolate import Died, Limits
from rung.progress import Progress
from rung.trial import NOT_RUN, Outcome, without_predictions

TRIAL_SECONDS = 3600.0
SHARE_OF_MEMORY = 0.9  # of the machine's, for all trials that run side by side
HEAVY = ("gpytorch", "pandas", "rung", "scipy", "sklearn", "skrub", "torch")
RAISED_BY = {"seconds": "; --trial-timeout allows more", "memory": "; --trial-memory allows more"}


@dataclass(frozen=True)
class Resources:
    """What a run may use. jobs: trials at a time (default: one for each core, up to 8), each with
    an equal share of the cores as threads. trial_seconds, trial_memory (bytes; default: an equal
    share of the machine's): what ends a trial as failed. deadline: by time.time(); what is
    not done by then is left out. scheduler: the address of a Dask cluster to run on, or workers:
    how many to start here; a worker's threads are trials at a time, of one thread each."""

    jobs: int | None = None
    trial_seconds: float = TRIAL_SECONDS
    trial_memory: int | None = None
    deadline: float = float("inf")
    scheduler: str | None = None
    workers: int | None = None

    @property
    def on_cluster(self) -> bool:
        return self.scheduler is not None or self.workers is not None

    @property
    def width(self) -> int:
        return self.jobs or min(cores(), 8)

    @property
    def limits(self) -> Limits:
        """Of one trial. Its time is also cut by the deadline."""
        memory = self.trial_memory or int(SHARE_OF_MEMORY * machine_memory() / self.width)
        seconds = max(min(self.trial_seconds, self.deadline - time.time()), 0.0)
        threads = 1 if self.on_cluster else max(1, cores() // self.width)
        return Limits(seconds, memory, threads)

    @property
    def late(self) -> bool:
        return time.time() >= self.deadline

    def cut(self, finished: Finished) -> bool:
        """Whether it was the deadline that ended a trial."""
        return finished.over == "seconds" and self.late


@dataclass
class Report:
    """What a run has to show: outcomes in the order of the trials, and what to tell the user.
    stopped: what interrupted it, if anything did."""

    outcomes: list[Outcome]
    notes: list[str] = field(default_factory=list)
    stopped: KeyboardInterrupt | None = None


@dataclass(frozen=True)
class Finished:
    """What is left of a trial that ran. seconds: what it took, loading and all. trace: for its log.
    over: the limit that it was ended for, if one was. notices: warnings end with the process;
    these are warned of anew in the main one."""

    outcome: Outcome
    seconds: float = 0.0
    trace: str = ""
    over: str = ""
    notices: tuple[tuple[str, type[home.Notice]], ...] = ()


# None: it was too late for the trial, or another run has it in hand and it comes later.
Results = Generator[tuple[Trial, Finished | None], None, None]


def run(
    plan: Sequence[Trial],
    datasets: dict[str, Dataset],
    baselines: dict[str, Baseline],
    resources: Resources = Resources(),
    progress: str = "auto",
    unnamed: Collection[str] = (),
) -> Report:
    """The outcomes of all trials. Finished ones come from the cache; failures are never cached.

    GPU trials run one at a time, after the others. With a deadline, each rung's first seed comes
    first, cheap rungs before dear ones. Ctrl-C ends the run, not the report of it. unnamed: data sets
    of the user's own, which are not to be found by their names.
    """
    report = Report([])
    found: dict[Trial, Outcome] = {}
    hashes = {name: suite.get("baselines", name).hash for name in {t.rung for t in plan}}
    lacking = {} if resources.on_cluster else {r: missing(baselines[r]) for r in hashes}
    absent: dict[Trial, Outcome] = {}
    for trial in plan:
        outcome: Outcome | None = home.find(
            "trials", trials_room.key(trial, hashes[trial.rung]), Outcome.verify, mapped=False
        )
        if outcome is not None:
            found[trial] = outcome.of(datasets[trial.dataset])
        elif how := lacking.get(trial.rung):
            absent[trial] = without_predictions(
                trial, baselines[trial.rung], datasets[trial.dataset], f"not run here: {how}"
            )

    here = [t for t in plan if t not in absent]
    pending = [t for t in here if t not in found]
    if resources.deadline < float("inf"):
        pending = cheap_first(pending)
    if pending:
        with Progress(here, found, resources.width, progress) as shown:
            try:
                if resources.on_cluster:
                    from rung import cluster

                    finish = cluster.execute(pending, datasets, hashes, resources, unnamed)
                else:
                    prepare(pending, datasets, shown)
                    finish = execute(pending, datasets, hashes, resources, shown)
                with contextlib.closing(finish):
                    for trial, finished in finish:
                        if finished is None or resources.cut(finished):
                            continue
                        shown.finished(trial, finished.outcome.status, finished.seconds)
                        found[trial] = finished.outcome
                        for text, kind in finished.notices:
                            warnings.warn(text, kind, stacklevel=2)
                        if finished.trace:
                            report.notes.append(
                                f"{trial}: {finished.outcome.status}; {log(trial, finished)}"
                            )
            except KeyboardInterrupt as stop:
                report.stopped = stop
    left_out = f"{NOT_RUN}{'stopped' if report.stopped else 'budget'}"
    found |= absent
    report.outcomes = [
        found.get(t) or without_predictions(t, baselines[t.rung], datasets[t.dataset], left_out)
        for t in plan
    ]
    return report


def missing(baseline: Baseline) -> str:
    """How to get the interpreter that a rung names, "" if it is there or none is named."""
    try:
        if baseline.interpreter:
            interpreters.find(baseline.interpreter)
    except NotRunHere as error:
        return str(error)
    return ""


def cheap_first(pending: Sequence[Trial]) -> list[Trial]:
    """By seeds, and each by what a trial of the rung took in the published results."""
    known = results.seconds(suite.root / "results")
    return sorted(pending, key=lambda t: (t.seed_index, known.get(t.rung, float("inf"))))


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
    hashes: dict[str, str],
    resources: Resources,
    shown: Progress,
) -> Results:
    """Runs the trials and yields them as they finish."""
    on_gpu = [t for t in pending if t.device.kind != "cpu"]
    on_cpu = [t for t in pending if t.device.kind == "cpu"]
    rungs = {t.rung for t in pending}
    with isolate.Server(preload=heavy(rungs)) as server:
        files = {name: ship(datasets[name], server.folder) for name in {t.dataset for t in pending}}
        busy: list[Trial] = []

        def attempt(trial: Trial, patient: bool = False) -> Finished | None:
            """None if it is too late, or another run has the trial in hand (unless patient)."""
            key = trials_room.key(trial, hashes[trial.rung])
            while (claim := home.claim("trials", key)) is None:
                if not patient:
                    busy.append(trial)
                if not patient or server.closed or resources.late:
                    return None
                time.sleep(0.2)
            with claim:
                dataset = datasets[trial.dataset]
                if (kept := home.find("trials", key, Outcome.verify, mapped=False)) is not None:
                    return Finished(kept.of(dataset))
                if resources.late:
                    return None
                shown.started(trial)
                file, rung_hash = files[trial.dataset], hashes[trial.rung]
                return isolated(server, trial, dataset, file, rung_hash, resources.limits)

        def finish(batch: Sequence[Trial], width: int, patient: bool) -> Results:
            with ThreadPoolExecutor(width) as pool:
                running = {pool.submit(attempt, trial, patient): trial for trial in batch}
                try:
                    for future in as_completed(running):
                        yield running[future], future.result()
                except BaseException:  # Ctrl-C above all: what runs must end before the pool can
                    pool.shutdown(wait=False, cancel_futures=True)
                    server.close()
                    raise

        for batch, width in ((on_cpu, resources.width), (on_gpu, 1)):
            yield from finish(batch, width, patient=False)
        yield from finish(tuple(busy), 1 if on_gpu else resources.width, patient=True)


def isolated(
    server: isolate.Server,
    trial: Trial,
    dataset: Dataset,
    file: Path,
    rung_hash: str,
    limits: Limits,
) -> Finished:
    """One trial in a process of its own; if that dies, its cause is the row. file: the data set."""
    start = time.perf_counter()
    try:
        done: Finished = server.call(work, trial, file, rung_hash, limits.threads, limits=limits)
    except Died as died:
        cause = f"{died}{RAISED_BY.get(died.over, '')}"
        failure = failed(trial, dataset, cause, f"{died}\n{died.output}")
        done = replace(failure, over=died.over)
    return replace(done, seconds=time.perf_counter() - start)


def failed(trial: Trial, dataset: Dataset, cause: str, trace: str) -> Finished:
    baseline = suite.baseline(trial.rung)
    return Finished(without_predictions(trial, baseline, dataset, f"failed: {cause}"), trace=trace)


def in_words(error: BaseException) -> str:
    """An exception as a cause, in one line that is not too long."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def heavy(rungs: Iterable[str]) -> list[str]:
    """The libraries that these rungs import. Not the rungs' own files, which may do anything when
    they are imported."""
    named = {name for rung in rungs for name in suite.get("baselines", rung).imports}
    known = [
        name
        for name in sorted(named)
        if name.partition(".")[0] in HEAVY and not name.startswith("rung.suite")
    ]
    if "rung.training" in named:
        known.append("torch._dynamo")  # by the first optimizer, for a second of the net's fit
    return ["sklearn.base", "threadpoolctl", "psutil", *known, f"{__name__}:warm"]


def warm() -> None:
    """Finds out once what every trial asks for."""
    suite.entries("baselines")
    trials_room.engine_hash()
    trials_room.libraries()
    trials_room.git_state()


def ship(dataset: Dataset, folder: Path) -> Path:
    """Writes the data for the processes of the trials, which map its arrays into memory."""
    import joblib

    path = folder / dataset.fingerprint
    try:
        joblib.dump(dataset, path)
    except OSError as error:
        raise RungError(
            f"can't write to {folder} ({error.strerror}); free some space, or set TMPDIR"
        ) from error
    return path


def work(trial: Trial, file: Path, rung_hash: str, threads: int) -> Finished:
    """One trial, in a process of its own. What goes wrong in the rung becomes a row, not an
    exception."""
    import joblib

    dataset: Dataset = joblib.load(file, mmap_mode="r")
    baseline = suite.baseline(trial.rung)
    trace = ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
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
        except (Exception, SystemExit) as error:  # whatever a rung raises is its result
            failure = failed(trial, dataset, in_words(error), traceback.format_exc())
            outcome, trace = failure.outcome, failure.trace
    notices = {str(w.message): w.category for w in caught if issubclass(w.category, home.Notice)}
    return Finished(outcome, trace=trace, notices=tuple(notices.items()))


def log(trial: Trial, finished: Finished) -> str:
    """Writes the traceback of a failed trial and says where it is."""
    name = f"{str(trial).replace(' ', '-')}.txt"
    try:
        with home.new_file("logs", name) as file:
            file.write(finished.trace.encode())
    except (OSError, RungError) as error:
        return f"its log could not be written ({error})"
    return f"log: {home.place() / 'logs' / name}"


def cores() -> int:
    """That this process may use: fewer than the machine has in a container or a batch job."""
    import joblib

    return int(joblib.cpu_count())


def machine_memory() -> int:
    """Bytes that the machine has, or that the container may use."""
    import psutil

    sizes = [int(psutil.virtual_memory().total)]
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            sizes.append(int(Path("/sys/fs/cgroup", limit).read_text()))
    return min(sizes)
