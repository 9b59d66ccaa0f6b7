"""Does training again give the same again: with the same seed, another one, another order?"""

from __future__ import annotations

from typing import Any

import numpy as np

from rung.checks.base import Finding, NotApplicable
from rung.checks.model.given import raised
from rung.checks.model.learns import p_worse, part, score_name, seed_variance
from rung.checks.model.subject import Model, ModelCheck
from rung.dataset import take
from rung.intervals import score_interval


class SameSeed(ModelCheck):
    """Trained twice on the same rows with the same seed (those of random, numpy and torch, and
    random_state or seed where the model takes it), a model must answer the same, or no result can
    be repeated. A generator made without a seed, the time or the order of threads is the usual
    cause."""

    code = "RC211"
    title = "The same seed gives the same predictions"
    severity = "error"

    def run(self, subject: Model) -> Finding | None:
        first = part(subject)
        n = len(first.dataset)
        X, y = subject.X_train[:n], subject.y_train[:n]
        again = subject.once("a quarter of the rows again", lambda: subject.fit(X, y))
        try:
            a, b = (model.predict(subject.X_test) for model in (first, again))
        except Exception as error:
            raise NotApplicable(f"trained on a quarter, it fails: {raised(error)}") from error
        differ = subject.differ(a, b)
        if not differ.any():
            return None
        if subject.differ(a, first.predict(subject.X_test)).any():
            raise NotApplicable("one and the same model asked twice already gives other answers")
        return Finding(
            f"Trained twice with the same seed, it answers {int(differ.sum())} of {len(differ)} "
            "test rows differently.",
            "Take all that is random from the seed: pass random_state on, give each generator a "
            "seed, and call for deterministic kernels.",
            {"differ": int(differ.sum()), "rows": len(differ)},
        )


class SeedNoise(ModelCheck):
    """How much of a result is the luck of the seed. The model is trained with several seeds; the
    error of its score is told in two parts, from the test examples and from the seeds. A difference
    that is smaller than this is none. A model that ignores the seed is told as well."""

    code = "RC212"
    title = "Other seeds give other predictions"
    severity = "info"

    def run(self, subject: Model) -> Finding | None:
        seeds = range(2 if subject.fast else 3)
        found = [subject.of_seed(s) for s in seeds]
        moved = float(np.mean([subject.differ(found[0], f).mean() for f in found[1:]]))
        labels = float(np.mean([(found[0].label != f.label).mean() for f in found[1:]]))
        values = np.stack([subject.values(f, subject.y_test) for f in found])
        name = score_name(subject)
        if moved == 0:
            return Finding(
                f"{len(found)} seeds give the same predictions: it is deterministic, or sets a "
                "seed of its own.",
                "If training is random, let the seed reach it, or the noise of training is not "
                "measured.",
                {"seeds": len(found), "differ": 0.0},
            )
        interval = score_interval(values)
        return Finding(
            f"{len(found)} seeds: {name} {interval.estimate:.3f} ({interval.low:.3f} to "
            f"{interval.high:.3f}); standard error {interval.test_se:.3f} from the test rows and "
            f"{interval.seed_se or 0.0:.3f} from the seeds; {labels:.1%} of the predictions differ.",
            "Report the mean over seeds, with both errors.",
            {
                "seeds": len(found),
                "scores": values.mean(axis=1).tolist(),
                "low": interval.low,
                "high": interval.high,
                "test_se": interval.test_se,
                "seed_se": interval.seed_se,
                "differ": labels,
            },
        )


class RowOrder(ModelCheck):
    """Data often come sorted, by class or by time. The same training rows are given sorted by
    their target: a model that does not shuffle its batches, or holds out the last rows, then
    learns something else. Compared with the score in random order, paired over the test examples,
    with the variance of two seeds. Effect size floor: 0.03 of accuracy, or of the variance of the
    target."""

    code = "RC215"
    title = "The order of the training rows does not matter"
    needs = ("input",)

    def run(self, subject: Model) -> Finding | None:
        y_test, y = subject.y_test, subject.y_train
        order = np.argsort(y, kind="stable")
        fitted = subject.once(
            "sorted rows", lambda: subject.fit(take(subject.X_train, order), y[order])
        )
        try:
            ordered = subject.values(fitted.predict(subject.X_test), y_test)
        except Exception as error:
            raise NotApplicable(f"trained on sorted rows, it fails: {raised(error)}") from error
        random = np.mean([subject.values(subject.of_seed(s), y_test) for s in (0, 1)], axis=0)
        values: dict[str, Any] = {"sorted": float(ordered.mean()), "shuffled": float(random.mean())}
        return Finding(
            f"The {score_name(subject)} is {random.mean():.3f} with training rows in random order "
            f"and {ordered.mean():.3f} with the same rows sorted by target.",
            "Shuffle the rows in every epoch, and those that are held out.",
            values,
            p_value=p_worse(random, ordered, seed_variance(subject)),
        )
