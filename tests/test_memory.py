"""Memory freed while a rung works is kept, and given back in the end."""

import multiprocessing
import platform
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar
from unittest.mock import patch

import pytest
import torch

from rung.memory import kept_memory

T = TypeVar("T")
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


def alone(work: Callable[[], T]) -> T:
    """work() in a fresh process, whose main thread glibc serves from memory that can grow."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work).result()


def pages() -> tuple[int, int, int, int]:
    """New pages for large tensors before, inside and after; after it for tensors of 8 MiB."""
    before = new_pages()
    with kept_memory():
        new_pages(24)  # until small pieces between the large ones have found their places
        inside = new_pages()
    after = new_pages()
    new_pages(24, SIZE // 8)
    return before, inside, after, new_pages(8, SIZE // 8)


@glibc
def test_large_tensors_get_the_pages_of_those_freed_before() -> None:
    before, inside, after, small = alone(pages)
    assert inside < before / 8
    assert after > inside + before / 8  # as before
    assert small < before / 64  # what glibc keeps by itself is kept after it too


def failing() -> tuple[int, int]:
    """Bytes that are kept inside, and after an error."""
    before, kept = resident(), 0
    try:
        with kept_memory():
            torch.ones(4 * SIZE // 4)
            kept = resident() - before
            raise ValueError
    except ValueError:
        return kept, resident() - before


@glibc
def test_memory_is_given_back_in_the_end_even_after_an_error() -> None:
    kept, left = alone(failing)
    assert kept > 3.5 * SIZE
    assert left < SIZE


def test_another_c_library_is_left_alone() -> None:
    with (
        patch("platform.libc_ver", return_value=("", "")),
        patch("ctypes.CDLL", side_effect=AssertionError),
        kept_memory(),
    ):
        assert torch.ones(2).sum() == 2
