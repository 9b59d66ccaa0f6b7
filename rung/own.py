"""Data of a user's own → `Dataset`: a table, arrays or a folder, with what was inferred and why.

`load` takes a path, `from_table` a pandas frame too. Task, modality, target and split are inferred
where `Options` don't say them; each choice, the size of each part, what was left out and what looks
wrong stand in `Dataset.notes`, which a board prints above its rows.
"""

from __future__ import annotations

import csv
import dataclasses
import difflib
import io
import warnings
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rung import hygiene, sources, splits
from rung.archives import (
    BROKEN,
    decoded,
    folder_files,
    listing,
    one_line,
    read_all,
    read_frame,
    starts_with,
)
from rung.dataset import Dataset, Modality, Split, Task, check_splits, is_frame
from rung.errors import RungError, counted, listed, unknown
from rung.fetch import md5
from rung.home import cached

if TYPE_CHECKING:
    import pandas as pd

TABLES = (".csv", ".tsv", ".parquet")
GAPS = "rung: words for gaps"  # of a frame's attrs
# Texts that pandas takes for gaps and that may be meant: a class "None".
TAKEN_FOR_GAPS = frozenset(
    ["None", "none", "NA", "N/A", "n/a", "null", "NULL", "nan", "NaN", "<NA>", "#N/A", "#NA"]
)
# What a target is called where nobody says it, the likeliest first.
TARGETS = ("target", "label", "class", "y")
# Whole numbers with at most so many different values are taken for classes.
FEW = 20
PICTURES = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff"),
    *(".avif", ".jfif", ".webp"),
)
TEXTS = (".eml", ".htm", ".html", ".md", ".text", ".txt", ".xml")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user says of the data; None: inferred, or not used.

    target: the column to predict. text: the column of texts to learn from, alone. group: a column
    whose values never stand in both parts. time: a column; the last 30 % by it are tested. test: a
    file (or frame) with the test part. splits: how many splits instead of one. drop_missing_target:
    leave out rows without a target, which are refused otherwise. lenient: leave out files of a
    folder that can't be read, which are refused otherwise; `Dataset.unreadable` lists them.
    """

    target: str | None = None
    text: str | None = None
    task: Task | None = None
    modality: Modality | None = None
    group: str | None = None
    time: str | None = None
    test: Any = None
    splits: int | None = None
    drop_missing_target: bool = False
    lenient: bool = False

    def __post_init__(self) -> None:
        if self.splits is not None and self.splits < 2:
            raise RungError(f"--splits {self.splits}: at least two are needed; one is the default")
        if self.group and self.time:
            raise RungError(
                "--group and --time: a split keeps groups whole or goes by time; say one"
            )
        if self.test is not None and (self.group or self.time or self.splits):
            raise RungError("--test says what is tested; leave out --group, --time and --splits")

    def only(self, place: Path, what: str, *allowed: str) -> None:
        """Raises RungError for an option that means nothing for this kind of data."""
        for field in dataclasses.fields(self):
            # lenient is said by the checks, of whatever they are given, and is no option of a user.
            known = (*allowed, "lenient")
            if field.name not in known and getattr(self, field.name) != field.default:
                option = field.name.replace("_", "-")
                raise RungError(
                    f"{place} is {what}, for which --{option} means nothing; leave it out"
                )


def load(path: str | Path, **options: Any) -> Dataset:
    """The data set in a file (.csv, .tsv, .csv.gz, .parquet, .npz) or in a folder of class folders.

    options: those of `Options`. What was read once is kept, under a hash of the files. Raises
    RungError for what can't be read or learnt from.
    """
    place, said = Path(path).expanduser(), Options(**options)
    for file in (place, said.test):
        if isinstance(file, (str, Path)) and not Path(file).exists():
            raise RungError(f"there is no file or folder {file}{_near(Path(file))}")
    if said.test is not None and not isinstance(said.test, (str, Path)):
        return read(place, said)  # a frame: nothing says when it changes
    plain = {k: str(v) if isinstance(v, Path) else v for k, v in vars(said).items()}
    key = {
        "kind": "own",
        "path": str(place),
        "options": plain,
        "files": [identity(place), *([identity(Path(said.test))] if said.test else [])],
        **sources.written_by(),
    }
    return cached("prepared", key, lambda: read(place, said), Dataset.verified)


def read(place: Path, options: Options) -> Dataset:
    if place.is_dir():
        return from_folder(place, options)
    if place.suffix.lower() == ".npz":
        return from_npz(place, options)
    frame, notes = read_table(place)
    return from_frame(frame, str(place), name_of(place), options, notes)


def from_table(table: str | Path | pd.DataFrame, options: Options) -> Dataset:
    """The data set in a table: a file, as `load`, or a pandas frame."""
    if not isinstance(table, (str, Path)):
        if not is_frame(table):
            raise RungError(
                f"a table is a path or a pandas frame, not {type(table).__name__}; for arrays there "
                "is Dataset.from_arrays"
            )
        return from_frame(table, "the table", "table", options, [])
    if Path(table).is_dir() or suffix(Path(table)) not in TABLES:
        raise RungError(f"{table} is no table; there are {', '.join(TABLES)}, text also as .gz")
    return load(table, **vars(options))


def name_of(place: Path) -> str:
    return place.resolve().name.split(".")[0] or "data"


def suffix(place: Path) -> str:
    """Its suffix without .gz: "house.csv.gz" has .csv."""
    bare = place.with_suffix("") if place.suffix.lower() == ".gz" else place
    return bare.suffix.lower()


def identity(place: Path) -> str:
    return listing(place) if place.is_dir() else md5(place)


def _near(place: Path) -> str:
    siblings = [p.name for p in place.parent.iterdir()] if place.parent.is_dir() else []
    near = difflib.get_close_matches(place.name, siblings, n=1)
    return f"; did you mean {place.parent / near[0]}?" if near else ""


# --- Tables -----------------------------------------------------------------------------------


def read_table(place: Path) -> tuple[Any, list[str]]:
    """A csv or parquet file as a frame, and what is to be said of how it was read.

    Raises RungError for an empty file, one that is not UTF-8 and, with its line, for a row with
    more or fewer cells than the header.
    """
    if not place.stat().st_size:
        raise RungError(f"{place} is empty")
    if suffix(place) not in TABLES:
        raise RungError(
            f"{place}: can't tell what it is; there are {', '.join(TABLES)} (text also as .gz), "
            ".npz, and folders with a folder for each class"
        )
    if starts_with(place, b"PAR1"):
        return read_frame(place, 2**62), []
    if suffix(place) == ".parquet":
        raise RungError(f"{place} is no parquet file; one that is gzipped as a whole is not read")
    # The file is the user's own: only what comes out of a gzip is bounded.
    limit = place.stat().st_size
    if starts_with(place, b"\x1f\x8b"):
        limit = max(2**30, 50 * limit)
    content = read_all(place, limit)
    decoded(content, "utf-8", str(place), remedy="save it in utf-8")
    separator, gaps = check_lines(content, place)
    frame = read_frame(place, limit, sep=separator, low_memory=False, index_col=False)
    frame.attrs[GAPS] = gaps
    names = {"\t": "tabs", " ": "spaces"}
    said = names.get(separator, repr(separator))
    return frame, [] if separator == "," else [f"The columns are separated by {said}."]


def check_lines(content: bytes, place: Path) -> tuple[str, dict[str, set[str]]]:
    """What separates the columns, and which words are gaps in which of them. Raises RungError for a
    line with too many or too few cells, which pandas would shift or fill."""
    csv.field_size_limit(2**31 - 1)
    first = content.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n").partition(b"\n")[0]
    separator = max(",;\t|", key=lambda s: first.count(s.encode()))
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    rows = csv.reader(text, delimiter=separator)
    header: list[str] = []
    gaps: dict[str, set[str]] = {}
    try:
        for cells in rows:
            if not header:
                header = cells
            elif len(cells) != len(header) and cells:
                raise RungError(
                    f"{place}: line {rows.line_num} has {counted(len(cells), 'cell')}, the header "
                    f"has {len(header)}; mend that line"
                )
            elif words := TAKEN_FOR_GAPS.intersection(cells):
                for name, cell in zip(header, cells, strict=False):
                    if cell in words:
                        gaps.setdefault(name, set()).add(cell)
    except csv.Error as error:
        raise RungError(f"{place}: line {rows.line_num} can't be read ({error})") from error
    if double := [name for name, count in Counter(header).items() if count > 1 and name]:
        raise RungError(f"{place}: two columns are named {double[0]!r}; rename one")
    return separator, gaps


def from_frame(given: Any, where: str, name: str, options: Options, notes: list[str]) -> Dataset:
    """The data set in a pandas frame. where: what errors call it; notes: what to say first."""
    frame, left_out = named(given, options, where)
    target, why = target_of(frame, options.target, where)
    for column in filter(None, (options.text, options.group, options.time)):
        if column not in frame.columns:
            raise RungError(f"{where}: {unknown('column', column, frame.columns)}")
        if column == target:
            raise RungError(f"{where}: {column!r} is the target; say another column")
    ids, test_rows = np.arange(len(frame)).astype(np.str_), 0
    if options.test is not None:
        tested = tested_frame(frame, target, where, options)
        test_rows = len(tested)
        ids = np.array(
            [f"train/{i}" for i in range(len(frame))] + [f"test/{i}" for i in range(test_rows)]
        )
        frame = together(frame, tested)
    missing = frame[target].isna().to_numpy()
    words = listed(map(repr, sorted(given.attrs.get(GAPS, {}).get(target, ()))))
    if missing.any() and not options.drop_missing_target:
        as_what = (
            f" (of {words}, each is a gap; one that is a class needs another name)" if words else ""
        )
        raise RungError(
            f"{where}: the target {target!r} is missing in {missing.sum():,} of "
            f"{counted(len(frame), 'row')}{as_what}; mend them, or leave them out: "
            "--drop-missing-target"
        )
    if missing.all():
        raise RungError(f"{where}: the target {target!r} is missing in all rows")
    if missing.any():
        as_what = f" (also {words})" if words else ""
        left_out.append(f"{counted(int(missing.sum()), 'row')} without a target{as_what}")
        frame, ids = frame[~missing].reset_index(drop=True), ids[~missing]
    y, task, task_why = target_values(frame[target], target, options.task, where)
    features = frame.drop(columns=[c for c in (target, options.group) if c])
    if options.group:
        left_out.append(f"column {options.group} (the group)")
    modality, texts, kind = modality_of(features, options, where)
    X: Any = features
    if modality == "text":
        X = features[texts].fillna("").astype(str).to_numpy(dtype=object)
        if others := [c for c in features.columns if c not in (texts, options.time)]:
            left_out.append(f"column{'s' * (len(others) > 1)} {listed(others)} (not texts)")
    is_test = np.char.startswith(ids, "test/") if test_rows else None
    try:
        dataset = Dataset.from_arrays(
            X,
            y,
            name=name,
            task=task,
            modality=modality,
            ids=ids,
            splits=None if is_test is None else [parted(is_test)],
        )
    except RungError as error:
        raise RungError(f"{where}: {str(error).removeprefix(f'{name}: ')}") from error
    made = resplit(dataset, options, frame, where)
    notes = [
        *notes,
        f"Target: {target} ({why}). Task: {task} ({task_why}).",
        f"Modality: {modality} ({kind}).",
        split_line(made, options, frame),
        *([f"Left out: {', '.join(left_out)}."] if left_out else []),
        *(hygiene.of_columns(features, frame[target]) if modality == "tabular" else []),
        *hygiene.of_splits(made),
    ]
    return dataclasses.replace(made, title=_title(where, name), notes=tuple(notes))


def _title(where: str, name: str) -> str:
    return name if where == "the table" else Path(where).resolve().name


def named(given: Any, options: Options, where: str) -> tuple[Any, list[str]]:
    """The frame with names of str and without an index, and what was left out of it.

    An index is left out unless an option names it, and so is an unnamed first column that counts
    the rows, as pandas writes its index.
    """
    wanted = {options.target, options.text, options.group, options.time}
    frame, left_out = given, []
    if wanted & set(given.index.names) - {None}:
        frame = given.reset_index()
    frame = frame.set_axis([str(c) for c in frame.columns], axis=1).reset_index(drop=True)
    if not len(frame):
        raise RungError(f"{where} has a header and no rows")
    if frame.columns.has_duplicates:
        double = frame.columns[frame.columns.duplicated()][0]
        raise RungError(f"{where}: two columns are named {double!r}; rename one")
    first = frame.columns[0] if len(frame.columns) else ""
    if first in ("Unnamed: 0", "") and first not in wanted:
        values = frame[first].to_numpy()
        if values.dtype.kind == "i" and np.array_equal(values, np.arange(len(frame)) + values[0]):
            frame = frame.drop(columns=first)
            left_out.append("the unnamed first column (row numbers)")
    return frame, left_out


def target_of(frame: Any, said: str | None, where: str) -> tuple[str, str]:
    """The column to predict, and why it is that one."""
    columns = list(frame.columns)
    if said is not None:
        if said not in columns:
            raise RungError(f"{where}: {unknown('column', said, columns)}")
        return said, "as said"
    lower = {column.lower(): column for column in reversed(columns)}
    for usual in TARGETS:
        if usual in lower:
            return lower[usual], "by its name"
    raise RungError(
        f"{where}: which column is to be predicted? say --target COLUMN; there are: "
        f"{listed(columns, 30)}"
    )


def tested_frame(frame: Any, target: str, where: str, options: Options) -> Any:
    """The table of --test with the columns of the other. Raises RungError for missing columns and
    for one whose values are of another type."""
    tested, place = options.test, "the test table"
    if isinstance(tested, (str, Path)):
        place = str(tested)
        tested, _ = read_table(Path(tested))
    tested, _ = named(tested, options, place)
    for column in frame.columns:
        if column not in tested.columns:
            told = unknown("column", column, tested.columns)
            raise RungError(f"{place}: {told}; it must have the columns of {where}")
        kinds = value_kind(frame[column]), value_kind(tested[column])
        if kinds[0] != kinds[1] and "missing values" not in kinds:
            what = "the target" if column == target else "the column"
            raise RungError(
                f"{what} {column!r} holds {kinds[0]} in {where} and {kinds[1]} in {place}; "
                "write them alike"
            )
    return tested[list(frame.columns)]


def together(frame: Any, tested: Any) -> Any:
    import pandas as pd

    parts = [
        f.astype({c: object for c in f.columns if isinstance(f[c].dtype, pd.CategoricalDtype)})
        for f in (frame, tested)
    ]
    return pd.concat(parts, ignore_index=True)


def parted(is_test: NDArray[np.bool_]) -> Split:
    return Split("test", np.flatnonzero(~is_test), np.flatnonzero(is_test))


def value_kind(values: Any) -> str:
    """What a column holds, in a word: numbers, booleans, strings, dates, missing values."""
    from pandas.api import types

    found = types.infer_dtype(values.dropna().astype(object), skipna=True)
    if found.startswith(("datetime", "date")):
        return "dates"
    known = {
        **dict.fromkeys(("integer", "floating", "mixed-integer-float", "decimal"), "numbers"),
        **{"boolean": "booleans", "string": "strings", "empty": "missing values"},
    }
    return known.get(found, "values of several types")


def target_values(
    values: Any, column: str, said: Task | None, where: str
) -> tuple[NDArray[Any], Task, str]:
    """The target as labels or numbers, the task, and why. Raises RungError for a target that is
    constant, of several types, or dates."""
    kind = value_kind(values)
    found = values.astype(object).to_numpy()
    if kind in ("dates", "values of several types"):
        raise RungError(f"{where}: the target {column!r} holds {kind}; use numbers or strings")
    numbers = found.astype(np.float64) if kind in ("numbers", "booleans") else None
    distinct = np.unique(found if numbers is None else numbers)
    if len(distinct) == 1:
        raise RungError(
            f"{where}: the target {column!r} is {found[0]!r} in all rows; there is nothing to learn"
        )
    if numbers is not None and (infinite := int(np.isinf(numbers).sum())):
        raise RungError(
            f"{where}: the target {column!r} is infinite in {counted(infinite, 'row')}; mend them"
        )
    task, why = task_of(kind, numbers, len(distinct))
    if said is not None:
        task, why = said, "as said"
    if task == "regression":
        if numbers is None:
            raise RungError(
                f"{where}: the target {column!r} holds strings, {found[0]!r} say; regression "
                "needs numbers: mend them, or leave out --task"
            )
        return numbers, task, why
    if kind == "numbers" and numbers is not None:
        # Labels read as "3", not "3.0", where an empty cell has made a float of them.
        whole = not (numbers % 1).any()
        return numbers.astype(np.int64) if whole else numbers, task, why
    return found.astype(bool if kind == "booleans" else np.str_), task, why


def task_of(kind: str, numbers: NDArray[np.float64] | None, n_distinct: int) -> tuple[Task, str]:
    """The task that a target of this kind is likely of, and why."""
    different = f"{n_distinct:,} different {kind}"
    if numbers is None or kind == "booleans":
        return "classification", different
    if (numbers % 1).any():
        return "regression", "numbers with fractions"
    if n_distinct <= FEW:
        return "classification", f"whole numbers, {n_distinct} different ones"
    return "regression", f"whole numbers, {n_distinct:,} different ones"


def modality_of(features: Any, options: Options, where: str) -> tuple[Modality, str, str]:
    """The modality, the column of texts ("" for a table), and why."""
    said = options.modality
    if said == "image":
        raise RungError(
            f"{where} is a table; pictures come in a folder with a folder for each class, or in "
            ".npz as X: (n, height, width[, channels]) uint8"
        )
    if options.text and said != "tabular":
        if value_kind(features[options.text]) != "strings":
            kind = value_kind(features[options.text])
            raise RungError(f"{where}: the column {options.text!r} holds {kind}, no texts")
        return "text", options.text, f"column {options.text}, as said"
    if options.text:
        raise RungError("--text and --modality tabular: say one of them")
    columns = [c for c in features.columns if c != options.time]
    kinds = {c: value_kind(features[c]) for c in features.columns}
    strings = [c for c in columns if kinds[c] == "strings"]
    words = {c: hygiene.mean_words(features[c]) for c in strings}
    if said == "text":
        if len(strings) != 1:
            raise RungError(
                f"{where}: {counted(len(strings), 'column')} of strings ({listed(strings) or 'none'}); "
                "say which holds the texts: --text COLUMN"
            )
        return "text", strings[0], "as said"
    if said is None and len(columns) == 1 and strings and words[strings[0]] >= hygiene.WORDS:
        (only,) = strings
        return "text", only, f"the only feature, {only}, has {words[only]:.0f} words on average"
    counts = Counter(kinds.values())
    why = ", ".join(f"{count:,} of {kind}" for kind, count in counts.most_common())
    plural = "s" if len(kinds) != 1 else ""
    long = [c for c in strings if words[c] >= hygiene.WORDS]
    hint = f"; column {long[0]} holds texts: --text {long[0]} would learn from them" if long else ""
    return "tabular", "", f"{len(kinds):,} column{plural}: {why}{hint}" if kinds else "no column"


# --- Splits -----------------------------------------------------------------------------------


def resplit(dataset: Dataset, options: Options, frame: Any, where: str) -> Dataset:
    """The data set with the splits that the options ask for. frame: its rows with all columns."""
    try:
        if options.group:
            groups = complete(frame[options.group], "--group", where)
            found = splits.grouped(
                groups.astype(str).to_numpy(np.str_), dataset.y, dataset.task, options.splits
            )
        elif options.time:
            found = splits.by_time(moments(frame[options.time], where), options.splits)
        elif options.splits:
            found = splits.repeated(dataset.ids, dataset.y, dataset.task, options.splits)
        else:
            return dataset
    except RungError as error:
        column = options.group or options.time
        raise RungError(f"{where}: column {column!r}: {error}" if column else str(error)) from error
    check_splits(found, dataset.y, dataset.task, dataset.classes, dataset.name)
    # The splits are part of what a trial can see: an empty fingerprint is computed anew.
    return dataclasses.replace(dataset, splits=found, fingerprint="")


def complete(values: Any, option: str, where: str) -> Any:
    """The column, or an error that says how many of its values are missing."""
    missing = int(values.isna().sum())
    if missing:
        raise RungError(f"{counted(missing, 'row')} have no value for {option}; mend or drop them")
    return values


def moments(values: Any, where: str) -> NDArray[Any]:
    """(n,) numbers or datetime64 that order the rows."""
    import pandas as pd

    kind = value_kind(complete(values, "--time", where))
    if kind == "numbers":
        return np.asarray(values.to_numpy(np.float64))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # each is read alone where formats differ
            dates = pd.to_datetime(values, utc=True)
    except (ValueError, TypeError) as error:
        raise RungError(f"it holds neither numbers nor dates ({one_line(error)})") from error
    return np.asarray(dates.dt.tz_localize(None).to_numpy("datetime64[us]"))


def split_line(dataset: Dataset, options: Options, frame: Any = None) -> str:
    """How the rows are split, and how many each part has. frame: its rows with all columns."""
    classes = ", stratified by class" if dataset.task == "classification" else ""
    name = dataset.splits[0].name
    if name in ("official", "test"):
        how = "the parts that are given"
    elif options.group:
        how = f"about 30 % held out, no value of {options.group} in both parts{classes}"
    elif options.time and options.splits:
        how = f"in the order of {options.time}, each part tested on all that is before it"
    elif options.time:
        start = moments(frame[options.time], "")[dataset.splits[0].test].min()
        since = f"{start:g}" if isinstance(start, np.floating) else str(start).split("T00:00:00")[0]
        how = f"the last 30 % by {options.time} are tested, from {since} on"
    else:
        how = f"30 % held out, by a hash of the ids{classes}"
    parts = [_range([len(getattr(s, part)) for s in dataset.splits]) for part in ("train", "test")]
    many = f"{len(dataset.splits)} splits: " if len(dataset.splits) > 1 else ""
    return f"Split: {many}{how}; {parts[0]} rows to train on, {parts[1]} to test on."


def _range(sizes: list[int]) -> str:
    return f"{sizes[0]:,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"


# --- Arrays -----------------------------------------------------------------------------------


def from_npz(place: Path, options: Options) -> Dataset:
    """The data set in the arrays X and y of an .npz file; X_test and y_test are tested on."""
    options.only(place, "an .npz file", "task", "modality", "splits", "drop_missing_target")
    if not place.stat().st_size:
        raise RungError(f"{place} is empty")
    try:
        with np.load(place, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (*BROKEN, zipfile.BadZipFile) as error:
        raise RungError(
            f"{place} can't be read as .npz of plain arrays ({one_line(error)})"
        ) from error
    for name in ("X", "y", *(("X_test", "y_test") if {"X_test", "y_test"} & set(arrays) else ())):
        if name not in arrays:
            raise RungError(f"{place}: {unknown('array', name, arrays)}")
    X, y, ids = arrays["X"], arrays["y"], np.arange(len(arrays["X"])).astype(np.str_)
    is_test = None
    if "X_test" in arrays:
        if options.splits:
            raise RungError(f"{place} has a test part of its own; leave out --splits")
        given = (X, arrays["X_test"]), (y, arrays["y_test"])
        for (train, test), name in zip(given, "Xy", strict=True):
            if train.shape[1:] != test.shape[1:]:
                raise RungError(
                    f"{place}: {name} has the shape {train.shape} and {name}_test {test.shape}"
                )
            if (train.dtype.kind in "US") != (test.dtype.kind in "US"):
                raise RungError(
                    f"{place}: {name} holds {train.dtype} and {name}_test {test.dtype}; "
                    "write them alike"
                )
        is_test = np.repeat([False, True], [len(X), len(arrays["X_test"])])
        ids = np.array(
            [f"train/{i}" for i in range(len(X))] + [f"test/{i}" for i in range(is_test.sum())]
        )
        X, y = (np.concatenate(pair) for pair in given)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or len(X) != len(y) or not len(y):
        raise RungError(
            f"{place}: X has the shape {X.shape} and y {y.shape}; y must be one target for each row"
        )
    return from_xy(X, y, ids, is_test, place, options)


def from_xy(
    X: Any,
    y: NDArray[Any],
    ids: NDArray[np.str_],
    is_test: NDArray[np.bool_] | None,
    place: Path,
    options: Options,
) -> Dataset:
    import pandas as pd

    where, target, left_out = str(place), pd.Series(y), ""
    missing = target.isna().to_numpy()
    if missing.any() and (missing.all() or not options.drop_missing_target):
        raise RungError(
            f"{where}: y is missing in {missing.sum():,} of {counted(len(y), 'row')}; mend them, or "
            "leave them out: --drop-missing-target"
        )
    if missing.any():
        left_out = f"Left out: {counted(int(missing.sum()), 'row')} without a target."
        X, ids, target = X[~missing], ids[~missing], target[~missing]
        is_test = None if is_test is None else is_test[~missing]
    modality: Modality = "image" if X.ndim in (3, 4) else "tabular"
    if X.dtype.kind in "US" and X.ndim == 1:
        modality = "text"
    why = f"X: {X.shape} {X.dtype}"
    if options.modality not in (None, modality):
        if options.modality != "tabular" or modality == "text":
            raise RungError(f"{where}: {why}; that can't be of modality {options.modality}")
        modality, why = "tabular", f"as said, {why} flattened"
    if modality == "image" and X.dtype != np.uint8:
        raise RungError(f"{where}: pictures must be uint8, 0 to 255, not {X.dtype}")
    if modality == "tabular":
        X = pd.DataFrame(X.reshape(len(X), -1)).add_prefix("X")
    labels, task, task_why = target_values(target, "y", options.task, where)
    if modality != "tabular" and options.task is None and target.dtype.kind in "iu":
        # Pictures and texts come in any number of classes, and are seldom counted.
        distinct = len(np.unique(y))
        task, task_why = "classification", f"{modality}s with {distinct} different whole numbers"
        labels = target.to_numpy()
    dataset = Dataset.from_arrays(
        X,
        labels,
        name=name_of(place),
        task=task,
        modality=modality,
        ids=ids,
        splits=None if is_test is None else [parted(is_test)],
    )
    made = resplit(dataset, options, None, where)
    notes = [
        f"Target: y. Task: {task} ({task_why}).",
        f"Modality: {modality} ({why}).",
        split_line(made, options),
        *([left_out] if left_out else []),
        *(hygiene.of_columns(X, target) if modality == "tabular" else []),
        *hygiene.of_splits(made),
    ]
    return dataclasses.replace(made, title=_title(where, ""), notes=tuple(notes))


# --- Folders ----------------------------------------------------------------------------------


def from_folder(place: Path, options: Options) -> Dataset:
    """Pictures or texts in CLASS/, or in train/CLASS/ and test/CLASS/ (or val/, valid/)."""
    options.only(place, "a folder", "modality", "splits", "task")
    if options.task == "regression" or options.modality == "tabular":
        raise RungError(f"{place}: a folder with a folder for each class is no table of numbers")
    inside = place
    while len(alone := visible(inside)) == 1 and subfolders(alone[0]):
        inside = alone[0]
    folders = {p.name for p in subfolders(inside)}
    parts = sources.TRAIN in folders and bool(folders & set(sources.TESTS))
    if parts and options.splits:
        raise RungError(f"{place} has a test part of its own; leave out --splits")
    id_of = sources.picture_id if parts else sources.flat_id
    found = [(name, path) for name, path in folder_files(inside)]
    kinds = Counter(PurePosixPath(name).suffix.lower() for name, _ in found if id_of(name))
    if not kinds:
        raise RungError(
            f"{place}: no folder for each class; put the files of a class into a folder of its "
            "name, or into train/CLASS/ and test/CLASS/"
        )
    pictures = sum(count for kind, count in kinds.items() if kind in PICTURES)
    modality = options.modality or ("image" if 2 * pictures >= kinds.total() else "text")
    texts = [kind for kind in kinds if kind in TEXTS] or [k for k in kinds if k not in PICTURES]
    chosen = sorted(set(kinds) & set(PICTURES if modality == "image" else texts))
    taken = sum(kinds[kind] for kind in chosen)
    what = "pictures" if modality == "image" else "texts"
    if not taken:
        raise RungError(f"{place}: there are no {what} in its class folders")
    why = (
        "as said"
        if options.modality
        else f"{taken:,} of {counted(kinds.total(), 'file')} are {what}"
    )
    kind = sources.ImageFolder if modality == "image" else sources.TextFolder
    source = kind(
        title=place.name,
        path=str(inside),
        flat=not parts,
        suffixes=chosen,
        lenient=options.lenient,
        max_bytes=sum(path.stat().st_size for _, path in found) + 1,
    )
    dataset = resplit(
        source.read(name_of(place), sources.Files((inside,))), options, None, str(place)
    )
    sizes = np.bincount(dataset.y)
    notes = [
        f"Target: the folder. Task: classification ({dataset.n_classes} folders with "
        f"{_range(sorted(int(s) for s in sizes))} {what}).",
        f"Modality: {modality} ({why}).",
        split_line(dataset, options),
        *left_behind(kinds, chosen, len(found) - kinds.total()),
        *cannot_be_read(dataset),
        *hygiene.of_splits(dataset),
    ]
    return dataclasses.replace(dataset, title=place.resolve().name, notes=tuple(notes))


def left_behind(kinds: Counter[str], chosen: list[str], elsewhere: int) -> list[str]:
    """The line on the files of a folder that are not used."""
    rest = {kind: count for kind, count in kinds.items() if kind not in chosen}
    parts = []
    if rest:
        names = listed(sorted(kind or "no suffix" for kind in rest))
        parts.append(f"{counted(sum(rest.values()), 'file')} of another kind ({names})")
    if elsewhere:
        parts.append(f"{counted(elsewhere, 'file')} hidden or in no class folder")
    return [f"Left out: {', '.join(parts)}."] if parts else []


def cannot_be_read(dataset: Dataset) -> list[str]:
    """The line on the files that were left out since they can't be read."""
    if not dataset.unreadable:
        return []
    (first, why), count = dataset.unreadable[0], len(dataset.unreadable)
    return [f"Left out: {counted(count, 'file')} that can't be read, {first} say: {why}."]


def subfolders(folder: Path) -> list[Path]:
    return [p for p in visible(folder) if p.is_dir()] if folder.is_dir() else []


def visible(folder: Path) -> list[Path]:
    """What lies in a folder and is not hidden, as `sources.picture_id` counts it."""
    return [
        p for p in sorted(folder.iterdir()) if not p.name.startswith(".") and p.name != "__MACOSX"
    ]
