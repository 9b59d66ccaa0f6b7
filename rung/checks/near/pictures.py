"""Pictures that show the same up to size, compression, brightness, contrast, a mirror or a crop.

Each picture becomes the direction of its grey thumbnail, less its mean, in the whitened principal
components of all of them: what many pictures share (the outline of a shirt) counts little, so that
a copy stands out from what is merely alike. Signs of random projections of it are its perceptual
hash (Charikar, 2002, STOC). Sorted by several parts of the hash (Bawa et al., 2005, WWW), copies
come to stand side by side; those are compared by their directions, and called near duplicates if
they are much closer than a picture is to the nearest of some that were drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rung.checks.near.pairs import Pairs

COMPONENTS = 64
FITTED = 10_000  # pictures that the components are taken from
FLOOR = 1e-3  # of the largest variance, added to all: the least components are noise
FLAT = 2.0  # grey levels; pictures of a lesser deviation show nothing to compare
WORDS = 6  # of 64 bits, of a hash
BANDS = 24  # places of the hash where a sorting by it begins
WINDOW = 3  # neighbours in the sorting, to each side
FAR = 0.9  # candidates are closer; two random directions are 1.41 apart
DRAWN = 4_000
NEIGHBOUR = 3  # which of the nearest among the drawn tells how close pictures are
NEAR = 0.35  # a near duplicate is so much closer than that
EDGES = 0.5  # and its edges are no further apart: a correlation of 0.875
CROPPED = 32  # pixels of a side from which on crops are looked for
BLOCK = 8_192
Crop = tuple[float, float, float]  # the side, and where it begins from the top and the left


def pairs(pixels: NDArray[np.uint8], crops: bool = True) -> Pairs:
    """pixels: (n, height, width, channels), thumbnails. crops: look for slight crops too.

    The kind of a pair is "mirrored", "cropped" or "". Distances are relative to `NEIGHBOUR`.
    """
    look = Look(pixels)
    shown = np.flatnonzero(~look.flat)
    if len(shown) < 2:
        return Pairs.none()
    index = Index(look.directions[shown])
    found = []
    views: list[tuple[str, Crop | None]] = [("", None), ("mirrored", None)]
    if crops and min(pixels.shape[1:3]) >= CROPPED:
        views += [("cropped", crop) for crop in VIEWS]
    for kind, crop in views:
        for start in range(0, len(shown), BLOCK):
            rows = shown[start : start + BLOCK]
            directions = look.directions[rows] if not kind else look.view(rows, crop)
            i, j = index.candidates(directions)
            a, b = rows[i], shown[j]
            there = a < b if kind != "cropped" else a != b
            d = apart(directions[i[there]], look.directions[b[there]])
            close = d < FAR
            found.append((a[there][close], b[there][close], d[close], kind))
    a, b, d = (np.concatenate([f[k] for f in found]) for k in range(3))
    kinds = np.concatenate([np.full(len(f[0]), f[3], dtype="<U8") for f in found])
    near = look.scale(a, b)
    cropped = (kinds == "cropped") & (d > NEAR * near) & (d < 2 * NEAR * near)
    d[cropped] = np.minimum(d[cropped], look.aligned(a[cropped], b[cropped], NEAR * near[cropped]))
    close = d <= NEAR * near
    a, b, d, kinds = a[close], b[close], d[close] / near[close], kinds[close]
    same = (kinds == "cropped") | (look.edges(a, b, kinds == "mirrored") <= EDGES)
    return Pairs.of(a[same], b[same], d[same], kinds[same])


def grid(sides: tuple[float, ...], places: tuple[tuple[float, float], ...]) -> list[Crop]:
    return [(s, y * (1 - s), x * (1 - s)) for s in sides for y, x in places]


CORNERS = ((0.5, 0.5), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
NINTHS = tuple((y, x) for y in (0.0, 0.5, 1.0) for x in (0.0, 0.5, 1.0))
VIEWS = grid((0.95, 0.88), CORNERS)
ALIGNED = grid((0.98, 0.95, 0.92, 0.9, 0.87, 0.84), NINTHS)


class Look:
    """How pictures look: `directions`, (n, k) float32 of length 1, and `flat`, (n,) bool."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels
        n = len(pixels)
        some = np.linspace(0, n - 1, min(n, FITTED)).astype(np.int64)
        fitted, _ = normed(grey(pixels[some]))
        self.mean = fitted.mean(axis=0)
        fitted -= self.mean
        variances, axes = np.linalg.eigh(fitted.T @ fitted / len(fitted))
        k = min(COMPONENTS, max(1, n // 3), len(variances))
        scale = np.sqrt(np.maximum(variances[-k:], 0) + FLOOR * variances[-1] + 1e-12)
        self.axes = (axes[:, -k:] / scale).astype(np.float32)
        self.flat = np.zeros(n, dtype=bool)
        self.directions = np.empty((n, k), np.float32)
        for rows in blocks(n):
            vectors, deviations = normed(grey(pixels[rows]))
            self.directions[rows] = self.of(vectors)
            self.flat[rows] = deviations < FLAT

    def of(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return unit((vectors - self.mean) @ self.axes)

    def view(self, rows: NDArray[np.int64], crop: Crop | None) -> NDArray[np.float32]:
        """Directions of the mirrored pictures, or of a part of each, enlarged."""
        pictures = grey(self.pixels[rows])
        seen = pictures[:, :, ::-1] if crop is None else cut(pictures, crop)
        return self.of(normed(seen)[0])

    def scale(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
        """For pairs: how far the closer of the two has to go to a picture like it, (m,)."""
        rng = np.random.default_rng(0)
        n = len(self.directions)
        drawn = np.sort(rng.choice(n, min(n, DRAWN), replace=False))
        rows, inverse = np.unique(np.concatenate([a, b]), return_inverse=True)
        found = np.empty(len(rows), np.float32)
        k = min(NEIGHBOUR, len(drawn) - 1)
        for part in blocks(len(rows), 1024):
            cosine = self.directions[rows[part]] @ self.directions[drawn].T
            cosine[rows[part][:, None] == drawn] = -1  # not itself
            found[part] = -np.partition(-cosine, k - 1, axis=1)[:, k - 1]
        found = np.sqrt(np.maximum(2 - 2 * found, 0))
        # Where there are many copies of one picture, all of its neighbours are copies.
        found = np.maximum(found, NEAR * np.median(found)) if len(found) else found
        return np.minimum(found[inverse[: len(a)]], found[inverse[len(a) :]])

    def edges(
        self, a: NDArray[np.int64], b: NDArray[np.int64], mirrored: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """How far apart the slopes of the pixels are, (m,): light and shade do not count."""
        found = np.empty(len(a), np.float32)
        for part in blocks(len(a)):
            one, other = grey(self.pixels[a[part]]), grey(self.pixels[b[part]])
            flip = mirrored[part][:, None, None]
            found[part] = apart(slopes(np.where(flip, one[:, :, ::-1], one)), slopes(other))
        return found

    def aligned(
        self, a: NDArray[np.int64], b: NDArray[np.int64], enough: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The least distances of pictures b to parts of pictures a, (m,)."""
        found = np.full(len(a), np.inf, np.float32)
        for part in blocks(len(a), 2048):
            pictures = grey(self.pixels[a[part]])
            for crop in ALIGNED:
                seen = self.of(normed(cut(pictures, crop))[0])
                found[part] = np.minimum(found[part], apart(seen, self.directions[b[part]]))
        return found


class Index:
    """Finds the directions that are near to others by sorting their hashes."""

    def __init__(self, directions: NDArray[np.float32]) -> None:
        rng = np.random.default_rng(0)
        self.planes = rng.normal(size=(directions.shape[1], 64 * WORDS)).astype(np.float32)
        self.hashes = np.concatenate([self.hash(directions[r]) for r in blocks(len(directions))])
        keys = list(rolled(self.hashes))
        self.orders = [np.argsort(key, kind="stable") for key in keys]
        self.sorted = [key[order] for key, order in zip(keys, self.orders, strict=True)]
        # Of the bits of two at an angle, a share angle / pi differs, give or take.
        share = 2 * np.arcsin(FAR / 2) / np.pi
        bits = 64 * WORDS
        self.most = int(bits * share + 2 * np.sqrt(bits * share * (1 - share)))

    def hash(self, directions: NDArray[np.float32]) -> NDArray[np.uint64]:
        return np.packbits(directions @ self.planes > 0, axis=1).view(np.uint64)

    def candidates(
        self, directions: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of `directions`, and rows of the index that may be near to them."""
        n = len(self.hashes)
        hashes = self.hash(directions)
        rows = np.arange(len(directions))
        found = []
        for key, order, known in zip(rolled(hashes), self.orders, self.sorted, strict=True):
            place = np.searchsorted(known, key)
            for step in range(-WINDOW, WINDOW + 1):
                other = order[np.clip(place + step, 0, n - 1)]
                differ = np.bitwise_count(hashes ^ self.hashes[other]).sum(axis=1, dtype=np.int64)
                close = differ <= self.most
                found.append(rows[close] * n + other[close])
        both = np.unique(np.concatenate(found))
        return both // n, both % n


def rolled(hashes: NDArray[np.uint64]) -> Iterator[NDArray[np.uint64]]:
    """For each band the 64 bits of the hashes that begin there, as numbers to sort by."""
    bits = np.ascontiguousarray(hashes).view(np.uint16)  # 16 bits to a band
    for band in range(BANDS):
        yield np.ascontiguousarray(np.roll(bits, -band, axis=1)[:, :4]).view(np.uint64)[:, 0]


def grey(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, height, width) of pictures with 1 to 4 channels."""
    if pixels.shape[-1] < 3:
        return pixels[..., 0].astype(np.float32)
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return pixels[..., :3].astype(np.float32) @ weights


def normed(pictures: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors of mean 0 and length 1, and the deviations that they had, grey levels."""
    vectors = pictures.reshape(len(pictures), -1)
    vectors = vectors - vectors.mean(axis=1, keepdims=True)
    return unit(vectors), np.linalg.norm(vectors, axis=1) / np.sqrt(vectors.shape[1])


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)


def slopes(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    down, right = np.gradient(pictures, axis=(1, 2))
    n = len(pictures)
    return unit(np.concatenate([down.reshape(n, -1), right.reshape(n, -1)], axis=1))


def apart(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    cosine = np.einsum("ij,ij->i", a, b)
    return np.asarray(np.sqrt(np.maximum(2 - 2 * cosine, 0)), np.float32)


def cut(pictures: NDArray[np.float32], crop: Crop) -> NDArray[np.float32]:
    """A part of each picture, enlarged to the whole."""
    side, top, left = crop
    rows, columns = (
        enlarging(size, side, begin)
        for size, begin in zip(pictures.shape[1:], (top, left), strict=True)
    )
    return np.asarray(rows @ pictures @ columns.T)


def enlarging(size: int, side: float, begin: float) -> NDArray[np.float32]:
    """(size, size): takes `size` pixels to a part of them, interpolated between pixel centres."""
    at = np.clip((np.arange(size) + 0.5) * side + begin * size - 0.5, 0, size - 1)
    low = np.minimum(at.astype(np.int64), size - 2)
    found = np.zeros((size, size), np.float32)
    found[np.arange(size), low] = 1 - (at - low)
    found[np.arange(size), low + 1] += at - low
    return found


def blocks(n: int, size: int = BLOCK) -> Iterator[NDArray[np.int64]]:
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))
