"""Is the answer for an example its own: whatever stands beside, before or after it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rung.checks.base import Finding, NotApplicable
from rung.checks.model.subject import Fitted, Model, ModelCheck, Predicted
from rung.dataset import is_frame, take

BATCH = 64  # examples that are looked at together
ALONE = 8  # and one by one


def joined(parts: list[Predicted]) -> Predicted:
    label = np.concatenate([p.label for p in parts])
    probas = [p.proba for p in parts if p.proba is not None]
    return Predicted(label, np.concatenate(probas) if probas else None)


def first(predicted: Predicted, n: int) -> Predicted:
    return Predicted(predicted.label[:n], None if predicted.proba is None else predicted.proba[:n])


def stacked(a: Any, b: Any) -> Any:
    """The rows of one above those of another."""
    if is_frame(a):
        import pandas as pd

        return pd.concat([a, b])
    if hasattr(a, "nnz"):
        from scipy.sparse import vstack

        return vstack([a, b]).tocsr()
    return np.concatenate([a, b])


def extreme(X: Any) -> Any:
    """Examples far from all others: numbers a thousand times as large, pictures all white, else
    one example again and again."""
    if isinstance(X, np.ndarray) and X.dtype.kind == "f":
        return (1_000 * X + 1_000).astype(X.dtype)
    if isinstance(X, np.ndarray) and X.dtype.kind in "iu":
        return np.full_like(X, np.iinfo(X.dtype).max if X.dtype == np.uint8 else X.max())
    return take(X, np.zeros(X.shape[0], dtype=np.int64))


class Repeatable(ModelCheck):
    """The same rows are predicted twice in a row, in reverse order, and again after others. If the
    answers differ, something is still random (dropout or augmentation at test: eval() is not
    called), rows are shuffled in predict and not put back, or something is kept from one call to
    the next."""

    code = "RC214"
    title = "The same rows get the same answers again, in any order"
    severity = "error"
    needs = ("input",)

    def run(self, subject: Model) -> Finding | None:
        X, model = subject.X_test, subject.fitted
        n = X.shape[0]
        back = np.arange(n)[::-1]

        def after_others() -> Predicted:
            model.predict(take(subject.X_train, np.arange(min(n, len(subject.train)))[::-1]))
            return model.predict(X)

        def reversed_order() -> Predicted:
            found = model.predict(take(X, back))
            return Predicted(found.label[back], None if found.proba is None else found.proba[back])

        before = model.predict(X)
        ways: dict[str, Callable[[], Predicted]] = {
            "asked twice": lambda: model.predict(X),
            "in reverse order": reversed_order,
            "after others": after_others,
        }
        differ = {way: int(subject.differ(before, ask()).sum()) for way, ask in ways.items()}
        if not any(differ.values()):
            return None
        said = ", ".join(f"{count} {way}" for way, count in differ.items() if count)
        return Finding(
            f"Of {n} test rows some are answered differently from before: {said}.",
            "Call eval() before predicting, without augmentation, and answer in the order asked.",
            {"rows": n, "differ": differ},
        )


class Alone(ModelCheck):
    """An example must get the same answer whatever else is asked with it. Examples are predicted
    together, one by one, in halves, and beside extreme ones. If answers differ, the model looks at
    the whole batch: batch norm in training mode, inputs standardised by test statistics, a softmax
    or a mean over the wrong axis, a view where axes should be permuted."""

    code = "RC213"
    title = "An answer does not depend on the other examples of its batch"
    severity = "error"
    needs = ("input",)

    def run(self, subject: Model) -> Finding | None:
        model = subject.fitted
        X = take(subject.X_test, np.arange(min(BATCH, len(subject.test))))
        together = model.predict(X)
        if subject.differ(together, model.predict(X)).any():
            raise NotApplicable("the same rows asked twice already get other answers")
        differ: dict[str, int] = {}
        broke: list[str] = []
        for way, rows, ask in ways(model, X):
            try:
                found = ask()
            except Exception:  # what it can't answer at all is for the check of odd input
                broke.append(way)
                continue
            differ[way] = int(subject.differ(first(together, rows), found).sum())
        if not any(differ.values()):
            return None
        said = ", ".join(f"{count} {way}" for way, count in differ.items() if count)
        return Finding(
            f"Of {X.shape[0]} examples asked together some are answered differently: {said}.",
            "Call eval() before predicting, standardise with what was learnt in fit, and look at "
            "the axis of each softmax, mean and reshape.",
            {"rows": X.shape[0], "differ": differ, "raised": broke},
        )


def ways(model: Fitted, X: Any) -> Iterator[tuple[str, int, Callable[[], Predicted]]]:
    """(what it is called, of how many of the first rows, how to ask)."""
    n = X.shape[0]

    def split(parts: list[NDArray[np.int64]]) -> Predicted:
        return joined([model.predict(take(X, rows)) for rows in parts])

    alone = min(ALONE, n)
    yield "one by one", alone, lambda: split(list(np.arange(alone)[:, None]))
    yield "in halves", n, lambda: split(np.array_split(np.arange(n), 2))
    far = stacked(X, extreme(X))
    yield "beside extreme examples", n, lambda: first(model.predict(far), n)
    equal = stacked(X, take(X, np.zeros(n, dtype=np.int64)))
    yield "beside equal examples", n, lambda: first(model.predict(equal), n)
