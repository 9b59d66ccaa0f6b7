"""Sizes and times as people write them on a command line."""

from __future__ import annotations

import re

from rung.errors import RungError

SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
BYTES = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
BYTES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "k": 1e3, "m": 1e6, "g": 1e9}


def seconds(text: str, option: str) -> float:
    """Of "90", "90s", "10m", "1.5h" or "1h30m". Raises RungError that names the option."""
    pieces = re.findall(r"([0-9.]+)([a-z]*)", text.strip().lower())
    try:
        total = sum(float(number) * SECONDS[unit] for number, unit in pieces)
    except (KeyError, ValueError):
        total = 0.0
    if total <= 0 or "".join(map("".join, pieces)) != text.strip().lower():
        raise RungError(f"{option} {text}: say a time, such as 90s, 10m or 1.5h")
    return total


def size(text: str, option: str) -> int:
    """Bytes of "20GB", "512MiB" or "1000000". Raises RungError that names the option."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", text.strip().lower())
    if found is None or found[2] not in BYTES:
        raise RungError(f"{option} {text}: say a size, such as 20GB or 512MiB")
    return int(float(found[1]) * BYTES[found[2]])
