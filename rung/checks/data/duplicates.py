"""Examples that are there twice: the same, or nearly the same, across the parts or inside one."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rung.checks.base import Finding, NotApplicable, Severity, Shown
from rung.checks.data.subject import SEED, Data, DataCheck, once
from rung.checks.near import pictures, tables, texts
from rung.checks.near.pairs import Pairs
from rung.dataset import Pictures
from rung.errors import counted
from rung.hygiene import row_hashes

PLANTED = 1e-3  # the chance of a random split to part so many, below which it was none
LEAK = 0.01  # of the test part; with PLANTED, an error
SURPLUS = 0.02  # of a part; fewer copies inside it are told and no alarm
TORN = 0.005  # of the rows, in groups of the same input with different labels
CLEARLY = 0.5  # standard deviations between two targets that are clearly different
EXAMPLES = 12  # pairs that are shown
NAMED = 100  # pairs whose ids are told
WHAT = {"image": "pictures", "text": "texts", "tabular": "rows"}

Rows = NDArray[np.int64]


# --- What is the same, and what is nearly the same -------------------------------------------


@once
def contents(subject: Data) -> Rows:
    """(n,) codes that are the same for examples with the same content.

    Texts are the same that have the same words in the same order, pictures that have the same
    pixels, however they are stored.
    """
    if not isinstance(subject.dataset.X, Pictures):
        return stored(subject)
    from scipy import sparse

    files, near = stored(subject), look_alikes(subject)
    first = firsts(files)
    same = np.array([equal_pixels(subject.dataset.X, *first[pair]) for pair in near.rows], bool)
    n = len(first)
    a, b = near.rows[same].T
    graph = sparse.csr_matrix((np.ones(len(a)), (a, b)), shape=(n, n))
    _, joined = sparse.csgraph.connected_components(graph, directed=False)
    return codes(joined[files])


@once
def stored(subject: Data) -> Rows:
    """(n,) codes that are the same for examples that are stored as the same bytes (or words)."""
    X = subject.dataset.X
    if subject.dataset.modality == "text":
        same = [" ".join(texts.words(text)) or text.strip() for text in X]
        return codes(np.array(same, dtype=object))
    return codes(row_hashes([X[i] for i in range(len(X))] if isinstance(X, Pictures) else X))


def codes(values: NDArray[Any]) -> Rows:
    import pandas as pd

    return np.asarray(pd.factorize(values)[0], dtype=np.int64)


def firsts(found: Rows) -> Rows:
    """The first row of each code; codes are numbered as they come."""
    return np.unique(found, return_index=True)[1].astype(np.int64)


def equal_pixels(X: Pictures, a: int, b: int) -> bool:
    from PIL import Image

    with Image.open(io.BytesIO(X[int(a)])) as one, Image.open(io.BytesIO(X[int(b)])) as other:
        same = one.size == other.size
        return same and one.convert("RGB").tobytes() == other.convert("RGB").tobytes()


@once
def look_alikes(subject: Data) -> Pairs:
    """Pairs of codes of `stored` that are nearly the same."""
    dataset, first = subject.dataset, firsts(stored(subject))
    if dataset.modality == "image":
        return pictures.pairs(subject.pixels[first], crops=not subject.fast)
    if dataset.modality == "text":
        return texts.pairs(dataset.X[first].tolist())
    return tables.pairs(subject.frame.iloc[first])


@once
def near_contents(subject: Data) -> Pairs:
    """Pairs of codes of `contents` that are nearly the same, and not quite."""
    near, same = look_alikes(subject), contents(subject)
    found = near.of_rows(same[firsts(stored(subject))])
    return found.take(found.rows[:, 0] != found.rows[:, 1])


# --- How much of it there is ------------------------------------------------------------------


def parted(groups: Rows, test: NDArray[np.bool_]) -> tuple[int, float, float]:
    """Test rows of groups that also have a training row: how many there are, how many a random
    split would make on average, and its chance to make so many or more.

    groups: (m,) group of each row; test: (m,) whether it is tested on.
    """
    from scipy import stats

    sizes = np.bincount(groups)
    tested = np.bincount(groups[test], minlength=len(sizes))
    found = int(tested[tested < sizes].sum())
    # Of a group of g rows Binomial(g, q) are tested on; they count if that is not all g. The
    # distribution of the sum over all groups is a product after a Fourier transform.
    several, times = np.unique(sizes[sizes > 1], return_counts=True)
    most = int(several @ times)
    transformed = np.ones((most + 1) // 2 + 1, dtype=complex)
    for g, count in zip(several.tolist(), times.tolist(), strict=True):
        one = stats.binom.pmf(np.arange(g + 1), g, test.mean())
        one[0], one[g] = one[0] + one[g], 0
        transformed *= np.fft.rfft(one, most + 1) ** count
    total = np.fft.irfft(transformed, most + 1)
    expected = float(np.arange(most + 1) @ total)
    return found, expected, float(np.clip(total[found:].sum(), 0, 1))


def across(found: int, tested: int, chance: float) -> Severity:
    """How bad it is that the answers of so many of the test examples can be known by heart.

    More than a random split would part were put into both parts: an error. Else it matters if it
    can be told from the error of the score: a standard error of an accuracy of 90 %.
    """
    planted = chance < PLANTED
    if planted and found >= LEAK * tested:
        return "error"
    return "warning" if planted or found / tested > 0.3 / np.sqrt(tested) else "info"


def percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"


@once
def coincidences(subject: Data) -> tuple[int, int, int]:
    """How many test rows of a table would equal a training row if its columns were independent, how
    many training rows an earlier one, and how many of all rows. Zeros for what is no table."""
    import pandas as pd

    if subject.dataset.modality != "tabular":
        return 0, 0, 0
    rng = np.random.default_rng(SEED)
    rows = np.concatenate([subject.train, subject.test])
    frame = subject.frame.iloc[rows]
    shuffled = pd.DataFrame({c: frame[c].to_numpy()[rng.permutation(len(rows))] for c in frame})
    found = codes(row_hashes(shuffled))
    train, test = np.split(found, [len(subject.train)])
    inside, everywhere = (len(part) - len(np.unique(part)) for part in (train, found))
    return int(np.isin(test, train).sum()), inside, everywhere


class Members:
    """Which rows have which content. train, test: (n codes,) how many of each part; first_train,
    first_test: one of them."""

    def __init__(self, subject: Data) -> None:
        self.subject = subject
        found = contents(subject)
        n = int(found.max()) + 1
        self.of_train, self.of_test = found[subject.train], found[subject.test]
        self.train = np.bincount(self.of_train, minlength=n)
        self.test = np.bincount(self.of_test, minlength=n)
        self.first_train, self.first_test = np.zeros((2, n), np.int64)
        self.first_train[self.of_train[::-1]] = subject.train[::-1]
        self.first_test[self.of_test[::-1]] = subject.test[::-1]

    @property
    def what(self) -> str:
        return WHAT[self.subject.dataset.modality]

    def ids(self, rows: Rows) -> list[list[str]]:
        """The ids of pairs of rows, (m, 2), of the first NAMED."""
        found: list[list[str]] = self.subject.dataset.ids[rows[:NAMED]].tolist()
        return found

    def shown(self, said: Callable[[int], str], rows: Rows) -> tuple[Shown, ...]:
        """Some of the pairs, evenly taken. said: a line on the pair of that number."""
        taken = np.unique(np.linspace(0, len(rows) - 1, EXAMPLES).astype(np.int64))
        return tuple(self.subject.shown(said(int(k)), *rows[k]) for k in taken)

    def scattered(self, groups: Rows) -> tuple[int, float, float]:
        """`parted`, of the groups that contents belong to, (n codes,)."""
        both = np.concatenate([groups[self.of_train], groups[self.of_test]])
        return parted(both, np.arange(len(both)) >= len(self.of_train))


KEEP_APART = (
    "Keep all copies of an example in one part (split by groups), or drop those of the test part "
    "from training; until then the score is too good by what is known by heart."
)
CHANCE_ROWS = (
    "Rows of so few values coincide by chance: this many would if the columns were independent. "
    "There is nothing to mend, unless a row stands for one thing that was entered twice."
)


class SameAcross(DataCheck):
    """A test example that also stands in the training part is answered by heart, and the score is
    too good. Pictures are the same with the same pixels, texts with the same words in the same
    order, rows of tables with the same features. It is an error where more copies stand in both
    parts than a random split would put there, a warning where the score could show it, and else
    told only: so are rows of tables of few values, which coincide. Split by groups of copies."""

    code = "RC101"
    title = "No test example stands in the training part"

    def run(self, subject: Data) -> Finding | None:
        members = Members(subject)
        twins = members.train[members.of_test] > 0
        found, tested = int(twins.sum()), len(twins)
        if not found:
            return None
        _, expected, chance = members.scattered(np.arange(len(members.train)))
        severity, advice = across(found, tested, chance), KEEP_APART
        by_chance, _, _ = coincidences(subject)
        if 2 * by_chance >= found:
            severity, advice = "info", CHANCE_ROWS
        rows = np.stack([subject.test, members.first_train[members.of_test]], axis=1)[twins]
        return Finding(
            f"{found:,} of the {tested:,} test {members.what} ({percent(found / tested)}) stand in "
            f"the training part too; a random split of the copies would leave {expected:,.0f}.",
            advice,
            {
                "test_examples": found,
                "share": found / tested,
                "expected_of_a_random_split": expected,
                "chance_of_a_random_split": chance,
                "by_chance": by_chance,
                "pairs": members.ids(rows),
            },
            members.shown(lambda k: "The same in both parts.", rows),
            severity=severity,
        )


class SameInside(DataCheck):
    """Copies inside the training part weigh more than other examples, stand on both sides of a
    cross-validation, which then promises too much, and in the test part they make its interval
    too narrow. A few are usual in collections of short texts and of measurements; from one in
    fifty examples on, this is a warning, unless rows of few values coincide. Drop copies, or give them one weight and one fold.
    """

    code = "RC102"
    title = "No example is there twice inside a part"

    def run(self, subject: Data) -> Finding | None:
        members = Members(subject)
        surplus = {
            part: int(counts.sum() - (counts > 0).sum())
            for part, counts in (("training", members.train), ("test", members.test))
        }
        if not any(surplus.values()):
            return None
        sizes = {"training": len(subject.train), "test": len(subject.test)}
        shares = {part: surplus[part] / sizes[part] for part in surplus}
        again = [
            np.stack([rows, first[of]], axis=1)[rows != first[of]]
            for rows, of, first in (
                (subject.train, members.of_train, members.first_train),
                (subject.test, members.of_test, members.first_test),
            )
        ]
        pairs = np.concatenate(again)[:, ::-1]
        often = int(np.maximum(members.train, members.test).max())
        severity: Severity = "warning" if max(shares.values()) >= SURPLUS else "info"
        advice = "Drop the copies, or keep those of one example in one fold and weigh them as one."
        _, by_chance, _ = coincidences(subject)
        if by_chance and 2 * by_chance >= surplus["training"]:
            severity, advice = "info", CHANCE_ROWS
        said = " and ".join(
            f"{surplus[part]:,} of the {sizes[part]:,} {part} {members.what} "
            f"({percent(shares[part])})"
            for part in surplus
            if surplus[part]
        )
        return Finding(
            f"{said} are copies of another one there; the most frequent is there {often:,} times.",
            advice,
            {
                "training_copies": surplus["training"],
                "training_share": shares["training"],
                "test_copies": surplus["test"],
                "test_share": shares["test"],
                "most_frequent": often,
                "by_chance": by_chance,
                "pairs": members.ids(pairs),
            },
            members.shown(lambda k: "The same in one part.", pairs),
            severity=severity,
        )


class Torn(DataCheck):
    """The same input with two labels, or with clearly different targets, can't be predicted right
    both times: either labels are wrong, or what tells the examples apart is not among the
    features. The least error that any model can reach on all the data follows from them. It is a
    warning from one in two hundred examples on, unless rows of few values coincide. Look at the
    groups; mend the labels, drop the copies, or find the feature that is missing."""

    code = "RC103"
    title = "The same input always has the same label"

    def run(self, subject: Data) -> Finding | None:
        dataset = subject.dataset
        rows = np.concatenate([subject.train, subject.test])
        groups, y = codes(contents(subject)[rows]), dataset.y[rows]
        sizes = np.bincount(groups)
        labels = dataset.task == "classification"
        if labels:
            cells, counts = np.unique(groups * dataset.n_classes + y, return_counts=True)
            most = np.zeros(len(sizes), np.int64)
            np.maximum.at(most, cells // dataset.n_classes, counts)
            torn = most < sizes
            floor = float((sizes - most).sum() / len(rows))
            floor_said = f"can have an error rate below {percent(floor)} on all of them"
            name = "least_error_rate"
        else:
            low, high = np.full((2, len(sizes)), [[np.inf], [-np.inf]])
            np.minimum.at(low, groups, y)
            np.maximum.at(high, groups, y)
            torn = high - low > CLEARLY * dataset.y[subject.train].std()
            means = np.bincount(groups, y) / sizes
            floor = float(np.sqrt(np.mean((y - means[groups]) ** 2)))
            floor_said = f"can have an RMSE below {floor:.3g} on all of them"
            name = "least_rmse"
        if not torn.any():
            return None
        found = torn[groups]
        nobody = "no model of words" if dataset.modality == "text" else "no model"
        few_values = 2 * coincidences(subject)[2] >= (sizes - 1).sum()
        different = "different labels" if labels else "clearly different targets"
        order = np.lexsort((y, groups))
        ends = np.cumsum(sizes)
        pairs = rows[order[np.stack([ends - sizes, ends - 1], axis=1)[torn]]]
        members = Members(subject)
        return Finding(
            f"{int(found.sum()):,} {members.what} in {counted(int(torn.sum()), 'group')} "
            f"have the same content and {different}: {nobody} {floor_said}.",
            "Look at the groups: mend wrong labels, drop copies, or add the feature that tells "
            "them apart.",
            {
                "examples": int(found.sum()),
                "groups": int(torn.sum()),
                "share": float(found.mean()),
                name: floor,
                "pairs": members.ids(pairs),
            },
            members.shown(lambda k: "The same, but for the label.", pairs),
            severity="warning" if found.mean() >= TORN and not few_values else "info",
        )


def near(subject: Data) -> Pairs:
    """`near_contents`, or NotApplicable for what has no distance."""
    dataset = subject.dataset
    if dataset.modality == "tabular" and not any(d.kind in "fM" for d in subject.frame.dtypes):
        raise NotApplicable("no column holds numbers that could be nearly the same")
    return near_contents(subject)


def like(pairs: Pairs, modality: str) -> Callable[[int], str]:
    """A line on a pair, by its number."""
    unit = {
        "image": "distance {:.2f} of that to other pictures",
        "text": "{:.0%} of the weight of their words is shared",
        "tabular": "{:.2g} standard deviations apart",
    }[modality]

    def said(k: int) -> str:
        d = pairs.distance[k]
        kind = f"{pairs.kind[k]}, " if pairs.kind[k] else ""
        return f"Nearly the same: {kind}{unit.format(1 - d if modality == 'text' else d)}."

    return said


def kinds(pairs: Pairs) -> dict[str, int]:
    names, counts = np.unique(pairs.kind, return_counts=True)
    return {str(n): int(c) for n, c in zip(names, counts, strict=True) if n}


class NearAcross(DataCheck):
    """A test example that is a changed copy of a training one is nearly answered by heart: a
    picture resized, compressed again, brightened, mirrored or slightly cropped; a text with a few
    words changed; a row that was rounded or has a little noise. What merely looks alike is left
    out: a copy is far closer than the examples of the data set usually are. How bad it is, is told
    as for exact copies. Split by groups of copies."""

    code = "RC104"
    title = "No test example is nearly one of the training part"

    def run(self, subject: Data) -> Finding | None:
        from scipy import sparse

        pairs, members = near(subject), Members(subject)
        # Each way round: the content of the test example first, which has no twin in training
        # (that is told elsewhere), then that of the training example; of each the nearest.
        both = np.concatenate([pairs.rows, pairs.rows[:, ::-1]])
        test, train = both.T
        good = (members.test[test] > 0) & (members.train[test] == 0) & (members.train[train] > 0)
        number = np.flatnonzero(good)
        number = number[np.argsort(np.tile(pairs.distance, 2)[number], kind="stable")]
        number = number[np.sort(np.unique(test[number], return_index=True)[1])]
        found, tested = int(members.test[test[number]].sum()), len(subject.test)
        if not found:
            return None
        n = len(members.train)
        graph = sparse.csr_matrix((np.ones(len(pairs)), tuple(pairs.rows.T)), shape=(n, n))
        _, groups = sparse.csgraph.connected_components(graph, directed=False)
        _, expected, chance = members.scattered(groups.astype(np.int64))
        _, of_same, _ = members.scattered(np.arange(n))
        nearest = pairs.take(number % len(pairs))
        rows = np.stack([members.first_test[test[number]], members.first_train[train[number]]], 1)
        return Finding(
            f"{found:,} of the {tested:,} test {members.what} ({percent(found / tested)}) are "
            "nearly the same as one of the training part" + told(nearest) + ".",
            KEEP_APART,
            {
                "test_examples": found,
                "share": found / tested,
                "expected_of_a_random_split": expected - of_same,
                "chance_of_a_random_split": chance,
                "kinds": kinds(nearest),
                "pairs": members.ids(rows),
            },
            members.shown(like(nearest, subject.dataset.modality), rows),
            severity=across(found, tested, chance),
        )


def told(pairs: Pairs) -> str:
    found = ", ".join(f"{count:,} {kind}" for kind, count in kinds(pairs).items())
    return f" ({found})" if found else ""


class NearInside(DataCheck):
    """Changed copies inside the training part: pictures of one scene, texts made from one template,
    rows with a little noise. They weigh more than other examples and stand on both sides of a
    cross-validation. They are found as those across the parts; from one in fifty examples on, this
    is a warning. Keep copies in one fold, or drop all but one."""

    code = "RC105"
    title = "No training example is nearly another one"

    def run(self, subject: Data) -> Finding | None:
        pairs, members = near(subject), Members(subject)
        inside = np.flatnonzero((members.train[pairs.rows] > 0).all(axis=1))
        pairs = pairs.take(inside)
        pairs = pairs.take(np.argsort(pairs.distance, kind="stable"))
        if not len(pairs):
            return None
        found = int(members.train[np.unique(pairs.rows)].sum())
        share = found / len(subject.train)
        rows = members.first_train[pairs.rows]
        return Finding(
            f"{found:,} of the {len(subject.train):,} training {members.what} ({percent(share)}) "
            f"are nearly the same as another one, in {counted(len(pairs), 'pair')}"
            + told(pairs)
            + ".",
            "Keep copies in one fold of a cross-validation, or drop all but one.",
            {
                "training_examples": found,
                "share": share,
                "near_pairs": len(pairs),
                "kinds": kinds(pairs),
                "pairs": members.ids(rows),
            },
            members.shown(like(pairs, subject.dataset.modality), rows),
            severity="warning" if share >= SURPLUS else "info",
        )
