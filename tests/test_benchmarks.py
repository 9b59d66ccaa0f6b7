"""The benchmarks of the suite name what there is, and variants replace what they say."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import table

from rung import Benchmark, Dataset, Variant, features, suite
from rung.benchmark import Trial, picture_size, trials
from rung.device import Device


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


def test_rows_of_a_rung_with_pictures_of_several_sizes_are_told_apart() -> None:
    data = suite.load("imagenette_mini")
    rungs = [("random_patches", suite.baseline("random_patches"))]
    variants = [Variant("random_patches"), Variant("random_patches", px=64)]
    variants += [Variant("random_patches", px=128, parameters={"n_patches": 8})]
    planned = trials(data, rungs, seeds=1, variants=variants)
    assert [t.px for t in planned] == [64, 64, 128]
    rows = ["random_patches", "random_patches", "random_patches-n_patches=8-128px"]
    assert [t.row for t in planned] == rows
    assert "sized" not in planned[0].as_dict()  # as it was before rows named a size
    assert Trial(**planned[2].as_dict() | {"device": Device()}) == planned[2]
    small = suite.load("digits")  # 8 px, whatever is asked for
    (trial,) = trials(small, rungs, seeds=1, variants=[Variant("random_patches", px=16)])
    assert (trial.px, trial.row) == (8, "random_patches")


def test_uci_reports_what_the_error_is() -> None:
    rows = suite.get("benchmarks", "uci").load().reported_on("yacht")
    assert rows[0].title == "MC dropout, standard error 0.05"
    assert rows[0].score == 0.67
    assert [r.title for r in rows[2:]] == ["linear", "sparse GP", "gradient boosting"]
    assert all("other splits" in r.source for r in rows[2:])


def test_the_size_of_pictures_is_that_of_the_longer_side() -> None:
    wide = np.random.default_rng(0).integers(0, 256, (40, 8, 200, 5), dtype=np.uint8)
    data = Dataset.from_arrays(wide, np.arange(40) % 2, name="wide")
    assert picture_size(data, 32) == 32
    assert features.pixels(data, 32).shape == (40, 32, 32, 5)
    assert features.pixels(data, 200) is data.X
    assert features.picture_shape(data, "standardized", 200) == (8, 200, 5)
    assert not suite.baseline("auto_sklearn").applies_to(data)
    # Each channel of its own: the mean stays, by a rounding.
    small = features.pixels(data, 32).astype(float)
    np.testing.assert_allclose(small.mean((1, 2)), wide.mean((1, 2)), atol=3)
