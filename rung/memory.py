"""Memory freed while a rung works, kept for what it asks for next."""

from __future__ import annotations

import contextlib
import ctypes
import platform
from collections.abc import Iterator

TRIM_THRESHOLD, MAP_THRESHOLD, MOST_MAPPED = -1, -3, -4  # mallopt(3)'s numbers for its settings


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Memory freed inside stays with the process until the end.

    glibc gives every large array that is freed back to the system at once and gets the next one
    as new pages, which the kernel fills with zeros one by one: two fifths of the time in which a
    processor trains a net. Only the main thread gains, as the memory that glibc sets apart for
    others is limited. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(MOST_MAPPED, 0)
    libc.mallopt(TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        libc.mallopt(MOST_MAPPED, 65_536)  # the default
        # Where glibc's thresholds end, which grow with what is freed unless one has been set.
        libc.mallopt(MAP_THRESHOLD, 32 * 2**20)
        libc.mallopt(TRIM_THRESHOLD, 64 * 2**20)
        libc.malloc_trim(0)
