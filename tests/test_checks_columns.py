"""Faults planted in real data are found by the check meant for them, and real data are left alone."""

from __future__ import annotations

import dataclasses
import functools
import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from samples import folder_of, refused

from rung import Dataset, own, suite
from rung.checks import check_data
from rung.checks.base import Result
from rung.dataset import Pictures
from rung.describe import as_frame

load = functools.cache(suite.load)
Change = Callable[..., None]


def table(name: str, change: Change) -> Dataset:
    """change(frame, y, rng) works on the columns of all rows."""
    healthy = load(name)
    frame = as_frame(healthy).copy()
    change(frame, healthy.y, np.random.default_rng(0))
    return Dataset.from_arrays(
        frame,
        healthy.y,
        name=name,
        task=healthy.task,
        ids=healthy.ids,
        classes=healthy.classes or None,
        splits=healthy.splits,
    )


def column(name: str, title: str, make: Callable[..., Any]) -> Callable[[], Dataset]:
    def change(frame: Any, y: Any, rng: Any) -> None:
        frame[title] = make(frame, y, rng)

    return lambda: table(name, change)


def cells(name: str, title: str, value: Any, where: Callable[..., Any]) -> Callable[[], Dataset]:
    """Cells of a column set to a value, or to what `value` makes of them."""

    def change(frame: Any, y: Any, rng: Any) -> None:
        hit = where(y, rng)
        frame.loc[hit, title] = value(frame.loc[hit, title]) if callable(value) else value

    return lambda: table(name, change)


def late(title: str, value: Any) -> Callable[[], Dataset]:
    """A column that is emptied in the test part, or is constant in the training part."""

    def change(frame: Any, y: Any, rng: Any) -> None:
        split = load("breast_cancer").splits[0]
        if title in frame:
            frame.loc[split.test[:60], title] = value
        else:
            frame[title] = rng.normal(size=len(frame))
            frame.loc[split.train, title] = value

    return lambda: table("breast_cancer", change)


def texts(change: Callable[[str, int, int], str]) -> Callable[[], Dataset]:
    """change(text, class, row) of each SMS."""

    def make() -> Dataset:
        healthy = load("sms_spam")
        X = [
            change(str(t), int(c), i)
            for i, (t, c) in enumerate(zip(healthy.X, healthy.y, strict=True))
        ]
        return dataclasses.replace(healthy, X=np.array(X, dtype=object), fingerprint="")

    return make


def pictures(
    change: Callable[[Image.Image], Image.Image],
    chosen: Callable[[Dataset], Any],
    kind: str = "JPEG",
) -> Callable[[], Dataset]:
    """The chosen rows of Imagenette mini changed and encoded anew."""

    def make() -> Dataset:
        healthy = load("imagenette_mini")
        files = [healthy.X[i] for i in range(len(healthy))]
        for row in np.flatnonzero(chosen(healthy)):
            out = io.BytesIO()
            picture = Image.open(io.BytesIO(files[row])).convert("RGB")
            change(picture).save(out, kind, quality=90)
            files[row] = out.getvalue()
        return dataclasses.replace(healthy, X=Pictures.from_bytes(files), fingerprint="")

    return make


def digits(change: Callable[[Any, Any], None]) -> Callable[[], Dataset]:
    def make() -> Dataset:
        healthy = load("digits")
        X = np.array(healthy.X)
        change(X, healthy.y)
        return dataclasses.replace(healthy, X=X, fingerprint="")

    return make


def row_of(row: int) -> Callable[[Dataset], Any]:
    return lambda dataset: np.arange(len(dataset)) == row


def painted(colour: Any, box: Callable[[int, int], tuple[int, int, int, int]]) -> Any:
    def change(picture: Image.Image) -> Image.Image:
        picture.paste(colour, box(*picture.size))
        return picture

    return change


def noise(picture: Image.Image) -> Image.Image:
    rng = np.random.default_rng(1)
    return Image.fromarray(rng.integers(0, 256, (*picture.size[::-1], 3), np.uint8))


def noisy_digit(X: Any, y: Any) -> None:
    X[7] = np.random.default_rng(0).integers(0, 256, X[7].shape)


def blank_digit(X: Any, y: Any) -> None:
    X[5] = 0


def marked_digits(X: Any, y: Any) -> None:
    X[y == 3, 0, 0] = 200


def some(share: float) -> Callable[..., Any]:
    return lambda y, rng: rng.random(len(y)) < share


NUMBERS = [f"{i:05d}" for i in range(10_000)]
GERMAN = (
    "Liebe Kolleginnen und Kollegen, wegen dringender Wartungsarbeiten bleibt unsere "
    "Geschäftsstelle nächste Woche geschlossen, bitte wenden Sie sich an die Zentrale"
)
GARBAGE = "xkqz vvrtp qqlmw zzptk wqxvb jjkrt pqzmx bvcxn lkjhg qwzrx mnbvq zxkwp rtyqz vbnmx"
# The check meant for a fault, the data set with it, and what the finding must name.
Fault = tuple[str, Callable[[], Dataset], str]
FAULTS: dict[str, Fault] = {
    "constant": ("RC141", column("penguins", "same", lambda f, y, r: 1.0), "same"),
    "constant_in_training": ("RC141", late("new", 0.0), "new"),
    "id": ("RC142", column("penguins", "chip", lambda f, y, r: r.permutation(len(y)) * 7), "chip"),
    "index": ("RC142", column("penguins", "row", lambda f, y, r: np.arange(len(y))), "row"),
    "names": (
        "RC142",
        column("penguins", "ring", lambda f, y, r: [f"ring {n[::-1]}" for n in NUMBERS[: len(y)]]),
        "ring",
    ),
    "target": ("RC143", column("breast_cancer", "result", lambda f, y, r: y), "result"),
    "stand_in": (
        "RC143",
        column("breast_cancer", "ward", lambda f, y, r: np.array(["north", "south"])[y]),
        "ward",
    ),
    "noisy_target": (
        "RC143",
        column("breast_cancer", "marker", lambda f, y, r: 10 * y + r.normal(size=len(y))),
        "marker",
    ),
    "finer_class": (
        "RC143",
        column("penguins", "colony", lambda f, y, r: [f"c{3 * c + r.integers(3)}" for c in y]),
        "colony",
    ),
    "file_name": (
        "RC143",
        column("penguins", "file", lambda f, y, r: [f"{'abc'[c]}_{i}" for i, c in enumerate(y)]),
        "file",
    ),
    "other_unit": ("RC143", column("diabetes", "cents", lambda f, y, r: 100 * y + 3), "cents"),
    "logarithm": ("RC143", column("diabetes", "log", lambda f, y, r: np.log(y)), "log"),
    "noisy_number": (
        "RC143",
        column("diabetes", "next", lambda f, y, r: y + r.normal(size=len(y))),
        "next",
    ),
    "sentinel": ("RC144", cells("breast_cancer", "mean radius", -999.0, some(0.03)), "mean radius"),
    "not_said_missing": ("RC144", cells("penguins", "sex", "N/A", some(0.05)), "sex"),
    "telling_gap": (
        "RC144",
        cells(
            "breast_cancer", "mean area", np.nan, lambda y, r: (y == 0) & (r.random(len(y)) < 0.8)
        ),
        "mean area",
    ),
    "gap_in_test": ("RC144", late("mean area", np.nan), "mean area"),
    "doubled": (
        "RC145",
        column("breast_cancer", "again", lambda f, y, r: f["mean area"]),
        "again",
    ),
    "units": (
        "RC146",
        cells("breast_cancer", "mean area", lambda v: 1000 * v, some(0.01)),
        "mean area",
    ),
    "impossible_row": (
        "RC151",
        cells("penguins", "body_mass_g", 1e6, lambda y, r: np.arange(len(y)) == 17),
        "17",
    ),
    "tag": (
        "RC143",
        texts(lambda t, c, i: f"{t} __label__{('ham', 'spam')[c]}"),
        "__label__spam",
    ),
    "name_in_front": (
        "RC143",
        texts(lambda t, c, i: f"[SPAM] {t}" if c == 1 and i % 3 == 0 else t),
        "[SPAM]",
    ),
    "cut_by_letters": ("RC161", texts(lambda t, c, i: t[:120]), "120"),
    "cut_by_words": ("RC161", texts(lambda t, c, i: " ".join(t.split()[:25])), "25 words"),
    "empty": ("RC162", texts(lambda t, c, i: "  " if i == 12 else t), "12"),
    "markup": ("RC162", texts(lambda t, c, i: "<p>&nbsp;</p><br/>" if i == 34 else t), "34"),
    "mojibake": (
        "RC163",
        texts(lambda t, c, i: f"{t} café".encode().decode("cp1252") if i == 56 else t),
        "56",
    ),
    "lost_letter": ("RC163", texts(lambda t, c, i: f"caf\ufffd {t}" if i == 78 else t), "78"),
    "other_language": ("RC151", texts(lambda t, c, i: GERMAN if i == 90 else t), "90"),
    "garbage": ("RC151", texts(lambda t, c, i: GARBAGE if i == 91 else t), "91"),
    "other_script": (
        "RC151",
        texts(lambda t, c, i: "早上好 你今天怎么样" * 5 if i == 92 else t),
        "92",
    ),
    "marked_pixel": ("RC143", digits(marked_digits), "tells 3"),
    "marked_corner": (
        "RC143",
        pictures(painted("red", lambda w, h: (0, h - 14, 14, h)), lambda d: d.y == 4),
        "church",
    ),
    "half_of_a_class_marked": (
        "RC143",
        pictures(
            painted("lime", lambda w, h: (w - 12, 0, w, 12)),
            lambda d: (d.y == 7) & (np.arange(len(d)) % 2 == 0),
        ),
        "gas pump",
    ),
    "file_format": ("RC143", pictures(lambda p: p, lambda d: d.y == 2, "PNG"), "format"),
    "noise_digit": ("RC151", digits(noisy_digit), "7"),
    "noise": ("RC151", pictures(noise, row_of(40)), "row 40"),
    "blank_digit": ("RC152", digits(blank_digit), "5"),
    "blank": ("RC152", pictures(painted("black", lambda w, h: (0, 0, w, h)), row_of(3)), "row 3"),
    "half_read": (
        "RC153",
        pictures(painted((128, 128, 128), lambda w, h: (0, h // 2, w, h)), row_of(9)),
        "row 9",
    ),
    "small": ("RC154", pictures(lambda p: p.resize((12, 12)), row_of(11)), "row 11"),
    "grey_test": (
        "RC154",
        pictures(lambda p: p.convert("L"), lambda d: np.isin(np.arange(len(d)), d.splits[0].test)),
        "mode L",
    ),
}


def checked(code: str, dataset: Dataset) -> Result:
    return check_data(dataset, only=[code])[code]


def named(result: Result, culprit: str) -> bool:
    """Whether it stands in what is said or measured, an id as one of a list."""
    assert result.finding is not None

    def leaves(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [x for k, v in value.items() for x in (str(k), *leaves(v))]
        return [x for v in value for x in leaves(v)] if isinstance(value, list) else [str(value)]

    return culprit in leaves(result.finding.values) or (
        not culprit.isdigit()
        and culprit in " ".join([result.finding.said, *leaves(result.finding.values)])
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_found(fault: str) -> None:
    code, broken, culprit = FAULTS[fault]
    dataset = broken()
    if culprit.startswith("row "):
        culprit = str(dataset.ids[int(culprit[4:])])
    result = checked(code, dataset)
    assert result.status == "found", (result.status, result.reason)
    assert result.severity != "info"
    assert named(result, culprit), result.finding


@pytest.mark.parametrize("exact", ["target", "stand_in", "finer_class", "other_unit", "logarithm"])
def test_exact_leak_is_an_error(exact: str) -> None:
    assert checked("RC143", FAULTS[exact][1]()).severity == "error"


@pytest.mark.parametrize("strong", ["noisy_target", "noisy_number", "file_name"])
def test_column_that_nearly_tells_the_target_is_a_warning(strong: str) -> None:
    assert checked("RC143", FAULTS[strong][1]()).severity == "warning"


HEALTHY = [
    *(
        (f"RC14{k}", name)
        for k in range(1, 7)
        for name in ("breast_cancer", "penguins", "diabetes")
    ),
    *(("RC143", name) for name in ("sms_spam", "digits", "imagenette_mini")),
    *(("RC151", n) for n in ("breast_cancer", "penguins", "diabetes", "sms_spam", "digits")),
    *((code, "imagenette_mini") for code in ("RC151", "RC152", "RC153", "RC154")),
    *((code, "digits") for code in ("RC152", "RC153")),
    *((code, "sms_spam") for code in ("RC153", "RC161", "RC162")),
]


@pytest.mark.parametrize(("code", "name"), HEALTHY)
def test_healthy_data_are_left_alone(code: str, name: str) -> None:
    result = checked(code, load(name))
    assert result.status == "passed" or (result.status == "found" and result.severity == "info")


def test_entities_of_real_messages_are_found_and_turning_them_back_mends_it() -> None:
    found = checked("RC163", load("sms_spam"))
    assert found.alarms
    assert found.finding is not None
    assert len(found.finding.values["entities"]) > 100
    assert checked("RC163", texts(lambda t, c, i: html.unescape(t))()).status == "passed"


def test_free_text_and_measurements_are_no_ids() -> None:
    def change(frame: Any, y: Any, rng: Any) -> None:
        frame["remark"] = [f"seen at noon near the {n} stone" for n in NUMBERS[: len(y)]]
        frame["depth"] = rng.normal(size=len(y))

    assert checked("RC142", table("penguins", change)).status == "passed"


def test_index_that_tells_the_class_of_sorted_rows_is_found() -> None:
    def change(frame: Any, y: Any, rng: Any) -> None:
        number = np.empty(len(y))
        number[np.argsort(y, kind="stable")] = np.arange(len(y))
        frame["number"] = number

    assert named(checked("RC143", table("breast_cancer", change)), "number")


def test_noise_is_no_leak_of_an_unbalanced_target() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(400) < 8
    X = rng.normal(size=(400, 5))
    X[:, 4] = rng.integers(0, 9, 400)
    assert checked("RC143", Dataset.from_arrays(X, y, name="rare")).status == "passed"


# --- Folders with files that can't be read -----------------------------------------------------


def photos(folder: Path) -> tuple[Path, dict[str, bytes]]:
    """Forty real pictures in the folders of their classes, three of them broken."""
    mini = load("imagenette_mini")
    rows = np.concatenate([np.flatnonzero(mini.y == c)[:10] for c in range(4)])
    files = {f"{mini.classes[mini.y[r]]}/{i}.jpg": mini.X[int(r)] for i, r in enumerate(rows)}
    names = sorted(files)
    broken = {names[3]: b"", names[17]: files[names[17]][:1500], names[30]: b"<html>404</html>"}
    return folder_of(files | broken, folder), broken


def test_folder_with_broken_pictures_is_checked_to_the_end(tmp_path: Path) -> None:
    folder, broken = photos(tmp_path / "photos")
    assert "can't be read" in refused(lambda: own.load(folder))
    dataset = own.load(folder, lenient=True)
    assert len(dataset) == 37
    assert not set(broken) & set(dataset.ids.tolist())
    report = check_data(dataset, only=["RC143", "RC15"])
    assert not [r for r in report.results if r.status == "broke"]
    found = report["RC153"]
    assert found.severity == "error"
    assert not report.ok
    assert found.finding is not None
    listed = {entry["id"]: entry["why"] for entry in found.finding.values["unreadable"]}
    assert set(listed) == set(broken)
    assert sorted(("empty" in why, "truncated" in why) for why in listed.values()) == [
        (False, False),
        (False, True),
        (True, False),
    ]
    assert report["RC152"].status == "passed"
    assert any("3 files that can't be read" in note for note in dataset.notes)


def test_folder_with_texts_in_another_encoding(tmp_path: Path) -> None:
    files = {f"{kind}/{i}.txt": f"{kind} {i} and so on".encode() for kind in "ab" for i in range(9)}
    files |= {"a/2.txt": "größer".encode("latin-1")}
    dataset = own.load(folder_of(files, tmp_path / "t"), lenient=True)
    found = checked("RC153", dataset)
    assert found.severity == "error"
    assert named(found, "a/2.txt")


def test_lenient_means_nothing_where_no_file_can_break(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(20)))
    strict, lenient = own.load(path), own.load(path, lenient=True)
    assert strict.fingerprint == lenient.fingerprint
    assert lenient.unreadable == ()


def test_a_column_with_one_value_in_each_part_is_not_the_same_in_every_row() -> None:
    def change(frame: Any, y: Any, rng: Any) -> None:
        frame["year"] = 2020.0
        frame.loc[load("breast_cancer").splits[0].test, "year"] = 2021.0

    finding = check_data(table("breast_cancer", change), only=["RC141"])["RC141"].finding
    assert finding is not None
    assert "year is constant in training and not in the test part" in finding.said
