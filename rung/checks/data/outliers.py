"""The check for examples that are like no other."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from rung.checks.base import Finding, NotApplicable
from rung.checks.data.subject import SEED, Data, DataCheck
from rung.checks.data.words import are

# The distance to this neighbour among so many drawn training rows says how alone an example is.
NEIGHBOUR, REFERENCE = 5, 2000
# Principal components of pictures, and of how many they are made.
COMPONENTS, FITTED = 40, 4000
# An example is told as an outlier from so many times the distance between the median and the upper
# 99 % above these 99 %, on the logarithm of the scores; it is a warning from so many.
TOLD, ALARMED = 1.0, 1.4
CHUNK = 2048
LISTED = 20
# The first letters of a text that count.
LETTERS = 3000
# The least spread of shares of strange words, and of the roughness of pictures.
WORD_SPREAD, ROUGH_SPREAD = 0.25, 0.15
# How many times the variance between blocks of white noise is still that of noise.
WHITE = 1.7


class Outliers(DataCheck):
    """Examples far from all others: by the distance to their nearest neighbours in standardised
    columns; in the principal components of pictures, or by what these leave of them, or by how
    little neighbouring points agree (noise); by the share of words and letters of a text that stand in no other. Measurement errors, files of
    another source, garbage; or rare and right. Ranked; look at the first ones.
    """

    code = "RC151"
    title = "No example is far from all others"

    def run(self, data: Data) -> Finding | None:
        if len(data.train) < 10 * NEIGHBOUR:
            raise NotApplicable(f"needs {10 * NEIGHBOUR} training rows")
        strange = self.strangeness(data)
        order = np.argsort(-strange, kind="stable")
        order = order[strange[order] > TOLD]
        if not len(order):
            return None
        alarming = int((strange > ALARMED).sum())
        in_test = int(data.in_test[order].sum())
        return Finding(
            f"{are(len(order), 'example')} far from all others ({in_test:,} of them tested on)"
            + (f", {alarming:,} very far." if alarming else "."),
            "Look at them, the first ones first; mend or remove what is an error, and keep what is "
            "rare and right.",
            {
                "outliers": len(order),
                "very_far": alarming,
                "in_test": in_test,
                "ids": data.dataset.ids[order[:LISTED]].tolist(),
                "scores": [round(float(s), 3) for s in strange[order[:LISTED]]],
            },
            tuple(data.shown(f"score {strange[row]:.1f}", row) for row in order[:5]),
            severity="warning" if alarming else "info",
        )

    @staticmethod
    def strangeness(data: Data) -> NDArray[np.float64]:
        """(n,) above 0 for the outermost, in units of the spread of the others."""
        if data.dataset.modality == "text":
            return of_texts(data)
        if data.dataset.modality == "tabular":
            return beyond(neighbour_distance(of_rows(data), data), data)
        components, rest = of_pictures(data)
        scores = (
            beyond(neighbour_distance(components, data), data),
            beyond(rest, data),
            of_texture(data),
        )
        return np.asarray(np.max(scores, axis=0))


def beyond(scores: NDArray[np.float64], data: Data) -> NDArray[np.float64]:
    """How far scores lie above 99 % of those in training, in distances from the median to there,
    on their logarithms."""
    known = scores[data.train]
    floor = np.quantile(known, 0.25)
    logs = np.log(np.maximum(scores, floor if floor > 0 else 1e-9))
    middle, upper = np.quantile(logs[data.train], [0.5, 0.99])
    # At least the spread of a factor of two, so that nothing is far where all are alike.
    return np.asarray((logs - upper) / max(upper - middle, np.log(2)))


def above(shares: NDArray[np.float64], data: Data, least: float) -> NDArray[np.float64]:
    """As `beyond`, of shares as they are, whose spread counts as `least` at least."""
    middle, upper = np.quantile(shares[data.train], [0.5, 0.99])
    return np.asarray((shares - upper) / max(upper - middle, least))


def neighbour_distance(X: NDArray[np.float32], data: Data) -> NDArray[np.float64]:
    """(n,) to the NEIGHBOUR-th nearest of the drawn training rows, itself left out."""
    rng = np.random.default_rng(SEED)
    drawn = rng.choice(data.train, min(REFERENCE, len(data.train)), replace=False)
    others, found = X[drawn], np.empty(len(X))
    lengths = (others**2).sum(axis=1)
    is_drawn = np.zeros(len(X), dtype=int)
    is_drawn[drawn] = 1
    for start in range(0, len(X), CHUNK):
        part = X[start : start + CHUNK]
        squares = (part**2).sum(axis=1)[:, None] + lengths - 2 * part @ others.T
        nearest = np.sort(np.partition(squares, NEIGHBOUR, axis=1)[:, : NEIGHBOUR + 1], axis=1)
        own = is_drawn[start : start + CHUNK]
        found[start : start + CHUNK] = nearest[np.arange(len(part)), NEIGHBOUR - 1 + own]
    return np.sqrt(np.maximum(found, 0))


def of_rows(data: Data) -> NDArray[np.float32]:
    """Standardised by the interquartile range, as the deviation is swollen by what is looked for."""
    X = np.asarray(data.standardized(), np.float32)
    low, high = np.quantile(X[data.train], [0.25, 0.75], axis=0)
    spread = np.where(high > low, (high - low) / 1.35, 1.0)
    return np.asarray(X / np.minimum(spread, 1.0), np.float32)


def of_pictures(data: Data) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The principal components, and how much of each picture they leave unsaid."""
    from sklearn.decomposition import PCA

    pixels = data.pixels.reshape(len(data.pixels), -1)
    rng = np.random.default_rng(SEED)
    drawn = np.sort(rng.choice(data.train, min(FITTED, len(data.train)), replace=False))
    most = max(1, min(COMPONENTS, len(drawn) // 4, pixels.shape[1] // 2))
    pca = PCA(most, svd_solver="randomized", random_state=SEED)
    pca.fit(pixels[drawn].astype(np.float32) / 255)
    components, rest = [], []
    for start in range(0, len(pixels), CHUNK):
        part = pixels[start : start + CHUNK].astype(np.float32) / 255
        found = pca.transform(part)
        left = ((part - pca.mean_) ** 2).sum(axis=1) - (found**2).sum(axis=1)
        components.append(found)
        rest.append(np.sqrt(np.maximum(left, 0)))
    return np.concatenate(components), np.concatenate(rest).astype(np.float64)


def of_texture(data: Data) -> NDArray[np.float64]:
    """By roughness. Only noise is very far: a sharpened photo is as rough, and has large parts."""
    rough, between = texture(data.pixels)
    scores = above(rough, data, ROUGH_SPREAD)
    return np.where(between < WHITE, scores, np.minimum(scores, ALARMED))


def texture(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) how far points differ from their neighbours, against all others (1 for white noise), and
    the variance between blocks, of which eight stand side by side, against that of white noise."""
    rough, between = [], []
    side = max(2, min(pixels.shape[1:3]) // 8)
    height, width = pixels.shape[1] // side, pixels.shape[2] // side
    for start in range(0, len(pixels), CHUNK):
        grey = pixels[start : start + CHUNK].astype(np.float32).mean(axis=3)
        # A picture with a deviation below two grey values is blank, and not rough.
        variance = np.maximum(grey.var(axis=(1, 2)), 4)
        steps = [(np.diff(grey, axis=axis) ** 2).mean(axis=(1, 2)) for axis in (1, 2)]
        rough.append((steps[0] + steps[1]) / 4 / variance)
        tiles = grey[:, : height * side, : width * side]
        blocks = tiles.reshape(len(grey), height, side, width, side).mean(axis=(2, 4))
        between.append(side**2 * blocks.var(axis=(1, 2)) / variance)
    return np.concatenate(rough).astype(np.float64), np.concatenate(between).astype(np.float64)


def of_texts(data: Data) -> NDArray[np.float64]:
    """By the share of its words that no other text has, and that of letters which are rare."""
    found = [text[:LETTERS].casefold() for text in data.dataset.X.tolist()]
    # Signs and digits around a word don't make it another.
    words = [[w.strip(".,;:!?\"'()[]<>-") for w in text.split()] for text in found]
    texts_with: Counter[str] = Counter()
    letters: Counter[str] = Counter()
    for mine in words:
        texts_with.update(set(mine))
        letters.update("".join(set(mine)))
    common = {c for c, count in letters.items() if count * 2000 >= sum(letters.values())}
    common |= set("".join(map(chr, range(33, 127))))
    shares = np.zeros(len(found))
    for row, mine in enumerate(words):
        mine = [w for w in mine if w]
        size = max(sum(map(len, mine)), 1)
        alone = sum(texts_with[w] < 2 for w in mine) / max(len(mine), 1)
        rare = sum(c not in common for w in mine for c in w) / size
        # Of few words all may be strange by accident: the lower end of Wilson's interval counts.
        # One endless word counts as some.
        shares[row] = max(
            wilson_low(alone, max(len(mine), size / 20, 1)), wilson_low(rare, max(size / 2, 1))
        )
    return above(shares, data, WORD_SPREAD)


def wilson_low(share: float, n: float, z: float = 3.0) -> float:
    middle = share + z**2 / (2 * n)
    reach = z * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return (middle - reach) / (1 + z**2 / n)
