"""What a user can get wrong, said in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RungError(Exception):
    """Bad input, or a machine that can't do what was asked.

    The message is one line that says what is wrong and what to do; the command prints it
    and leaves with status 2.
    """


class NotRunHere(RungError):
    """A rung that can't run on this machine as it is. The message says how to make it run."""


def listed(names: Iterable[str], most: int = 5) -> str:
    """The names, of many only the first and how many more there are."""
    found = list(names)
    more = f" and {len(found) - most:,} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def counted(n: int, what: str) -> str:
    """ "1 row", "2,000 rows"."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def unknown(kind: str, name: str, known: Iterable[str]) -> RungError:
    """The error for a name that nobody has: names the nearest ones, or those there are."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif names:
        hint = f"there are: {listed(names, 30)}"
    else:
        hint = "there are none"
    return RungError(f"no {kind} named {name!r}; {hint}")
