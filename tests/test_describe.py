"""Descriptions: what they say of each kind of data, what they hold back, how they are printed."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import mixed, pictures, table, texts, write_table
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from samples import TREE, folder_of, jpeg, refused
from test_cli import one_line

import rung as package
from rung import Dataset, Split
from rung.dataset import Pictures
from rung.describe import BINS, Histogram, describe
from rung.render.describe import fragment, page, render, sheet, text
from rung.render.page import histogram

Rung = Callable[..., subprocess.CompletedProcess[str]]

EVERY = [
    make(task=task)
    for make in (table, mixed, texts, pictures)
    for task in ("classification", "regression")
]
EACH = pytest.mark.parametrize("dataset", EVERY, ids=lambda d: d.name)

VOID = {"meta", "img", "br", "rect", "path"}
LOADS = {"src", "href", "srcset", "data", "action", "poster", "xlink:href"}


class Reader(HTMLParser):
    """Takes a page apart; fails where a tag is closed that is not the last opened one."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.seen: list[str] = []
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in LOADS]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


def hidden_test(
    X: object, y: Sequence[object] | np.ndarray, n_test: int, **options: object
) -> Dataset:
    """The last rows are tested."""
    rows = np.arange(len(y))
    split = Split("official", rows[:-n_test], rows[-n_test:])
    return Dataset.from_arrays(X, y, splits=[split], **options)  # type: ignore[arg-type]


# --- For all kinds of data --------------------------------------------------------------------


@EACH
def test_it_is_the_same_every_time(dataset: Dataset) -> None:
    for form in ("json", "html", "table", "markdown"):
        assert render(describe(dataset), form) == render(dataset.describe(), form)
    plain = json.loads(render(describe(dataset), "json"))
    assert plain["schema"] == 1
    assert plain["fingerprint"] == dataset.fingerprint
    assert plain["parts"] == [
        {"name": s.name, "train": len(s.train), "test": len(s.test)} for s in dataset.splits
    ]


@EACH
def test_samples_are_training_examples(dataset: Dataset) -> None:
    found = describe(dataset)
    train = {str(i): row for row in dataset.splits[0].train for i in [dataset.ids[row]]}
    assert found.samples
    for sample in found.samples:
        value = dataset.y[train[sample.id]]
        assert sample.target == (dataset.classes[value] if dataset.classes else value)
    if dataset.modality != "tabular" and dataset.classes:
        assert {s.group for s in found.samples} == set(dataset.classes)


@EACH
def test_page_is_whole_and_loads_nothing(dataset: Dataset) -> None:
    markup = page(describe(dataset))
    reader = Reader(markup)
    assert "svg" in reader.tags
    assert all(address.startswith("data:image/") for address in reader.loaded)
    assert bool(reader.loaded) == (dataset.modality == "image")
    assert not {"script", "link", "iframe"} & set(reader.tags)
    assert "url(" not in markup
    assert "@import" not in markup
    assert "only counts, classes and missing values" in " ".join(reader.seen)
    assert fragment(describe(dataset)) == describe(dataset)._repr_html_()


@EACH
def test_classes_and_targets_are_counted(dataset: Dataset) -> None:
    found, split = describe(dataset), dataset.splits[0]
    if dataset.task == "classification":
        assert found.target is None
        for i, kind in enumerate(found.classes):
            assert kind.name == dataset.classes[i]
            assert (kind.train, kind.test) == tuple(
                int((dataset.y[rows] == i).sum()) for rows in (split.train, split.test)
            )
    else:
        assert found.classes == ()
        assert found.target is not None
        y = dataset.y[split.train]
        assert found.target.quantiles["median"] == pytest.approx(np.median(y))
        assert found.target.quantiles["max"] == y.max()
        assert sum(found.target.histogram.counts) == len(y)


def other_test_part(kind: str) -> tuple[object, object]:
    """Features of 60 rows, and the same with the last 20 others."""
    rng = np.random.default_rng(0)
    if kind == "texts":
        X = np.array([f"one {i}" for i in range(60)], object)
        return X, np.append(X[:40], [f"a much longer text, {i}" for i in range(20)])
    if kind == "pictures":
        pixels = rng.integers(0, 99, (60, 8, 8), dtype=np.uint8)
        return pixels, np.concatenate([pixels[:40], 255 - pixels[40:]])
    frame = pd.DataFrame({"a": rng.normal(size=60), "b": rng.choice(["x", "y"], 60)})
    other = frame.copy()
    other.loc[40:, "a"] = 1e6
    other.loc[40:, "b"] = "only tested"
    return frame, other


@pytest.mark.parametrize("kind", ["table", "texts", "pictures"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_other_test_examples_change_nothing_but_counts(kind: str, task: str) -> None:
    y = np.arange(60.0) % 2
    one, two = (
        describe(hidden_test(X, end, 20, task=task)).as_dict()
        for X, end in zip(
            other_test_part(kind),
            (y, y if task == "classification" else np.where(np.arange(60) < 40, y, 1e6)),
            strict=True,
        )
    )
    for plain in (one, two):
        # The fingerprint is that of all rows, and duplicates are counted across the parts.
        plain.pop("fingerprint")
        plain.pop("notes")
    assert one == two


def test_no_test_word_is_shown() -> None:
    X = [f"{word} here" for word in ["alpha", "beta"] * 10] + ["secret words", "secret things"] * 5
    dataset = hidden_test(X, ["a", "b"] * 15, 10, modality="text")
    for form in ("json", "html", "table", "markdown"):
        shown = render(describe(dataset), form)
        assert "alpha" in shown
        assert "secret" not in shown


# --- Histograms -------------------------------------------------------------------------------


def test_histogram_counts_every_value_once() -> None:
    rng = np.random.default_rng(0)
    far = np.append(rng.normal(size=999), 1e6)
    for values in (far, rng.integers(0, 7, 50), rng.integers(0, 1000, 500), np.full(9, 0.25)):
        found = Histogram.of(np.asarray(values, np.float64))
        assert sum(found.counts) == len(values)
        assert len(found.edges) == len(found.counts) + 1 <= BINS + 2
    assert Histogram.of(far).clipped
    assert not Histogram.of(rng.normal(size=1000)).clipped
    dice = Histogram.of(np.array([1.0, 2, 2, 3, 6]))
    assert dice.counts == (1, 2, 1, 0, 0, 1)
    assert dice.edges[:2] == (0.5, 1.5)


@given(
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=50)
    | st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=50)
)
def test_any_numbers_have_a_histogram(values: list[float]) -> None:
    found = Histogram.of(np.asarray(values, np.float64))
    assert sum(found.counts) == len(values)
    assert list(found.edges) == sorted(found.edges)
    assert len(histogram(found)) == len(found.counts)


# --- Tables -----------------------------------------------------------------------------------


def test_columns() -> None:
    n = 60
    frame = pd.DataFrame(
        {
            "size": [1.5, np.nan, *range(58)],
            "town": ["Ulm"] * 30 + ["Bonn"] * 15 + [None] * 15,
            "day": pd.date_range("2020-01-01", periods=n),
        }
    )
    found = describe(hidden_test(frame, [f"k{i % 2}" for i in range(n)], 20))
    size, town, day = found.columns
    assert [c.kind for c in found.columns] == ["numbers", "strings", "dates"]
    assert (size.missing_train, size.missing_test, size.distinct) == (1, 0, 39)
    assert (size.low, size.high) == (0, 37)
    assert [(c.value, c.count) for c in town.frequent] == [("Ulm", 30), ("Bonn", 10)]
    assert (town.missing_train, town.missing_test) == (0, 15)
    assert (day.low, day.high) == ("2020-01-01", "2020-02-09")
    assert found.samples[0].row is not None
    assert list(found.samples[0].row) == ["size", "town", "day"]
    shown = text(found)
    assert "Ulm 75.0 %" in shown
    assert "15 (75.0 %)" in shown
    assert re.search(r"size +numbers .*[▁▂▃▅▇·]{15,20}", shown)


def test_columns_of_numbers_alone_keep_their_names() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["a", "b"])
    dataset = Dataset.from_table(frame.assign(target=["x", "y"] * 20))
    assert [c.name for c in describe(dataset).columns] == ["a", "b"]
    assert [c.name for c in describe(package.load("diabetes")).columns][:2] == ["age", "sex"]
    assert [c.name for c in describe(table()).columns] == ["X0", "X1", "X2", "X3"]


def test_what_looks_wrong_is_said() -> None:
    rng = np.random.default_rng(0)
    y = ["a", "b"] * 20
    frame = pd.DataFrame({"x": rng.normal(size=40), "same": 1, "leak": [f"is {v}" for v in y]})
    notes = "\n".join(describe(Dataset.from_arrays(frame, y)).notes)
    assert "column same is the same in every row" in notes
    assert "column leak is one-to-one with the target" in notes
    frame["target"] = y
    notes = "\n".join(describe(Dataset.from_table(frame)).notes)
    assert "Target: target (by its name)" in notes
    assert notes.count("column same is the same in every row") == 1
    assert "Nothing looks wrong" in text(describe(table()))


def test_repeated_training_rows_are_counted() -> None:
    X = np.arange(40.0)[:, None].repeat(2, axis=1)
    X[1], X[3] = X[0], X[2]  # two pairs; the first has two targets
    dataset = hidden_test(X, ["a", "b", "a", "a", *["a", "b"] * 18], 10)
    (note,) = (n for n in describe(dataset).notes if "training rows" in n)
    assert "4 of the 30 training rows have the same features" in note
    assert "2 of them with another target" in note


def test_many_columns_classes_and_splits_are_cut_short() -> None:
    rng = np.random.default_rng(0)
    dataset = Dataset.from_arrays(
        rng.normal(size=(300, 50)), [f"c{i % 60:02d}" for i in range(300)]
    )
    shown = text(describe(dataset))
    assert "And 10 more, of 50 columns." in shown
    assert "And 20 more, of 60 classes." in shown
    assert len(describe(dataset).as_dict()["classes"]) == 60
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "target"])
    shown = text(describe(Dataset.from_table(frame, splits=3)))
    assert "00 to 02, each" in shown
    assert "training part of split 00" in shown


@EACH
def test_it_fits_a_narrow_terminal(dataset: Dataset) -> None:
    plain = re.sub("\x1b.*?m", "", text(describe(dataset), 60))
    assert max(map(len, plain.splitlines())) <= 60


def test_of_wide_columns_the_widest_is_cut() -> None:
    words = [" ".join(f"{c}{i}{j}" * 3 for j in range(8)) for c in "ab" for i in range(20)]
    names = ["politics.misc"] * 20 + ["sport.hockey"] * 20
    found = describe(Dataset.from_arrays(words, names, modality="text"))
    plain = re.sub("\x1b.*?m", "", text(found, 80))
    assert len(re.findall("^politics.misc  ", plain, re.MULTILINE)) >= 3
    assert len(re.findall("^sport.hockey   ", plain, re.MULTILINE)) >= 3
    assert "…" in plain


# --- Texts ------------------------------------------------------------------------------------


def test_words_and_lengths() -> None:
    X = ["goal goal team", "team goal x", "vote law law", "vote now, please"] * 5 + ["", "vote"] * 2
    y = ["sport", "sport", "politics", "politics"] * 5 + ["sport", "politics"] * 2
    found = describe(hidden_test(X, y, 4, modality="text"))
    assert found.texts is not None
    assert found.texts.words.quantiles["max"] == 3
    assert found.texts.characters.quantiles["min"] == 11
    assert (found.texts.empty_train, found.texts.empty_test) == (0, 2)
    politics, sport = found.texts.groups
    assert [(c.value, c.count) for c in sport.frequent] == [("goal", 10), ("team", 10)]
    assert (politics.typical[0].value, politics.typical[0].count) == ("vote", 10)
    assert "goal" not in {c.value for c in politics.typical}


def test_what_stands_in_the_data_is_no_markup() -> None:
    bad = "<script>alert(1)</script> & <b>"
    X = [f"{bad} {i}" for i in range(30)]
    dataset = Dataset.from_arrays(X, [bad, "other"] * 15, modality="text", title=bad)
    reader = Reader(page(describe(dataset)))
    assert "script" not in reader.tags
    assert "b" not in reader.tags
    assert any("<script>alert(1)</script> & <b>" in data for data in reader.seen)
    frame = pd.DataFrame({bad: [bad, "x"] * 15})
    assert "script" not in Reader(page(describe(Dataset.from_arrays(frame, [0, 1] * 15)))).tags


def test_names_of_columns_are_no_markup_either() -> None:
    frame = pd.DataFrame({"rate [/s]": np.arange(30.0), "wind [m/s] | x": ["a :heart:", "b"] * 15})
    found = describe(Dataset.from_arrays(frame, [0, 1] * 15))
    shown = render(found, "table", 200)
    for said in ("rate [/s]", "wind [m/s] | x"):
        assert said in shown
    assert "wind [m/s] \\| x" in render(found, "markdown")


# --- Pictures ---------------------------------------------------------------------------------


def test_sizes_modes_and_colour() -> None:
    files = [jpeg(200, (20, 16)) for _ in range(12)] + [jpeg(200, (40, 30)), jpeg(200, (10, 8))]
    grey = io.BytesIO()
    Image.new("L", (20, 16), 128).save(grey, "PNG")
    files += [grey.getvalue(), *files[:5]]
    dataset = hidden_test(Pictures.from_bytes(files), ["a", "b"] * 10, 4)
    found = describe(dataset).pixels
    assert found is not None
    assert (found.smallest, found.largest) == (("13", "10×8"), ("12", "40×30"))
    assert (found.sizes[0].value, found.sizes[0].count) == ("20×16", 14)
    assert {c.value: c.count for c in found.modes} == {"RGB": 15, "L": 1}
    red, green, blue = found.colour
    assert red == pytest.approx((15 * 200 + 128) / 16, abs=3)
    assert green == pytest.approx((15 * 55 + 128) / 16, abs=3)
    assert blue < green


def test_sheet_has_a_row_for_each_class(tmp_path: Path) -> None:
    shades = {"dark": 10, "light": 240}
    X = np.concatenate([np.full((20, 8, 8), shade, np.uint8) for shade in shades.values()])
    dataset = Dataset.from_arrays(X, np.repeat(list(shades), 20))
    sheet(describe(dataset), tmp_path / "one.png")
    sheet(describe(dataset), tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        array = np.asarray(picture.convert("L"))
    rows = {shade: np.flatnonzero((array == shade).sum(axis=1) >= 10 * 64) for shade in (10, 240)}
    assert len(rows[10]) == len(rows[240]) == 64
    assert rows[10].max() < rows[240].min()
    message = refused(lambda: sheet(describe(dataset), tmp_path / "sheet.jpg"))
    assert "written as .png" in message
    assert "has no pictures" in refused(lambda: sheet(describe(table()), tmp_path / "x.png"))


def test_a_broken_picture_is_named() -> None:
    files = [*[jpeg(9)] * 19, b"no picture"]
    ids = [f"p{i}" for i in range(20)]
    rows = np.arange(20)
    split = Split("official", rows[10:], rows[:10])
    y = ["a", "b"] * 10
    dataset = Dataset.from_arrays(Pictures.from_bytes(files), y, ids=ids, splits=[split])
    assert "picture p19" in refused(lambda: describe(dataset))


@pytest.mark.parametrize("shape", [(9, 7, 1), (9, 7, 4), (90, 150, 3), (9, 7, 5)])
def test_pictures_of_all_shapes_are_shown(shape: tuple[int, ...]) -> None:
    X = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
    found = describe(Dataset.from_arrays(X, ["a", "b"] * 10))
    assert len(found.pixels.colour) == shape[-1]  # type: ignore[union-attr]
    for sample in found.samples:
        assert sample.picture is not None
        assert sample.picture.shape[2] == 3
        assert 32 < max(sample.picture.shape) <= 64
    assert Reader(page(found)).loaded


# --- The command ------------------------------------------------------------------------------


def test_a_name(rung: Rung, tmp_path: Path) -> None:
    to, pictures = tmp_path / "new" / "digits.html", tmp_path / "digits.png"
    done = rung("data", "describe", "digits", "--html", to, "--sheet", pictures)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Digits: image classification, 1,797 examples, 10 classes")
    assert "1,297" in done.stdout
    assert "doi:10.24432/C50P49" in done.stdout
    assert f"wrote {to}" in done.stderr
    markup = to.read_text(encoding="utf-8")
    assert len(Reader(markup).loaded) == 10
    assert pictures.read_bytes().startswith(b"\x89PNG")
    assert rung("data", "describe", "digits", "--format", "html").stdout == markup + "\n"


def test_a_path_takes_the_options_of_run(rung: Rung, tmp_path: Path) -> None:
    csv = tmp_path / "house.csv"
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"size": rng.normal(size=80), "price": rng.normal(size=80), "when": range(80)}
    )
    frame.to_csv(csv, index=False)
    done = rung(
        *("data", "describe", csv, "--target", "price", "--time", "when", "--format", "json")
    )
    assert done.returncode == 0, done.stderr
    plain = json.loads(done.stdout)
    assert (plain["task"], plain["examples"]) == ("regression", 80)
    assert [c["name"] for c in plain["columns"]] == ["size", "when"]
    assert any("the last 30 % by when" in note for note in plain["notes"])
    assert plain["columns"][1]["high"] == 55


def test_a_folder_of_pictures(rung: Rung, tmp_path: Path) -> None:
    folder_of(TREE, tmp_path)
    done = rung("data", "describe", tmp_path / "photos", "--format", "markdown")
    assert done.returncode == 0, done.stderr
    assert "All are 20×16 pixels." in done.stdout
    assert "| cat | 3 | 50.0 % | 3 | 50.0 % |" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["digit"], ["no data set named 'digit'", "digits"]),
        (["nowhere.csv"], ["no file or folder nowhere.csv"]),
        (["digits", "--target", "price"], ["--target is for data of your own"]),
        (["digits", "--sheet", "sheet.jpg"], [".png"]),
        (["diabetes", "--sheet", "sheet.png"], ["no pictures"]),
        (["digits", "--html", "/proc/digits.html"], ["can't write /proc/digits.html"]),
        (["digits", "--format", "csv"], ["--format", "--help"]),
    ],
)
def test_bad_input_is_one_line(rung: Rung, arguments: list[str], says: list[str]) -> None:
    one_line(rung("data", "describe", *arguments), *says)


def test_data_sets_of_a_suite_of_ones_own(rung: Rung, suite_folder: Path) -> None:
    write_table(suite_folder)
    done = rung("data", "describe", "mine", "--suite", suite_folder)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^yes +21 ", done.stdout, re.MULTILINE)


def test_a_part_without_splits_is_refused() -> None:
    assert "has no split" in refused(lambda: describe(table().take(np.arange(9))))


def test_describing_needs_no_torch() -> None:
    code = (
        "import sys; from rung.cli import main; main(['data', 'describe', 'penguins']);"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
