from __future__ import annotations

import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from rung.threads import is_apart, one_blas_thread


def blas() -> dict[str, int]:
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    return {library.filepath: library.num_threads for library in libraries}


def test_scipys_blas_has_one_thread_inside_and_as_many_as_before_after() -> None:
    import scipy.linalg  # noqa: F401

    with threadpool_limits(2, user_api="blas"):
        before = blas()
        theirs = [path for path in before if is_apart(path)]
        if not theirs:
            pytest.skip("NumPy and SciPy are not of wheels with a BLAS of their own")
        with one_blas_thread():
            inside = blas()
        assert {inside[path] for path in theirs} == {1}
        assert blas() == before
        assert {before[path] for path in theirs} == {2}


@pytest.mark.parametrize(
    ("path", "apart"),
    [
        ("/env/lib/python3.12/site-packages/numpy.libs/libscipy_openblas64_-32a4b2a6.so", True),
        ("/opt/torch/lib/python3.12/site-packages/scipy.libs/libscipy_openblas-6cdc3b4a.so", True),
        ("/env/lib/python3.12/site-packages/scipy/.dylibs/libscipy_openblas.dylib", True),
        ("/env/lib/python3.12/site-packages/torch/lib/libopenblasp-r0-54f27a92.so", False),
        ("/env/lib/python3.12/site-packages/torch/.dylibs/libopenblas.dylib", False),
        ("/conda/lib/libopenblas.so.0", False),
        ("/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0", False),
    ],
)
def test_a_blas_that_torch_may_use_is_not_limited(path: str, apart: bool) -> None:
    assert is_apart(path) == apart
