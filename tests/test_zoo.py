"""The whole zoo: how much is planted, and faults that the checks were not written for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import test_checks_columns
import test_checks_duplicates
import test_checks_labels
import zoo_held_out
import zoo_models
import zoo_nets

import rung
from rung import sources, suite

DATA = (test_checks_columns, test_checks_duplicates, test_checks_labels)


def test_enough_is_planted_in_each_kind_of_data_and_model() -> None:
    planted = [make for room in DATA for _, make, *_ in room.FAULTS.values()]
    modalities = [make().modality for make in planted]
    assert len(planted) >= 25
    assert min(map(modalities.count, ("image", "text", "tabular"))) >= 8
    assert len(zoo_models.FAULTS) + len(zoo_nets.FAULTS) + len(zoo_held_out.FAULTS) >= 30
    assert len(zoo_models.HEALTHY) + len(zoo_nets.HEALTHY) >= 20


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("factory", zoo_held_out.FAULTS, ids=lambda factory: factory.__name__)
def test_faults_that_nobody_had_in_mind_are_found(factory: type) -> None:
    codes, data = zoo_held_out.FAULTS[factory]
    report = rung.check(factory, data, fast=True)
    assert any(report[code].alarms for code in codes), report
    assert all(result.status != "broke" for result in report.results)


@pytest.mark.parametrize(("factory", "data"), zoo_held_out.HEALTHY)
def test_healthy_ones_of_the_same_author_are_left_alone(factory: type, data: str) -> None:
    report = rung.check(factory, data, fast=True)
    assert report.ok, report
    assert len(report.warnings) <= 1, report


HERE = ("digits", "breast_cancer", "diabetes", "imagenette_mini", "penguins")
LOCAL = ("german_credit", "energy", "kin8nm", "yacht", "sst2", "power_plant", "imagenette")


@pytest.mark.parametrize(
    "name", [*HERE, *(pytest.param(name, marks=pytest.mark.local_data) for name in LOCAL)]
)
def test_healthy_data_sets_are_left_alone(name: str, local: Callable[[str], None]) -> None:
    if name in LOCAL:
        local(name)
    report = rung.check_data(name)
    applied = [r for r in report.results if r.status in ("passed", "found")]
    assert len(applied) >= 14
    assert report.ok, report
    # The one is power_plant's: 11 of 957 test rows stand in the training part too.
    assert [r.code for r in report.warnings] == (["RC101"] if name == "power_plant" else [])


@pytest.fixture
def local() -> Callable[[str], None]:
    """Makes a data set's local copy known, or skips with the reason."""

    def find(name: str) -> None:
        folder = os.environ.get("RUNG_DATA")
        if not folder:
            pytest.skip(f"{name} is not in the repository; RUNG_DATA=FOLDER names its archives")
        archive = Path(folder) / "imagenette2-160.tgz"
        if name == "imagenette":
            if not archive.exists():
                pytest.skip(f"{archive} is not there")
            sources.add_local(name, suite.get("datasets", name).load(), archive)

    return find
