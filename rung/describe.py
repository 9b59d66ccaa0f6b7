"""What is in a data set, as plain data: parts, classes, columns, lengths, sizes, samples.

Of the test part only counts, classes and missing values are taken; histograms, frequent values and
samples come from the training part of the first split, so that nobody tunes on what is tested.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rung import hygiene
from rung.dataset import Dataset, Modality, Pictures, Split, Task, id_hash, is_frame
from rung.errors import RungError

SCHEMA = 1
BINS = 20
QUANTILES = {"min": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5}
QUANTILES |= {"75 %": 0.75, "95 %": 0.95, "max": 1.0}
# Of how many values or words the most frequent are kept.
FREQUENT = 10
# Pictures that are decoded for colour and brightness; headers of all are read.
DECODED = 1000
# Of the samples: classes that have some, pictures a class, texts and rows in all, columns, letters.
GROUPS, PICTURES, TEXTS, ROWS, COLUMNS, LETTERS = 30, 10, 20, 10, 30, 400
# The side of a sample picture, pixels.
SIDE = 64

WORD = re.compile(r"\w\w+")


@dataclass(frozen=True)
class Histogram:
    """Counts between edges, one edge more than counts.

    clipped: the edges span the middle 98 % of the values, because a few lie far out; the outermost
    counts include these.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    clipped: bool

    @classmethod
    def of(cls, values: NDArray[Any]) -> Histogram:
        """Of finite numbers, at least one. Whole numbers get edges between them."""
        low, high = float(values.min()), float(values.max())
        inner_low, inner_high = (float(v) for v in np.quantile(values, [0.01, 0.99]))
        clipped = inner_high > inner_low and high - low > 2 * (inner_high - inner_low)
        if clipped:
            low, high = inner_low, inner_high
        if not (values % 1).any() and max(-low, high) < 2**50:
            low, high = np.floor(low), np.ceil(high)
            width = max(1, int(np.ceil((high - low + 1) / BINS)))
            edges = np.arange(low - 0.5, high + width, width)
        elif low == high:
            edges = np.array([low - 0.5, low + 0.5])
        else:
            edges = np.linspace(low, high, BINS + 1)
        counts, _ = np.histogram(np.clip(values, low, high), edges)
        return cls(tuple(map(float, edges)), tuple(map(int, counts)), clipped)


@dataclass(frozen=True)
class Numbers:
    """Quantiles (the keys of QUANTILES), mean, standard deviation and histogram of numbers."""

    quantiles: dict[str, float]
    mean: float
    sd: float
    histogram: Histogram

    @classmethod
    def of(cls, values: Iterable[float] | NDArray[Any]) -> Numbers:
        found = np.asarray(values, np.float64)
        quantiles = np.quantile(found, list(QUANTILES.values()))
        return cls(
            dict(zip(QUANTILES, map(float, quantiles), strict=True)),
            float(found.mean()),
            float(found.std()),
            Histogram.of(found),
        )


@dataclass(frozen=True)
class Part:
    """How many rows a split trains and tests on."""

    name: str
    train: int
    test: int


@dataclass(frozen=True)
class Count:
    """How often a value, word or picture size occurs."""

    value: str
    count: int


@dataclass(frozen=True)
class Column:
    """A column of a table. low, median, high: numbers, or dates as ISO strings; None for strings
    and where all are missing. frequent: of strings. histogram: of dates in seconds since 1970."""

    name: str
    kind: Literal["numbers", "dates", "strings"]
    missing_train: int
    missing_test: int
    distinct: int
    low: float | str | None
    median: float | str | None
    high: float | str | None
    frequent: tuple[Count, ...]
    histogram: Histogram | None


@dataclass(frozen=True)
class Words:
    """The words of the texts of a class (or of all), by how many of its texts have them.

    typical: those whose share of texts is the most above that in the other classes.
    """

    group: str
    texts: int
    frequent: tuple[Count, ...]
    typical: tuple[Count, ...]


@dataclass(frozen=True)
class Texts:
    """Lengths of the training texts, and their words. empty_test: a missing text counts as empty."""

    words: Numbers
    characters: Numbers
    empty_train: int
    empty_test: int
    groups: tuple[Words, ...]


@dataclass(frozen=True)
class Pixels:
    """Sizes of the training pictures in pixels, and their modes (as Pillow names them).

    colour: mean of each channel, and brightness: of each picture, 0 to 255, of `decoded` pictures.
    smallest, largest: (id, size), by area.
    """

    width: Numbers
    height: Numbers
    sizes: tuple[Count, ...]
    modes: tuple[Count, ...]
    smallest: tuple[str, str]
    largest: tuple[str, str]
    decoded: int
    colour: tuple[float, ...]
    brightness: Numbers


@dataclass(frozen=True, eq=False)
class Sample:
    """A training example. group: its class, or the range of its target. One of text, row and
    picture ((height, width, 3) uint8) is there."""

    id: str
    target: str | float
    group: str
    text: str | None = None
    row: dict[str, float | str | None] | None = None
    picture: NDArray[np.uint8] | None = None

    def as_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"id": self.id, "target": self.target, "group": self.group}
        return plain | {k: v for k in ("text", "row") if (v := getattr(self, k)) is not None}


@dataclass(frozen=True, eq=False)
class Description:
    """What is in a data set. split: the first, whose training part was looked at. notes: what was
    inferred, and what looks wrong. Of target, columns, texts and pixels there is what applies."""

    name: str
    title: str
    task: Task
    modality: Modality
    examples: int
    split: str
    parts: tuple[Part, ...]
    classes: tuple[Part, ...]
    target: Numbers | None
    columns: tuple[Column, ...]
    texts: Texts | None
    pixels: Pixels | None
    samples: tuple[Sample, ...]
    notes: tuple[str, ...]
    source: str
    licence: str
    citation: str
    local_copy: bool
    fingerprint: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data with a `schema` number, the same in every run; of pictures the ids alone."""
        plain: dict[str, Any] = {"schema": SCHEMA}
        for field in dataclasses.fields(self):
            plain[field.name] = _plain(getattr(self, field.name))
        return plain

    def _repr_html_(self) -> str:
        from rung.render import describe

        return describe.fragment(self)

    def __str__(self) -> str:
        from rung.render import describe

        return describe.text(self)


def _plain(value: Any) -> Any:
    if isinstance(value, Sample):
        return value.as_dict()
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]


def describe(dataset: Dataset) -> Description:
    """Looks at all rows once, at most DECODED pictures, and at a few samples chosen by a hash of
    their ids. Raises RungError for a data set without a split and for a picture that can't be read.
    """
    if not dataset.splits:
        raise RungError(
            f"{dataset.name} has no split; describe the data set that it was taken from"
        )
    split = dataset.splits[0]
    ranks = np.array([id_hash(f"sample/{i}") for i in dataset.ids[split.train]], np.uint64)
    order = split.train[np.argsort(ranks, kind="stable")]
    groups = _groups(dataset, order)
    tabular, modality = dataset.modality == "tabular", dataset.modality
    return Description(
        name=dataset.name,
        title=dataset.title or dataset.name,
        task=dataset.task,
        modality=modality,
        examples=len(dataset),
        split=split.name,
        parts=tuple(Part(s.name, len(s.train), len(s.test)) for s in dataset.splits),
        classes=_classes(dataset, split),
        target=Numbers.of(dataset.y[split.train]) if dataset.task == "regression" else None,
        columns=_columns(dataset, split) if tabular else (),
        texts=_texts(dataset, split) if modality == "text" else None,
        pixels=_pixels(dataset, split, order[:DECODED]) if modality == "image" else None,
        samples=tuple(_samples(dataset, order, groups)),
        notes=(
            *(dataset.notes or _warnings(dataset, split)),
            *hygiene.of_rows(dataset, split.train),
        ),
        source=dataset.source,
        licence=dataset.licence,
        citation=dataset.citation,
        local_copy=dataset.local_copy,
        fingerprint=dataset.fingerprint,
    )


def _warnings(dataset: Dataset, split: Split) -> list[str]:
    """For a data set of which nobody has said anything yet."""
    import pandas as pd

    of_columns = []
    if dataset.modality == "tabular":
        frame = as_frame(dataset).take(split.train)
        of_columns = hygiene.of_columns(frame, pd.Series(targets(dataset, split.train)))
    return [*of_columns, *hygiene.of_splits(dataset)]


def targets(dataset: Dataset, rows: NDArray[np.int64]) -> list[Any]:
    """Class names, or numbers."""
    found = dataset.y[rows].tolist()
    return [dataset.classes[c] for c in found] if dataset.task == "classification" else found


def _groups(dataset: Dataset, order: NDArray[np.int64]) -> list[tuple[str, NDArray[np.int64]]]:
    """The rows by class, or by quarter of the target, each in the given order."""
    if dataset.task == "classification":
        y, names = dataset.y[order], list(dataset.classes)
    else:
        cuts = np.quantile(dataset.y[order], [0, 0.25, 0.5, 0.75, 1])
        y = np.searchsorted(cuts[1:-1], dataset.y[order], side="right")
        names = [f"{a:.4g} to {b:.4g}" for a, b in itertools.pairwise(cuts)]
    found = [(name, order[y == i]) for i, name in enumerate(names)]
    return [(name, rows) for name, rows in found if len(rows)]


def _classes(dataset: Dataset, split: Split) -> tuple[Part, ...]:
    def sizes(rows: NDArray[np.int64]) -> list[int]:
        found: list[int] = np.bincount(dataset.y[rows], minlength=dataset.n_classes).tolist()
        return found

    if not dataset.classes:
        return ()
    return tuple(map(Part, dataset.classes, sizes(split.train), sizes(split.test)))


def _most(counts: Counter[str], most: int = FREQUENT) -> tuple[Count, ...]:
    """The most frequent, equal ones in the order of the alphabet."""
    first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return tuple(Count(value, count) for value, count in first)


# --- Tables -----------------------------------------------------------------------------------


def as_frame(dataset: Dataset) -> Any:
    """The table as a pandas frame; columns without a name are called X0, X1, ..."""
    import pandas as pd

    if is_frame(dataset.X):
        return dataset.X
    X = np.asarray(dataset.X)
    return pd.DataFrame(X, columns=dataset.columns or [f"X{i}" for i in range(X.shape[1])])


def _columns(dataset: Dataset, split: Split) -> tuple[Column, ...]:
    frame = as_frame(dataset)
    return tuple(
        _column(str(n), frame[n].take(split.train), frame[n].take(split.test)) for n in frame
    )


def _column(name: str, train: Any, test: Any) -> Column:
    there = train.dropna()
    dates, numeric = train.dtype.kind == "M", train.dtype.kind == "f"
    low = median = high = histogram = None
    if len(there) and (dates or numeric):
        values = (
            there.to_numpy("datetime64[us]").astype(np.int64) / 1e6 if dates else there.to_numpy()
        )
        say: Callable[[Any], Any] = _moment if dates else float
        histogram = Histogram.of(values)
        low, median, high = (say(v) for v in np.quantile(values, [0, 0.5, 1]))
    return Column(
        name=name,
        kind="dates" if dates else "numbers" if numeric else "strings",
        missing_train=len(train) - len(there),
        missing_test=int(test.isna().sum()),
        distinct=int(there.nunique()),
        low=low,
        median=median,
        high=high,
        frequent=() if dates or numeric else _most(Counter(map(_cut, there))),
        histogram=histogram,
    )


def _moment(seconds: float) -> str:
    """Seconds since 1970 as an ISO date, with the time of day where there is one."""
    text = str(np.datetime64(round(seconds), "s"))
    return text.removesuffix("T00:00:00")


def _value(value: Any) -> float | str | None:
    """A cell of a frame as plain data."""
    import pandas as pd

    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return str(value.isoformat()).removesuffix("T00:00:00")
    return _cut(value) if isinstance(value, str) else float(value)


# --- Texts ------------------------------------------------------------------------------------


def _texts(dataset: Dataset, split: Split) -> Texts:
    found: list[str] = dataset.X[split.train].tolist()
    # Without a test text in sight, but for whether it is empty.
    empty_test = sum(not text.strip() for text in dataset.X[split.test])
    return Texts(
        words=Numbers.of([len(text.split()) for text in found]),
        characters=Numbers.of([len(text) for text in found]),
        empty_train=sum(not text.strip() for text in found),
        empty_test=empty_test,
        groups=_words(dataset, split.train),
    )


def _words(dataset: Dataset, rows: NDArray[np.int64]) -> tuple[Words, ...]:
    groups = _groups(dataset, rows)
    counts: list[Counter[str]] = []
    for _, members in groups:
        counter: Counter[str] = Counter()
        for text in dataset.X[members]:
            counter.update(set(WORD.findall(text.lower())))
        counts.append(counter)
    total: Counter[str] = Counter()
    for counter in counts:
        total.update(counter)
    found = []
    for (name, members), counter in zip(groups, counts, strict=True):
        n, others = len(members), max(len(rows) - len(members), 1)
        above = {w: c / n - (total[w] - c) / others for w, c in counter.items()}
        typical = sorted((w for w in above if above[w] > 0), key=lambda w: (-above[w], w))
        best = tuple(Count(w, counter[w]) for w in typical[:FREQUENT]) if len(groups) > 1 else ()
        found.append(Words(name, n, _most(counter), best))
    return tuple(found)


# --- Pictures ---------------------------------------------------------------------------------


def _pixels(dataset: Dataset, split: Split, some: NDArray[np.int64]) -> Pixels:
    X = dataset.X
    if isinstance(X, Pictures):
        heads = [head(X[int(row)], str(dataset.ids[row])) for row in split.train]
    else:
        heads = [array_head(X)] * len(split.train)
    widths, heights = np.array([h[:2] for h in heads]).T
    areas = widths * heights
    ends = [
        (str(dataset.ids[split.train[i]]), f"{widths[i]}×{heights[i]}")
        for i in (areas.argmin(), areas.argmax())
    ]
    decoded = X.take(some).decode(16, dataset.ids[some]) if isinstance(X, Pictures) else X[some]
    pixels = decoded.reshape(len(some), -1, decoded.shape[-1])
    return Pixels(
        width=Numbers.of(widths),
        height=Numbers.of(heights),
        sizes=_most(Counter(f"{width}×{height}" for width, height, *_ in heads)),
        modes=_most(Counter(h.mode for h in heads)),
        smallest=ends[0],
        largest=ends[1],
        decoded=len(some),
        colour=tuple(map(float, pixels.mean(axis=(0, 1)))),
        brightness=Numbers.of(pixels.mean(axis=(1, 2))),
    )


class Head(NamedTuple):
    """What the first bytes of a picture file say. quantization: the sum of a JPEG's tables, the
    larger the worse its quality; 0 for others."""

    width: int
    height: int
    mode: str
    format: str = ""
    quantization: int = 0


def array_head(X: NDArray[np.uint8]) -> Head:
    """Of pictures that stand in an array."""
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}.get(X.shape[3], f"{X.shape[3]} channels")
    return Head(X.shape[2], X.shape[1], mode)


def head(encoded: bytes, name: str) -> Head:
    """Raises RungError for a file that can't be read."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            tables = getattr(picture, "quantization", {})
            quantization = sum(sum(table) for table in tables.values())
            return Head(
                picture.width, picture.height, picture.mode, picture.format or "", quantization
            )
    except Exception as error:  # Pillow raises many kinds for broken files
        raise RungError(f"picture {name} can't be read: {error}") from error


def _picture(dataset: Dataset, row: int) -> NDArray[np.uint8]:
    """As (height, width, 3), about SIDE pixels wide: the centre square of an encoded picture, an
    array whole, small ones enlarged pixel by pixel."""
    from PIL import Image

    if isinstance(dataset.X, Pictures):
        alone = np.array([row])
        return np.asarray(dataset.X.take(alone).decode(SIDE, dataset.ids[alone])[0])
    array = np.asarray(dataset.X[row])
    array = array[..., :3] if array.shape[2] >= 3 else np.repeat(array[..., :1], 3, axis=2)
    factor = SIDE // max(array.shape[:2])
    if factor:
        return array.repeat(factor, axis=0).repeat(factor, axis=1)
    image = Image.fromarray(array)
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)


# --- Samples ----------------------------------------------------------------------------------


def _samples(
    dataset: Dataset, order: NDArray[np.int64], groups: Sequence[tuple[str, NDArray[np.int64]]]
) -> Iterable[Sample]:
    """Of each class the first in the given order; of a table the first of all."""
    if dataset.modality == "tabular":
        rows = order[:ROWS]
        names = {
            int(row): name for name, members in groups for row in np.intersect1d(members, rows)
        }
        chosen = [(names[int(row)], int(row)) for row in rows]
    else:
        shown = groups[:GROUPS]
        most = PICTURES if dataset.modality == "image" else max(1, min(3, TEXTS // len(shown)))
        chosen = [(name, int(row)) for name, rows in shown for row in rows[:most]]
    for group, row in chosen:
        yield sample(dataset, row, group)


def sample(dataset: Dataset, row: int, group: str) -> Sample:
    """An example as it is shown: a small picture, the beginning of a text, the first COLUMNS."""
    content: dict[str, Any] = {}
    if dataset.modality == "tabular":
        cells = as_frame(dataset).iloc[row, :COLUMNS]
        content["row"] = {str(k): _value(v) for k, v in cells.items()}
    elif dataset.modality == "text":
        content["text"] = _cut(dataset.X[row])
    else:
        content["picture"] = _picture(dataset, row)
    (target,) = targets(dataset, np.array([row]))
    return Sample(str(dataset.ids[row]), target, group, **content)


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
