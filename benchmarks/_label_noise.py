"""How many of the suspects are wrong labels: `python benchmarks/_label_noise.py [--slow] [--in DIR]`.

The archive of Imagenette holds `noisy_imagenette.csv`, training labels of which 5 % and 25 % are
wrong and known to be. A rung is trained on them, fold by fold; of as many suspects as there are
wrong labels this prints which share is wrong. --slow: with the highest rung too, hours without a
GPU. --in: a folder in which probabilities are kept, and taken from if they are there. Where
cleanlab can be imported (it is no dependency) its rankings are made from the same probabilities.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rung
from rung import archives, suite
from rung.checks import confident, crossfit
from rung.checks.data.noise import FOLDS, TOLERATED
from rung.checks.data.subject import SEED

NAME = "imagenette"
SHARES = (5, 25)  # percent


def noisy(share: int) -> rung.Dataset:
    """The data set with the labels of which so many percent are wrong."""
    entry = suite.get("datasets", NAME)
    source, dataset = entry.load(), rung.load(NAME)
    (place,) = source.locate(NAME, entry.path.parent, None).paths
    ((_, table),) = archives.members(
        place, lambda name: name.endswith("noisy_imagenette.csv"), source.max_bytes
    )
    rows = csv.DictReader(io.StringIO(table.decode()))
    label = {row["path"]: row[f"noisy_labels_{share}"] for row in rows}
    codes = {key: code for code, key in enumerate(source.classes)}
    return dataclasses.replace(dataset, y=np.array([codes[label[i]] for i in dataset.ids]))


def probabilities(name: str, share: int, folder: Path) -> dict[str, NDArray[Any]]:
    """Out-of-fold probabilities, the labels given and the true ones, of each fold a file."""
    parts = []
    for fold in range(FOLDS):
        file = folder / f"{name}_{share}_{fold}.npz"
        if not file.exists():
            given, true = noisy(share), rung.load(NAME).y
            split = crossfit.folded(given, given.splits[0].train, FOLDS, SEED)[fold]
            proba = crossfit.outcome(given, name, split).proba
            assert proba is not None
            np.savez(file, proba=proba, given=given.y[split.test], true=true[split.test])
        with np.load(file) as kept:
            parts.append(dict(kept))
    return {
        key: np.concatenate([part[key] for part in parts]) for key in ("proba", "given", "true")
    }


def theirs(proba: NDArray[np.float64], given: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """cleanlab's rankings, worst label first; none where it is not installed."""
    try:
        from cleanlab.filter import find_label_issues  # type: ignore[import-not-found]
        from cleanlab.rank import (  # type: ignore[import-not-found]
            get_label_quality_scores as quality,
        )
    except ModuleNotFoundError:
        return {}
    found = {}
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        found[method] = np.argsort(quality(given, proba, method=method), kind="stable")
        if method != "confidence_weighted_entropy":
            scores = quality(given, proba, method=method, adjust_pred_probs=True)
            found[f"{method}, adjusted"] = np.argsort(scores, kind="stable")
    for by in ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning"):
        found[f"find_label_issues, {by}"] = find_label_issues(
            given, proba, filter_by=by, return_indices_ranked_by="self_confidence"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--in", dest="folder", type=Path)
    options = parser.parse_args()
    dataset = rung.load(NAME)
    rungs = [crossfit.quick(dataset), *([crossfit.thorough(dataset)] if options.slow else [])]
    with tempfile.TemporaryDirectory() as temporary:
        for name in rungs:
            for share in SHARES:
                report(name, share, **probabilities(name, share, options.folder or Path(temporary)))


def report(
    name: str,
    share: int,
    proba: NDArray[np.float64],
    given: NDArray[np.int64],
    true: NDArray[np.int64],
) -> None:
    proba = proba.astype(np.float64)
    proba /= proba.sum(axis=1, keepdims=True)
    wrong = given != true
    n = int(wrong.sum())
    floor = confident.floor(proba, given, TOLERATED)
    print(
        f"{name}, {share} % wrong labels ({n:,} of {len(given):,}): "
        f"right about {(proba.argmax(axis=1) == true).mean():.1%} of the true ones; "
        f"estimated {floor.share:.1%} drawn at random (p {floor.p_value:.1g}), "
        f"{confident.estimated(proba, given):,} by confident learning"
    )
    rankings = {"rung": confident.ranked(floor.proba, given), **theirs(proba, given)}
    for ranking, order in rankings.items():
        print(f"  {wrong[order[:n]].sum() / n:.3f}  {ranking}")


if __name__ == "__main__":
    main()
