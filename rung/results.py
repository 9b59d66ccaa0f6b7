"""Published outcomes: one parquet file for each data set and row of its board.

A file holds, for each seed and test example: id, target, prediction, and for classes a column
"p:CLASS" of probabilities, for regression "std" where the rung predicts one. The schema's metadata
under the key "rung" is JSON: the data set, and for each trial its axes, status, cost, provenance
and a digest over all of it, so that a damaged file is noticed. Boards are made from these alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rung.benchmark import Trial
from rung.device import Device
from rung.errors import RungError
from rung.trial import Outcome

SCHEMA = 1


def write(outcomes: Iterable[Outcome], folder: Path) -> list[Path]:
    """Writes the outcomes below folder/DATASET/, one file a row; each replaces the file before."""
    rows: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((outcome.trial.dataset, outcome.trial.row), []).append(outcome)
    written = []
    for (dataset, row), group in rows.items():
        path = folder / dataset / f"{row}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        pq.write_table(_table(group), part, compression="zstd", compression_level=9)
        os.replace(part, path)
        written.append(path)
    return written


def _table(group: list[Outcome]) -> pa.Table:
    dataset = group[0].dataset
    classes = dataset["classes"]
    columns: dict[str, Any] = {
        "trial": pa.array(np.repeat(range(len(group)), [len(o.ids) for o in group]), pa.int16()),
        "id": pa.array(np.concatenate([o.ids for o in group])).dictionary_encode(),
        "target": _labels(np.concatenate([o.target for o in group]), classes),
        "prediction": _labels(np.concatenate([o.label for o in group]), classes),
    }
    good = [o for o in group if o.ok]
    if good and all(o.proba is not None for o in good):
        proba = np.concatenate([o.proba for o in good if o.proba is not None])
        columns |= {f"p:{c}": pa.array(proba[:, i]) for i, c in enumerate(classes)}
    if good and all(o.std is not None for o in good):
        columns["std"] = pa.array(np.concatenate([o.std for o in good if o.std is not None]))
    meta = {
        "schema": SCHEMA,
        "dataset": dataset,
        "trials": [
            {
                "axes": o.trial.as_dict(),
                "status": o.status,
                "cost": o.cost,
                "provenance": o.provenance,
                "digest": o.digest,
            }
            for o in group
        ],
    }
    return pa.table(columns).replace_schema_metadata({"rung": json.dumps(meta)})


def _labels(codes: NDArray[Any], classes: list[str]) -> Any:
    if not classes:
        return pa.array(codes.astype(np.float64))
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(classes))


def datasets(folder: Path) -> list[str]:
    """The data sets that have published outcomes."""
    return sorted({p.parent.name for p in folder.glob("*/*.parquet")})


def seconds(folder: Path) -> dict[str, float]:
    """About how long a trial of each rung took, from the published ones: the median over data sets
    of the time to fit."""
    took: dict[str, list[float]] = {}
    for path in folder.glob("*/*.parquet"):
        try:
            meta = json.loads(pq.read_schema(path).metadata[b"rung"])
        except Exception:  # a damaged or foreign file; `read` says so where it matters
            continue
        costs = [t["cost"] for t in meta["trials"] if t["status"] == "ok"]
        if costs:
            rung = meta["trials"][0]["axes"]["rung"]
            took.setdefault(rung, []).append(float(np.mean([c["fit_s"] for c in costs])))
    return {rung: float(np.median(known)) for rung, known in took.items()}


def read(folder: Path, dataset: str, but: Collection[str] = ()) -> list[Outcome]:
    """The published outcomes of a data set. but: rows to leave out, unread. Raises RungError that
    names a damaged file."""
    outcomes = []
    for path in sorted((folder / dataset).glob("*.parquet")):
        if path.stem in but:
            continue
        try:
            found = _outcomes(pq.read_table(path))
            for outcome in found:
                outcome.verify()
        except Exception as error:
            raise RungError(
                f"{path} is damaged ({' '.join(str(error).split())[:120]}); restore it from git, "
                "or publish it again"
            ) from error
        outcomes += found
    return outcomes


def _outcomes(table: pa.Table) -> list[Outcome]:
    meta = json.loads(table.schema.metadata[b"rung"])
    if meta["schema"] != SCHEMA:
        raise ValueError(f"schema {meta['schema']}, this version reads {SCHEMA}")
    classes = meta["dataset"]["classes"]
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    number = columns["trial"].to_numpy()
    ids = np.asarray(columns["id"].to_pylist(), dtype=np.str_)
    proba = None
    if classes and f"p:{classes[0]}" in columns:
        proba = np.stack([columns[f"p:{c}"].to_numpy() for c in classes], axis=1)
    std = columns["std"].to_numpy() if "std" in columns else None
    outcomes = []
    for index, entry in enumerate(meta["trials"]):
        rows = number == index
        axes = dict(entry["axes"])
        axes["parameters"] = tuple((k, v) for k, v in axes["parameters"])
        axes["device"] = Device(**axes["device"])
        ok = entry["status"] == "ok"
        outcomes.append(
            Outcome(
                Trial(**axes),
                meta["dataset"],
                entry["status"],
                ids[rows] if rows.any() else np.empty(0, np.str_),
                _codes(columns["target"], classes)[rows],
                _codes(columns["prediction"], classes)[rows],
                proba[rows] if ok and proba is not None else None,
                std[rows] if ok and std is not None else None,
                entry["cost"],
                entry["provenance"],
                entry["digest"],
            )
        )
    return outcomes


def _codes(column: Any, classes: list[str]) -> NDArray[Any]:
    if not classes:
        values: NDArray[Any] = column.to_numpy()
        return values
    order = {c: i for i, c in enumerate(classes)}
    stored = np.array([order[c] for c in column.dictionary.to_pylist()], dtype=np.int64)
    codes: NDArray[Any] = stored[column.indices.to_numpy()]
    return codes
