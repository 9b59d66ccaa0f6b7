"""The checks there are: every class with a code in the rooms of this package."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from typing import Any

from rung.checks.base import Check
from rung.errors import unknown

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

    Raises RungError for a code that no check has.
    """
    for code in (*only, *ignore):
        known = [check.code for kind in KINDS for check in checks(kind)]
        if not any(name.startswith(code) for name in known):
            raise unknown("check", code, known)
    return [
        check
        for kind in kinds
        for check in checks(kind)
        if (not only or check.code.startswith(tuple(only)))
        and not (ignore and check.code.startswith(tuple(ignore)))
    ]
