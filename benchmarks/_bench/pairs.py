"""Side by side: what Rung does, and what one would do instead.

Each pair works on the same data, in turns, and gives scores, of which ours must not be the worse.
What is slow without Rung is run once.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rung
from rung import features, suite
from rung.benchmark import Variant, trials
from rung.dataset import Pictures
from rung.ladder import climb

from .records import LeftOut, Score, Timed
from .shared import apart, fresh_home, parts, pictures

ACCURACY = Score("accuracy")


@dataclasses.dataclass(frozen=True)
class Pair:
    """ours, theirs: do the work and return a value for each score. most: the ratio of seconds that
    is promised, most_s: the seconds of ours. repeats: turns."""

    name: str
    ours: Callable[[], Sequence[float]]
    theirs: Callable[[], Sequence[float | None]]
    most: float | None = None
    scores: Sequence[Score] = (ACCURACY,)
    repeats: int = 3
    most_s: float | None = None


def timed(pair: Pair) -> Timed:
    ours_s: list[float] = []
    theirs_s: list[float] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs say that they have not converged
        for _ in range(pair.repeats):
            start = time.perf_counter()
            ours = pair.ours()
            between = time.perf_counter()
            theirs = pair.theirs()
            ours_s.append(between - start)
            theirs_s.append(time.perf_counter() - between)
    scores = [
        dataclasses.replace(score, ours=a, theirs=b)
        for score, a, b in zip(pair.scores, ours, theirs, strict=True)
    ]
    return Timed(pair.name, ours_s, theirs_s, scores, pair.most, pair.most_s)


def pairs(name: str, full: bool) -> Iterator[Timed | LeftOut]:
    """Those of that name, timed. full: also what takes many minutes."""
    for found in PAIRS[name](full):
        yield found if isinstance(found, LeftOut) else timed(found)


def right(said: NDArray[Any], y: NDArray[Any]) -> float:
    """Accuracy."""
    return float(np.mean(said == y))


def linear(full: bool) -> Iterator[Pair]:
    """At the same penalty; the score is the training objective over the least that ours reaches."""
    from scipy.special import log_softmax
    from sklearn.linear_model import LogisticRegression

    from rung.logistic import LogisticRegressionCV

    dataset, _ = pictures()
    X, y, _, _ = parts(dataset)
    C = 1 / X.shape[1]

    def objective(model: Any) -> float:
        logs = log_softmax(X @ model.coef_.T + model.intercept_, axis=1)
        loss = -float(logs[np.arange(len(y)), y].sum(dtype=np.float64))
        weights = float((model.coef_.astype(np.float64) ** 2).sum())
        return float(C * loss + weights / 2)

    least = objective(LogisticRegressionCV(Cs=[C], tol=1e-7).fit(X, y))
    yield Pair(
        f"Linear, {dataset.title} 32 px, C = 1/d: LogisticRegression",
        lambda: [objective(LogisticRegressionCV(Cs=[C]).fit(X, y)) / least],
        lambda: [objective(LogisticRegression(C=C).fit(X, y)) / least],
        1 / 3,
        [Score("objective / least", sign=-1)],
    )


SOME = 2_000  # rows, of which the grid search takes a minute
MOST_S, MOST_MIB = 60.0, 3e9 / 2**20  # promised of all rows of Imagenette


def kernel_ridge(full: bool) -> Iterator[Pair | LeftOut]:
    """35 settings of an RBF kernel on one-hot targets, five folds; ours compares 119 settings of
    the same kernel. On all rows ours is a trial in a process of its own, the start of which counts.
    """
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.metrics import pairwise_distances
    from sklearn.model_selection import GridSearchCV, KFold

    from rung.kernels import BANDWIDTHS, KernelRidgeClassifier

    dataset, missing = pictures()

    def against(most: int | None) -> Pair:
        X, y, X_test, y_test = parts(dataset, most=most)
        targets = np.eye(dataset.n_classes)[y]
        distances = pairwise_distances(X[:1_000])
        median = float(np.median(distances[np.triu_indices(len(distances), 1)]))
        gammas = [1 / (2 * (multiple * median) ** 2) for multiple in BANDWIDTHS["rbf"]]
        grid = {"gamma": gammas, "alpha": [1e-4, 1e-3, 1e-2, 1e-1, 1.0]}

        def ours() -> list[float]:
            model = KernelRidgeClassifier("rbf", random_state=0).fit(X, y)
            return [right(model.predict(X_test), y_test)]

        def theirs() -> list[float]:
            # Shuffled: the rows come class by class.
            folds = KFold(5, shuffle=True, random_state=0)
            search = GridSearchCV(KernelRidge(kernel="rbf"), grid, cv=folds).fit(X, targets)
            return [right(search.predict(X_test).argmax(axis=1), y_test)]

        name = f"Kernel ridge, {dataset.title} 32 px, {len(y):,} rows: GridSearchCV(KernelRidge)"
        return Pair(name, ours, theirs, 1 / 5, repeats=1)

    def trial() -> list[float]:
        variant = Variant("kernel_ridge", parameters={"kernel": "rbf"})
        rungs = [("kernel_ridge", suite.baseline("kernel_ridge"))]
        (plan,) = trials(dataset, rungs, seeds=1, variants=[variant])
        with apart(os.cpu_count() or 1) as run:
            outcome = run(plan, dataset)
        return [right(outcome.label, outcome.target), outcome.cost["peak_mib"]]

    yield against(SOME)
    whole = f"Kernel ridge on all {len(dataset.splits[0].train):,} rows of {dataset.title}"
    if not full:
        yield LeftOut(whole, "the grid search takes 20 minutes; --full runs it")
        return
    bound = None if missing else MOST_MIB
    pair = against(None)
    yield dataclasses.replace(
        pair,
        name=f"{pair.name}, ours in a process of its own",
        ours=trial,
        theirs=lambda: [*pair.theirs(), None],
        scores=[ACCURACY, Score("peak MiB", sign=-1, bound=bound)],
        most_s=None if missing else MOST_S,
    )


def gaussian_process(full: bool) -> Iterator[Pair]:
    """scikit-learn's as it comes, on pixels from 0 to 1, where its kernel has about the right width,
    and with a kernel for standardised ones, which it tunes."""
    from sklearn.gaussian_process import GaussianProcessClassifier
    from sklearn.gaussian_process.kernels import RBF
    from sklearn.metrics import log_loss

    dataset = suite.load("digits")
    X, y, X_test, y_test = parts(dataset)
    make = suite.baseline("gaussian_process").make
    shape = features.picture_shape(dataset, "standardized", 32)
    part = dataclasses.replace(dataset.take(dataset.splits[0].train), X=X, y=y, picture=shape)

    def scored(model: Any, A: Any = X, B: Any = X_test) -> list[float]:
        model.fit(A, y)
        return [right(model.predict(B), y_test), float(log_loss(y_test, model.predict_proba(B)))]

    pixels, _, test_pixels, _ = parts(dataset, needs="raw")
    brightest = pixels.max()
    kernel = 1.0 * RBF(float(X.shape[1]) ** 0.5)
    plain, tuned = GaussianProcessClassifier(), GaussianProcessClassifier(kernel, random_state=0)
    for how, repeats, theirs in (
        ("()", 3, lambda: scored(plain, pixels / brightest, test_pixels / brightest)),
        (" with a kernel for standardised pixels", 1, lambda: scored(tuned)),
    ):
        yield Pair(
            f"Gaussian process, digits, {len(y):,} rows: GaussianProcessClassifier{how}",
            lambda: scored(make(part, 0)),
            theirs,
            1 / 10,
            [Score("accuracy", bound=0.98), Score("log loss", sign=-1, bound=0.15)],
            repeats=repeats,
        )


# Of the tables of `quick`: the metric, lazypredict's column for it, and about two standard errors
# of the difference of two good models.
TABLES = {
    "breast_cancer": (Score("accuracy", tolerance=0.025), "LazyClassifier", "Accuracy"),
    "diabetes": (Score("RMSE", tolerance=2.0, sign=-1), "LazyRegressor", "RMSE"),
}


def lazypredict(full: bool) -> Iterator[Pair | LeftOut]:
    """The ladder as `quick` runs it, one seed, without auto-sklearn, whose time is a budget. Both
    sides show the best of their models on the test part, which is kind to the one with more."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        lazy = importlib.import_module("lazypredict.Supervised")
    except ModuleNotFoundError as error:
        yield LeftOut("LazyClassifier", f"there is no {error.name}; see `bench` in pyproject.toml")
        return
    quick = suite.get("benchmarks", "quick").load()
    rungs = [e.name for e in suite.ladder() if e.name != "auto_sklearn"]

    def against(name: str, score: Score, estimator: str, column: str) -> Pair:
        dataset, best = suite.load(name), max if score.sign > 0 else min
        X, y, X_test, y_test = parts(dataset, needs="raw")
        benchmark = dataclasses.replace(quick, datasets=[name], baselines=rungs, seeds=1)

        def ours() -> list[float]:
            with fresh_home():
                (board,) = climb(benchmark, device="cpu", progress="none").boards
            return [best(row.score.estimate for row in board.rows if row.ok)]

        def theirs() -> list[float]:
            models, _ = getattr(lazy, estimator)(random_state=0).fit(X, X_test, y, y_test)
            return [float(best(models[column]))]

        title = f"Ladder, {dataset.title}, {len(y)} rows, the best of all: {estimator}"
        return Pair(title, ours, theirs, scores=[score])

    for name, said in TABLES.items():
        yield against(name, *said)


ANSWERS, RESAMPLES = 10_000, 9_999  # SciPy's default


def intervals(full: bool) -> Iterator[Pair]:
    """The score is the same: the mean that the interval holds."""
    from scipy.stats import bootstrap

    values = (np.random.default_rng(0).random(ANSWERS) < 0.9).astype(float)

    def theirs() -> list[float]:
        found = bootstrap((values,), np.mean, n_resamples=RESAMPLES, rng=np.random.default_rng(0))
        assert found.confidence_interval.low < values.mean() < found.confidence_interval.high
        return [float(values.mean())]

    yield Pair(
        f"Interval of {ANSWERS:,} answers: SciPy's BCa bootstrap, {RESAMPLES:,} resamples",
        lambda: [rung.intervals.score_interval(values).estimate],
        theirs,
        1 / 10,
        [Score("mean")],
        repeats=5,
    )


def training(full: bool) -> Iterator[Pair]:
    """The convnet's loop against a DataLoader and a plain loop: same net, batches and epochs.

    Their batches differ, so the accuracies on 500 pictures do by up to two standard errors.
    """
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from rung.training import outputs, seeded, train

    dataset = suite.load("imagenette_mini")
    convnet = importlib.import_module("rung.suite.baselines.convnet")
    split = dataset.splits[0]
    pixels, y = features.pixels(dataset, 32), dataset.y
    X_train, y_train = torch.tensor(pixels[split.train]), torch.tensor(y[split.train])
    X_test, y_test = torch.tensor(pixels[split.test]), torch.tensor(y[split.test])
    sides, bordered = list(X_train.shape[1:3]), convnet.bordered(X_train)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=convnet.LABEL_SMOOTHING)
    epochs, batch, rate = 5, 32, 0.1

    def fresh() -> Any:
        return convnet.Net(X_train[::4], dataset.n_classes, 32)

    def accuracy(net: Any) -> list[float]:
        return [float((outputs(net, X_test).argmax(1) == y_test).float().mean())]

    def ours() -> list[float]:
        with seeded(0) as generator:
            net = fresh()
            train(
                net,
                bordered,
                y_train,
                loss=loss,
                epochs=epochs,
                batch_size=batch,
                learning_rate=rate,
                weight_decay=convnet.WEIGHT_DECAY,
                generator=generator,
                augment=lambda x, g, p: convnet.augmented(x, sides, g, p, True),
            )
        return accuracy(net)

    def theirs() -> list[float]:
        with seeded(0) as generator:
            net = fresh()
            net.train()
            loader = DataLoader(
                TensorDataset(bordered, y_train), batch, shuffle=True, num_workers=2
            )
            optimizer = torch.optim.SGD(
                net.parameters(), rate, 0.9, weight_decay=convnet.WEIGHT_DECAY, nesterov=True
            )
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, rate, total_steps=epochs * len(loader)
            )
            for _ in range(epochs):
                for x, target in loader:
                    x = convnet.augmented(x, sides, generator, 1.0, True)
                    optimizer.zero_grad()
                    loss(net(x), target).backward()
                    optimizer.step()
                    schedule.step()
        return accuracy(net)

    name = "Training loop, Imagenette mini 32 px, 5 epochs: DataLoader"
    yield Pair(name, ours, theirs, 1.0, [Score("accuracy", tolerance=0.06)])


def decoding(full: bool) -> Iterator[Pair]:
    """The score is how near the pictures are to those decoded whole, 1 less the mean difference."""
    import io

    from PIL import Image

    dataset, _ = pictures()
    assert isinstance(dataset.X, Pictures)
    some = dataset.X.take(np.arange(min(len(dataset), 2_000)))
    names = dataset.ids[: len(some)]

    def whole() -> NDArray[np.uint8]:
        out = np.empty((len(some), 32, 32, 3), np.uint8)
        for row in range(len(some)):
            with Image.open(io.BytesIO(some[row])) as picture:
                rgb = picture.convert("RGB")
            side = min(rgb.size)
            left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
            square = rgb.crop((left, top, left + side, top + side))
            out[row] = np.asarray(square.resize((32, 32), Image.Resampling.BILINEAR))
        return out

    reference = whole().astype(np.float32)

    def likeness(decoded: NDArray[np.uint8]) -> list[float]:
        return [1 - float(np.abs(decoded - reference).mean()) / 255]

    yield Pair(
        f"Decoding {len(some):,} JPEGs to 32 px: Pillow without draft, one thread",
        lambda: likeness(some.decode(32, names)),
        lambda: likeness(whole()),
        1.0,
        [Score("likeness", tolerance=0.02)],  # the draft is a little sharper
    )


PAIRS: dict[str, Callable[[bool], Iterator[Pair | LeftOut]]] = {
    "linear": linear,
    "kernel_ridge": kernel_ridge,
    "gaussian_process": gaussian_process,
    "lazypredict": lazypredict,
    "intervals": intervals,
    "training": training,
    "decoding": decoding,
}
