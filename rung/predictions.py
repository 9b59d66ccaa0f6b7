"""Predictions of a user's own: read from files, frames or arrays, checked, matched by example id.

A file is .csv, .parquet or .npz. It has a column `id`, and either `prediction` (a label or a
number) or one column per class, named by the class, with probabilities; for regression there may
be a column `std`, the predictive standard deviation. Several seeds are a column `seed` (every seed
has every id once), columns `prediction`, `prediction_1`, ... (with `std`, `std_1`, ...), or several
files. An .npz holds arrays of these names, or `proba`: (n, n_classes) or (n_seeds, n, n_classes).

What is wrong is named by its line (the header of a CSV file is line 1) or its row (of all else;
the first is row 0). Nothing is ever unpickled.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rung import suite
from rung.dataset import LARGEST, LEAST_STD, Task
from rung.errors import RungError, unknown
from rung.metrics import Predictions

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet", ".npz")
SHOWN = 5  # of a list of ids
SUM_ERROR = 1e-3  # of probabilities; they are renormalised
ROUNDING = 1e-6  # by which a softmax in single precision may leave [0, 1]
NUMBERED = re.compile(r"(prediction|std)(_?(seed)?_?\d*)")


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What predictions are matched with: ids (n,) and target (n,), codes into classes or numbers."""

    name: str
    task: Task
    classes: tuple[str, ...]
    ids: NDArray[np.str_]
    target: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Given:
    """Columns of equal length, all (n,), before any check. lines: the line of each row, where there
    are lines. ids_from: what tells a user the ids."""

    where: str
    columns: dict[str, NDArray[Any]]
    ids_from: str
    lines: NDArray[np.int64] | None = None

    def place(self, row: int) -> str:
        return f"row {row}" if self.lines is None else f"line {self.lines[row]}"

    def error(self, text: str, row: int | None = None) -> RungError:
        """One line that names the file and the line, and the id where there is one."""
        if row is None:
            return RungError(f"{self.where}: {text}")
        return RungError(f"{self.where}, {self.place(row)} (id {self.columns['id'][row]}): {text}")


@dataclass(frozen=True, eq=False)
class Seed:
    """What one trained model said, in the order of the test part."""

    label: NDArray[Any]
    proba: NDArray[np.float32] | None = None
    std: NDArray[np.float32] | None = None


def aligned(given: Any, test: HeldOut) -> Predictions:
    """The predictions in the order of test.ids.

    given: a path or a data frame, or a list of these (more seeds); a pandas Series indexed by id;
    or an array in the order of test.ids: (n,) or (S, n) labels or numbers, (n, n_classes) or
    (S, n, n_classes) probabilities. Raises RungError for anything that can't be scored.
    """
    found = [(table, seeds(table, test)) for table in tables(given, test)]
    answers = [seed for _, several in found for seed in several]
    for part, said in (("proba", "probabilities"), ("std", "standard deviations")):
        having = [getattr(several[0], part) is not None for _, several in found]
        if any(having) and not all(having):
            raise RungError(
                f"{found[having.index(True)][0].where} has {said} and "
                f"{found[having.index(False)][0].where} has none; give the same for every seed"
            )
    probas = [a.proba for a in answers if a.proba is not None]
    stds = [a.std for a in answers if a.std is not None]
    return Predictions(
        target=test.target,
        label=np.stack([a.label for a in answers]),
        proba=np.stack(probas) if probas else None,
        std=np.stack(stds) if stds else None,
    )


def tables(given: Any, test: HeldOut) -> list[Given]:
    """What was given as tables: of a file or a frame one, of arrays one for each seed."""
    import pandas as pd

    several = given if isinstance(given, list | tuple) else [given]
    # A list of as many words as there are examples is a list of labels.
    if len(several) != len(test.ids) and all(
        isinstance(g, str | Path | pd.DataFrame) for g in several
    ):
        if not several:
            raise RungError("there are no predictions; give a file, a data frame or an array")
        paths = [Path(g).resolve() for g in several if isinstance(g, str | Path)]
        for place, path in enumerate(paths):
            if path in paths[:place]:
                raise RungError(f"{path.name} is given twice; every file is a training run")
        found: list[Given] = []
        for place, g in enumerate(several):
            if isinstance(g, pd.DataFrame):
                found.append(
                    from_frame(g, f"data frame {place}" if len(several) > 1 else "the data frame")
                )
            else:
                found += from_file(Path(g), test)
        return found
    if isinstance(given, pd.Series):
        return [from_frame(given.rename("prediction").rename_axis("id").to_frame(), "the series")]
    return from_array(given, test)


def from_frame(frame: pd.DataFrame, where: str) -> Given:
    """A data frame; its ids may be its index."""
    if "id" not in frame.columns and frame.index.name == "id":
        frame = frame.reset_index()
    return Given(where, columns_of(frame, where), "`board.ids` has those that are")


def columns_of(frame: pd.DataFrame, where: str) -> dict[str, NDArray[Any]]:
    names = header(frame.columns, where)
    return {name: frame.iloc[:, i].to_numpy() for i, name in enumerate(names)}


def header(names: Iterable[Any], where: str) -> list[str]:
    """The names of columns as text. Raises RungError for a name that stands twice."""
    plain = [str(name).strip() for name in names]
    for place, name in enumerate(plain):
        if name in plain[:place]:
            raise RungError(f"{where}: two columns are named {name!r}")
    return plain


def from_array(given: Any, test: HeldOut) -> list[Given]:
    """One table for each seed."""
    try:
        array = np.asarray(given)
    except ValueError as error:  # lists of unequal length
        raise RungError(f"predictions that make no array: {error}") from error
    n, n_classes = len(test.ids), len(test.classes)
    shape = array.shape
    with_proba = shape[-2:] == (n, n_classes) and (array.dtype.kind == "f" or n != n_classes)
    if with_proba and array.ndim in (2, 3) and array.size:
        parts = [by_class(p, test.classes) for p in array.reshape(-1, n, n_classes)]
    elif array.ndim in (1, 2) and shape[-1] == n and array.size:
        parts = [{"prediction": p} for p in array.reshape(-1, n)]
    else:
        likely = f", ({n}, {n_classes}) or (seeds, {n}, {n_classes})" if n_classes else ""
        raise RungError(
            f"predictions of shape {shape}; {test.name} needs ({n},) or (seeds, {n}){likely}, "
            "in the order of board.ids"
        )
    return [
        Given(
            "the array" if len(parts) == 1 else f"seed {s} of the array",
            {"id": test.ids, **part},
            "`board.ids` has those that are",
        )
        for s, part in enumerate(parts)
    ]


def by_class(proba: NDArray[Any], classes: Sequence[str]) -> dict[str, NDArray[Any]]:
    return {name: proba[:, i] for i, name in enumerate(classes)}


def from_file(path: Path, test: HeldOut) -> list[Given]:
    """Of an .npz with probabilities of several seeds one table each, else one."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise RungError(f"{path}: predictions are read from {', '.join(SUFFIXES)}")
    ids_from = (
        f"`rung data ids {test.name}` prints those that are"
        if test.name in suite.entries("datasets")
        else "`board.ids` has those that are"
    )
    try:
        if suffix == ".csv":
            return [from_csv(path, ids_from)]
        if suffix == ".npz":
            return from_npz(path, test, ids_from)
        return [from_parquet(path, ids_from)]
    except FileNotFoundError as error:
        raise RungError(f"{path}: there is no such file") from error
    except OSError as error:
        cause = error.strerror or " ".join(str(error).split())[:120]
        raise RungError(f"{path} can't be read: {cause}") from error


def from_csv(path: Path, ids_from: str) -> Given:
    """All cells as text. Raises RungError that names the line that is no row of the table."""
    rows: list[list[str]] = []
    lines: list[int] = []
    # utf-8-sig: spreadsheets put a byte order mark in front.
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, skipinitialspace=True, strict=True)
        try:
            for cells in reader:
                if not cells:
                    continue
                if rows and len(cells) != len(rows[0]):
                    raise RungError(
                        f"{path}, line {reader.line_num}: not {len(rows[0])} cells, as the "
                        f"header has, but {len(cells)}"
                    )
                rows.append(cells)
                lines.append(reader.line_num)
        except csv.Error as error:
            raise RungError(f"{path}, line {reader.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            raise RungError(f"{path} is no text in UTF-8; save it as CSV in UTF-8") from error
    if not rows:
        raise RungError(f"{path} is empty; write a header and a line for each test example")
    names = header(rows[0], f"{path}, line {lines[0]}")
    if len(names) == 1 and re.search(r"[;\t|]", names[0]):
        raise RungError(f"{path}, line {lines[0]}: separate the cells by commas")
    body = np.array(rows[1:], dtype=object).reshape(-1, len(names))
    columns = {name: body[:, i] for i, name in enumerate(names)}
    return Given(str(path), columns, ids_from, np.array(lines[1:], dtype=np.int64))


def from_parquet(path: Path, ids_from: str) -> Given:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            # Without pandas' metadata, which would make an index of the ids.
            frame = file.read().to_pandas(ignore_metadata=True)
    except pa.ArrowException as error:
        cause = " ".join(str(error).split())[:120]
        raise RungError(f"{path} is no Parquet file ({cause})") from error
    return Given(str(path), columns_of(frame, str(path)), ids_from)


def from_npz(path: Path, test: HeldOut, ids_from: str) -> list[Given]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError:
        raise
    except Exception as error:  # a broken file raises many kinds
        if "Object arrays" in str(error):
            raise RungError(
                f"{path} has an array of Python objects, a pickle, which is never loaded; save "
                "arrays of text or numbers, such as np.savez(file, id=ids.astype(str), ...)"
            ) from error
        raise RungError(f"{path} is no NPZ file of plain arrays; write it with np.savez") from error
    proba = arrays.pop("proba", None)
    for name, array in arrays.items():
        if array.ndim != 1 or array.shape != arrays.get("id", array).shape:
            raise RungError(
                f"{path}: {name!r} has the shape {array.shape}; all arrays but proba are (n,)"
            )
    if proba is None:
        return [Given(str(path), arrays, ids_from)]
    n, n_classes = len(arrays.get("id", ())), len(test.classes)
    if not n_classes:
        raise RungError(f"{path}: {test.name} is a regression; give 'prediction', not 'proba'")
    if proba.ndim not in (2, 3) or proba.shape[-2:] != (n, n_classes) or not proba.size:
        raise RungError(
            f"{path}: 'proba' has the shape {proba.shape}; with its {n} ids and the {n_classes} "
            f"classes of {test.name} it is ({n}, {n_classes}) or (seeds, {n}, {n_classes})"
        )
    several = proba.reshape(-1, n, n_classes)
    return [
        Given(
            str(path) if len(several) == 1 else f"{path}, seed {s}",
            arrays | by_class(p, test.classes),
            ids_from,
        )
        for s, p in enumerate(several)
    ]


def seeds(table: Given, test: HeldOut) -> list[Seed]:
    """The answers of each seed in the table. Raises RungError for what can't be scored."""
    if "id" not in table.columns:
        raise table.error(f"{unknown('column', 'id', table.columns)}; {form(test)}")
    if not len(table.columns["id"]):
        raise table.error("there are no rows; write one for each test example")
    numbered = []
    for name in table.columns:
        if name.startswith("prediction") and name not in test.classes:
            if not NUMBERED.fullmatch(name):
                raise table.error(
                    f"column {name!r}: name a column of predictions `prediction`, and those of "
                    "several seeds prediction_1, prediction_2, ..."
                )
            numbered.append(name)
    missing = [c for c in test.classes if c not in table.columns]
    with_proba = bool(test.classes) and len(missing) < len(test.classes)
    if with_proba and missing:
        raise table.error(
            f"{len(missing)} of the {len(test.classes)} classes have no column: {first(missing)}"
        )
    if not numbered and not with_proba:
        others = set(table.columns) - {"id", "seed"}
        raise table.error(f"{unknown('column', 'prediction', others)}; {form(test)}")
    if with_proba and len(numbered) > 1:
        raise table.error("for probabilities, several seeds are a column `seed` or several files")
    matched = [matching(table, rows, test) for rows in by_seed(table)]
    proba = probabilities(table, test) if with_proba else None
    if proba is not None and not numbered:
        return [Seed(proba[take].argmax(axis=1), single(proba, take)) for take in matched]
    answers = []
    for name in numbered:
        if test.classes:
            label: NDArray[Any] = codes(table, name, test)
            std = None
        else:
            label = numbers(table, name)
            std = deviations(table, "std" + name.removeprefix("prediction"), len(numbered))
        answers += [Seed(label[take], single(proba, take), single(std, take)) for take in matched]
    return answers


def single(
    values: NDArray[np.float64] | None, take: NDArray[np.int64]
) -> NDArray[np.float32] | None:
    """The rows of some values, in the precision in which outcomes are kept."""
    return None if values is None else values[take].astype(np.float32)


def form(test: HeldOut) -> str:
    """What a table of predictions looks like, in words."""
    if not test.classes:
        return f"{test.name} is a regression: `id` and `prediction` (a number), perhaps `std`"
    return (
        f"{test.name} is a classification: `id` and `prediction` (a label), or `id` and the "
        f"probability of each of the {len(test.classes)} classes: {first(test.classes)}"
    )


def first(names: Sequence[str] | NDArray[np.str_]) -> str:
    return ", ".join(repr(str(n)) for n in names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def by_seed(table: Given) -> list[NDArray[np.int64]]:
    """The rows of each seed, in the order of the seeds' numbers or names."""
    import pandas as pd

    if "seed" not in table.columns:
        return [np.arange(len(table.columns["id"]))]
    column = table.columns["seed"]
    empty = np.flatnonzero(blank(column))
    if len(empty):
        raise table.error("no seed", int(empty[0]))
    which, names = pd.factorize(np.array([str(v).strip() for v in column], dtype=object))

    def order(index: int) -> tuple[bool, float, str]:
        value = as_number(names[index])
        return (value is None, value or 0.0, names[index])

    return [np.flatnonzero(which == i) for i in sorted(range(len(names)), key=order)]


def matching(table: Given, rows: NDArray[np.int64], test: HeldOut) -> NDArray[np.int64]:
    """The row of each test example. Raises RungError for unknown, doubled and missing ids."""
    import pandas as pd

    column = table.columns["id"]
    of = f" of seed {table.columns['seed'][rows[0]]}" if "seed" in table.columns else ""
    names = spelled(column[rows], test.ids)
    position = pd.Index(test.ids.astype(object)).get_indexer(names)
    strange = rows[position < 0]
    if len(strange):
        shown = [f"{str(column[r])!r} ({table.place(r)})" for r in strange[:SHOWN]]
        more = ", ..." if len(strange) > SHOWN else ""
        are = "id is" if len(strange) == 1 else "ids are"
        raise table.error(
            f"{len(strange)} {are} not in the test part of {test.name}: {', '.join(shown)}{more}; "
            f"{table.ids_from}"
        )
    found = np.full(len(test.ids), -1, dtype=np.int64)
    found[position[::-1]] = rows[::-1]  # the first of several stays
    doubled = np.flatnonzero(found[position] != rows)
    if len(doubled):
        again = rows[doubled[0]]
        before = found[position[doubled[0]]]
        hint = "" if of else "; several seeds need a column `seed`"
        raise table.error(
            f"id {str(column[again])!r}{of} stands twice, in {table.place(before)} and "
            f"{table.place(again)}{hint}"
        )
    missing = test.ids[found < 0]
    if len(missing):
        raise table.error(
            f"{len(missing):,} of the {len(test.ids):,} test ids of {test.name}{of} "
            f"{'is' if len(missing) == 1 else 'are'} missing: "
            f"{first(missing)}; {table.ids_from.replace('those that are', 'all of them')}"
        )
    return found


def blank(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Where nothing stands: NaN, None, NA, or no text."""
    import pandas as pd

    nothing = np.asarray(pd.isna(column), dtype=np.bool_)
    if column.dtype.kind in "OUT":
        nothing |= np.array([isinstance(v, str) and not v.strip() for v in column], dtype=np.bool_)
    return nothing


def as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def spelled(column: NDArray[Any], known: Sequence[str] | NDArray[np.str_]) -> NDArray[Any]:
    """The column as text, each value spelled as the known one that it means: 3 and 3.0 are "3"."""
    names = {str(k) for k in known}
    numbered = {v: k for k in names if (v := as_number(k)) is not None}

    def one(value: Any) -> str:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if text in names or text.strip() in names:
            return text if text in names else text.strip()
        number = as_number(text)
        return text if number is None else numbered.get(number, text)

    return np.array([one(v) for v in column], dtype=object)


def codes(table: Given, name: str, test: HeldOut) -> NDArray[np.int64]:
    """A column of labels as codes into the classes."""
    import pandas as pd

    column = table.columns[name]
    empty = np.flatnonzero(blank(column))
    if len(empty):
        raise table.error(f"no label in column {name!r}", int(empty[0]))
    labels = spelled(column, test.classes)
    found = np.asarray(pd.Index(list(test.classes)).get_indexer(labels), dtype=np.int64)
    wrong = np.flatnonzero(found < 0)
    if len(wrong):
        row = int(wrong[0])
        raise table.error(str(unknown(f"class of {test.name}", labels[row], test.classes)), row)
    return found


def numbers(table: Given, name: str) -> NDArray[np.float64]:
    """A column of finite numbers."""
    column = table.columns[name]
    try:
        values = column.astype(np.float64)
    except (TypeError, ValueError):
        values = np.empty(len(column))
        for row, value in enumerate(column):
            try:
                values[row] = float(value)
            except (TypeError, ValueError) as error:
                said = (
                    "is empty"
                    if blank(column[row : row + 1])[0]
                    else f"{str(value)!r} is no number"
                )
                raise table.error(f"column {name!r}: {said}", row) from error
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        row = int(bad[0])
        raise table.error(f"column {name!r}: {column[row]} is no finite number", row)
    if len(huge := np.flatnonzero(np.abs(values) > LARGEST)):
        row = int(huge[0])
        raise table.error(f"column {name!r}: {column[row]} is too large to be scored", row)
    return np.asarray(values, dtype=np.float64)


def deviations(table: Given, name: str, n_seeds: int) -> NDArray[np.float64] | None:
    """The predictive standard deviations of a seed, None where the table has none at all."""
    there = [c for c in table.columns if (m := NUMBERED.fullmatch(c)) and m[1] == "std"]
    if not there:
        return None
    if name not in there or len(there) != n_seeds:
        raise table.error(
            f"{n_seeds} prediction and {len(there)} std columns; every prediction needs its std, "
            "such as prediction_1 and std_1"
        )
    values = numbers(table, name)
    bad = np.flatnonzero(values < LEAST_STD)
    if len(bad):
        row = int(bad[0])
        what = "no positive deviation" if values[row] <= 0 else "too small to be scored"
        raise table.error(f"column {name!r}: {values[row]:g} is {what}", row)
    return values


def probabilities(table: Given, test: HeldOut) -> NDArray[np.float64]:
    """(rows, n_classes), each row summing to one."""
    proba = np.stack([numbers(table, c) for c in test.classes], axis=1)
    outside = np.argwhere((proba < -ROUNDING) | (proba > 1 + ROUNDING))
    if len(outside):
        row, column = (int(v) for v in outside[0])
        raise table.error(
            f"column {test.classes[column]!r}: {proba[row, column]:g} is no probability from 0 to 1",
            row,
        )
    sums = proba.sum(axis=1)
    bad = np.flatnonzero(np.abs(sums - 1) > SUM_ERROR)
    if len(bad):
        row = int(bad[0])
        raise table.error(f"the probabilities sum to {sums[row]:.4g}, not to 1", row)
    proba = np.clip(proba, 0, 1)
    return np.asarray(proba / proba.sum(axis=1, keepdims=True))
