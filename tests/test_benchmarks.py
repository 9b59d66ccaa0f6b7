"""The benchmarks of the suite name what there is, and variants replace what they say."""

from __future__ import annotations

import pytest
from conftest import table

from rung import Benchmark, Variant, suite
from rung.benchmark import trials


@pytest.mark.parametrize("name", sorted(suite.entries("benchmarks")))
def test_benchmark_names_what_there_is(name: str) -> None:
    benchmark: Benchmark = suite.get("benchmarks", name).load()
    assert set(benchmark.datasets) <= set(suite.entries("datasets"))
    assert {v.rung for v in benchmark.variants} <= set(suite.entries("baselines"))
    for variant in benchmark.variants:
        assert set(variant.datasets or benchmark.datasets) <= set(benchmark.datasets)
    if isinstance(benchmark.reported, dict):
        assert set(benchmark.reported) <= set(benchmark.datasets)


def test_variant_for_one_data_set_leaves_the_others_as_they_are() -> None:
    variants = [Variant("random_forest", parameters={"n_estimators": 7}, datasets=["other"])]
    rungs = [("random_forest", suite.baseline("random_forest"))]
    data = table()
    assert trials(data, rungs, seeds=1, variants=variants)[0].parameters == ()
    variants = [Variant("random_forest", parameters={"n_estimators": 7}, datasets=[data.name])]
    assert trials(data, rungs, seeds=1, variants=variants)[0].parameters == (("n_estimators", 7),)


def test_uci_reports_what_the_error_is() -> None:
    rows = suite.get("benchmarks", "uci").load().reported_on("yacht")
    assert rows[0].title == "MC dropout, standard error 0.05"
    assert rows[0].score == 0.67
    assert [r.title for r in rows[2:]] == ["linear", "sparse GP", "gradient boosting"]
    assert all("other splits" in r.source for r in rows[2:])
