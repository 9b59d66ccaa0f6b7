"""The checks there are: every class with a code in the rooms of this package."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from typing import Any

from rung.checks.base import Check
from rung.errors import RungError, listed, unknown

KINDS = ("data", "model", "net")


@functools.cache
def checks(kind: str) -> tuple[type[Check[Any]], ...]:
    """Those of one of KINDS, by code. A new one is a class in a module of that room."""
    room = importlib.import_module(f"rung.checks.{kind}")
    found: dict[str, type[Check[Any]]] = {}
    for module in pkgutil.iter_modules(room.__path__):
        content = vars(importlib.import_module(f"{room.__name__}.{module.name}"))
        for value in content.values():
            if inspect.isclass(value) and issubclass(value, Check) and "code" in vars(value):
                assert found.setdefault(value.code, value) is value, f"two checks are {value.code}"
    return tuple(found[code] for code in sorted(found))


def chosen(
    kinds: Sequence[str], only: Sequence[str] = (), ignore: Sequence[str] = ()
) -> list[type[Check[Any]]]:
    """Those of the kinds: all, or `only`, without `ignore`. Codes may be cut ("RC1" is all of data).

    Raises RungError for a code that no check of the kinds has, and if none is left.
    """
    all_of = [check for kind in kinds for check in checks(kind)]
    for code in (*only, *ignore):
        if not any(check.code.startswith(code) for check in all_of):
            raise unknown("check", code, [check.code for check in all_of])
    left = [
        check
        for check in all_of
        if (not only or check.code.startswith(tuple(only)))
        and not (ignore and check.code.startswith(tuple(ignore)))
    ]
    if not left:
        raise RungError(f"--ignore {listed(ignore)} leaves no check")
    return left
