"""Declared sources → `Dataset`: what a file in datasets/ says, found, verified, read and kept.

A data-set file holds one declaration; `load` turns it into a `Dataset`:

    locate   a user's own copy (`add_local`), or what `fetch` finds
    read     straight out of the files, with the readers of `archives`
    prepare  the same through the cache in the home: arrays are memory-mapped

Files are refused whole, with one line that names the file and the member: a part that can't be
read is never dropped.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import inspect
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from rung import home
from rung.archives import (
    decoded,
    listing,
    members,
    one_line,
    read_all,
    read_frame,
    read_idx,
    read_parquet,
)
from rung.dataset import Dataset, Modality, Pictures, Split, Task
from rung.errors import RungError, unknown
from rung.fetch import Archive, Progress, changed_local_copies, fetch, local_copies, md5

# What files in datasets/ declare with.
__all__ = [
    "Archive",
    "FileSource",
    "Idx",
    "ImageFolder",
    "PicturesTable",
    "ScikitLearn",
    "Source",
    "StandardSplits",
    "Table",
    "TextFolder",
    "TextLines",
    "add_local",
    "remove_local",
]

TRAIN = "train"
TESTS = ("test", "val", "valid")  # what the test part may be called; the first one found is it


@dataclass(frozen=True)
class Files:
    """Where the bytes of a source lie; `local_copy` if they are not the published ones."""

    paths: tuple[Path, ...] = ()
    local_copy: bool = False


@dataclass(frozen=True, kw_only=True)
class Source(abc.ABC):
    """What all declarations have: enough to list a data set without loading it."""

    title: str
    task: Task = "classification"
    modality: Modality = "image"
    source: str = ""
    licence: str = ""
    citation: str = ""

    def load(self, name: str, folder: str | Path, progress: Progress | None = None) -> Dataset:
        """The data set, prepared, its arrays memory-mapped.

        name: what the data set is called; folder: the one that holds the declaring file (paths in
        the declaration start there). Raises RungError for anything that can't be had or read.
        """
        return self.prepare(name, self.locate(name, Path(folder), progress))

    def prepare(self, name: str, files: Files) -> Dataset:
        """Reads the files, or takes what an earlier reading of the same files left."""
        key = {
            "name": name,
            "kind": type(self).__name__,
            "declared": dataclasses.asdict(self),
            "files": self.identity(files),
            **written_by(),
        }
        if type(self).__module__ != __name__:  # a class of the user's own
            with contextlib.suppress(OSError, TypeError):  # of a notebook
                key["code"] = md5(Path(inspect.getfile(type(self))))
        try:
            json.dumps(key)
        except TypeError as error:
            raise RungError(
                f"{name}: its declaration must be plain data ({error}); of types say the name, such "
                'as "string" for str'
            ) from error
        dataset = home.cached("prepared", key, lambda: self.read(name, files), Dataset.verified)
        # Names and terms are not part of the verified content: they come from the declaration.
        return dataclasses.replace(
            dataset,
            name=name,
            title=self.title,
            source=self.source,
            licence=self.licence,
            citation=self.citation,
            local_copy=files.local_copy,
        )

    def locate(self, name: str, folder: Path, progress: Progress | None) -> Files:
        return Files()

    @abc.abstractmethod
    def identity(self, files: Files) -> list[str]:
        """Plain data that change when the bytes to read change."""

    @abc.abstractmethod
    def read(self, name: str, files: Files) -> Dataset: ...


@dataclass(frozen=True, kw_only=True)
class ScikitLearn(Source):
    """A data set that comes with scikit-learn: `loader="digits"` is `sklearn.datasets.load_digits`.

    Ids are row numbers. `test_size` rows (or that share) are held out, by a hash of the ids.
    """

    loader: str
    options: Mapping[str, Any] = field(default_factory=dict)  # of the loader
    test_size: float | int = 0.3

    def identity(self, files: Files) -> list[str]:
        return [version("scikit-learn")]

    def read(self, name: str, files: Files) -> Dataset:
        from sklearn import datasets

        known = [n[5:] for n in dir(datasets) if n.startswith("load_")]
        if self.loader not in known:
            raise unknown("scikit-learn data set", self.loader, known)
        bunch = getattr(datasets, f"load_{self.loader}")(**self.options)
        X: Any = bunch.data
        if self.modality == "tabular" and "feature_names" in bunch:
            import pandas as pd

            X = pd.DataFrame(X, columns=bunch.feature_names)
        if self.modality == "image":  # digits: grey values from 0 to 16
            X = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
        classes = [str(c) for c in bunch.target_names] if "target_names" in bunch else None
        return Dataset.from_arrays(
            X, bunch.target, name=name, task=self.task, classes=classes, test_size=self.test_size
        )


@dataclass(frozen=True, kw_only=True)
class FileSource(Source):
    """A source whose bytes lie in files: published `archives`, or a `path` beside the declaration.

    max_bytes: the most that may come out of the files, decompressed, all together.
    """

    archives: Sequence[Archive] = ()
    path: str = ""
    max_bytes: int = 2**30

    takes_folder: ClassVar[bool] = False  # a folder may stand in for the one archive

    def __post_init__(self) -> None:
        if bool(self.archives) == bool(self.path):
            raise RungError(f"{self.title}: declare either `archives` or a `path`")
        if not self.source and self.archives:
            object.__setattr__(self, "source", self.archives[0].url)

    def identity(self, files: Files) -> list[str]:
        return [listing(p) if p.is_dir() else md5(p) for p in files.paths]

    def locate(self, name: str, folder: Path, progress: Progress | None) -> Files:
        if self.path:
            place = folder / self.path
            if not place.exists():
                raise RungError(f"{name}: there is no {place}; put it there, or mend its `path`")
            return Files((place,))
        added = local_copies().get(name)
        if added is not None:
            return self.local(name, Path(added))
        alone = len(self.archives) == 1
        paths = tuple(fetch(name, archive, alone, progress) for archive in self.archives)
        return Files(paths, local_copy=not published(paths, self.archives))

    def local(self, name: str, place: Path) -> Files:
        """The files of a user's own copy; they count as published if every md5 is right."""
        if not place.exists():
            raise RungError(
                f"the local copy of {name}, {place}, is not there; put it back, or forget it: "
                f"rung data remove {name}"
            )
        names = [(archive.name, *archive.copies) for archive in self.archives]
        inside = [[place / n for n in known if (place / n).is_file()] for known in names]
        if place.is_dir() and all(inside):
            paths = tuple(found[0] for found in inside)
        elif len(self.archives) == 1 and (self.takes_folder or place.is_file()):
            paths = (place,)
        else:
            wanted = ", ".join(archive.name for archive in self.archives)
            raise RungError(f"{name}: {place} must be a folder that holds {wanted}")
        return Files(paths, local_copy=not published(paths, self.archives))


@dataclass(frozen=True, kw_only=True)
class Idx(FileSource):
    """Pictures in four idx files, gzipped or not: train images and labels, test images and labels.

    `archives` must come in this order. Ids are "train/00017" and "test/00042".
    """

    classes: Sequence[str]

    def read(self, name: str, files: Files) -> Dataset:
        if len(files.paths) != 4:
            raise RungError(f"{name}: Idx takes four archives, {len(files.paths)} are declared")
        arrays: list[NDArray[np.uint8]] = []
        left = self.max_bytes
        for path in files.paths:
            arrays.append(read_idx(path, left))
            left -= arrays[-1].nbytes
        for (images, labels), path in zip((arrays[:2], arrays[2:]), files.paths[1::2], strict=True):
            if images.ndim != 3 or labels.shape != images.shape[:1]:
                raise RungError(
                    f"{path}: labels of the shape {labels.shape} for images of the shape "
                    f"{images.shape}; the four files don't belong together"
                )
        if arrays[0].shape[1:] != arrays[2].shape[1:]:
            raise RungError(f"{name}: train and test images differ in size")
        parts = [TRAIN] * len(arrays[0]) + ["test"] * len(arrays[2])
        numbers = [*range(len(arrays[0])), *range(len(arrays[2]))]
        return Dataset.from_arrays(
            np.concatenate(arrays[::2]),
            np.concatenate(arrays[1::2]),
            name=name,
            task=self.task,
            ids=[f"{part}/{number:05d}" for part, number in zip(parts, numbers, strict=True)],
            classes=self.classes,
            splits=[official(parts, name)],
        )


@dataclass(frozen=True, kw_only=True)
class ImageFolder(FileSource):
    """Pictures in train/CLASS/ and test/CLASS/ (or val/, valid/): a folder, or a tar or zip of one.

    Ids are the paths from the part on, "val/n01440764/ILSVRC2012_val_00000293.JPEG"; rows are in
    the order of ids, so that a folder and an archive of it are the same data set. Hidden files are
    left out; anything else in a class folder must be a picture. Where there are test/ and val/,
    val/ belongs to training. classes: folder name → class name; without it, the folder's name.
    flat: the pictures lie in CLASS/, and 30 % are held out, by a hash of the ids. suffixes: only
    files that end so are read. lenient: files that can't be read are left out and listed in
    `Dataset.unreadable`, for the checks.
    """

    classes: Mapping[str, str] = field(default_factory=dict)
    flat: bool = False
    suffixes: Sequence[str] = ()
    lenient: bool = False

    takes_folder: ClassVar[bool] = True

    def read(self, name: str, files: Files) -> Dataset:
        (place,) = files.paths
        id_of = flat_id if self.flat else picture_id
        found = rows_of(place, id_of, self.suffixes, "pictures", self.max_bytes)
        ids = sorted(found)
        return pictures_dataset(
            name,
            place,
            ids=ids,
            parts=None if self.flat else [i.split("/")[0] for i in ids],
            labels=[i.split("/")[0 if self.flat else 1] for i in ids],
            encoded=[found.pop(i)[1] for i in ids],
            classes=self.classes,
            lenient=self.lenient,
        )


@dataclass(frozen=True, kw_only=True)
class PicturesTable(FileSource):
    """Pictures in a parquet file: columns id, part (train; test, val or valid), label and jpeg.

    classes: label → class name, as for `ImageFolder`.
    """

    classes: Mapping[str, str] = field(default_factory=dict)

    def read(self, name: str, files: Files) -> Dataset:
        (place,) = files.paths
        table = read_parquet(place, self.max_bytes)
        missing = {"id", "part", "label", "jpeg"} - set(table.column_names)
        if missing:
            raise RungError(f"{place} has no column {sorted(missing)[0]!r}")
        return pictures_dataset(
            name,
            place,
            ids=table["id"].to_pylist(),
            parts=table["part"].to_pylist(),
            labels=table["label"].to_pylist(),
            encoded=[content or b"" for content in table["jpeg"].to_pylist()],
            classes=self.classes,
        )


@dataclass(frozen=True, kw_only=True)
class Table(FileSource):
    """A table, csv (gzipped or not) or parquet, with the column `target`; several files are rows
    of one table.

    Columns of numbers, strings and dates, with missing values. Ids are row numbers, from 0. The
    column `part` says which rows are train, which test; without one, `test_size` rows (or that
    share) are held out, by a hash of the ids. each: columns that say which file a row is from,
    {"part": ["train", "test"]}. options: of pandas.read_csv, {"header": None, "names": [...]}.
    classes: value in the table → class name.
    """

    modality: Modality = "tabular"
    target: str
    part: str = ""
    each: Mapping[str, Sequence[str]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    test_size: float | int = 0.3

    def read(self, name: str, files: Files) -> Dataset:
        import pandas as pd

        frames = []
        left = self.max_bytes
        for i, path in enumerate(files.paths):
            frame = read_frame(path, left, **self.options)
            left -= path.stat().st_size
            frames.append(frame.assign(**{c: values[i] for c, values in self.each.items()}))
        place = files.paths[0]
        frame = pd.concat(frames, ignore_index=True)
        for column in (self.target, self.part):
            if column and column not in frame.columns:
                raise RungError(f"{place}: {unknown('column', column, map(str, frame.columns))}")
        splits = [official(frame[self.part].tolist(), name)] if self.part else None
        target = frame[self.target]
        if target.isna().any():
            row = int(np.argmax(target.isna()))
            raise RungError(f"{place}: the target of row {row} is missing; drop such rows")
        y = target.to_numpy()
        if y.dtype.kind not in "iuf" or self.classes:
            y = np.array(class_names(map(str, y), self.classes, place))
        return Dataset.from_arrays(
            frame.drop(columns=[c for c in (self.target, self.part) if c]),
            y,
            name=name,
            task=self.task,
            modality=self.modality,
            classes=list(dict.fromkeys(self.classes.values())) or None,
            splits=splits,
            test_size=self.test_size,
        )


@dataclass(frozen=True, kw_only=True)
class StandardSplits(FileSource):
    """A table of numbers with the splits that others have used, each a list of test rows.

    In the form of Hernández-Lobato and Adams (2015) and Gal and Ghahramani (2016): data.txt, the
    column numbers in index_features.txt and index_target.txt, the test rows of split K in
    index_test_K.txt; the other rows are its training part. at: the address of the folder of these
    files, which are those listed for it, with their md5, in the file `path` (as md5sum writes it)
    beside the declaration.
    """

    task: Task = "regression"
    modality: Modality = "tabular"
    at: str

    def locate(self, name: str, folder: Path, progress: Progress | None) -> Files:
        inside = urlsplit(self.at).path.strip("/")
        archives = []
        for line in (folder / self.path).read_text().splitlines():
            known_md5, path = line.split()
            place = PurePosixPath(path)
            if inside.endswith(str(place.parent)):
                copies = {f"{place.parent.parent.name}/{place.name}": known_md5}
                archives.append(Archive(self.at + place.name, known_md5, copies))
        paths = tuple(fetch(name, archive, None, progress) for archive in archives)
        return Files(paths, local_copy=not published(paths, archives))

    def read(self, name: str, files: Files) -> Dataset:
        found = {path.name: path for path in files.paths}

        def numbers(file: str) -> NDArray[np.float64]:
            try:
                return np.loadtxt(found[file], ndmin=1)
            except (KeyError, OSError, ValueError) as error:
                raise RungError(f"{name}: {file} can't be read ({one_line(error)})") from error

        data, target = numbers("data.txt"), int(numbers("index_target.txt")[0])
        tests = sorted(
            (int(file.split("_")[2].split(".")[0]), file) for file in found if "_test_" in file
        )
        splits = []
        for k, file in tests:
            test = np.sort(numbers(file).astype(np.int64))
            splits.append(Split(f"{k:02d}", np.setdiff1d(np.arange(len(data)), test), test))
        return Dataset.from_arrays(
            data[:, numbers("index_features.txt").astype(np.int64)],
            data[:, target],
            name=name,
            task=self.task,
            modality=self.modality,
            splits=splits,
        )


@dataclass(frozen=True, kw_only=True)
class TextLines(FileSource):
    """One text a line, with its label in front of the `separator`; empty lines are left out.

    Or in columns: with `header`, the first line names columns, of which `text` and `target` are
    read; in a .jsonl file each line is an object with these keys. Files are gzipped or not. parts:
    what each file is, train, test or val; ids are then "train/00017", else line numbers, and
    `test_size` texts (or that share) are held out, by a hash of the ids. until: where the label
    ends ("LOC:city", ":" is LOC). classes: label → class name. encoding: of the files; anything
    else in them is refused.
    """

    modality: Modality = "text"
    text: str = "text"
    target: str = "label"
    separator: str = "\t"
    until: str = ""
    header: bool = False
    parts: Sequence[str] = ()
    encoding: str = "utf-8"
    classes: Mapping[str, str] = field(default_factory=dict)
    test_size: float | int = 0.3

    def read(self, name: str, files: Files) -> Dataset:
        found, labels, ids, parts = [], [], [], []
        left = self.max_bytes
        for i, path in enumerate(files.paths):
            content = read_all(path, left)
            left -= len(content)
            part = self.parts[i] if self.parts else ""
            lines = decoded(content, self.encoding, str(path)).split("\n")
            for number, (text, label) in enumerate(self.rows(path, lines)):
                found.append(text)
                labels.append(label.split(self.until)[0] if self.until else label)
                ids.append(f"{part}/{number:05d}" if part else str(number))
                parts.append(part)
        return Dataset.from_arrays(
            np.array(found, dtype=object),
            np.array(class_names(labels, self.classes, files.paths[0])),
            name=name,
            task=self.task,
            modality=self.modality,
            ids=ids,
            classes=list(dict.fromkeys(self.classes.values())) or None,
            splits=[official(parts, name)] if self.parts else None,
            test_size=self.test_size,
        )

    def rows(self, path: Path, lines: list[str]) -> Iterator[tuple[str, str]]:
        """(text, label) of each line."""
        names: list[str] = []
        for number, line in enumerate(lines, 1):
            if not (line := line.rstrip("\r")).strip():
                continue
            try:
                if ".jsonl" in path.suffixes:
                    row = json.loads(line)
                elif self.header:
                    cells = line.split(self.separator)
                    if not names:
                        names = cells
                        continue
                    row = dict(zip(names, cells, strict=True))
                else:
                    label, text = line.split(self.separator, 1)
                    row = {self.text: text, self.target: label}
                yield row[self.text], str(row[self.target])
            except (KeyError, TypeError, ValueError) as error:
                raise RungError(
                    f"{path}: line {number} is not as declared ({one_line(error)}): {line[:60]!r}"
                ) from error


@dataclass(frozen=True, kw_only=True)
class TextFolder(FileSource):
    """Texts in train/CLASS/ and test/CLASS/ (or val/, valid/), a file each: a folder, tar or zip.

    A part may have a name in front, "20news-bydate-train". Ids and rows are as in `ImageFolder`;
    hidden files are left out. encoding: of the files; anything else in them is refused. flat,
    suffixes, lenient: as in `ImageFolder`.
    """

    modality: Modality = "text"
    encoding: str = "utf-8"
    classes: Mapping[str, str] = field(default_factory=dict)
    flat: bool = False
    suffixes: Sequence[str] = ()
    lenient: bool = False

    takes_folder: ClassVar[bool] = True

    def read(self, name: str, files: Files) -> Dataset:
        (place,) = files.paths
        id_of = flat_id if self.flat else text_id
        found = rows_of(place, id_of, self.suffixes, "texts", self.max_bytes)
        texts, unreadable = {}, []
        for i in sorted(found):
            member, content = found.pop(i)
            try:
                texts[i] = decoded(content, self.encoding, f"{place}: {member}")
            except RungError as error:
                if not self.lenient:
                    raise
                unreadable.append((i, one_line(error)))
        ids = list(texts)
        labels = [i.split("/")[0 if self.flat else 1] for i in ids]
        return Dataset.from_arrays(
            np.array(list(texts.values()), dtype=object),
            np.array(class_names(labels, self.classes, place)),
            name=name,
            task=self.task,
            modality=self.modality,
            ids=ids,
            classes=list(dict.fromkeys(self.classes.values())) or None,
            splits=None if self.flat else [official([i.split("/")[0] for i in ids], name)],
            unreadable=tuple(unreadable),
        )


def written_by() -> dict[str, Any]:
    """What the keys of prepared data say of the code: a change of it makes them all stale."""
    rooms = ("archives", "dataset", "hygiene", "own", "sources", "splits")
    return home.written_by(rooms, ("numpy", "pandas", "pillow", "pyarrow"))


# --- A user's own copy ------------------------------------------------------------------------


def add_local(name: str, source: Source, path: str | Path) -> Dataset:
    """Registers a user's own file or folder as the data set `name`; from then on it is loaded.

    It is prepared first, so a copy that can't be used is refused, and nothing changes.
    """
    if not isinstance(source, FileSource) or not source.archives:
        raise RungError(f"{name} is not downloaded from anywhere: no local copy can stand in")
    place = Path(path).expanduser().absolute()
    if not place.exists():
        raise RungError(f"there is no file or folder {place}")
    dataset = source.prepare(name, source.local(name, place))
    with changed_local_copies() as copies:
        copies[name] = str(place)
    return dataset


def remove_local(name: str) -> None:
    """Forgets the user's own copy of `name`; the file itself stays where it is."""
    with changed_local_copies() as copies:
        if name not in copies:
            raise unknown("local copy", name, copies)
        del copies[name]


# --- Files to data sets -----------------------------------------------------------------------


def picture_id(member: str) -> str:
    """The path from the part on, "train/CLASS/..."; "" where it is not that of a picture."""
    parts = PurePosixPath(member).parts
    if any(p.startswith(".") or p == "__MACOSX" for p in parts):
        return ""
    for start, part in enumerate(parts[:-2]):
        if part == TRAIN or part in TESTS:
            return "/".join(parts[start:])
    return ""


def flat_id(member: str) -> str:
    """The whole path, "CLASS/..."; "" where it is in no class folder."""
    parts = PurePosixPath(member).parts
    if len(parts) < 2 or any(p.startswith(".") or p == "__MACOSX" for p in parts):
        return ""
    return "/".join(parts)


def rows_of(
    place: Path,
    id_of: Callable[[str], str],
    suffixes: Sequence[str],
    what: str,
    max_bytes: int,
) -> dict[str, tuple[str, bytes]]:
    """The files of a folder or archive by id, each with its member name. what: "pictures"."""

    def wanted(member: str) -> bool:
        suffix = PurePosixPath(member).suffix.lower()
        return bool(id_of(member)) and (not suffixes or suffix in suffixes)

    found: dict[str, tuple[str, bytes]] = {}
    for member, content in members(place, wanted, max_bytes):
        row = id_of(member)
        if row in found:
            raise RungError(f"{place}: there are two {what} {row}; remove one")
        found[row] = member, content
    if not found:
        where = "CLASS/" if id_of is flat_id else "train/CLASS/ and test/CLASS/ (or val/, valid/)"
        raise RungError(f"{place}: no {what} in {where}")
    return found


def text_id(member: str) -> str:
    """As `picture_id`, and the part may have a name in front of it, "20news-bydate-train"."""
    row = picture_id(member)
    parts = PurePosixPath(member).parts
    if row or any(p.startswith(".") or p == "__MACOSX" for p in parts):
        return row
    for start, part in enumerate(parts[:-2]):
        kind = part.replace("_", "-").rpartition("-")[2]
        if kind == TRAIN or kind in TESTS:
            return "/".join([kind, *parts[start + 1 :]])
    return ""


def published(paths: Sequence[Path], archives: Sequence[Archive]) -> bool:
    """Whether these are the published files, and not others that stand in for them."""
    return all(p.is_file() and md5(p) == a.md5 for p, a in zip(paths, archives, strict=True))


def pictures_dataset(
    name: str,
    place: Path,
    *,
    ids: list[str],
    parts: list[str] | None,
    labels: list[str],
    encoded: list[bytes],
    classes: Mapping[str, str],
    lenient: bool = False,
) -> Dataset:
    """A data set of encoded pictures, each of which was decoded once to see that it can be."""
    named = class_names(labels, classes, place)
    pictures = Pictures.from_bytes(encoded)
    broken = pictures.unreadable(threads=min(os.cpu_count() or 1, 8))
    if broken and not lenient:
        row, why = next(iter(broken.items()))
        raise RungError(
            f"{place}: picture {ids[row]} ({len(pictures[row])} bytes) can't be read: {why}; "
            "repair it, or remove it from the data set on purpose"
        )
    unreadable = tuple((ids[row], why) for row, why in broken.items())
    if broken:
        left = [row for row in range(len(ids)) if row not in broken]
        pictures = pictures.take(np.array(left, np.int64))
        ids, named = [ids[row] for row in left], [named[row] for row in left]
        parts = None if parts is None else [parts[row] for row in left]
    return Dataset.from_arrays(
        pictures,
        np.array(named),
        name=name,
        task="classification",
        modality="image",
        ids=ids,
        classes=list(dict.fromkeys(classes.values())) or None,
        splits=None if parts is None else [official(parts, name)],
        unreadable=unreadable,
    )


def official(parts: Sequence[str], name: str) -> Split:
    """The published split, from what each row says it belongs to."""
    found = set(parts)
    if strange := found - {TRAIN, *TESTS}:
        raise RungError(f"{name}: a row has the part {strange.pop()!r}; say train or test")
    test = next((t for t in TESTS if t in found), None)
    if TRAIN not in found or test is None:
        raise RungError(
            f"{name}: there must be a part train and a part test (or val, valid); found: "
            f"{', '.join(sorted(found)) or 'none'}"
        )
    is_test = np.array([p == test for p in parts])
    return Split("official", np.flatnonzero(~is_test), np.flatnonzero(is_test))


def class_names(labels: Iterable[str], classes: Mapping[str, str], place: Path) -> list[str]:
    """The class name of each label: the declared one, or the label where none are declared."""
    found = list(labels)
    if strange := set(found) - set(classes) if classes else None:
        raise RungError(
            f"{place}: {sorted(strange)[0]!r} is none of the declared classes "
            f"({', '.join(classes)})"
        )
    return [classes.get(label, label) for label in found]
