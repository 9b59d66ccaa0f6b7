"""A torch module as an estimator: trained by its own training step, or by a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    from torch import nn


class NetEstimator(BaseEstimator):  # type: ignore[misc]
    """Trains what `factory` makes."""

    def __init__(self, factory: Callable[[], nn.Module], task: str, seed: int = 0) -> None:
        self.factory = factory
        self.task = task
        self.seed = seed

    def fit(self, X: Any, y: Any) -> NetEstimator:
        raise NotImplementedError
