"""Sizes and times as people write them on a command line."""

from __future__ import annotations

import re

from rung.errors import RungError

SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str, option: str) -> float:
    """Of "90s", "10m", "1.5h" or "1h30m". Raises RungError that names the option."""
    plain = text.strip().lower()
    pieces = re.findall(r"(\d+(?:\.\d+)?)([smh])", plain)
    if not pieces or "".join(map("".join, pieces)) != plain:
        raise RungError(f"{option} {text}: say a time with its unit, such as 90s, 10m or 1.5h")
    found = float(sum(float(number) * SECONDS[unit] for number, unit in pieces))
    if not found:
        raise RungError(f"{option} {text}: some time is needed")
    return found


def size(text: str, option: str, least: int = 0) -> int:
    """Bytes of "20GB", "1.5 M" or "0"; units are powers of 1,000. Raises RungError for the rest, and
    for fewer than `least`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]B?|B)", text.strip(), re.ASCII | re.IGNORECASE)
    if not match and text.strip() != "0":
        raise RungError(f"{option} {text}: say a size with its unit, such as 20GB or 500MB")
    found = int(float(match[1]) * 1000 ** "BKMGT".index(match[2][0].upper())) if match else 0
    if found < least:
        raise RungError(f"{option} {text}: some memory is needed")
    return found
