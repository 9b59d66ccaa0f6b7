"""How findings put what they count into words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rung.errors import listed


def columns(names: Iterable[Any]) -> str:
    found = [str(name) for name in names]
    return f"column{'s' * (len(found) > 1)} {listed(found)}"


def is_are(names: Iterable[Any]) -> str:
    found = list(names)
    return f"{columns(found)} {'are' if len(found) > 1 else 'is'}"


def sentence(told: Iterable[str]) -> str:
    """Clauses as one sentence."""
    said = "; ".join(told)
    return f"{said[:1].upper()}{said[1:]}."


def are(n: int, what: str) -> str:
    """ "1 picture is", "3 pictures are"."""
    return f"{n:,} {what} is" if n == 1 else f"{n:,} {what}s are"
