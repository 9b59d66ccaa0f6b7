"""Does it learn from the input, from nothing else, and more from more?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rung.checks.base import Finding, NotApplicable
from rung.checks.model.given import raised
from rung.checks.model.subject import Fitted, Model, ModelCheck, Predicted
from rung.dataset import take
from rung.intervals import difference_interval

FEW = 16  # examples that a model with some capacity learns by heart
# Of the lift above chance, how much may be left of it with permuted labels; at least LEAST_LEFT.
LEFT, LEAST_LEFT = 0.4, 0.15
RELATED = 0.01  # p-value of answers that go with the targets by chance
# A score may be so much lower than another before anything is said: a share of the examples, or of
# the variance of the target.
SCORE_FLOOR = 0.03
LOSS_FLOOR = 0.05  # the same of a training loss, as a share of the prior's
# Numbers that set how long a model trains or how large it is; the first that it has is halved.
KNOBS = (
    *("max_epochs", "n_epochs", "num_epochs", "epochs", "n_estimators", "max_steps", "n_steps"),
    *("steps", "iterations", "hidden_layer_sizes", "hidden_size", "hidden", "n_hidden", "width"),
    *("max_depth", "max_leaf_nodes", "max_iter", "n_iter", "C"),
)


def unrelated(y: NDArray[Any]) -> NDArray[np.int64]:
    """An order of the rows in which targets say as little as possible of those of the old order.

    Along the rows sorted by target, the sorted targets are dealt out so that every run of some
    twenty rows gets all of them: a plain shuffle would leave a correlation of 1/√n.
    """
    n = len(y)
    rng = np.random.default_rng(0)
    by_target = np.lexsort((rng.random(n), y))
    runs = max(n // 20, 2)
    run = np.concatenate([rng.permutation(runs) for _ in range(-(-n // runs))])[:n]
    dealt = np.lexsort((rng.random(n), run))
    order = np.empty(n, dtype=np.int64)
    order[by_target] = by_target[dealt]
    return order


def part(subject: Model) -> Fitted:
    """The model trained on a quarter of the rows."""
    n = len(subject.train) // 4
    X, y = subject.X_train[:n], subject.y_train[:n]
    return subject.once("a quarter of the rows", lambda: subject.fit(X, y))


def seed_variance(subject: Model) -> float:
    """Of the score, from two seeds; not less than that of half a percent point."""
    scores = [subject.values(subject.of_seed(s), subject.y_test).mean() for s in (0, 1)]
    return max(float(np.var(scores, ddof=1)), 0.005**2)


def above(values: NDArray[np.float64], floor: float, between: float = 0.0) -> float:
    """p-value of a mean that is no larger than `floor`. values: (n,); between: a variance to add to
    that of their mean."""
    error = float(np.sqrt(values.var(ddof=1) / len(values) + between))
    if error == 0:
        return 0.0 if values[0] > floor else 1.0
    return float(stats.t.sf((values.mean() - floor) / error, len(values) - 1))


def p_worse(better: NDArray[np.float64], worse: NDArray[np.float64], between: float) -> float:
    """How likely so large a difference of two scores is where the true one is SCORE_FLOOR.

    better, worse: (n,) values of the same examples; between: variance of a score among seeds.
    """
    return above(better - worse, SCORE_FLOOR, 2 * between)


def score_name(subject: Model) -> str:
    return "accuracy" if subject.classification else "score (minus squared error over variance)"


class LearnsFromInput(ModelCheck):
    """The score must be better than that of predictions made without the input: of the prior (class
    frequencies or the mean), of the same model trained and tested on inputs that are all the same,
    and of the same model trained on inputs shuffled across rows and tested so. If not, X and y are
    not in the same order, the learning rate is far off, or the inputs are on a wrong scale. Paired
    over the test examples. Where rare classes are hard to find, a model that learns may have no
    better accuracy: it passes if its log loss is better, or its answers go with the targets more
    than the same answers in another order would, and is warned of if it is worse than the prior."""

    code = "RC202"
    title = "It is better than predictions made without the input"
    severity = "error"
    needs = ("input",)

    def run(self, subject: Model) -> Finding | None:
        y, found = subject.y_test, subject.predicted
        references = {"the prior": subject.prior}
        left_out = ""
        for name, reference in (
            ("the same model with equal inputs", input_free),
            ("the same model with shuffled inputs", shuffled),
        ):
            try:
                references[name] = reference(subject)
            except NotApplicable as reason:
                left_out += f" ({reason})"
        mine = subject.values(found, y)
        gaps = {
            name: difference_interval(mine, subject.values(reference, y))
            for name, reference in references.items()
        }
        failed = {
            name: gap
            for name, gap in gaps.items()
            if gap.low <= 0 and not surer(subject, found, references[name])
        }
        related = above(lift(subject, found), 0.0) < RELATED
        if related:  # it has learnt from the input, if not enough to be better
            failed = {name: gap for name, gap in failed.items() if gap.high < 0}
        if not failed:
            return None
        said = "; ".join(
            f"{gap.estimate:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}) against {name}"
            for name, gap in failed.items()
        )
        # Above all of them, but not for sure: the test part is too small to say.
        unsure = all(gap.estimate > SCORE_FLOOR for gap in failed.values())
        return Finding(
            f"The {score_name(subject)} of {mine.mean():.3f} on {len(y)} rows is not better than "
            f"without the input: {said}.{left_out}",
            "Look whether X and y are in the same order, at the scale of the inputs and at the "
            "learning rate; train on 16 examples until the loss is zero.",
            {
                "score": float(mine.mean()),
                "difference": {name: [g.estimate, g.low, g.high] for name, g in gaps.items()},
            },
            severity="warning" if unsure or related else "error",
        )


def surer(subject: Model, found: Predicted, reference: Predicted) -> bool:
    """Whether the probabilities are better where the labels are not."""
    if found.proba is None or reference.proba is None:
        return False
    y = subject.y_test
    gap = difference_interval(subject.losses(reference, y), subject.losses(found, y))
    return gap.low > 0


def input_free(subject: Model) -> Predicted:
    """Of the model trained and tested on inputs that are all the first training example."""
    X = subject.X_train
    first = [np.zeros(n, dtype=np.int64) for n in (len(subject.train), len(subject.test))]
    fitted = subject.once(
        "inputs that are all the same", lambda: subject.fit(take(X, first[0]), subject.y_train)
    )
    try:
        return fitted.predict(take(X, first[1]))
    except Exception as error:
        raise NotApplicable(f"it can't predict equal inputs: {raised(error)}") from error


def shuffled(subject: Model) -> Predicted:
    """Of the model trained on shuffled inputs, tested on shuffled inputs: the same as shuffling
    the labels of the one and the predictions of the other."""
    found = permuted_answers(subject)[0]
    order = unrelated(subject.y_test)
    return Predicted(found.label[order], None if found.proba is None else found.proba[order])


def permuted_answers(subject: Model) -> list[Predicted]:
    """Of the test rows, by models trained on permuted labels, and on those turned round.

    Classes are moved on by one, and with three classes by two; numbers are mirrored at their mean.
    What the first gets right by the luck of the permutation the others get wrong: exactly so with
    two or three classes and with numbers; with more classes there is less of it.
    """
    y = subject.y_train[unrelated(subject.y_train)]
    k = subject.dataset.n_classes
    targets = {"permuted labels": y}
    if subject.classification:
        turns = range(1, 3 if k == 3 else 2)
        targets |= {f"permuted labels, moved on by {t}": (y + t) % k for t in turns}
    else:
        targets["permuted labels, mirrored"] = 2 * y.mean() - y

    def answers(seed: int, what: str, target: NDArray[Any]) -> Predicted:
        # Of their own seeds: a net that hardly trains answers as its first weights will.
        fitted = subject.once(what, lambda: subject.fit(subject.X_train, target, seed))
        try:
            return fitted.predict(subject.X_test)
        except Exception as error:
            raise NotApplicable(f"trained on {what}, it fails: {raised(error)}") from error

    return [answers(seed, *target) for seed, target in enumerate(targets.items())]


def lift(subject: Model, predicted: Predicted) -> NDArray[np.float64]:
    """(n,) whose mean is how far the answers agree with the targets beyond chance: accuracy minus
    that of the same answers in any other order, or the correlation."""
    y, label = subject.y_test, predicted.label
    if subject.classification:
        shares = np.bincount(label.astype(np.int64), minlength=subject.dataset.n_classes)
        return np.asarray((label == y) - (shares / len(y))[y])
    if label.std() == 0 or y.std() == 0:
        return np.zeros(len(y))
    return np.asarray((label - label.mean()) / label.std() * (y - y.mean()) / y.std())


class LearnsFromLabels(ModelCheck):
    """Trained on labels that belong to other rows, a model can know nothing of the test labels.
    One that still answers right has them from elsewhere: a data set that is loaded again in fit or
    in a factory and holds the test part, answers looked up, a file written by an earlier run. Two
    such models are trained (three with three classes), the others on labels turned round, so that
    luck with the permutation cancels. Effect size floor: 0.4 of the lift above chance, at least
    0.15 of accuracy or correlation. A choice made by test scores (when to stop, which model) is not seen.
    """

    code = "RC203"
    title = "Trained on permuted labels, it knows nothing"
    severity = "error"

    def run(self, subject: Model) -> Finding | None:
        real = float(lift(subject, subject.predicted).mean())
        each = np.stack([lift(subject, p) for p in permuted_answers(subject)])
        left, floor = each.mean(axis=0), max(LEFT * real, LEAST_LEFT)
        p = above(left, floor, float(each.mean(axis=1).var(ddof=1)) / len(each))
        what = "accuracy above chance" if subject.classification else "correlation"
        return Finding(
            f"Trained on permuted labels, {left.mean():+.3f} is left of the {what} of {real:+.3f} "
            f"(up to {floor:.3f} is chance).",
            "It knows labels that it was not given. Look for a data set loaded inside of the "
            "factory or of fit, for files that earlier runs left, and for weights that outlive a fit.",
            {"lift": real, "left": float(left.mean()), "floor": floor},
            p_value=p,
        )


class LearnsByHeart(ModelCheck):
    """A model with some capacity learns sixteen examples by heart. They are repeated, so that it
    trains for as many steps as on half of the training part. One that stays near chance on them
    does not train: no step is taken, gradients don't reach the weights, inputs or labels are mixed
    up. Strongly regularised models learn them in part, which is told."""

    code = "RC204"
    title = "It learns sixteen examples by heart"
    needs = ("input",)

    def run(self, subject: Model) -> Finding | None:
        subject.seed(0)
        rows = distinct(subject)
        if len(rows) < 4:
            raise NotApplicable("there are not four distinct examples")
        if np.ptp(subject.y_train[rows]) == 0:
            raise NotApplicable("hardly any training row has another target")
        many = np.resize(rows, max(len(subject.train) // 2, len(rows)))
        X, y = subject.X_train, subject.y_train
        what = f"{len(rows)} examples, repeated"
        fitted = subject.once(what, lambda: subject.fit(take(X, many), y[many]))
        try:
            predicted = fitted.predict(take(X, rows))
        except Exception as error:
            raise NotApplicable(f"trained on {what}, it fails: {raised(error)}") from error
        if subject.classification:
            score = float(np.mean(predicted.label == y[rows]))
            chance = float(np.bincount(y[rows]).max() / len(rows))
            name = "accuracy"
        else:
            score = 1 - float(np.mean((predicted.label - y[rows]) ** 2) / y[rows].var())
            chance, name = 0.0, "R²"
        share = (score - chance) / (1 - chance)
        if share >= 0.9:
            return None
        return Finding(
            f"Trained on {len(rows)} examples alone, its {name} on them is {score:.2f}; "
            f"without the input it would be {chance:.2f}.",
            "Look at the learning rate, at whether steps are taken and gradients arrive, and that "
            "inputs and labels belong together; less regularisation lets it learn them.",
            {"score": score, "chance": chance, "examples": len(rows)},
            severity="warning" if share < 0.25 else "info",
        )


def distinct(subject: Model) -> NDArray[np.int64]:
    """FEW training rows of different content, of as many classes as evenly as can be."""
    y = subject.y_train
    if subject.classification:
        place = np.empty(len(y), dtype=np.int64)  # of a row among those of its class
        for code in np.unique(y):
            place[y == code] = np.arange(np.sum(y == code))
        order = np.lexsort((np.arange(len(y)), place))
    else:
        order = np.arange(len(y))
        if np.ptp(y[:FEW]) == 0:  # nearly all are alike
            first = np.unique(y, return_index=True)[1]
            order = first[np.linspace(0, len(first) - 1, min(FEW, len(first))).astype(int)]
    candidates = order[: 4 * FEW]
    X = take(subject.X_train, candidates)
    if hasattr(X, "toarray"):
        X = X.toarray()
    seen: dict[str, int] = {}
    for row, example in zip(candidates, np.asarray(X), strict=True):
        seen.setdefault(str(np.asarray(example).tolist()), row)
    return np.array(list(seen.values())[:FEW])


class MoreCapacity(ModelCheck):
    """The longer a model trains and the larger it is, the lower its training loss. The first knob
    that it has (epochs, n_estimators, width, max_depth, C, ...) is halved: if the loss on the
    training part is then lower, by more than a twentieth of the prior's and by more than two seeds
    differ, training diverges, or the knob is not what it seems."""

    code = "RC205"
    title = "More steps or capacity lower the training loss"
    needs = ("input",)

    def run(self, subject: Model) -> Finding | None:
        knob = halved(subject)
        if knob is None:
            raise NotApplicable("it has no parameter that is known to set its steps or capacity")
        name, value, half = knob
        X, y = subject.X_train, subject.y_train
        what = f"the training part with {name}={half}"
        less = subject.once(what, lambda: subject.fit(X, y, parameters={name: half}))
        try:
            mine = [subject.losses(subject.seed(s).predict(X), y) for s in (0, 1)]
            halfway = subject.losses(less.predict(X), y)
        except Exception as error:
            raise NotApplicable(f"it can't predict its training part: {raised(error)}") from error
        rise = float(np.mean(mine) - halfway.mean())
        noise = float(abs(mine[0].mean() - mine[1].mean()))
        shares = np.unique(y, return_counts=True)[1] / len(y)
        probable = subject.predicted.proba is not None
        prior = float(-(shares @ np.log(shares))) if probable else 1.0
        if rise <= max(LOSS_FLOOR * prior, 3 * noise):
            return None
        return Finding(
            f"With {name}={value} the training loss is {np.mean(mine):.4g}, with {name}={half} "
            f"it is lower, {halfway.mean():.4g}.",
            "Lower the learning rate, or let it fall towards the end of training.",
            {"knob": name, "rise": rise, "between_seeds": noise},
        )


def halved(subject: Model) -> tuple[str, Any, Any] | None:
    """(parameter, its value, half of it) of the first of KNOBS that can be halved, or None."""
    estimator = subject.fitted.estimator
    parameters = estimator.get_params() if hasattr(estimator, "get_params") else {}
    for knob in KNOBS:
        for name, value in parameters.items():
            if name.rpartition("__")[2] != knob or isinstance(value, bool):
                continue
            if value is None:  # what it chose for itself, by scikit-learn's convention
                value = getattr(estimator, f"{name}_", None)
            if isinstance(value, int) and value >= 2:
                return name, value, value // 2
            if isinstance(value, float) and 0 < value < np.inf:
                return name, value, value / 2
            if isinstance(value, tuple) and value and all(isinstance(v, int) for v in value):
                return name, value, tuple(max(1, v // 2) for v in value)
    return None


class MoreData(ModelCheck):
    """A model trained on all rows should be no worse than one trained on a quarter of them. If it
    is, long training diverges, rows are in an order that misleads, or some rows are of another
    kind than the test part. Paired over the test examples, with the variance of two seeds. Effect
    size floor: 0.03 of accuracy, or of the variance of the target."""

    code = "RC206"
    title = "More data do not make it worse"
    needs = ("input",)

    def run(self, subject: Model) -> Finding | None:
        y, quarter = subject.y_test, part(subject)
        try:
            few = subject.values(quarter.predict(subject.X_test), y)
        except Exception as error:
            raise NotApplicable(f"trained on a quarter, it fails: {raised(error)}") from error
        full = np.mean([subject.values(subject.of_seed(s), y) for s in (0, 1)], axis=0)
        n, p = len(quarter.dataset), p_worse(few, full, seed_variance(subject))
        return Finding(
            f"The {score_name(subject)} is {few.mean():.3f} after {n} rows and {full.mean():.3f} "
            f"after all {len(subject.train)}.",
            "Look at whether training diverges, and at where the rows come from.",
            {"quarter": float(few.mean()), "all": float(full.mean())},
            p_value=p,
        )
