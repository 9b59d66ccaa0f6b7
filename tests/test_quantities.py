from __future__ import annotations

import pytest
from samples import refused

from rung import quantities


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("20GB", 20 * 10**9),
        ("1.5 MB", 1_500_000),
        ("7kb", 7000),
        ("20G", 20 * 10**9),
        ("3 B", 3),
        ("2TB", 2 * 10**12),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert quantities.size(text, "--keep") == size


@pytest.mark.parametrize("text", ["", "GB", "20", "-1GB", "nan GB", "1e3GB", "1,5GB", "٣GB", "2PB"])
def test_sizes_that_are_none(text: str) -> None:
    assert "20GB" in refused(lambda: quantities.size(text, "--keep"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), (" 2H ", 7200)],
)
def test_times(text: str, seconds: float) -> None:
    assert quantities.seconds(text, "--budget") == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "90", "-1m", "10x", "1m2", "1..5h", "nan s", "0s", "0h0m"]
)
def test_times_that_are_none(text: str) -> None:
    assert "--budget" in refused(lambda: quantities.seconds(text, "--budget"))
