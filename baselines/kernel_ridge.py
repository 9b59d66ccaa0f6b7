"""Kernel ridge regression, RBF or Laplacian, tuned by leave-one-out (Rifkin and Lippert, 2007)."""

from __future__ import annotations

from typing import Any

from rung.baseline import Baseline
from rung.dataset import Dataset


def make(dataset: Dataset, seed: int, **parameters: Any) -> Any:
    """The classifier or the regressor, unfitted."""
    from rung.kernels import KernelRidgeClassifier, KernelRidgeRegressor

    kind = KernelRidgeClassifier if dataset.task == "classification" else KernelRidgeRegressor
    return kind(picture=dataset.picture, random_state=seed, **parameters)


baseline = Baseline(rung=3, title="Kernel ridge", needs="standardized", gpu=True, make=make)
