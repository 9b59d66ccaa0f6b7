"""Checks of models: each finds the fault that is meant for it, and leaves healthy models alone."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import pytest
from conftest import table
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeRegressor
from torch import nn
from zoo_models import FAULTS, HEALTHY, ChangesX, Net

import rung
from rung import Dataset
from rung.checks.catalogue import checks
from rung.checks.model.answers import bins_of, calibration_error, temperature
from rung.checks.model.given import given
from rung.checks.model.learns import lift, unrelated
from rung.checks.model.subject import Model, Predicted
from rung.checks.report import Report

CODES = [check.code for check in checks("model")]
# Of all that is asked of all healthy models, what may be alarmed at.
FALSE_ALARMS = 0.05


@functools.cache
def data(name: str) -> Dataset:
    return rung.load(name)


@functools.cache
def healthy(name: str) -> Report:
    model, dataset, options = HEALTHY[name]
    return rung.checks.check(model, data(dataset), fast=True, only=["RC2"], **options)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_the_check_meant_for_it(name: str) -> None:
    codes, factory, dataset, options = FAULTS[name]
    report = rung.checks.check(factory, data(dataset), fast=True, only=codes, **options)
    assert json.loads(report.to_json())["ok"] is report.ok  # all that is told is plain data
    for code in codes:
        assert report[code].alarms, report[code]
        assert report[code].finding.said.endswith(".")  # type: ignore[union-attr]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_model_has_no_errors(name: str) -> None:
    report = healthy(name)
    assert json.loads(report.to_json())["ok"]
    assert report.ok, [(r.code, r.finding or r.reason) for r in report.results]


def test_alarms_on_healthy_models_are_rare() -> None:
    results = [result for name in HEALTHY for result in healthy(name).results]
    alarms = [(r.code, r.finding) for r in results if r.alarms]
    assert len(alarms) <= FALSE_ALARMS * len(results), alarms


@pytest.mark.parametrize("code", CODES)
def test_each_check_has_a_fault_meant_for_it_and_lets_healthy_models_pass(code: str) -> None:
    assert code == "RC212" or any(code in codes for codes, *_ in FAULTS.values())
    calm = [name for name in HEALTHY if healthy(name)[code].status in ("passed", "found")]
    assert len(calm) >= 5  # it looked at them


def test_the_seed_noise_of_a_random_model_is_told_in_two_parts() -> None:
    finding = healthy("forest")["RC212"].finding
    assert finding is not None
    assert finding.values["differ"] > 0
    assert finding.values["low"] < np.mean(finding.values["scores"]) < finding.values["high"]
    assert healthy("forest")["RC212"].severity == "info"
    for deterministic in ("logistic", "net"):  # the latter sets a seed of its own
        assert "the same predictions" in healthy(deterministic)["RC212"].finding.said  # type: ignore[union-attr]


def test_models_without_input_are_asked_only_what_applies() -> None:
    for name in ("prior rung", "random rung"):
        report = healthy(name)
        assert report["RC202"].status == report["RC204"].status == "not applicable"
        assert report["RC201"].status == "passed"


def test_what_was_raised_is_said_in_one_line_with_its_place() -> None:
    _codes, factory, dataset, options = FAULTS["crash in training"]
    report = rung.checks.check(factory, data(dataset), fast=True, only=["RC201"], **options)
    said = report["RC201"].finding.said  # type: ignore[union-attr]
    assert "\n" not in said
    assert "RuntimeError" in said
    assert "(in loss, zoo_models.py line" in said


def test_a_factory_that_raises_is_a_finding() -> None:
    def factory() -> Any:
        raise ValueError("no such backbone")

    report = rung.checks.check(factory, table(), only=["RC2"])
    assert "no such backbone (in factory, test_checks_model.py" in str(report["RC201"].finding)
    others = [r for r in report.results if r.code != "RC201"]
    assert all(r.status == "not applicable" for r in others)


def test_a_fit_that_changes_its_arrays_spoils_no_other_fit() -> None:
    subject = Model(given(ChangesX), table(), fast=True)
    before = subject.X_train.copy()
    assert subject.fitted.changed == ("X",)
    np.testing.assert_array_equal(subject.X_train, before)


def test_frames_texts_and_pictures_are_taken_as_the_model_wants_them() -> None:
    boosting = HistGradientBoostingClassifier(max_iter=20, categorical_features="from_dtype")
    of_words = make_pipeline(TfidfVectorizer(), LogisticRegression(C=30))

    class OfPictures(Net):
        def tensor(self, X: Any) -> Any:
            return super().tensor(X).flatten(1) / 16

    for model, name, needs in (
        (boosting, "penguins", "categories"),
        (of_words, "sms_spam", "raw"),
        (OfPictures, "digits", "pixels"),
    ):
        report = rung.checks.check(model, data(name), fast=True, only=["RC2"], needs=needs)
        assert report.ok, [(r.code, r.finding or r.reason) for r in report.results]
        assert report["RC202"].status == report["RC213"].status == "passed"


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_unrelated_targets_say_nothing_of_the_old(task: str) -> None:
    rng = np.random.default_rng(1)
    y = rng.choice([0, 0, 0, 1, 2], 500) if task == "classification" else rng.normal(size=500)
    order = unrelated(y)
    assert sorted(order) == list(range(500))
    if task == "regression":
        assert abs(np.corrcoef(y, y[order])[0, 1]) < 0.05  # 1/√n is 0.045, for a plain shuffle
        return
    for code in range(3):  # each class has got its share of all
        got = np.bincount(y[order][y == code], minlength=3) / np.sum(y == code)
        np.testing.assert_allclose(got, np.bincount(y) / 500, atol=0.05)


def test_lift_is_what_accuracy_has_above_chance() -> None:
    subject = Model(given(LogisticRegression()), table(300), fast=True)
    right = Predicted(subject.y_test, None)
    assert lift(subject, right).mean() == pytest.approx(2 / 3, abs=0.01)
    same = Predicted(np.zeros_like(subject.y_test), None)
    assert lift(subject, same).mean() == pytest.approx(0)


def test_answers_are_the_same_up_to_rounding() -> None:
    subject = Model(given(LogisticRegression()), table(), fast=True)
    proba = np.array([[0.5, 0.5, 0], [0.6, 0.4, 0], [1, 0, 0]], dtype=np.float32)
    a = Predicted(np.array([0, 0, 0]), proba)
    moved = proba + np.array([[1e-6, -1e-6, 0], [0.01, -0.01, 0], [0, 0, 0]], dtype=np.float32)
    b = Predicted(np.array([1, 0, 1]), moved)
    # A tie that rounding decides, probabilities that moved, a label that moved without them.
    assert subject.differ(a, b).tolist() == [False, True, True]
    assert not subject.differ(a, a).any()


def test_calibration_is_measured_and_mended() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4_000, 3)) * 2
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(3, p=p) for p in proba])
    sharp = proba**5 / (proba**5).sum(axis=1, keepdims=True)
    assert temperature(proba.astype(np.float32), y) == pytest.approx(1, abs=0.1)
    assert temperature(sharp.astype(np.float32), y) == pytest.approx(5, abs=0.5)
    errors = []
    for p in (proba, sharp):
        confidence, right = p.max(axis=1), p.argmax(axis=1) == y
        errors.append(float(calibration_error(confidence, right, bins_of(confidence))))
    assert errors[0] < 0.03 < 0.1 < errors[1]


def test_a_target_that_is_nearly_always_the_same_can_be_learnt_by_heart() -> None:
    X = np.random.default_rng(0).normal(size=(400, 3))
    y = np.where(np.arange(400) % 40 == 39, 100.0 + X[:, 0], 0.0)
    claims = Dataset.from_arrays(X, y, task="regression")
    report = rung.checks.check(DecisionTreeRegressor, claims, fast=True, only=["RC204"])
    assert report["RC204"].status == "passed", report["RC204"].reason
    assert report["RC204"].finding is None


def test_a_module_that_is_made_is_refused() -> None:
    with pytest.raises(rung.RungError, match="Sequential is a module that is made"):
        given(nn.Sequential(nn.Linear(2, 2)))
