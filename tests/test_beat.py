"""`rung beat` as a user meets it: real processes, on the published outcomes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from test_cli import Rung, one_line

from rung import results
from rung.trial import Outcome


def published(dataset: str, rung: str) -> list[Outcome]:
    return [o for o in results.read(ROOT / "results", dataset) if o.trial.rung == rung]


def predictions(dataset: str, rung: str) -> pd.DataFrame:
    """What a published rung said, in the long format."""
    parts = []
    for o in published(dataset, rung):
        part = pd.DataFrame({"id": o.ids, "seed": o.trial.seed_index})
        if o.proba is None:
            parts.append(part.assign(prediction=o.label, std=o.std))
        else:
            proba = pd.DataFrame(o.proba, columns=o.dataset["classes"])
            parts.append(pd.concat([part, proba], axis=1))
    return pd.concat(parts, ignore_index=True)


def perfect(dataset: str) -> pd.DataFrame:
    outcome = published(dataset, "prior")[0]
    classes = np.array(outcome.dataset["classes"])
    target = classes[outcome.target] if len(classes) else outcome.target
    return pd.DataFrame({"id": outcome.ids, "prediction": target})


@pytest.mark.parametrize("dataset", ["imagenette_mini", "diabetes"])
def test_perfect_predictions_beat_the_board(rung: Rung, tmp_path: Path, dataset: str) -> None:
    path = tmp_path / "mine.csv"
    perfect(dataset).sample(frac=1, random_state=0).to_csv(path, index=False)
    done = rung("beat", dataset, path)
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0]
    assert first.startswith("Your model: ")
    assert "rank 1 of" in first
    assert "It beats" in first


@pytest.mark.parametrize("dataset", ["digits", "diabetes"])
def test_the_prior_does_not(rung: Rung, tmp_path: Path, dataset: str) -> None:
    path = tmp_path / "mine.parquet"
    predictions(dataset, "prior").to_parquet(path)
    done = rung("beat", dataset, path)
    assert done.returncode == 1, done.stderr
    assert "It loses to" in done.stdout.splitlines()[0]
    assert done.stderr == ""


def test_perfect_predictions_may_tie_with_a_rung_that_is_nearly_perfect(
    rung: Rung, tmp_path: Path
) -> None:
    path = tmp_path / "mine.csv"
    perfect("digits").to_csv(path, index=False)
    done = rung("beat", "digits", path)
    assert done.returncode == 1, done.stderr
    assert "It ties with" in done.stdout.splitlines()[0]
    assert "would have been seen" in done.stdout.splitlines()[0]


def test_formats_and_ways_to_give_seeds_agree(rung: Rung, tmp_path: Path) -> None:
    long = predictions("digits", "convnet")
    long.sample(frac=1, random_state=0).to_csv(tmp_path / "long.csv", index=False)
    files = []
    for seed, part in long.groupby("seed"):
        files.append(tmp_path / f"{seed}.parquet")
        part.drop(columns="seed").to_parquet(files[-1])
    proba = np.stack([o.proba for o in published("digits", "convnet") if o.proba is not None])
    np.savez(tmp_path / "mine.npz", id=long["id"][:500].to_numpy(str), proba=proba)
    plain = [
        json.loads(rung("beat", "digits", *given, "--format", "json").stdout)
        for given in ([tmp_path / "long.csv"], files, [tmp_path / "mine.npz"])
    ]
    assert plain[0]["seeds"] == 3
    assert plain[0]["metrics"]["log_loss"]["score"] > 0
    # Text of a number in single precision is another one in double precision.
    assert plain[0]["comparisons"] == plain[1]["comparisons"]
    assert plain[1] == plain[2]


def test_level_and_results_are_heeded(rung: Rung, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    perfect("diabetes").to_csv(path, index=False)
    done = rung(
        "beat", "diabetes", path, "--results", ROOT / "results", "--level", "0.5", "--format", "csv"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split(",")[2] == "0.5"
    one_line(rung("beat", "diabetes", path, "--results", tmp_path), "nothing is published")
    one_line(rung("beat", "diabetes", path, "--level", "95"), "--level", "0.95")


def test_help_shows_an_example(rung: Rung) -> None:
    page = rung("beat", "--help")
    assert page.returncode == 0
    assert "example: rung beat digits predictions.csv" in page.stdout


def spoilt(kind: str, frame: pd.DataFrame) -> pd.DataFrame:
    if kind == "missing":
        return frame.drop(index=3)
    if kind == "doubled":
        return pd.concat([frame, frame[3:4]])
    column, value = {
        "unknown": ("id", "elephant"),
        "label": ("prediction", "elephant"),
        "empty": ("prediction", None),
    }[kind]
    return frame.assign(**{column: [*frame[column][:3], value, *frame[column][4:]]})


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", ["1 of the 500 test ids", "rung data ids digits"]),
        ("doubled", ["line 5 and line 502"]),
        ("unknown", ["'elephant' (line 5)"]),
        ("label", ["line 5", "no class of digits named 'elephant'"]),
        ("empty", ["line 5", "no label"]),
    ],
)
def test_bad_predictions_are_one_line(
    rung: Rung, tmp_path: Path, kind: str, says: list[str]
) -> None:
    path = tmp_path / "mine.csv"
    spoilt(kind, perfect("digits")).to_csv(path, index=False)
    one_line(rung("beat", "digits", path), str(path), *says)


def test_other_bad_input_is_one_line(rung: Rung, tmp_path: Path) -> None:
    one_line(rung("beat", "digit", "x.csv"), "did you mean digits?")
    one_line(rung("beat", "digits", "x.csv"), "x.csv", "no such file")
    one_line(rung("beat", "digits"), "FILE", "--help")
    path = tmp_path / "mine.npz"
    objects = {k: v.to_numpy(object) for k, v in perfect("digits").items()}
    np.savez(path, **objects)  # type: ignore[arg-type]
    one_line(rung("beat", "digits", path), str(path), "pickle")


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("prediction", 1e200, "too large to be scored"),
        ("std", 1e-50, "too small to be scored"),
        ("std", -1.0, "no positive deviation"),
    ],
)
def test_numbers_beyond_what_can_be_scored_are_one_line(
    rung: Rung, tmp_path: Path, column: str, value: float, says: str
) -> None:
    path = tmp_path / "mine.csv"
    frame = perfect("diabetes").assign(std=1.0)
    frame.loc[3, column] = value
    frame.to_csv(path, index=False)
    one_line(rung("beat", "diabetes", path), "line 5", says)


def test_what_a_metric_lacks_is_named(rung: Rung, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    perfect("diabetes").to_csv(path, index=False)
    one_line(rung("beat", "diabetes", path, "--metric", "nll"), "give a column `std`")
