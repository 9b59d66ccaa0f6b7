"""The whole zoo: how much is planted, and faults that the checks were not written for."""

from __future__ import annotations

import pytest
import test_checks_columns
import test_checks_duplicates
import test_checks_labels
import zoo_held_out
import zoo_models
import zoo_nets

import rung

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
