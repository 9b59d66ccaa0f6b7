from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as reference

from rung import scorers
from rung.errors import RungError
from rung.intervals import score_interval
from rung.metrics import METRICS, Predictions

rng = np.random.default_rng(0)
TARGET = rng.integers(0, 3, 400)
LABEL = np.where(rng.random((2, 400)) < 0.7, TARGET, rng.integers(0, 3, (2, 400)))
LABELS = Predictions(TARGET, LABEL)
NUMBERS = Predictions(rng.normal(size=400), rng.normal(size=(2, 400)))


def test_own_metrics_come_under_their_own_and_scikit_learns_name() -> None:
    assert scorers.find("f1_macro") is METRICS["f1_macro"]
    assert scorers.find("neg_log_loss") is METRICS["log_loss"]


def test_scorer_keeps_its_score_and_has_an_interval() -> None:
    metric = scorers.find("matthews_corrcoef")
    values = metric.values(LABELS)
    assert values is not None
    assert values.shape == (2, scorers.GROUPS)
    assert values.mean(axis=1) == pytest.approx(
        [reference.matthews_corrcoef(TARGET, label) for label in LABEL]
    )
    interval = score_interval(values, scale=metric.scale)
    assert interval.low < 0.7 < interval.high  # .8 right of three classes, .1 for each wrong one
    assert metric.greater_is_better


def test_negative_scorer_is_turned_to_lower_is_better() -> None:
    metric = scorers.find("neg_median_absolute_error")
    values = metric.values(NUMBERS)
    assert values is not None
    assert not metric.greater_is_better
    assert values[0].mean() == pytest.approx(
        reference.median_absolute_error(NUMBERS.target, NUMBERS.label[0])
    )


def test_scorer_of_probabilities_is_none_without_them() -> None:
    assert scorers.find("roc_auc_ovo").values(LABELS) is None


def test_function_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mymetric.py").write_text(
        "def share_loss(y_true, y_pred):\n    return (y_true != y_pred).mean()\n"
    )
    monkeypatch.chdir(tmp_path)
    metric = scorers.find("mymetric:share_loss")
    values = metric.values(LABELS)
    assert values is not None
    assert not metric.greater_is_better
    assert values.mean(axis=1) == pytest.approx((LABEL != TARGET).mean(axis=1))
    # The jackknife of a mean has the variance of that mean, here from a hundred groups of four.
    spread = np.sqrt((LABEL != TARGET).mean(axis=0).var() / 400)
    assert score_interval(values, scale="identity").test_se == pytest.approx(spread, rel=0.25)


def test_less_deviance_is_better() -> None:
    assert not scorers.find("sklearn.metrics:mean_tweedie_deviance").greater_is_better


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("f1_makro", "f1_macro"),
        ("nowhere:f", "nowhere"),
        ("math:nothing", "nothing"),
        ("math:pi", "no function"),
    ],
)
def test_unknown_metric_is_refused(name: str, says: str) -> None:
    with pytest.raises(RungError, match=says):
        scorers.find(name)


def test_metric_that_fails_says_so() -> None:
    with pytest.raises(RungError, match=r"f1 can't be computed here: .*multiclass"):
        scorers.find("f1").values(LABELS)  # for two classes only
    with pytest.raises(RungError, match="NaN or infinite"):
        scorers.from_function("math:dist").values(Predictions(np.full(3, np.nan), np.zeros((1, 3))))
