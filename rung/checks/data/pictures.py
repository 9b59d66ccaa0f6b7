"""Checks of pictures: blank ones, files that can't be read, and odd sizes and modes."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from rung.checks.base import Finding, NotApplicable
from rung.checks.data.subject import Data, DataCheck
from rung.checks.data.words import are, sentence
from rung.dataset import Pictures
from rung.errors import counted, listed

# A picture whose grey values deviate by less is blank (of 255).
BLANK = 2.0
# What a JPEG decoder leaves where a file ends too early: grey, which is never so even in a photo.
GREY, EVEN, BAND = 128, 1.5, 0.1
# By what factor the shorter side is smaller than that of most, and the longer one than the shorter.
SMALL, LONG = 4.0, 5.0
# From which share a mode is one of a part, and how far the shares of train and test may be apart.
COMMON, APART = 0.05, 0.2
CHUNK = 2048
EXAMPLES = 10


def spread(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n,) the standard deviation of each picture over its points, of the channel with the most."""
    flat = pixels.reshape(len(pixels), -1, pixels.shape[-1])
    chunks = [flat[i : i + CHUNK].astype(np.float32) for i in range(0, len(flat), CHUNK)]
    return np.concatenate([c.std(axis=1).max(axis=1) for c in chunks]).astype(np.float64)


class BlankPictures(DataCheck):
    """Pictures of one colour, or almost: a black frame, a lens cap, a failed download. They carry a
    label that nothing in them supports. Remove them.
    """

    code = "RC152"
    title = "No picture is blank"
    needs = ("image",)

    def run(self, data: Data) -> Finding | None:
        deviation = spread(data.pixels)
        blank = np.flatnonzero(deviation < BLANK)
        if not len(blank):
            return None
        blank = blank[np.argsort(deviation[blank], kind="stable")]
        in_test = int(data.in_test[blank].sum())
        return Finding(
            f"{are(len(blank), 'picture')} blank or almost so, {in_test:,} of them tested on.",
            "Look at them and remove them.",
            {"blank": len(blank), "in_test": in_test, "ids": data.dataset.ids[blank].tolist()},
            tuple(
                data.shown(f"deviation {deviation[row]:.2f} of 255", row)
                for row in blank[:EXAMPLES]
            ),
        )


class BrokenFiles(DataCheck):
    """Files that can't be read: empty, cut short, of another format than their name says, texts of
    another encoding. They were left out of all other checks; a run refuses them. Also pictures that
    end in an even grey band: a JPEG that was read only half, and saved again. Get the files anew.
    """

    code = "RC153"
    title = "All files can be read, to their end"
    severity = "error"
    needs = ("image|text",)

    def run(self, data: Data) -> Finding | None:
        unreadable = data.dataset.unreadable
        banded = bands(data) if data.dataset.modality == "image" else np.array([], np.int64)
        told = []
        if unreadable:
            reasons = Counter(why for _, why in unreadable)
            why = ", ".join(f"{count:,}: {reason}" for reason, count in reasons.most_common(3))
            some = listed(f"{name} ({why})" for name, why in unreadable)
            told.append(f"{counted(len(unreadable), 'file')} can't be read ({why}): {some}.")
        if len(banded):
            told.append(f"{are(len(banded), 'picture')} an even grey in the lower part.")
        if not told:
            return None
        return Finding(
            " ".join(told),
            "Get them anew, or remove them on purpose.",
            {
                "unreadable": [{"id": name, "why": why} for name, why in unreadable],
                "grey_band": data.dataset.ids[banded].tolist(),
            },
            tuple(data.shown("it ends in grey", row) for row in banded[:EXAMPLES]),
            severity="error" if unreadable else "warning",
        )


def bands(data: Data) -> NDArray[np.int64]:
    """Rows of pictures whose lowest part is an even mid grey, and whose upper part is not."""
    pixels = data.pixels
    height = max(2, round(BAND * pixels.shape[1]))
    low = pixels[:, -height:].reshape(len(pixels), -1).astype(np.float32)
    rows = np.flatnonzero((np.abs(low.mean(axis=1) - GREY) < 3) & (low.std(axis=1) < EVEN))
    return rows[spread(pixels[rows][:, :height]) > BLANK] if len(rows) else rows


class OddSizes(DataCheck):
    """Pictures much smaller than the others, which are blurred where they are enlarged; very long
    ones, of which a centre square shows little; some grey ones among those in colour; and modes or
    sizes that differ between training and test, so that a model is tested on what it never met.
    """

    code = "RC154"
    title = "Pictures are of like sizes and modes, in both parts"
    needs = ("image",)

    def run(self, data: Data) -> Finding | None:
        if not isinstance(data.dataset.X, Pictures):
            raise NotApplicable("the pictures stand in one array, all of one size and mode")
        sizes = np.array([(h.width, h.height) for h in data.heads])
        modes = np.array([h.mode for h in data.heads])
        short, long = sizes.min(axis=1), sizes.max(axis=1)
        usual = float(np.median(short[data.train]))
        small = np.flatnonzero(short * SMALL <= usual)
        stretched = np.flatnonzero(long >= LONG * short)
        counts = {str(m): int((modes == m).sum()) for m in np.unique(modes)}
        apart = between_parts(data, sizes, modes)
        told = list(apart.values())
        if len(small):
            told.append(f"{are(len(small), 'picture')} {SMALL:g} times smaller than most, or more")
        if len(stretched):
            told.append(f"{are(len(stretched), 'picture')} {LONG:g} times as long as wide, or more")
        if len(counts) > 1:
            by_count = sorted(counts.items(), key=lambda item: -item[1])
            told.append(f"modes are mixed: {', '.join(f'{n:,} {m}' for m, n in by_count)}")
        if not told:
            return None
        ids = data.dataset.ids
        shown = [
            (f"{sizes[row][0]}×{sizes[row][1]}, most are {usual:g} on the shorter side", row)
            for row in (*small[np.argsort(short[small])][:5], *stretched[:5])
        ]
        return Finding(
            sentence(told),
            "Look at the small and the long ones; prepare both parts in the same way.",
            {
                "usual_side": usual,
                "small": ids[small].tolist(),
                "stretched": ids[stretched].tolist(),
                "modes": counts,
                "between_parts": list(apart),
            },
            tuple(data.shown(said, row) for said, row in shown),
            severity="warning" if apart or len(small) else "info",
        )


def between_parts(data: Data, sizes: NDArray[np.int64], modes: NDArray[np.str_]) -> dict[str, str]:
    """What differs between training and test, and how."""
    found = {}
    for mode in np.unique(modes):
        train, test = (float((modes[rows] == mode).mean()) for rows in (data.train, data.test))
        if abs(train - test) > APART or (max(train, test) > COMMON and not min(train, test)):
            found[f"mode {mode}"] = (
                f"mode {mode}: {100 * train:.0f} % in training, {100 * test:.0f} % in test"
            )
    area = sizes.prod(axis=1)
    train, test = (float(np.median(area[rows])) for rows in (data.train, data.test))
    if max(train, test) > 2 * min(train, test):
        found["size"] = f"pictures have {train:,.0f} pixels in training and {test:,.0f} in test"
    return found
