"""Runs trials on a Dask cluster, on this machine or on many, each still in a process of its own.

Workers run the same version of Rung and of its libraries (checked for each trial), and find data
sets by name as this machine does; what has no name is sent to each worker once (of pictures their
paths: they must lie where workers see them). A worker that is lost costs its trials another start.
Workers started with `--resources GPU=1` get the GPU trials.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rung import home, isolate, runner, suite
from rung import trial as trials_room
from rung.benchmark import Trial
from rung.dataset import Dataset
from rung.errors import RungError
from rung.runner import Finished, Resources, Results


def execute(
    pending: Sequence[Trial],
    datasets: dict[str, Dataset],
    hashes: dict[str, str],
    resources: Resources,
    unnamed: Collection[str],
) -> Results:
    """Runs the trials and yields them as they finish. unnamed: the data sets that workers would not
    find by their names."""
    distributed = library()
    preload = runner.heavy({t.rung for t in pending})
    with connected(resources) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        if not workers:
            warnings.warn("no worker is there yet; waiting for one", home.Notice, stacklevel=2)
        elif any(t.device.kind != "cpu" for t in pending):
            check_gpus(workers.values())
        sent = {
            name: client.scatter(datasets[name], hash=False)
            for name in {t.dataset for t in pending}
            if name in unnamed
        }
        futures = {}
        for trial in pending:
            key = trials_room.key(trial, hashes[trial.rung])
            on_gpu = trial.device.kind != "cpu"
            future = client.submit(
                remote,
                trial,
                key,
                sent.get(trial.dataset),
                resources,
                preload,
                pure=False,
                resources={"GPU": 1} if on_gpu else None,
            )
            futures[future] = trial
        try:
            for future in distributed.as_completed(futures):
                trial = futures[future]
                finished = answer(future, trial, datasets[trial.dataset])
                if finished is not None and finished.outcome.ok:
                    home.write(
                        "trials", trials_room.key(trial, hashes[trial.rung]), finished.outcome
                    )
                yield trial, finished
        except BaseException:
            with contextlib.suppress(Exception):
                client.cancel(list(futures), force=True)
            raise


def check_gpus(workers: Iterable[dict[str, Any]]) -> None:
    """Raises RungError where none says that it has a GPU: Dask would wait for one for ever."""
    if not any("GPU" in worker["resources"] for worker in workers):
        raise RungError(
            "no worker of the cluster has a GPU; start one by hand with --resources GPU=1, or say "
            "--device cpu"
        )


def answer(future: Any, trial: Trial, dataset: Dataset) -> Finished | None:
    """What came back from a worker, or why nothing did."""
    error = future.exception()
    if isinstance(error, RungError):
        raise error
    if error is None:
        finished: Finished | None = future.result()
        return finished
    return runner.failed(trial, dataset, runner.in_words(error), str(error))


def library() -> Any:
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise RungError("a cluster needs Dask: pip install 'distributed>=2026.1'") from error
    return distributed


@contextlib.contextmanager
def connected(resources: Resources) -> Iterator[Any]:
    """A client of the cluster at the address, or of one on this machine that ends with the run.

    Raises RungError if nobody answers there.
    """
    distributed = library()
    if resources.scheduler is None:
        with (
            distributed.LocalCluster(
                n_workers=resources.workers,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(resources.scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise RungError(
            f"no Dask scheduler answers at {resources.scheduler} ({error}); "
            "start one with `dask scheduler`, and give its tcp://HOST:PORT"
        ) from error
    with client:
        yield client


# --- On a worker -------------------------------------------------------------------------------

_lock = threading.Lock()
_server: list[isolate.Server] = []  # at most one, for as long as the worker lives
_files: dict[str, tuple[Dataset, Path]] = {}  # by fingerprint


def remote(
    trial: Trial,
    key: dict[str, Any],
    sent: Dataset | None,
    resources: Resources,
    preload: Sequence[str],
) -> Finished | None:
    """One trial, None if it is too late for it. Raises RungError where this worker would not do
    the same work."""
    entry = suite.get("baselines", trial.rung)
    here = trials_room.key(trial, entry.hash)
    if here != key:
        raise RungError(
            f"{address()} has {difference(here, key)}; start it in the same environment"
        )
    with _lock:
        if not _server:
            _server.append(isolate.Server(preload))
        if trial.fingerprint not in _files:
            dataset = suite.load(trial.dataset) if sent is None else sent
            if dataset.fingerprint != trial.fingerprint:
                raise RungError(f"{address()} has other data for {trial.dataset}; see RUNG_DATA")
            _files[trial.fingerprint] = dataset, runner.ship(dataset, _server[0].folder)
        dataset, file = _files[trial.fingerprint]
    if resources.late:
        return None
    return runner.isolated(_server[0], trial, dataset, file, entry.hash, resources.limits)


def address() -> str:
    return f"the worker {library().get_worker().address}"


def difference(here: dict[str, Any], there: dict[str, Any]) -> str:
    """The first thing that differs between two keys of a trial, in words."""
    for name, value in there["libraries"].items():
        if (found := here["libraries"].get(name)) != value:
            return f"{name} {found or 'not installed'} instead of {value or 'none'}"
    for name, said in (("engine", "another version of Rung"), ("rung_hash", "another file of it")):
        if here[name] != there[name]:
            return said
    return f"Python {here['python']} instead of {there['python']}"
