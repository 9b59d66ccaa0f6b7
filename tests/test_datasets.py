"""The data sets of the suite: what they declare, and that they hold what they say."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from rung.dataset import Dataset, Pictures
from rung.fetch import candidates
from rung.sources import FileSource, Source, add_local

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "datasets"
NAMES = sorted(p.stem for p in FOLDER.glob("[!_]*.py"))


def source(name: str) -> Source:
    spec = importlib.util.spec_from_file_location(f"declared_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Source = module.dataset
    return found


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNG_HOME", str(tmp_path / "home"))


def load(name: str) -> Dataset:
    return source(name).load(name, FOLDER)


def found(name: str) -> Path | None:
    """A file of this name in RUNG_DATA."""
    return next(candidates(name), None)


def needs(file: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        found(file) is None, reason=f"needs {file} in a folder that RUNG_DATA names"
    )


@pytest.mark.parametrize("name", NAMES)
def test_declaration_is_short_and_complete(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text()
    declared = source(name)
    assert len(text.splitlines()) <= 15
    assert declared.title
    assert declared.licence
    assert text.startswith('"""')
    assert text.split("\n")[0].endswith('."""')
    if isinstance(declared, FileSource):
        assert all(len(a.md5) == 32 for a in declared.archives)


@pytest.mark.parametrize(
    ("name", "rows", "test", "shape", "classes"),
    [
        ("digits", 1797, 500, (8, 8, 1), 10),
        ("breast_cancer", 569, 171, (30,), 2),
        ("diabetes", 442, 133, (10,), 0),
        ("imagenette_mini", 1500, 500, None, 10),
        ("sms_spam", 5574, 1672, (), 2),
        ("penguins", 344, 103, (6,), 3),
    ],
)
def test_data_set_that_needs_no_download(
    name: str, rows: int, test: int, shape: tuple[int, ...] | None, classes: int
) -> None:
    dataset = load(name)
    declared = source(name)
    assert (dataset.task, dataset.modality) == (declared.task, declared.modality)
    assert len(dataset) == len(dataset.X) == rows
    assert dataset.n_classes == classes
    assert not isinstance(dataset.X, Pictures) or shape is None
    if shape is not None:
        assert dataset.X.shape == (rows, *shape)
    (split,) = dataset.splits
    assert len(split.test) == test
    assert len(split.train) == rows - test


def test_digits_are_grey_pictures_over_the_whole_range() -> None:
    X = load("digits").X
    assert X.dtype == np.uint8
    assert np.array_equal(X[..., 0], np.rint(load_digits().images * 255 / 16))
    assert X.min() == 0
    assert X.max() == 255


def test_diabetes_is_not_standardised_over_the_test_rows() -> None:
    dataset = load("diabetes")
    assert dataset.X[:, 0].mean() == pytest.approx(48.5, abs=0.1)  # age in years


def test_imagenette_mini_is_balanced_small_and_64_px() -> None:
    dataset = load("imagenette_mini")
    split = dataset.split("official")
    assert np.bincount(dataset.y[split.train]).tolist() == [100] * 10
    assert np.bincount(dataset.y[split.test]).tolist() == [50] * 10
    assert dataset.X.blob.nbytes <= 5_000_000
    assert {Path(i).parts[0] for i in dataset.ids[split.test]} == {"val"}
    assert {Image.open(io.BytesIO(dataset.X[i])).size for i in range(0, 1500, 50)} == {(64, 64)}
    golf = dataset.classes.index("golf ball")
    assert dataset.ids[dataset.y == golf][0].startswith("train/n03445777/")


@needs("imagenette2-160.tgz")
def test_imagenette_mini_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    archive = found("imagenette2-160.tgz")
    script = FOLDER / "_make_imagenette_mini.py"
    subprocess.run(
        [sys.executable, script, str(archive), tmp_path / "again.parquet"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert digest(tmp_path / "again.parquet") == digest(FOLDER / "imagenette_mini.parquet")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@needs("imagenette2-160.tgz")
def test_imagenette() -> None:
    archive = found("imagenette2-160.tgz")
    assert archive is not None
    dataset = add_local("imagenette", source("imagenette"), archive)
    split = dataset.split("official")
    assert (len(split.train), len(split.test)) == (9469, 3925)
    official = hashlib.md5(archive.read_bytes()).hexdigest() == "e793b78cc4c9e9a4ccc0c1155377a412"
    assert dataset.local_copy is not official
    assert len(set(dataset.ids)) == 13394
    assert dataset.ids[9469].startswith("val/n01440764/")
    mini = load("imagenette_mini")
    assert set(mini.ids) <= set(dataset.ids)
    assert mini.classes == dataset.classes


@needs("train-images-idx3-ubyte.gz")
def test_fashion_mnist() -> None:
    dataset = load("fashion_mnist")
    assert not dataset.local_copy
    assert dataset.X.shape == (70_000, 28, 28, 1)
    assert np.bincount(dataset.y[dataset.split("official").test]).tolist() == [1000] * 10
    assert dataset.classes[dataset.y[0]] == "Ankle boot"
    assert (dataset.ids[0], dataset.ids[-1]) == ("train/00000", "test/09999")


def test_sms_spam_is_the_published_collection() -> None:
    dataset = load("sms_spam")
    assert np.bincount(dataset.y).tolist() == [4827, 747]
    assert dataset.X[0].startswith("Go until jurong point, crazy..")
    published = found("SMSSpamCollection")
    if published is not None:
        assert gzip.decompress((FOLDER / "sms_spam.tsv.gz").read_bytes()) == published.read_bytes()


def test_penguins_keep_what_is_missing() -> None:
    dataset = load("penguins")
    assert dataset.X.isna().any(axis=1).sum() == 11
    assert dataset.X["body_mass_g"].dtype == np.float64


@needs("trec/test.jsonl")
def test_trec() -> None:
    dataset = load("trec")
    split = dataset.split("official")
    assert (len(split.train), len(split.test)) == (5452, 500)
    where = dataset.X.tolist().index("How far is it from Denver to Aspen ?")
    assert dataset.classes[dataset.y[where]] == "NUM"
    sizes = dict(zip(dataset.classes, np.bincount(dataset.y[split.train]), strict=True))
    assert sizes == {"DESC": 1162, "ENTY": 1250, "ABBR": 86, "HUM": 1223, "LOC": 835, "NUM": 896}
    known = {text.lower().strip('"') for text in dataset.X[split.train]}
    assert sum(text.lower().strip('"') in known for text in dataset.X[split.test]) == 11


@needs("sst2/test.tsv")
def test_sst2() -> None:
    dataset = load("sst2")
    split = dataset.split("official")
    assert (len(split.train), len(split.test)) == (6920 + 872, 1821)
    assert dataset.X[split.test][0] == "no movement , no yuks , not much of anything ."
    assert "crème brûlée" in dataset.X[split.test][1]


@needs("20news-bydate.tar.gz")
def test_newsgroups20() -> None:
    dataset = load("newsgroups20")
    split = dataset.split("official")
    assert (len(split.train), len(split.test)) == (11314, 7532)
    assert dataset.classes[:2] == ("alt.atheism", "comp.graphics")
    assert len(dataset.classes) == 20
    assert dataset.ids[split.train][0] == "train/alt.atheism/49960"
    assert "Subject: " in dataset.X[split.train][0]  # headers are kept


@needs("adult-test.csv")
def test_adult() -> None:
    dataset = load("adult")
    split = dataset.split("official")
    assert (len(split.train), len(split.test)) == (32561, 16281)
    assert dataset.classes == ("<=50K", ">50K")
    assert dataset.y[split.test].mean() == pytest.approx(0.2362, abs=1e-4)
    assert dataset.X["workclass"].isna().sum() == 2799
    assert dataset.X["age"].dtype == np.float64


@needs("german.csv")
def test_german_credit_and_wine_quality() -> None:
    german, wine = load("german_credit"), load("wine_quality")
    assert np.bincount(german.y).tolist() == [700, 300]
    assert german.X.shape == (1000, 20)
    assert wine.X["colour"].value_counts().to_dict() == {"white": 4898, "red": 1599}
    assert (wine.y.min(), wine.y.max()) == (3, 9)


@needs("yacht/data.txt")
@pytest.mark.parametrize(
    ("name", "rows", "test", "features"),
    [
        ("concrete", 1030, 103, 8),
        ("energy", 768, 77, 8),
        ("kin8nm", 8192, 819, 8),
        ("power_plant", 9568, 957, 4),
        ("wine_red", 1599, 160, 11),
        ("yacht", 308, 31, 6),
    ],
)
def test_standard_splits(name: str, rows: int, test: int, features: int) -> None:
    dataset = load(name)
    assert dataset.X.shape == (rows, features)
    assert [s.name for s in dataset.splits] == [f"{k:02d}" for k in range(20)]
    assert {len(s.test) for s in dataset.splits} == {test}
    assert not dataset.local_copy
    # What is published as the training part is all the rest.
    folder = source(name).at.split("/")[-3]  # type: ignore[attr-defined]
    train = found(f"{folder}/index_train_7.txt")
    assert train is not None
    assert np.array_equal(np.sort(np.loadtxt(train).astype(int)), dataset.split("07").train)
