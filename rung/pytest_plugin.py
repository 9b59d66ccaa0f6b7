"""The fixture `rung_check`, so that a test suite can hold a model or data to the checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def rung_check() -> Callable[..., Any]:
    """`rung_check(make_model, data="digits")`, or `rung_check(data="digits")` for data alone.

    Fails the test, with the report, if a check finds an error; else returns the report. Takes what
    `rung.check` and `rung.check_data` take; fast=True unless said.
    """

    def check(model: Any = None, data: Any = "digits", **options: Any) -> Any:
        import rung

        __tracebackhide__ = True
        options.setdefault("fast", True)
        if model is None:
            report = rung.check_data(data, **options)
        else:
            report = rung.check(model, data, **options)
        if not report.ok:
            pytest.fail(str(report), pytrace=False)
        return report

    return check
