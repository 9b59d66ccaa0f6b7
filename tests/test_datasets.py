"""The data sets of the suite: what they declare, and that they hold what they say."""

from __future__ import annotations

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
