"""Does the model work at all: fit, predict, leave alone what it is given, survive odd input?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rung.checks.base import Finding
from rung.checks.model.given import is_net, raised
from rung.checks.model.subject import Model, ModelCheck, same
from rung.dataset import is_frame, take

# One more than a multiple of all usual batch sizes: the last batch has a single example.
ONE_OVER, FAST_ONE_OVER = 257, 129


class Works(ModelCheck):
    """The model is trained on the training part and answers for the test part. Its answers must
    have a row for each example, be finite and known classes, and probabilities must sum to one.
    All other checks need this one to pass."""

    code = "RC201"
    title = "It fits and predicts"
    severity = "error"

    def run(self, subject: Model) -> Finding | None:
        if (error := subject.failure) is None:
            return None
        return Finding(
            f"It does not get as far as predictions. {raised(error)}.",
            "Mend this first; no other check can look at the model.",
            {"exception": type(error).__name__, "message": raised(error)},
        )


class Untouched(ModelCheck):
    """Fit must leave X and y as they are, or whatever is trained next on the same arrays trains on
    something else. Predict must leave its input as it is, and the model: batch norm in training
    mode, for one, learns from test examples. Copy before changing in place; call eval() before
    predicting."""

    code = "RC216"
    title = "Fit and predict leave the model and its inputs as they are"
    severity = "error"

    def run(self, subject: Model) -> Finding | None:
        fitted = subject.fitted
        changed = [f"fit changes the {name} that it is given" for name in fitted.changed]
        before = [(path, value.copy()) for path, value in state(fitted.estimator)]
        X = take(subject.X_test, np.arange(min(64, len(subject.test))))
        given = X.copy()
        fitted.estimator.predict(given)
        if not same(X, given):
            changed.append("predict changes the X that it is given")
        after = dict(state(fitted.estimator))
        moved = [p for p, v in before if p in after and not np.array_equal(v, after[p], True)]
        if moved:
            changed.append(f"predict changes the model ({', '.join(moved[:3])})")
        if not changed:
            return None
        return Finding(
            f"What should stay does not: {'; '.join(changed)}.",
            "Work on copies, and call eval() on a net before it predicts.",
            {"changed": changed, "attributes": moved},
        )


def state(value: Any, path: str = "", depth: int = 4) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of numbers that a fitted model holds, with the names that lead to them."""
    if is_net(value):
        for name, tensor in value.state_dict().items():
            yield f"{path}.{name}".lstrip("."), tensor.detach().cpu().numpy()
    elif isinstance(value, np.ndarray):
        if value.dtype.kind in "iufb":
            yield path, value
    elif depth:
        inner: Any = ()
        if isinstance(value, dict):
            inner = value.items()
        elif isinstance(value, list | tuple):
            inner = enumerate(value)
        elif hasattr(value, "__dict__") and not isinstance(value, type):
            inner = vars(value).items()
        for name, part in inner:
            yield from state(part, f"{path}.{name}".lstrip("."), depth - 1)


class Survives(ModelCheck):
    """Data in use are less tidy than those of a notebook: one example to predict, a sensor that is
    stuck, a value a thousand times too large, a class with one example or none, a last batch of
    one. Each is tried, and what broke is said; batch norm, for one, can't train on one example."""

    code = "RC221"
    title = "It survives odd but possible input"
    needs = ("input",)

    def run(self, subject: Model) -> Finding | None:
        subject.seed(0)
        broke = {}
        tried = list(trials(subject))
        for what, attempt in tried:
            try:
                attempt()
            except Exception as error:
                broke[what] = raised(error)
        if not broke:
            return None
        said = "; ".join(f"{what}: {why}" for what, why in broke.items())
        return Finding(
            f"It breaks on {len(broke)} of {len(tried)} odd inputs. {said}.",
            "Let it answer, or refuse with a message that says what to do.",
            {"broke": broke, "tried": [what for what, _ in tried]},
        )


def trials(subject: Model) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is tried, with what it is called. Parts to train on are small."""
    X, y, X_test = subject.X_train, subject.y_train, subject.X_test
    predict = subject.fitted.predict
    yield "a single example to predict", lambda: predict(X_test[:1])
    yield "equal examples to predict", lambda: predict(take(X_test, np.zeros(8, dtype=int)))
    dense = isinstance(X, np.ndarray) and X.dtype.kind == "f" and not is_frame(X)
    if dense:
        large = (X_test[:16] * 1_000).astype(X.dtype)
        yield "values a thousand times as large to predict", lambda: predict(large)
    n = FAST_ONE_OVER if subject.fast else ONE_OVER
    few = np.arange(min(n, len(y)))

    def trained(X: Any, y: NDArray[Any]) -> None:
        subject.fit(X, y).predict(X_test[:16])

    if dense and X.ndim == 2 and X.shape[1] > 1:
        stuck = X[few]
        stuck[:, 0] = 1
        yield "a feature that is constant in training", lambda: trained(stuck, y[few])
    if len(y) > n:
        yield f"{n} rows to train on, one more than whole batches", lambda: trained(X[:n], y[:n])
    codes, sizes = np.unique(y[few], return_counts=True)
    if not subject.classification or len(codes) < 3 or sizes.min() < 2:
        return
    rarest = codes[sizes.argmin()]
    rest, of_it = few[y[few] != rarest], few[y[few] == rarest]
    one = np.append(rest, of_it[0])
    yield "a class with one example in training", lambda: trained(take(X, one), y[one])
    yield "a class without an example in training", lambda: trained(take(X, rest), y[rest])
