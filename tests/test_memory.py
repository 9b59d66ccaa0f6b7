"""Memory freed while a rung works is kept, and given back in the end."""

import platform
import resource
from unittest.mock import patch

import pytest
import torch

from rung.memory import kept_memory

PAGE = resource.getpagesize()
SIZE = 64 * 2**20  # bytes, more than glibc ever keeps by itself

glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory"
)


def new_pages(times: int = 8, size: int = SIZE) -> int:
    """Pages that the system cleared for so many tensors, one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(size // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE


@glibc
def test_large_tensors_get_the_pages_of_those_freed_before() -> None:
    outside = new_pages()
    with kept_memory():
        new_pages(24)  # until small pieces between the large ones have found their places
        inside = new_pages()
    assert inside < outside / 8
    assert new_pages() > inside + outside / 8  # as before
    new_pages(24, SIZE // 8)
    assert new_pages(8, SIZE // 8) < outside / 64  # what glibc keeps by itself is kept after it too


@glibc
def test_memory_is_given_back_in_the_end_even_after_an_error() -> None:
    before = resident()
    kept = []

    @kept_memory()
    def failing() -> None:
        torch.ones(4 * SIZE // 4)
        kept.append(resident() - before)
        raise ValueError("in between")

    with pytest.raises(ValueError, match="in between"):
        failing()
    assert kept[0] > 3.5 * SIZE
    assert resident() - before < SIZE


def test_another_c_library_is_left_alone() -> None:
    with (
        patch("platform.libc_ver", return_value=("", "")),
        patch("ctypes.CDLL", side_effect=AssertionError),
        kept_memory(),
    ):
        assert torch.ones(2).sum() == 2
