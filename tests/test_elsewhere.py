"""Estimators in another interpreter: here mostly the tests' own, with workers that are real processes."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from conftest import mixed, pictures, table, texts
from sklearn.base import clone

from rung import Baseline, NotRunHere, RungError, interpreters, suite, trial
from rung.benchmark import trials
from rung.dataset import Pictures
from rung.elsewhere import ElsewhereClassifier, ElsewhereRegressor, WorkerFailed
from rung.interpreters import __main__ as builder

Rung = Callable[..., subprocess.CompletedProcess[str]]

# Before any test moves Rung's home.
BUILT = interpreters.folder("automl")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, in which nothing may be left."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    monkeypatch.setenv("TMPDIR", str(path))
    yield path
    deadline = time.monotonic() + 10
    while (left := list(path.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


@pytest.fixture
def automl(home: Path) -> Path:
    """An environment that looks like that of auto-sklearn, of the tests' own interpreter."""
    python = interpreters.folder("automl") / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    stamp = {"python": "3.9", "digest": interpreters.digest("automl", "3.9")}
    (python.parents[1] / "stamp.json").write_text(json.dumps(stamp))
    return python


def processes() -> list[psutil.Process]:
    """All that were started for a folder of this test's."""
    mine = tempfile.gettempdir()
    return [p for p in psutil.process_iter(["cmdline"]) if mine in str(p.info["cmdline"])]


def ended(left: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(left, timeout=10)[1]


def nearest(X: Any, y: Any, categorical: list[int], folder: str, scale: float = 1.0) -> Any:
    import os

    import numpy as np

    print("chatter")
    os.write(1, b"more chatter\n")

    class Nearest:
        centres = np.stack([X[y == c].mean(axis=0) for c in range(y.max() + 1)])

        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            distance = ((X[:, None] - self.centres) ** 2).sum(axis=2)
            near = np.exp(-scale * (distance - distance.min(axis=1, keepdims=True)))
            return near / near.sum(axis=1, keepdims=True)

        def predict(self, X: np.ndarray) -> np.ndarray:
            return self.predict_proba(X).argmax(axis=1)

    return Nearest(), {"scale": scale, "folder": folder, "home": os.environ["HOME"]}


def first_column(X: Any, y: Any, categorical: list[int], folder: str) -> Any:
    class First:
        def predict(self, X: Any) -> Any:
            return X[:, 0]

    return First(), {"categorical": categorical, "first": [None if v != v else v for v in X[:, 0]]}


def breaks(X: Any, y: Any, categorical: list[int], folder: str) -> Any:
    raise ValueError("no such luck")


def dies(X: Any, y: Any, categorical: list[int], folder: str) -> Any:
    import os
    import subprocess
    import sys

    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", folder])
    print("out of luck", file=sys.stderr, flush=True)
    os.kill(os.getpid(), 9)


def sleeps(X: Any, y: Any, categorical: list[int], folder: str) -> Any:
    import subprocess
    import sys
    import time

    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", folder])
    open(f"{folder}/ready", "w").close()
    time.sleep(600)


def test_it_fits_there_and_answers_with_our_labels(
    automl: Path, temporary: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = table()
    labels = np.array(["a", "b", "c"])[data.y]
    model = ElsewhereClassifier("automl", nearest, {"scale": 0.5})
    model.fit(data.X, labels)
    assert clone(model).get_params() == model.get_params()
    assert model.classes_.tolist() == ["a", "b", "c"]
    proba = model.predict_proba(data.X)
    assert proba.shape == (len(data), 3)
    assert proba.sum(axis=1) == pytest.approx(np.ones(len(data)))
    assert (model.predict(data.X) == model.classes_[proba.argmax(axis=1)]).all()
    assert (model.predict(data.X) == labels).mean() > 0.7
    assert model.chosen_["scale"] == 0.5
    assert model.chosen_["home"] == model.chosen_["folder"]  # what libraries leave goes with it
    assert Path(model.chosen_["folder"]).parent == temporary
    assert 10 < model.peak_mib_ < 10_000
    mine = processes()
    assert mine
    del model
    assert ended(mine)
    assert list(temporary.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_categories_are_codes_of_the_training_part_and_gaps_stay(automl: Path) -> None:
    kinds = ["red", "green", None, "red"]
    X = pd.DataFrame({"colour": pd.Categorical(kinds), "length": [1.0, np.nan, 3, 4]})
    model = ElsewhereRegressor("automl", first_column).fit(X, [1, 2, 3, 4])
    assert model.chosen_["categorical"] == [0]
    assert model.chosen_["first"] == [1, 0, None, 1]  # in the order of the categories' names
    # Other categories, in another order, one of them new.
    kinds = ["yellow", "red", "green", None]
    seen = pd.DataFrame({"colour": pd.Categorical(kinds, categories=kinds[:3]), "length": 1.0})
    assert np.array_equal(model.predict(seen), [np.nan, 1, 0, np.nan], equal_nan=True)


def test_what_is_raised_there_is_raised_here(automl: Path) -> None:
    data = table()
    with pytest.raises(WorkerFailed, match="ValueError: no such luck") as raised:
        ElsewhereClassifier("automl", breaks).fit(data.X, data.y)
    assert "Traceback" in str(raised.value.__cause__)


def test_the_death_of_the_worker_is_told_with_its_last_words(automl: Path) -> None:
    data = table()
    with pytest.raises(WorkerFailed, match=r"was killed \(signal 9\): out of luck"):
        ElsewhereClassifier("automl", dies).fit(data.X, data.y)
    assert ended(processes())


def test_an_estimator_whose_worker_was_killed_says_so(automl: Path) -> None:
    data = table()
    model = ElsewhereClassifier("automl", nearest).fit(data.X, data.y)
    for process in processes():
        process.kill()
    with pytest.raises(WorkerFailed, match="signal 9"):
        model.predict(data.X)
    with pytest.raises(WorkerFailed, match="fit again"):
        model.predict(data.X)


def test_nothing_outlives_a_killed_process_of_ours(automl: Path, temporary: Path) -> None:
    code = (
        "import test_elsewhere as t; from rung.elsewhere import ElsewhereClassifier as C\n"
        "C('automl', t.sleeps).fit([[0.0], [1.0]], [0, 1])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)
    deadline = time.monotonic() + 60
    while not list(temporary.glob("*/ready")) and time.monotonic() < deadline:
        time.sleep(0.05)
    mine = processes()
    assert len(mine) == 2
    process.kill()
    process.wait()
    assert ended(mine)


def test_without_the_environment_nothing_is_begun(home: Path) -> None:
    def make(dataset: Any, seed: int) -> Any:
        raise AssertionError("it was made")

    rung = Baseline(rung=1, title="It", interpreter="automl", make=make)
    data = table()
    with pytest.raises(NotRunHere, match=r"^nox -s automl$"):
        trial.run(trials(data, [("it", rung)], seeds=1)[0], rung, data)


def test_the_row_says_what_to_do(rung: Rung) -> None:
    done = rung("run", "digits", "--baselines", "prior,auto_sklearn", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["rung"]: row["status"] for row in json.loads(done.stdout)["rows"]}
    assert rows == {"prior": "ok", "auto_sklearn": "not run here: nox -s automl"}


def test_provenance_has_what_was_chosen_and_memory_is_that_of_the_largest(automl: Path) -> None:
    class Chooser(ElsewhereClassifier):
        def fit(self, X: Any, y: Any) -> Any:
            super().fit(X, y)
            self.peak_mib_ = 123_456.7
            return self

    rung = Baseline(rung=1, title="It", make=lambda *_: Chooser("automl", nearest))
    data = table()
    outcome = trial.run(trials(data, [("it", rung)], seeds=1)[0], rung, data)
    assert outcome.provenance["chosen"]["scale"] == 1.0
    assert outcome.cost["peak_mib"] == 123_456.7


@pytest.mark.parametrize("harm", ["no stamp", "other requirements", "no interpreter", "no JSON"])
def test_an_environment_that_is_not_whole_and_current_is_none(automl: Path, harm: str) -> None:
    assert interpreters.find("automl") == automl
    stamp = automl.parents[1] / "stamp.json"
    if harm == "no stamp":
        stamp.unlink()
    elif harm == "no interpreter":
        automl.unlink()
    else:
        stamp.write_text('{"python": "3.9", "digest": "0"}' if harm.startswith("other") else "{")
    with pytest.raises(NotRunHere):
        interpreters.find("automl")


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recipes with one for an environment that is empty."""
    path = tmp_path / "recipes"
    shutil.copytree(interpreters.RECIPES, path)
    (path / "empty").mkdir()
    (path / "empty" / f"{HERE}.txt").touch()
    (path / "empty" / "check.py").write_text("import json")
    monkeypatch.setattr(interpreters, "RECIPES", path)
    monkeypatch.setattr(builder, "RECIPES", path)
    return path


def test_an_environment_is_built_once(recipes: Path) -> None:
    assert f"CPython {HERE}" in builder.build("empty")
    python = interpreters.find("empty")
    assert python.is_relative_to(interpreters.folder("empty"))
    assert "nothing to do" in builder.build("empty")
    (recipes / "empty" / "check.py").write_text("import no_such_package")
    with pytest.raises(NotRunHere):
        interpreters.find("empty")
    with pytest.raises(RungError, match=r"check\.py` failed"):
        builder.build("empty")
    assert not (python.parents[1] / "stamp.json").exists()


def test_what_can_not_be_built_is_said(
    recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A shim that is found and does not run.
    shim = tmp_path / "bin" / "python3.2"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}{os.pathsep}{os.environ['PATH']}")
    (recipes / "empty" / f"{HERE}.txt").rename(recipes / "empty" / "3.2.txt")
    with pytest.raises(RungError, match=r"no CPython 3\.2 found"):
        builder.build("empty")
    with pytest.raises(RungError, match=r"no Python version named '3\.1'"):
        builder.build("empty", "3.1")
    with pytest.raises(RungError, match=r"no interpreter named 'autml'; did you mean automl\?"):
        builder.build("autml")


def test_wheels_are_preferred_to_building_from_source() -> None:
    assert builder.versions("automl") == ["3.9", "3.11"]
    assert [f.name for f in interpreters.requirements("automl", "3.11")] == [
        "3.11-build.txt",
        "3.11.txt",
    ]


def test_other_requirements_make_old_trials_stale(recipes: Path) -> None:
    entry, other = suite.get("baselines", "auto_sklearn"), suite.get("baselines", "linear")
    before = entry.hash, other.hash
    with (recipes / "automl" / "3.9.txt").open("a") as file:
        file.write("# changed\n")
    assert entry.hash != before[0]
    assert other.hash == before[1]


def test_large_pictures_are_not_for_it() -> None:
    rung = suite.baseline("auto_sklearn")
    assert rung.applies_to(suite.load("digits"))
    assert rung.applies_to(pictures(side=16, channels=1))
    assert not rung.applies_to(pictures(side=28, channels=1))
    assert not rung.applies_to(pictures(side=12, channels=3))
    assert replace(rung, px=8).applies_to(pictures(side=28, channels=1))  # seen at 8 × 8
    photographs = suite.load("imagenette_mini")
    assert isinstance(photographs.X, Pictures)
    assert not rung.applies_to(photographs)
    assert suite.baseline("random_forest").applies_to(photographs)


@pytest.mark.parametrize(
    "data", [mixed(), texts(task="regression")], ids=["mixed table", "texts to numbers"]
)
def test_auto_sklearn_itself(data: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNG_HOME", str(BUILT.parents[1]))
    try:
        interpreters.find("automl")
    except NotRunHere as error:
        pytest.skip(f"the environment of auto-sklearn is not there: {error}")
    rung = suite.baseline("auto_sklearn")
    planned = trials(data, [("auto_sklearn", rung)], seeds=1)[0]
    parameters = (("memory", 3_000), ("seconds", 30))
    outcome = trial.run(replace(planned, parameters=parameters), rung, data)
    if data.task == "classification":
        assert (outcome.label == outcome.target).mean() > 0.7
    else:
        assert np.sqrt(np.mean((outcome.label - outcome.target) ** 2)) < 0.8 * outcome.target.std()
    chosen = outcome.provenance["chosen"]
    assert chosen["seconds"] == 30
    assert chosen["seed"] == planned.seed
    assert chosen["tried"]["Success"] > 0
    assert sum(part["ensemble_weight"] for part in chosen["ensemble"]) == pytest.approx(1, abs=0.01)
    assert all(part["type"] for part in chosen["ensemble"])
    assert 25 < outcome.cost["fit_s"] < 120
    assert outcome.cost["peak_mib"] > 100
    assert ended(processes())


class Searched:
    """In place of auto-sklearn's estimators: keeps what it is fitted to."""

    def __init__(self, **options: Any) -> None:
        self.cv_results_ = {"status": ["Success"]}

    def fit(self, X: Any, y: Any, feat_type: list[str]) -> None:
        self.X, self.y = X, y

    def leaderboard(self, detailed: bool) -> pd.DataFrame:
        told = ["ensemble_weight", "type", "feature_preprocessors", "cost"]
        return pd.DataFrame([[1.0, "t", [], 0.0]], columns=told)


@pytest.mark.parametrize("n", [10_001, 10_500])
def test_the_rows_of_a_search_hold_every_class(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    fake = types.ModuleType("autosklearn")
    fake.__version__ = "0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "autosklearn", fake)
    for part, names in {
        "classification": ["AutoSklearnClassifier"],
        "regression": ["AutoSklearnRegressor"],
        "metrics": ["log_loss", "root_mean_squared_error"],
    }.items():
        module = types.ModuleType(f"autosklearn.{part}")
        for name in names:
            setattr(module, name, Searched)
        monkeypatch.setitem(sys.modules, f"autosklearn.{part}", module)
    search = importlib.import_module("rung.suite.baselines.auto_sklearn").search
    y = np.arange(n) % 3
    y[[7, 8]] = [3, 4]  # one row each
    X = np.stack([np.arange(n), y], axis=1).astype(float)
    model, said = search(X, y, [], "", 30, 1_000, 0)
    assert set(model.y) == {0, 1, 2, 3, 4}
    assert (model.X[:, 1] == model.y).all()
    assert len(np.unique(model.X[:, 0])) == said["n_train"] == (n if n == 10_001 else 10_000)
