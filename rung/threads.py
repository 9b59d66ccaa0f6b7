"""Threads of several libraries in one process, which get in each other's way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from threadpoolctl import ThreadpoolController


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """NumPy's and SciPy's BLAS on one thread inside, so that the cores are torch's.

    OpenBLAS's threads wait for the next call by spinning. Where torch and SciPy's optimizers work
    in turns on two cores, as in a Gaussian process's fit, that doubles the time. A BLAS of torch's
    own is left as it is, and so is one that torch may share with them.
    """
    libraries = ThreadpoolController().select(user_api="blas")
    theirs = [path for each in libraries.lib_controllers if is_apart(path := each.filepath)]
    with libraries.select(filepath=theirs).limit(limits=1):
        yield


def is_apart(library: str) -> bool:
    """Whether it came with NumPy or SciPy, in their wheels, and so serves nobody else."""
    folder = Path(library).parent
    if folder.name == ".dylibs":  # of a Mac's wheels
        return folder.parent.name in ("numpy", "scipy")
    return folder.name in ("numpy.libs", "scipy.libs")
