"""Checks of texts: cut short, empty, or damaged by a wrong encoding."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from rung.checks.base import Finding
from rung.checks.data.subject import Data, DataCheck
from rung.errors import counted

# UTF-8 read as Latin-1 or Windows-1252: the lead byte as a letter, then what follows such a byte.
MOJIBAKE = re.compile(
    r"[ÂÃ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€[\u0080-\u00bf™œ\x9d˜¦“”]|ï¿½|ðŸ"
)
REPLACEMENT = "\ufffd"
ENTITY = re.compile(r"&(?:[a-z]{2,8}|#\d{2,6}|#x[0-9a-f]{2,6});", re.IGNORECASE)
MARKUP = re.compile(r"<[^<>]*>|&[#\w]+;|[\s\W_]")
# So many texts are a pile at the longest length where so many times fewer are expected; white space
# at the end of a cut text may have gone, which takes up to two letters.
PILE, TIMES = 5, 4
TOPS = {"letters": 2, "words": 0}
# In which share of texts entities are no accident.
SOME = 0.001
EXAMPLES = 10


class CutTexts(DataCheck):
    """Many texts of exactly the same length, which is that of the longest: they were cut (at 280
    letters, at 512 words), and what followed is lost; a model trained on them meets other texts in
    use. Get the whole texts, or cut on purpose, the same in both parts.
    """

    code = "RC161"
    title = "Texts are whole"
    needs = ("text",)

    def run(self, data: Data) -> Finding | None:
        X = data.dataset.X
        lengths = {
            "letters": np.array([len(text) for text in X]),
            "words": np.array([len(text.split()) for text in X]),
        }
        for unit, length in lengths.items():
            rows = piled(length, TOPS[unit])
            if not len(rows):
                continue
            most = int(length.max())
            inside = sum(X[row].rstrip()[-1:].isalnum() for row in rows)
            return Finding(
                f"{counted(len(rows), 'text')} of {most:,} {unit}, the most that any has, {inside:,} of "
                "them without punctuation at the end: they were cut.",
                "Get the whole texts.",
                {
                    "unit": unit,
                    "length": most,
                    "texts": len(rows),
                    "no_punctuation": int(inside),
                    "ids": data.dataset.ids[rows].tolist(),
                },
                tuple(data.shown(f"…{X[row][-40:]!r}", row) for row in rows[:EXAMPLES]),
            )
        return None


def piled(length: NDArray[np.int64], top: int) -> NDArray[np.int64]:
    """The rows of the longest texts (within `top`), if far more are so long than a little less."""
    most = int(length.max(initial=0))
    rows = np.flatnonzero(length >= most - top)
    reach = max(10, most // 10)
    below = int(((length < most - top) & (length >= most - top - reach)).sum())
    expected = below * (top + 1) / reach
    return rows if most > 10 and len(rows) >= max(PILE, TIMES * expected) else rows[:0]


class EmptyTexts(DataCheck):
    """Texts with nothing in them, or with nothing but markup and signs: their label can't be learnt
    from them. Remove them, or find out where the texts went. Those of one or two letters are told.
    """

    code = "RC162"
    title = "No text is empty"
    needs = ("text",)

    def run(self, data: Data) -> Finding | None:
        X = data.dataset.X
        empty = rows_where(X, lambda text: not text.strip())
        markup = rows_where(X, lambda text: bool(text.strip()) and "<" in text and bare(text) == "")
        gone = {*empty.tolist(), *markup.tolist()}
        short = rows_where(X, lambda text: len(text.strip()) <= 2)
        short = np.array([row for row in short if row not in gone], np.int64)
        told = [
            f"{counted(len(rows), 'text')} {what}"
            for rows, what in (
                (empty, "without any letter"),
                (markup, "of markup alone"),
                (short, "of one or two letters"),
            )
            if len(rows)
        ]
        if not told:
            return None
        ids = data.dataset.ids
        some = np.concatenate([empty, markup, short])[:EXAMPLES]
        return Finding(
            f"{'; '.join(told)}.",
            "Remove them, or find out where the texts went.",
            {
                "empty": ids[empty].tolist(),
                "markup": ids[markup].tolist(),
                "short": ids[short].tolist(),
            },
            tuple(data.shown(repr(X[row][:40]), row) for row in some),
            severity="warning" if gone else "info",
        )


def bare(text: str) -> str:
    """A text without tags, entities, signs and white space."""
    return MARKUP.sub("", text)


def rows_where(X: Iterable[str], true: Callable[[str], bool]) -> NDArray[np.int64]:
    return np.flatnonzero(np.fromiter(map(true, X), bool))


class DamagedTexts(DataCheck):
    """Letters that a wrong encoding has damaged: "Ã©" for "é", "â€™" for an apostrophe, the sign
    U+FFFD where a letter is lost; and HTML entities, "&amp;", that were never turned back. Words
    fall apart by it, and sources of different damage can be told apart. Read the files in their
    encoding, and unescape entities.
    """

    code = "RC163"
    title = "Texts are free of encoding damage"
    needs = ("text",)

    def run(self, data: Data) -> Finding | None:
        X = data.dataset.X
        found = {
            "mojibake": rows_where(X, lambda text: MOJIBAKE.search(text) is not None),
            "lost_letters": rows_where(X, lambda text: REPLACEMENT in text),
            "entities": rows_where(X, lambda text: "&" in text and ENTITY.search(text) is not None),
        }
        what = {
            "mojibake": 'read in a wrong encoding ("Ã©" for "é")',
            "lost_letters": "with lost letters (U+FFFD)",
            "entities": 'with HTML entities ("&amp;")',
        }
        told = [
            f"{counted(len(rows), 'text')} {what[kind]}"
            for kind, rows in found.items()
            if len(rows)
        ]
        if not told:
            return None
        damaged = len(found["mojibake"]) + len(found["lost_letters"])
        worth = damaged or len(found["entities"]) >= SOME * len(X)
        some = np.concatenate([rows[:EXAMPLES] for rows in found.values()])[: 2 * EXAMPLES]
        return Finding(
            f"{'; '.join(told)}.",
            "Read the files in the encoding that they were written in; unescape HTML.",
            {kind: data.dataset.ids[rows].tolist() for kind, rows in found.items()},
            tuple(data.shown(seen(X[row]), row) for row in some),
            severity="warning" if worth else "info",
        )


def seen(text: str) -> str:
    """The damaged place, with what is around it."""
    hit = MOJIBAKE.search(text) or re.search(REPLACEMENT, text) or ENTITY.search(text)
    start = hit.start() if hit else 0
    return f"…{text[max(0, start - 20) : start + 20]}…"
