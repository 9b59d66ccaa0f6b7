from __future__ import annotations

from threadpoolctl import ThreadpoolController, threadpool_limits

from rung.threads import one_blas_thread


def blas() -> dict[str, int]:
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    return {library.filepath: library.num_threads for library in libraries}


def test_scipys_blas_has_one_thread_inside_and_as_many_as_before_after() -> None:
    import scipy.linalg  # noqa: F401

    with threadpool_limits(2, user_api="blas"):
        before = blas()
        theirs = [path for path in before if "torch" not in path]
        assert theirs
        with one_blas_thread():
            inside = blas()
        assert {inside[path] for path in theirs} == {1}
        assert blas() == before
        assert {before[path] for path in theirs} == {2}
