"""Side by side in one run: what Rung does, and what one would do instead. `nox -s bench`.

Each pair works on the same data, in turns, and gives a score, which must not be the worse one. A
ratio is of the medians; its interval is the range over the turns. What is slow without Rung is run
once. `--against results/bench.json` says what has become slower than the noise of both allows; it
compares ratios, so another machine may be faster or slower as a whole.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rung
from rung import device, features, suite
from rung.dataset import Dataset, Pictures, take
from rung.errors import RungError

RESULTS = Path(__file__).resolve().parents[1] / "results"


@dataclasses.dataclass(frozen=True)
class Pair:
    """ours, theirs: do the work and return a score, higher is better. most: the ratio of seconds
    that is promised. repeats: turns."""

    name: str
    ours: Callable[[], float]
    theirs: Callable[[], float]
    most: float
    repeats: int = 3
    tolerance: float = 0.005  # by which our score may be below: less than one can see


@dataclasses.dataclass(frozen=True)
class Timed:
    """Seconds of each turn, and the last scores."""

    name: str
    ours_s: list[float]
    theirs_s: list[float]
    ours_score: float
    theirs_score: float
    most: float
    tolerance: float

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours_s) / statistics.median(self.theirs_s)

    @property
    def range(self) -> tuple[float, float]:
        ratios = [a / b for a, b in zip(self.ours_s, self.theirs_s, strict=True)]
        return min(ratios), max(ratios)

    @property
    def kept(self) -> bool:
        """Whether the promise is: the ratio, and a score that is no worse."""
        return self.ratio <= self.most and self.ours_score >= self.theirs_score - self.tolerance

    def as_dict(self) -> dict[str, Any]:
        low, high = self.range
        plain = dataclasses.asdict(self)
        return plain | {"ratio": self.ratio, "ratio_low": low, "ratio_high": high}


def timed(pair: Pair) -> Timed:
    ours: list[float] = []
    theirs: list[float] = []
    scores = (0.0, 0.0)
    for _ in range(pair.repeats):
        found = []
        for work, seconds in ((pair.ours, ours), (pair.theirs, theirs)):
            start = time.perf_counter()
            found.append(work())
            seconds.append(time.perf_counter() - start)
        scores = (found[0], found[1])
    return Timed(pair.name, ours, theirs, *scores, pair.most, pair.tolerance)


# --- Data -------------------------------------------------------------------------------------


def pictures() -> Dataset:
    """Imagenette where it is, else its small sister; says which."""
    try:
        return suite.load("imagenette")
    except RungError as error:
        print(f"imagenette_mini in place of imagenette: {error}", file=sys.stderr)
        return suite.load("imagenette_mini")


Parts = tuple[Any, NDArray[Any], Any, NDArray[Any]]


def parts(dataset: Dataset, needs: Any = "standardized", most: int | None = None) -> Parts:
    """X and y of the training and the test part, as a rung sees them."""
    split = dataset.splits[0]
    train = split.train
    if most is not None and most < len(train):
        train = np.sort(np.random.default_rng(0).choice(train, most, replace=False))
    X = features.raw(dataset, needs, 32)
    fitted = features.fitted(dataset, needs)
    A, B = take(X, train), take(X, split.test)
    if fitted is not None:
        A, B = fitted.fit_transform(A), fitted.transform(B)
    return A, np.asarray(dataset.y[train]), B, np.asarray(dataset.y[split.test])


# --- Pairs ------------------------------------------------------------------------------------


def linear() -> Iterator[Pair]:
    """At the same penalty; the score is minus the training objective over what theirs reaches."""
    from scipy.special import log_softmax
    from sklearn.linear_model import LogisticRegression

    from rung.logistic import LogisticRegressionCV

    dataset = pictures()
    X, y, _, _ = parts(dataset)
    C = 1 / X.shape[1]

    def objective(model: Any) -> float:
        logs = log_softmax(X @ model.coef_.T + model.intercept_, axis=1)
        loss = -float(logs[np.arange(len(y)), y].sum(dtype=np.float64))
        weights = float((model.coef_.astype(np.float64) ** 2).sum())
        return float(-(C * loss + weights / 2))

    least = -objective(LogisticRegressionCV(Cs=[C], tol=1e-7).fit(X, y))
    yield Pair(
        f"Linear, {dataset.title} 32 px, C = 1/d: LogisticRegression (score: -objective/least)",
        lambda: objective(LogisticRegressionCV(Cs=[C]).fit(X, y)) / least,
        lambda: objective(LogisticRegression(C=C).fit(X, y)) / least,
        1 / 3,
    )


def kernel_ridge(most: int | None) -> Iterator[Pair]:
    """35 settings of an RBF kernel on one-hot targets, five folds; ours compares 119 and the same
    kernel's."""
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.metrics import pairwise_distances
    from sklearn.model_selection import GridSearchCV

    from rung.kernels import BANDWIDTHS, KernelRidgeClassifier

    dataset = pictures()
    X, y, X_test, y_test = parts(dataset, most=most)
    targets = np.eye(dataset.n_classes)[y]
    median = float(np.median(pairwise_distances(X[:1_000])[np.triu_indices(min(1_000, len(X)), 1)]))
    gammas = [1 / (2 * (multiple * median) ** 2) for multiple in BANDWIDTHS["rbf"]]
    grid = {"gamma": gammas, "alpha": [1e-4, 1e-3, 1e-2, 1e-1, 1.0]}

    def ours() -> float:
        model = KernelRidgeClassifier("rbf", random_state=0).fit(X, y)
        return float(np.mean(model.predict(X_test) == y_test))

    def theirs() -> float:
        search = GridSearchCV(KernelRidge(kernel="rbf"), grid, cv=5).fit(X, targets)
        return float(np.mean(search.predict(X_test).argmax(axis=1) == y_test))

    yield Pair(
        f"Kernel ridge, {dataset.title} 32 px, {len(y):,} rows: GridSearchCV(KernelRidge)",
        ours,
        theirs,
        1 / 5,
        repeats=1,
    )


def gaussian_process() -> Iterator[Pair]:
    from sklearn.gaussian_process import GaussianProcessClassifier
    from sklearn.gaussian_process.kernels import RBF

    dataset = suite.load("digits")
    X, y, X_test, y_test = parts(dataset)
    make = suite.baseline("gaussian_process").make
    part = dataset.take(dataset.splits[0].train)

    def ours() -> float:
        return float(np.mean(make(part, 0).fit(X, y).predict(X_test) == y_test))

    def theirs() -> float:
        kernel = 1.0 * RBF(float(X.shape[1]) ** 0.5)
        model = GaussianProcessClassifier(kernel, random_state=0).fit(X, y)
        return float(np.mean(model.predict(X_test) == y_test))

    yield Pair(
        f"Gaussian process, digits, {len(y):,} rows: GaussianProcessClassifier",
        ours,
        theirs,
        1 / 10,
        repeats=1,
    )


def intervals() -> Iterator[Pair]:
    """The score is the same: the mean that the interval holds."""
    from scipy.stats import bootstrap

    values = (np.random.default_rng(0).random(10_000) < 0.9).astype(float)

    def theirs() -> float:
        found = bootstrap((values,), np.mean, n_resamples=9_999, rng=np.random.default_rng(0))
        assert found.confidence_interval.low < values.mean() < found.confidence_interval.high
        return float(values.mean())

    yield Pair(
        "Interval of 10,000 answers: SciPy's BCa bootstrap, 9,999 resamples",
        lambda: rung.intervals.score_interval(values).estimate,
        theirs,
        1 / 10,
        repeats=5,
    )


def training() -> Iterator[Pair]:
    """The convnet's loop against a DataLoader and a plain loop: same net, batches and epochs.

    Their batches differ, so the accuracies on 500 pictures do by up to two standard errors.
    """
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from rung.training import outputs, seeded, train

    dataset = suite.load("imagenette_mini")
    convnet = importlib.import_module("rung.suite.baselines.convnet")
    split = dataset.splits[0]
    pixels = torch.tensor(np.array(features.pixels(dataset, 32)))
    y = torch.tensor(dataset.y)
    X_train, y_train = pixels[split.train], y[split.train]
    X_test, y_test = pixels[split.test], y[split.test]
    sd, mean = torch.std_mean(X_train.float().flatten(0, 2), dim=0)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=convnet.LABEL_SMOOTHING)
    epochs, batch, rate = 5, 32, 0.1

    def fresh() -> Any:
        return convnet.Net((32, 32, 3), dataset.n_classes, 32, mean, sd)

    def accuracy(net: Any) -> float:
        return float((outputs(net, X_test).argmax(1) == y_test).float().mean())

    def ours() -> float:
        with seeded(0) as generator:
            net = fresh()
            train(
                net,
                X_train,
                y_train,
                loss=loss,
                epochs=epochs,
                batch_size=batch,
                learning_rate=rate,
                weight_decay=convnet.WEIGHT_DECAY,
                generator=generator,
                augment=lambda x, g, p: convnet.augmented(x, g, p, True),
            )
        return accuracy(net)

    def theirs() -> float:
        with seeded(0) as generator:
            net = fresh()
            net.train()
            loader = DataLoader(TensorDataset(X_train, y_train), batch, shuffle=True, num_workers=2)
            optimizer = torch.optim.SGD(
                net.parameters(), rate, 0.9, weight_decay=convnet.WEIGHT_DECAY, nesterov=True
            )
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, rate, total_steps=epochs * len(loader)
            )
            for _ in range(epochs):
                for x, target in loader:
                    x = convnet.augmented(x, generator, 1.0, True)
                    optimizer.zero_grad()
                    loss(net(x), target).backward()
                    optimizer.step()
                    schedule.step()
        return accuracy(net)

    name = "Training loop, Imagenette mini 32 px, 5 epochs: DataLoader"
    yield Pair(name, ours, theirs, 1.0, tolerance=0.06)


def decoding() -> Iterator[Pair]:
    """The score is how near the pictures are to those decoded whole, 1 less the mean difference."""
    import io

    from PIL import Image

    dataset = pictures()
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

    def likeness(decoded: NDArray[np.uint8]) -> float:
        return 1 - float(np.abs(decoded - reference).mean()) / 255

    yield Pair(
        f"Decoding {len(some):,} JPEGs to 32 px: Pillow without draft, one thread",
        lambda: likeness(some.decode(32, names)),
        lambda: likeness(whole()),
        1.0,
        tolerance=0.02,  # the draft is a little sharper
    )


PAIRS: dict[str, Callable[[], Iterator[Pair]]] = {
    "linear": linear,
    "kernel_ridge": lambda: kernel_ridge(2_000),
    "gaussian_process": gaussian_process,
    "intervals": intervals,
    "training": training,
    "decoding": decoding,
}


# --- Report -----------------------------------------------------------------------------------


def table(found: list[Timed]) -> str:
    lines = [
        "| ours, and instead | ours | instead | ratio | promised | score | instead |",
        "| :-- | --: | --: | --: | --: | --: | --: |",
    ]
    for t in found:
        low, high = t.range
        spread = f" [{low:.3g}, {high:.3g}]" if len(t.ours_s) > 1 else ""
        ours, theirs = statistics.median(t.ours_s), statistics.median(t.theirs_s)
        lines.append(
            f"| {t.name} | {ours:.3g} s | {theirs:.3g} s | {t.ratio:.3g}{spread} | {t.most:.2g} "
            f"| {t.ours_score:.4f} | {t.theirs_score:.4f} |"
        )
    return "\n".join(lines)


def slower(found: list[Timed], before: list[dict[str, Any]]) -> list[str]:
    """A line for each pair whose ratio lies above the whole range of before, by a tenth at least."""
    known = {case["name"]: case for case in before}
    return [
        f"{t.name}: {t.ratio:.3g} times the seconds of the other, before {known[t.name]['ratio']:.3g}"
        for t in found
        if t.name in known and t.range[0] > 1.1 * known[t.name]["ratio_high"]
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pairs", nargs="*", metavar="PAIR", help=f"of {', '.join(PAIRS)} (all)")
    parser.add_argument("--full", action="store_true", help="kernel ridge on all rows: 20 minutes")
    parser.add_argument("--against", type=Path, metavar="FILE", help="bench.json of before")
    parser.add_argument("--to", type=Path, metavar="DIR", help="write bench.md and bench.json here")
    arguments = parser.parse_args()
    before = json.loads(arguments.against.read_text())["pairs"] if arguments.against else []
    found = []
    for name in arguments.pairs or PAIRS:
        made = kernel_ridge(None) if name == "kernel_ridge" and arguments.full else PAIRS[name]()
        for pair in made:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # theirs say that they have not converged
                found.append(timed(pair))
            print(table(found).splitlines()[-1], flush=True)
    if arguments.to is not None:
        plain = {"machine": device.processor(), "pairs": [t.as_dict() for t in found]}
        (arguments.to / "bench.json").write_text(json.dumps(plain, indent=1) + "\n")
        (arguments.to / "bench.md").write_text(
            f"{HEAD}\nOn {plain['machine']}.\n\n{table(found)}\n"
        )
    lines = slower(found, before)
    for line in lines:
        print(f"slower: {line}")
    missed = [t.name for t in found if not t.kept]
    for name in missed:
        print(f"missed: {name}")
    return 1 if lines or missed else 0


HEAD = """# What it costs, beside what one would do instead

Made by `nox -s bench -- --to results`: the same data, in turns, in one run. Beside each time stands
a score, higher is better, ours no lower by more than can be seen on so many examples. A ratio of .1
is ten times as fast; in brackets its range over the turns.
"""


if __name__ == "__main__":
    sys.exit(main())
