"""fastText: the mean of vectors of words and pairs of words, and a linear layer (Joulin et al., 2017)."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from math import log
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from rung.baseline import Baseline
from rung.dataset import Dataset, texts

TOKEN = re.compile(r"\w+|[^\w\s]")  # those of the other text features
LABEL = "=label="  # what labels begin with in fastText's file; no token can look like it
FEWEST = 20  # with fewer rows of some class there are too few to hold out


class FastTextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """fastText's supervised model, on one thread, so that it repeats exactly.

    X: (n,) strings. weighted: whether a word counts as often as its TF-IDF weight says, which is
    for long texts, as the mean of all their words is that of the most common ones; each class is
    then learnt against the rest, at twice the learning rate. "auto" takes what predicts a tenth
    of the training rows better, by a model that was not fitted to them. On the same rows a
    temperature is found, as fastText's own probabilities are too sure of themselves.
    buckets: how many vectors pairs of words are hashed to.
    After fit: classes_, weighted_, temperature_.
    """

    def __init__(
        self,
        epochs: int = 20,
        learning_rate: float = 0.5,
        word_ngrams: int = 2,
        dimensions: int = 20,
        buckets: int = 500_000,
        weighted: bool | Literal["auto"] = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.word_ngrams = word_ngrams
        self.dimensions = dimensions
        self.buckets = buckets
        self.weighted = weighted
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """y: (n,) labels. Raises RungError if X holds no texts."""
        found = texts(np.asarray(X, dtype=object), "fastText")
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        random = check_random_state(self.random_state)
        # fastText goes through the file in its order, and data sets come sorted by class.
        order = random.permutation(len(found))
        seed = random.randint(2**31 - 1)
        self.weighted_, self.temperature_ = self.weighted is True, 1.0
        if np.bincount(codes).min() >= FEWEST:
            rest, held = train_test_split(
                order, test_size=0.1, stratify=codes[order], random_state=seed
            )
            tried = []
            for weighted in (False, True) if self.weighted == "auto" else (self.weighted_,):
                self.weighted_ = weighted
                self._train(found, codes, rest, seed)
                scores = np.log(self._shares(found[held]))
                tried.append((*calibrated(scores, codes[held]), weighted))
            _, self.temperature_, self.weighted_ = min(tried)
        self._train(found, codes, order, seed)
        return self

    def _lines(self, found: NDArray[np.object_]) -> list[str]:
        """The texts in small letters, with a space between words and marks, one line each."""
        words = (TOKEN.findall(text.lower()) for text in found)
        return [" ".join(self._repeated(w) if self.weighted_ else w) for w in words]

    def _repeated(self, words: list[str]) -> list[str]:
        """Each word as often as its TF-IDF weight, rounded: all that stand once or more in the
        order of the text, then all that stand twice or more, and so on."""
        times = {w: round((1 + log(n)) * self.idf_.get(w, 0)) for w, n in Counter(words).items()}
        most = max(times.values(), default=0)
        return [w for k in range(most) for w, n in times.items() if n > k]

    def _train(
        self, found: NDArray[np.object_], codes: NDArray[Any], rows: NDArray[Any], seed: int
    ) -> None:
        import fasttext

        if self.weighted_:
            counts = Counter(w for text in found[rows] for w in set(TOKEN.findall(text.lower())))
            self.idf_ = {w: log((1 + len(rows)) / (1 + n)) for w, n in counts.items()}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "train.txt")
            pairs = zip(codes[rows], self._lines(found[rows]), strict=True)
            file.write_text("".join(f"{LABEL}{c} {line}\n" for c, line in pairs), encoding="utf-8")
            self.model_ = fasttext.train_supervised(
                input=str(file),
                label=LABEL,
                loss="ova" if self.weighted_ else "softmax",
                epoch=self.epochs,
                lr=self.learning_rate * (2 if self.weighted_ else 1),
                wordNgrams=self.word_ngrams,
                dim=self.dimensions,
                bucket=self.buckets,
                minCount=1,
                seed=seed,
                thread=1,
                verbose=0,
            )

    def _shares(self, found: NDArray[np.object_]) -> NDArray[np.float64]:
        """The model's probabilities, (n, n_classes), none of them zero."""
        out = np.full((len(found), len(self.classes_)), 1e-9)
        answers = self.model_.predict(self._lines(found), k=-1) if len(found) else ([], [])
        for row, (labels, shares) in enumerate(zip(*answers, strict=True)):
            out[row, [int(label.removeprefix(LABEL)) for label in labels]] += shares
        return np.asarray(out / out.sum(axis=1, keepdims=True))

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities, (n, n_classes)."""
        check_is_fitted(self)
        found = texts(np.asarray(X, dtype=object), "fastText")
        scores = np.log(self._shares(found))
        return np.asarray(softmax(scores / self.temperature_, axis=1))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable labels, (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "model_" in state:
            with tempfile.TemporaryDirectory() as folder:
                self.model_.save_model(f"{folder}/model.bin")
                state["model_"] = Path(folder, "model.bin").read_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        from fasttext.FastText import _FastText

        state = dict(state)
        if isinstance(model := state.get("model_"), bytes):
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "model.bin").write_bytes(model)
                state["model_"] = _FastText(model_path=f"{folder}/model.bin")
        super().__setstate__(state)


def calibrated(scores: NDArray[np.float64], codes: NDArray[np.int64]) -> tuple[float, float]:
    """The least log loss of softmax(scores / temperature), and that temperature.

    scores: (n, n_classes).
    """

    def loss(log_t: float) -> float:
        logs = log_softmax(scores / np.exp(log_t), axis=1)
        return -float(logs[np.arange(len(codes)), codes].mean())

    best = minimize_scalar(loss, bounds=(-2, 3), method="bounded")
    return float(best.fun), float(np.exp(best.x))


def make(dataset: Dataset, seed: int, **parameters: Any) -> FastTextClassifier:
    return FastTextClassifier(random_state=seed, **parameters)


baseline = Baseline(
    rung=5.5,
    title="fastText",
    tasks=("classification",),
    modalities=("text",),
    needs="raw",
    make=make,
)
