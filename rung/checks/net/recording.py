"""What torch did while a model was trained, seen from outside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Recording:
    """steps: of optimizers, one entry each."""

    steps: list[Any] = field(default_factory=list)


@contextlib.contextmanager
def recorded() -> Iterator[Recording]:
    """Watches all training by torch within."""
    yield Recording()
