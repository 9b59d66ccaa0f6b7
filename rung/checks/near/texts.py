"""Texts that share most of their words and pairs of words, weighted by how rare they are."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rung.checks.near.pairs import Pairs

WORD = re.compile(r"\w+")
SHARED = 0.65  # of the weight that two near duplicates have together, so much is in both
FEWEST = 4  # words of a text: shorter ones are alike by chance
COMMON = 1_000  # what so many texts are found by, finds too many
PRODUCTS = 5_000_000  # of one block of texts with all the others
BLOCK = 100_000  # candidates that are compared at a time


def words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def pairs(texts: Sequence[str]) -> Pairs:
    """Pairs whose weighted Jaccard similarity is SHARED or more; their distance is 1 - that.

    The weight of a word, or of two that follow each other, is the logarithm of the inverse share
    of texts that have it.
    """
    bag = Bag.of(texts)
    found = [np.zeros((3, 0))]
    for a, b in candidates(bag):
        similarity = bag.jaccard(a, b)
        close = similarity >= SHARED
        found.append(np.stack([a[close], b[close], 1 - similarity[close]]))
    a, b, distance = np.concatenate(found, axis=1)
    return Pairs.of(a.astype(np.int64), b.astype(np.int64), distance, "")


@dataclass(frozen=True, eq=False)
class Bag:
    """Texts as sparse rows of what is in them: (n, features) weights, the rarest features first.

    total: (n,) the weight of all that is in a text.
    """

    weights: Any
    total: NDArray[np.float64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Bag:
        """Texts of less than FEWEST words are left empty."""
        import pandas as pd
        from scipy import sparse

        n = len(texts)
        numbers: dict[str, int] = {}
        found, lengths = array("q"), []
        for text in texts:
            these = words(text)
            these = these if len(these) >= FEWEST else []
            found.extend(numbers.setdefault(word, len(numbers)) for word in these)
            lengths.append(len(these))
        word, row = np.array(found, dtype=np.int64), np.repeat(np.arange(n), lengths)
        two = row[1:] == row[:-1]
        pair = (word[:-1] + 1)[two] * len(numbers) + word[1:][two]
        feature, features = pd.factorize(np.concatenate([word, pair]))
        where = (np.concatenate([row, row[1:][two]]), feature)
        ones = np.ones(len(feature), np.float32)
        counts = sparse.csr_matrix((ones, where), shape=(n, max(len(features), 1)))
        counts.sum_duplicates()
        texts_with = np.bincount(counts.indices, minlength=counts.shape[1])
        order = np.argsort(texts_with, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        weight = np.log((n + 1) / np.maximum(texts_with, 1))[counts.indices]
        weights = sparse.csr_matrix((weight, rank[counts.indices], counts.indptr), counts.shape)
        weights.sort_indices()
        return cls(weights, np.asarray(weights.sum(axis=1)).ravel())

    def jaccard(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
        """Similarities of the texts a with the texts b, (m,)."""
        found = [np.zeros(0)]
        for start in range(0, len(a), BLOCK):
            i, j = a[start : start + BLOCK], b[start : start + BLOCK]
            products = self.weights[i].multiply(self.weights[j])
            shared = np.asarray(products.sqrt().sum(axis=1)).ravel()
            found.append(shared / np.maximum(self.total[i] + self.total[j] - shared, 1e-12))
        return np.concatenate(found)


def candidates(bag: Bag) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """All pairs that can be similar enough, each once, in blocks (Bayardo et al., 2007, WWW).

    Two texts that share so much share one of their rarest features: of each text only the rarest
    are looked up, so many that the others together weigh too little. Only features that are among
    the rarest of more than COMMON texts are given up.
    """
    from scipy import sparse

    X, n = bag.weights, len(bag.total)
    row = np.repeat(np.arange(n), np.diff(X.indptr))
    after = np.cumsum(X.data[::-1])[::-1]  # the weight of an entry and of all entries behind it
    behind = np.append(after, 0)[X.indptr[1:]]
    rare = after - behind[row] >= SHARED * bag.total[row] - 1e-6
    rare &= (np.bincount(X.indices[rare], minlength=X.shape[1]) <= COMMON)[X.indices]
    ones = np.ones(rare.sum(), np.float32)
    prefix = sparse.csr_matrix((ones, (row[rare], X.indices[rare])), shape=X.shape)
    work = np.asarray(prefix @ np.asarray(prefix.sum(axis=0)).ravel())
    block = np.cumsum(work) // PRODUCTS
    turned = prefix.T.tocsr()
    for start, end in _runs(block):
        other = sparse.triu(prefix[start:end] @ turned, k=start + 1).tocoo()
        a, b = other.row.astype(np.int64) + start, other.col.astype(np.int64)
        small, large = np.sort(np.stack([bag.total[a], bag.total[b]]), axis=0)
        fit = small >= SHARED * large
        yield a[fit], b[fit]


def _runs(values: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Where runs of equal values begin and end."""
    ends = np.append(np.flatnonzero(np.diff(values)) + 1, len(values))
    yield from zip(np.append(0, ends[:-1]).tolist(), ends.tolist(), strict=True)
