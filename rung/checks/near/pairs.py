"""Pairs of rows that are copies of each other up to small changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Pairs:
    """rows: (m, 2) int64, the smaller first, each pair once. distance: (m,), 0 for what looks the
    same; its unit is that of the search. kind: (m,) how the second differs, "" for nothing said.
    """

    rows: NDArray[np.int64]
    distance: NDArray[np.float64]
    kind: NDArray[np.str_]

    @classmethod
    def of(
        cls,
        a: NDArray[np.int64],
        b: NDArray[np.int64],
        distance: NDArray[np.floating],
        kind: object,
    ) -> Pairs:
        """Each pair once, of the kind that comes first in the alphabet, with its least distance."""
        rows = np.sort(np.stack([a, b], axis=1).astype(np.int64), axis=1)
        kinds = np.broadcast_to(np.asarray(kind, dtype=np.str_), len(rows))
        order = np.lexsort((distance, kinds, rows[:, 1], rows[:, 0]))
        rows, distance, kinds = rows[order], np.asarray(distance, np.float64)[order], kinds[order]
        first = np.ones(len(rows), dtype=bool)
        first[1:] = (rows[1:] != rows[:-1]).any(axis=1)
        return cls(rows[first], distance[first], kinds[first])

    @classmethod
    def none(cls) -> Pairs:
        empty = np.zeros(0, np.int64)
        return cls.of(empty, empty, np.zeros(0), "")

    def __len__(self) -> int:
        return len(self.rows)

    def of_rows(self, names: NDArray[np.int64]) -> Pairs:
        """The same pairs, where row i was row names[i]."""
        return Pairs.of(names[self.rows[:, 0]], names[self.rows[:, 1]], self.distance, self.kind)

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Pairs:
        """Some of them, by number or by a mask, in that order."""
        return Pairs(self.rows[which], self.distance[which], self.kind[which])
