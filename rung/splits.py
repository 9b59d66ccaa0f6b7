"""Splits that don't leak: repeated ones, ones that keep groups whole, ones in the order of time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rung.dataset import Split, Task, holdout, id_hash
from rung.errors import RungError

TEST_SHARE = 0.3


def repeated(ids: NDArray[np.str_], y: NDArray[Any], task: Task, times: int) -> tuple[Split, ...]:
    """So many hold-outs, "00", "01", ..., by a hash of id and number, stratified for classes."""
    return tuple(holdout(ids, y, task, TEST_SHARE, name) for name in _numbers(times))


def grouped(
    groups: NDArray[np.str_], y: NDArray[Any], task: Task, times: int | None = None
) -> tuple[Split, ...]:
    """Hold-outs of whole groups: no group stands in both parts. times: None for one.

    Groups are taken in the order of a hash of their names (and the number of the split), each that
    brings the tested share nearer to 30 %: of the rows, or of each class. The last group of a
    class is never taken. groups: (n,). Raises RungError where no group can be held out.
    """
    names, inverse = np.unique(groups, return_inverse=True)
    labels = y if task == "classification" else np.zeros(len(y), np.int64)
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (inverse, labels), 1)
    shares = counts / counts.sum(axis=0)
    found = []
    for name in _numbers(times) if times else ["groups"]:
        salt = f"{name}/" if times else ""
        tested = np.zeros(len(names), bool)
        now = np.zeros(shares.shape[1])
        for group in sorted(range(len(names)), key=lambda g: id_hash(f"{salt}{names[g]}")):
            after = now + shares[group]
            nearer = ((after - TEST_SHARE) ** 2).sum() < ((now - TEST_SHARE) ** 2).sum()
            if nearer and after.max() < 1 - 1e-9:
                tested[group], now = True, after
        if not tested.any():
            raise RungError(
                f"no group can be held out of {len(names)}: each is too large, or has all of a "
                "class; use another column, or none"
            )
        found.append(_split(name, tested[inverse]))
    return tuple(found)


def by_time(times: NDArray[Any], windows: int | None = None) -> tuple[Split, ...]:
    """The last 30 % are tested on what came before; rows of equal time are never parted.

    windows: that many splits with an expanding window, as scikit-learn's TimeSeriesSplit: the rows
    are cut into windows + 1 parts, and each but the first is tested on all before it. times: (n,)
    numbers or datetime64. Raises RungError for too few different times.
    """
    ordered = np.sort(times)
    shares = [1 - TEST_SHARE]
    if windows:
        shares = [(k + 1) / (windows + 1) for k in range(windows)]
    cuts = ordered[[min(round(share * len(ordered)), len(ordered) - 1) for share in shares]]
    later = ordered[ordered > ordered[0]]
    if len(later):
        cuts = np.maximum(cuts, later[0])
    if not len(later) or len(np.unique(cuts)) < len(cuts):
        raise RungError(
            f"there are {len(np.unique(ordered))} different times, too few for {len(cuts)} splits "
            "that part none of them"
        )
    found = []
    for k, name in enumerate(_numbers(windows) if windows else ["time"]):
        train = np.flatnonzero(times < cuts[k])
        tested = times >= cuts[k]
        if k + 1 < len(cuts):
            tested &= times < cuts[k + 1]
        found.append(Split(name, train, np.flatnonzero(tested)))
    return tuple(found)


def _numbers(times: int) -> list[str]:
    return [f"{k:02d}" for k in range(times)]


def _split(name: str, tested: NDArray[np.bool_]) -> Split:
    return Split(name, np.flatnonzero(~tested), np.flatnonzero(tested))
