"""How often the intervals hold what they claim: the simulation behind results/coverage.md.

`nox -s coverage` runs it and writes results/coverage.csv (every cell) and results/coverage.md.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special, stats

from rung import intervals
from rung.intervals.interval import wilson
from rung.metrics import METRICS, Predictions
from rung.verdict import Comparison, Rival, judge

Array = NDArray[np.float64]
Row = dict[str, Any]
LEVEL = 0.95
Z = float(stats.norm.ppf(0.975))
SHARED = 0.8  # correlation of how hard two rungs find an example
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(81)


# The world: answers of trained models, with hard and easy examples, good and bad runs.


def generator(*cell: object) -> np.random.Generator:
    """Seeded by the axes of the cell, so that cells can be added and left out."""
    digest = hashlib.sha256(repr(cell).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def accuracy_at(centre: float | Array, sd: float) -> Array:
    """Expected accuracy where the logit is normal around centre."""
    logits = np.asarray(centre)[..., None] + sd * NODES
    return np.asarray((special.expit(logits) * WEIGHTS).sum(axis=-1) / WEIGHTS.sum())


def centre_for(accuracy: float, sd: float) -> float:
    return float(optimize.brentq(lambda c: accuracy_at(c, sd) - accuracy, -80, 80))


def answers(
    rng: np.random.Generator,
    accuracy: float,
    hardness: Array,
    difficulty: float,
    seeds: int,
    seed_sd: float,
) -> tuple[Array, Array]:
    """Answers (seeds, n), and the expected accuracy of each trained model (seeds,).

    hardness: (n,) standard normal. The logit of a right answer is centre + difficulty * hardness
    + seed_sd * run; the centre is such that the procedure has the accuracy.
    """
    centre = centre_for(accuracy, float(np.hypot(difficulty, seed_sd)))
    run = centre + seed_sd * rng.standard_normal((seeds, 1))
    right = rng.random((seeds, len(hardness))) < special.expit(run + difficulty * hardness)
    return right.astype(np.float64), accuracy_at(run[:, 0], difficulty)


def tally(found: dict[str, list[tuple[float, float]]], truths: Sequence[float]) -> dict[str, Row]:
    """Coverage and mean width of each method over the repetitions."""
    out = {}
    for method, pairs in found.items():
        low, high = np.array(pairs).T
        truth = np.array(truths)[: len(low)]
        out[method] = {
            "repetitions": len(low),
            "coverage": float(((low <= truth) & (truth <= high)).mean()),
            "width": float((high - low).mean()),
        }
    return out


def rows(section: str, cell: Row, tallied: dict[str, Row]) -> list[Row]:
    return [{"section": section, **cell, "method": m, **t} for m, t in tallied.items()]


def wald(mean: float, variance: float, quantile: float = Z) -> tuple[float, float]:
    half = quantile * float(np.sqrt(variance))
    return mean - half, mean + half


def bca(values: Array, rng: np.random.Generator) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # degenerate resamples
        found = stats.bootstrap(
            (values,), np.mean, method="BCa", n_resamples=999, rng=rng, batch=333
        ).confidence_interval
    return float(found.low), float(found.high)


# The questions, one function for the cells of each.


def scores(
    reps: int, n: int, seeds: int, accuracy: float, difficulty: float, sd: float
) -> list[Row]:
    """One score. With one seed the truth is the accuracy of that trained model."""
    rng = generator("scores", n, seeds, accuracy, difficulty, sd)
    found: dict[str, list[tuple[float, float]]] = {}
    truths = []
    for repetition in range(reps):
        v, models = answers(rng, accuracy, rng.standard_normal(n), difficulty, seeds, sd)
        truths.append(float(models[0]) if seeds == 1 else accuracy)
        one = intervals.score_interval(v)
        found.setdefault("rung", []).append((one.low, one.high))
        by_example, by_seed = v.mean(axis=0), v.mean(axis=1)
        mean = float(v.mean())
        found.setdefault("test set alone", []).append(wald(mean, by_example.var(ddof=1) / n))
        if seeds > 1:
            found.setdefault("all answers pooled", []).append(wilson(mean, v.size, Z))
            t = float(stats.t.ppf(0.975, seeds - 1))
            over = wald(mean, by_seed.var(ddof=1) / seeds, t)
            found.setdefault("mean ± t sd over seeds", []).append(over)
        if repetition < min(reps, 200) and n <= 100 and difficulty > 0:
            found.setdefault("BCa bootstrap of the test set", []).append(bca(by_example, rng))
    cell = {"n": n, "seeds": seeds, "accuracy": accuracy, "difficulty": difficulty, "seed_sd": sd}
    cell["expected_errors"] = n * (1 - accuracy)
    return rows("scores", cell, tally(found, truths))


def differences(
    reps: int, n: int, seeds: int, accuracy: float, difficulty: float, sd: float, gap: float
) -> list[Row]:
    """Two rungs on the same examples; gap: the share of the errors that the better one avoids."""
    rng = generator("differences", n, seeds, accuracy, difficulty, sd, gap)
    better = accuracy + gap * (1 - accuracy)
    found: dict[str, list[tuple[float, float]]] = {}
    truths = []
    for _ in range(reps):
        (a, first), (b, second) = pair(rng, n, [better, accuracy], difficulty, seeds, sd)
        truths.append(float(first[0] - second[0]) if seeds == 1 else better - accuracy)
        one = intervals.difference_interval(a, b)
        found.setdefault("rung", []).append((one.low, one.high))
        mean = float(a.mean() - b.mean())
        apart = float(a.var() / a.size + b.var() / b.size)
        found.setdefault("all answers pooled, not paired", []).append(wald(mean, apart))
        paired = float((a - b).var(ddof=1) / a.size)
        found.setdefault("all answers pooled, paired", []).append(wald(mean, paired))
        if seeds > 1:
            spread = float(a.mean(axis=1).var(ddof=1) + b.mean(axis=1).var(ddof=1)) / seeds
            t = float(stats.t.ppf(0.975, 2 * seeds - 2))
            found.setdefault("t over seeds", []).append(wald(mean, spread, t))
    cell = {"n": n, "seeds": seeds, "accuracy": accuracy, "difficulty": difficulty, "seed_sd": sd}
    cell |= {"gap": gap, "expected_errors": n * (1 - better)}
    return rows("differences", cell, tally(found, truths))


def pair(
    rng: np.random.Generator,
    n: int,
    accuracies: Sequence[float],
    difficulty: float,
    seeds: int,
    sd: float,
) -> Iterator[tuple[Array, Array]]:
    """Answers of several rungs that find much the same examples hard."""
    common = rng.standard_normal(n)
    for accuracy in accuracies:
        own = rng.standard_normal(n)
        hardness = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own
        yield answers(rng, accuracy, hardness, difficulty, seeds, sd)


def false_alarms(reps: int, n: int, seeds: int, accuracy: float, sd: float) -> list[Row]:
    """Ten rungs that are equally good: how often is any said to beat another?"""
    rng = generator("false alarms", n, seeds, accuracy, sd)
    alarms, single = 0, 0
    for _ in range(reps):
        family = intervals.compare([v for v, _ in pair(rng, n, [accuracy] * 10, 2.0, seeds, sd)])
        alarms += bool(family.beats().any())
        single += any(
            d is not None and d.p_value is not None and d.p_value < 1 - LEVEL
            for row in family.differences
            for d in row
        )
    cell = {"n": n, "seeds": seeds, "accuracy": accuracy, "seed_sd": sd, "repetitions": reps}
    return [
        {"section": "false alarms", **cell, "method": method, "share": count / reps}
        for method, count in (("rung (Holm)", alarms), ("each pair on its own", single))
    ]


def power(reps: int, n: int, seeds: int, sd: float) -> list[Row]:
    """A model against a ladder of ten, better than the best by the minimum detectable difference."""
    rng = generator("power", n, seeds, sd)
    # One strong rung, as on most boards: what is said of the others does not hang in the balance.
    ladder = [0.8, 0.4, 0.35, 0.3, 0.25, 0.2, 0.18, 0.15, 0.12, 0.1]

    def judged(size: float) -> Comparison:
        mine, *others = (v for v, _ in pair(rng, n, [0.8 + size, *ladder], 2.0, seeds, sd))
        rivals = [Rival(str(i), str(i), values) for i, values in enumerate(others)]
        metric = METRICS["accuracy"]
        found = judge(mine, rivals, dataset={}, metric=metric, level=LEVEL, n_test=n, scores={})
        return found.to_beat

    size = 0.02
    for _ in range(3):  # the noise depends a little on how good the model is
        sizes = [judged(size).minimum_detectable_difference for _ in range(200)]
        size = float(np.mean(sizes))
    said = sum(judged(size).verdict == "beats" for _ in range(reps))
    cell = {"n": n, "seeds": seeds, "seed_sd": sd, "difference": size, "repetitions": reps}
    return [{"section": "power", **cell, "method": "rung (Holm)", "share": said / reps}]


def ranks(reps: int, n: int, seeds: int, sd: float) -> list[Row]:
    """Twelve rungs, some equal, some close: do the rank intervals hold all true ranks?"""
    rng = generator("ranks", n, seeds, sd)
    truth = np.array([0.9, 0.9, 0.89, 0.85, 0.85, 0.85, 0.8, 0.78, 0.7, 0.5, 0.1, 0.1])
    best = [int(1 + (truth > t).sum()) for t in truth]
    worst = [int(len(truth) - (truth < t).sum()) for t in truth]
    held, width = 0, 0.0
    for _ in range(reps):
        found = intervals.rank_intervals(
            [v for v, _ in pair(rng, n, truth.tolist(), 2.0, seeds, sd)]
        )
        held += all(
            low <= b and w <= high for (low, high), b, w in zip(found, best, worst, strict=True)
        )
        width += float(np.mean([high - low + 1 for low, high in found]))
    cell = {"n": n, "seeds": seeds, "seed_sd": sd, "repetitions": reps, "method": "rung"}
    return [{"section": "ranks", **cell, "coverage": held / reps, "width": width / reps}]


def classified(
    rng: np.random.Generator, n: int, seeds: int, n_classes: int, sd: float, heat: float
) -> Predictions:
    """Probabilities of models that see the true logits through noise, too sure by `heat`."""
    logits = 2 * rng.standard_normal((n, n_classes))
    target = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    noise = 0.7 * rng.standard_normal((seeds, n, n_classes))
    run = sd * rng.standard_normal((seeds, 1, n_classes))
    proba = special.softmax(heat * (logits + noise + run), axis=2)
    return Predictions(target, proba.argmax(axis=2), proba.astype(np.float32))


def regressed(
    rng: np.random.Generator, n: int, seeds: int, _: int, sd: float, heat: float
) -> Predictions:
    """Numbers with errors of which some tails are long: Student's t with 6 degrees of freedom."""
    target = 2 * rng.standard_normal(n)
    own = rng.standard_t(6, size=n) + 0.5 * rng.standard_normal((seeds, n))
    size = np.exp(sd * rng.standard_normal((seeds, 1)))
    return Predictions(target, target + heat * size * own)


TRAININGS = 500  # of the truth of a metric


def truths(names: tuple[str, ...], n_classes: int, sd: float, heat: float) -> dict[str, float]:
    """The mean over trainings of each metric on a large test set."""
    rng = generator("truths", names, n_classes, sd, heat)
    world = classified if n_classes else regressed
    sums = dict.fromkeys(names, 0.0)
    for _ in range(TRAININGS):
        p = world(rng, 10_000, 1, n_classes, sd, heat)
        for name in names:
            values = METRICS[name].values(p)
            assert values is not None
            sums[name] += float(values.mean()) / TRAININGS
    return sums


def metrics(reps: int, names: tuple[str, ...], n_classes: int, sd: float, heat: float) -> list[Row]:
    """Metrics through values or influence values; the truth is their mean over many trainings."""
    truth = truths(names, n_classes, sd, heat)
    grid = itertools.product((2000, 500), (5, 3))
    parts = [metric_cells(reps, truth, n, seeds, n_classes, sd, heat) for n, seeds in grid]
    return [row for part in parts for row in part]


def metric_cells(
    reps: int, truth: dict[str, float], n: int, seeds: int, n_classes: int, sd: float, heat: float
) -> list[Row]:
    """One size and number of seeds."""
    names = list(truth)
    rng = generator("metrics", names, n, seeds, n_classes, sd, heat)
    world = classified if n_classes else regressed
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(reps):
        p = world(rng, n, seeds, n_classes, sd, heat)
        for name in names:
            values = METRICS[name].values(p)
            assert values is not None
            one = intervals.score_interval(values, scale=METRICS[name].scale)
            found[name].append((one.low, one.high))
    out = []
    for name in names:
        cell = {"metric": name, "n": n, "seeds": seeds, "classes": n_classes, "seed_sd": sd}
        tallied = tally({"rung": found[name]}, [truth[name]] * reps)
        out += rows("metrics", cell | {"too_sure": heat}, tallied)
    return out


def skewed(reps: int, name: str, n: int) -> list[Row]:
    """Means of values with a long tail, one seed: Student's t misses on one side."""
    rng = generator("skewed", name, n)
    draw: dict[str, tuple[Callable[[], Array], float]] = {
        "exponential": (lambda: rng.exponential(size=n), 1.0),
        "lognormal": (lambda: rng.lognormal(size=n), float(np.exp(0.5))),
        "chi-square, 1 df": (lambda: rng.chisquare(1, size=n), 1.0),
    }
    sample, truth = draw[name]
    found: dict[str, list[tuple[float, float]]] = {}
    for repetition in range(reps):
        v = sample()
        one = intervals.score_interval(v, scale="identity")
        found.setdefault("rung", []).append((one.low, one.high))
        t = float(stats.t.ppf(0.975, n - 1))
        found.setdefault("Student's t", []).append(wald(float(v.mean()), v.var(ddof=1) / n, t))
        if repetition < min(reps, 500):
            found.setdefault("BCa bootstrap", []).append(bca(v, rng))
    return rows("skewed", {"values": name, "n": n}, tally(found, [truth] * reps))


def resampled(reps: int, n: int, test_share: float, penalty: float) -> list[Row]:
    """Ridge regression on 20 random splits of one sample; the truth is over new samples."""
    rng = generator("resampled", n, test_share, penalty)
    n_test = round(n * test_share)
    n_features, n_splits = 10, 20
    weights = np.linspace(1, 0, n_features)

    def rmse(X: Array, y: Array, test: NDArray[np.int64]) -> float:
        train = np.setdiff1d(np.arange(len(y)), test)
        A = X[train].T @ X[train] + penalty * np.eye(n_features)
        answer = X[test] @ np.linalg.solve(A, X[train].T @ y[train])
        return float(np.sqrt(np.mean((answer - y[test]) ** 2)))

    def sample() -> tuple[Array, Array]:
        X = rng.standard_normal((n, n_features))
        return X, X @ weights + rng.standard_normal(n)

    truth = float(np.mean([rmse(*sample(), np.arange(n_test)) for _ in range(20 * reps)]))
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(reps):
        X, y = sample()
        each = np.array([rmse(X, y, rng.permutation(n)[:n_test]) for _ in range(n_splits)])
        one = intervals.resampled_interval(each, n - n_test, n_test)
        found.setdefault("rung (corrected resampled)", []).append((one.low, one.high))
        t = float(stats.t.ppf(0.975, n_splits - 1))
        naive = wald(float(each.mean()), each.var(ddof=1) / n_splits, t)
        found.setdefault("naive: mean ± t sd / sqrt(20)", []).append(naive)
    cell = {"n": n, "test_share": test_share, "penalty": penalty}
    return rows("resampled", cell, tally(found, [truth] * reps))


def tasks(reps: int) -> list[Any]:
    """All cells, the long ones first."""
    call = joblib.delayed
    sizes, runs = (4000, 1000, 100), (0.0, 0.15, 0.3)
    accuracies = (0.5, 0.7, 0.85, 0.95, 0.98, 0.995)
    grid = itertools.product(sizes, (10, 5, 3, 1), accuracies, (0.0, 2.0), runs)
    out = [call(scores)(reps, *cell) for cell in grid]
    grid2 = itertools.product(sizes, (5, 3, 1), (0.5, 0.8, 0.95, 0.98), (2.0,), runs, (0.0, 0.2))
    out += [call(differences)(reps, *cell) for cell in grid2]
    out += [
        call(false_alarms)(reps, n, s, 0.8, sd)
        for n, s, sd in itertools.product((1000, 300), (5, 3), runs)
    ]
    out += [
        call(power)(reps, n, s, sd)
        for n, s, sd in itertools.product((4000, 1000), (5, 3, 1), runs)
        if s > 1 or sd == 0
    ]
    out += [
        call(ranks)(reps, n, s, sd) for n, s, sd in itertools.product((1000, 300), (5, 3), runs)
    ]
    several = ("log_loss", "brier", "balanced_accuracy", "f1_macro")
    for sd in runs:
        out += [call(metrics)(reps, several, 4, sd, heat) for heat in (1.0, 2.5)]
        out.append(call(metrics)(reps, ("roc_auc", "log_loss", "brier"), 2, sd, 1.0))
        out.append(call(metrics)(reps, ("rmse", "mae", "r2"), 0, sd / 3, 1.0))
    out += [
        call(skewed)(reps, name, n)
        for name, n in itertools.product(
            ("exponential", "lognormal", "chi-square, 1 df"), (500, 100, 30)
        )
    ]
    out += [
        call(resampled)(reps, 200, share, penalty)
        for share in (0.1, 0.3)
        for penalty in (1.0, 100.0)
    ]
    return out


# The report.

HEAD = """# Do the intervals hold what they claim?

Made by `nox -s coverage`, {reps:,} repetitions a cell, from [coverage.csv](coverage.csv), which has
every cell. Claimed is 95 %. The world of the simulation: examples that are hard or easy (normal on
the logit scale, sd *difficulty*), trained models that are good or bad (sd *seed sd*), the same
examples for all. The truth is the accuracy of the procedure, trained anew, on new examples; with
one seed that of the trained model. Width is the mean over cells. Simulation error of a cell: about
±{error:.3f}. The bootstrap (SciPy's, 999 resamples) has 200 repetitions in some of the cells; where
it is undefined, as with all answers right, that counts as a miss.

{verdict}"""


def table(frame: pd.DataFrame, keys: Sequence[str], value: str = "coverage") -> str:
    """Markdown: lowest, mean and highest value of each group, mean width, number of cells."""
    lines = [
        f"| {' | '.join([*keys, 'cells', 'lowest', 'mean', 'highest', 'mean width'])} |",
        f"|{' :-- |' * len(keys)}{' --: |' * 5}",
    ]
    for names, group in frame.groupby(list(keys), sort=False):
        width = f"{group['width'].mean():.4f}" if group["width"].notna().all() else ""
        v = group[value]
        cells = [*(f"{name:g}" if isinstance(name, float) else str(name) for name in names)]
        cells += [str(len(group)), f"{v.min():.3f}", f"{v.mean():.3f}", f"{v.max():.3f}", width]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(frame: pd.DataFrame, reps: int) -> str:
    """results/coverage.md from all cells."""
    of = dict(list(frame.groupby("section", sort=False)))

    def ours(group: pd.DataFrame) -> pd.DataFrame:
        return group[group.method.str.startswith("rung")]

    error = 1.96 * np.sqrt(0.05 * 0.95 / reps)
    parts = [HEAD.format(reps=reps, error=error, verdict=in_short(frame))]
    for name, what in (("scores", "Scores"), ("differences", "Differences of two rungs")):
        some = of[name].assign(few=np.where(of[name].expected_errors < 4.999, "< 5", "≥ 5"))
        parts += [
            f"## {what}\n\nAccuracies from {some.accuracy.min():g} to {some.accuracy.max():g}, "
            f"{some.n.min():,} to {some.n.max():,} examples.",
            "By method, cells with 5 or more expected errors:\n\n"
            + table(some[some.few == "≥ 5"].sort_values("seeds"), ["seeds", "method"]),
            "Rung's, by what is hard about a cell:\n\n"
            + table(ours(some), ["n", "seeds", "seed_sd", "few"]).replace(
                "| n | seeds | seed_sd | few |", "| examples | seeds | seed sd | expected errors |"
            ),
        ]
    parts += [
        "## Families\n\nTen rungs that are equally good: the share of families in which *beats* is "
        "said of any.\n\n" + shares(of["false alarms"], ["method", "n", "seeds", "seed_sd"]),
        "A model that is better than the best of ten rungs by the minimum detectable difference: "
        "how often *beats* is said of it (claimed: 80 %).\n\n"
        + shares(of["power"], ["n", "seeds", "seed_sd", "difference"]),
        "Twelve rungs, some equal: the share of boards on which all rank intervals hold all true "
        "ranks.\n\n" + table(of["ranks"], ["n", "seeds", "seed_sd"]),
        "## Metrics that are no proportion, or no mean\n\n"
        + table(of["metrics"], ["metric", "n", "seeds"]),
        "Means of values with a long tail, one seed:\n\n"
        + table(of["skewed"], ["values", "n", "method"]),
        "## Repeated splits\n\nRidge regression, 20 random splits of 200 examples:\n\n"
        + table(of["resampled"], ["test_share", "penalty", "method"]),
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def in_short(frame: pd.DataFrame) -> str:
    """What holds, counted from the cells."""
    lines = []
    for name in ("scores", "differences"):
        mine = frame[(frame.section == name) & (frame.method == "rung")]
        several = mine[mine.seeds >= 3]
        enough, few = several.expected_errors >= 4.999, several.expected_errors < 4.999
        v = several[enough].coverage
        lines.append(
            f"- {name.capitalize()}, 3 seeds or more, 5 expected errors or more: {len(v)} cells from "
            f"{v.min():.3f} to {v.max():.4f}, mean {v.mean():.3f}; {((v < 0.93) | (v > 0.98)).sum()} "
            f"outside .93 to .98. Fewer errors: {few.sum()} cells, lowest "
            f"{several[few].coverage.min():.3f}. One seed: mean "
            f"{mine[mine.seeds == 1].coverage.mean():.3f}."
        )
    alarms = frame[(frame.section == "false alarms") & frame.method.str.startswith("rung")]
    power, ranks = (frame[frame.section == s] for s in ("power", "ranks"))
    lines += [
        f"- *Beats* is said under equality in at most {alarms.share.max():.3f} of families of ten; "
        f"of a model that is better by the minimum detectable difference in {power.share.min():.3f} "
        f"to {power.share.max():.3f} of cases.",
        f"- Rank intervals hold all true ranks in at least {ranks.coverage.min():.3f} of boards.",
    ]
    return "\n".join(lines)


def shares(frame: pd.DataFrame, keys: Sequence[str]) -> str:
    """Markdown: one line a cell."""
    lines = [f"| {' | '.join([*keys, 'share'])} |", f"|{' --: |' * (len(keys) + 1)}"]
    for row in frame.to_dict("records"):
        cells = [f"{row[k]:.4g}" if isinstance(row[k], float) else f"{row[k]}" for k in keys]
        lines.append("| " + " | ".join([*cells, f"{row['share']:.3f}"]) + " |")
    return "\n".join(lines)


def main(argv: Iterable[str] | None = None) -> None:
    """Runs all cells on all cores and writes the two files."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repetitions", type=int, default=2000)
    options.add_argument("--to", type=Path, default=Path(__file__).parents[1] / "results")
    arguments = options.parse_args(argv if argv is None else list(argv))
    begun = time.perf_counter()
    parallel = joblib.Parallel(n_jobs=-1, verbose=1, inner_max_num_threads=1, backend="loky")
    found = parallel(tasks(arguments.repetitions))
    frame = pd.DataFrame([row for part in found for row in part])
    arguments.to.mkdir(parents=True, exist_ok=True)
    frame.to_csv(arguments.to / "coverage.csv", index=False, float_format="%.6g")
    page = report(frame, arguments.repetitions)
    (arguments.to / "coverage.md").write_text(page, encoding="utf-8")
    print(page)
    print(f"{len(frame):,} rows in {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
