"""auto-sklearn: pipelines of scikit-learn that a search found in 60 seconds, as an ensemble (Feurer et al., 2015)."""

from __future__ import annotations

from typing import Any

from rung.baseline import Baseline
from rung.dataset import Dataset
from rung.elsewhere import ElsewhereClassifier, ElsewhereRegressor


def search(
    X: Any, y: Any, categorical: list[int], folder: str, seconds: int, memory: int, seed: int
) -> Any:
    """Runs in the interpreter of auto-sklearn, from this text alone.

    Classes are searched for the least log loss, which small validation parts measure better than
    accuracy and which makes probabilities worth reading.
    """
    import json

    import autosklearn
    import numpy as np
    from autosklearn.classification import AutoSklearnClassifier
    from autosklearn.metrics import log_loss, root_mean_squared_error
    from autosklearn.regression import AutoSklearnRegressor
    from sklearn.model_selection import train_test_split

    classes = y.dtype.kind == "i"
    # A pipeline gets a tenth of the time. With 1.2 million values (SMS Spam) two of ten were done by
    # then on a busy core; with 32,561 rows (Adult) or 2 million values (Fashion-MNIST), none.
    most = min(10_000, 1_000_000 // X.shape[1])
    if len(X) > most + (y.max() + 1 if classes else 0):
        rows = np.arange(len(X))
        alone = np.bincount(y)[y] == 1 if classes else np.zeros(len(X), bool)
        part = {"train_size": most - alone.sum(), "random_state": seed}
        some = train_test_split(rows[~alone], stratify=y[~alone] if classes else None, **part)[0]
        kept = np.concatenate([some, rows[alone]])
        X, y = X[kept], y[kept]
    model = (AutoSklearnClassifier if classes else AutoSklearnRegressor)(
        time_left_for_this_task=seconds,
        memory_limit=memory,
        metric=log_loss if classes else root_mean_squared_error,
        seed=seed,
        n_jobs=1,
        tmp_folder=f"{folder}/search",
    )
    kinds = ["Categorical" if i in categorical else "Numerical" for i in range(X.shape[1])]
    model.fit(X, y, feat_type=kinds)
    statuses = list(model.cv_results_["status"])
    if "Success" not in statuses:
        raise RuntimeError(f"auto-sklearn finished no pipeline in {seconds} s; try more seconds")
    told = ["ensemble_weight", "type", "feature_preprocessors", "cost"]
    ensemble = model.leaderboard(detailed=True)[told].sort_values(told[0], ascending=False)
    return model, {
        "n_train": len(X),
        "auto-sklearn": autosklearn.__version__,
        "seconds": seconds,
        "memory_mb": memory,
        "seed": seed,
        "tried": {status: statuses.count(status) for status in sorted(set(statuses))},
        "ensemble": json.loads(ensemble.to_json(orient="records", double_precision=4)),
    }


def make(dataset: Dataset, seed: int, seconds: int = 60, memory: int = 4_096) -> Any:
    """seconds: of the search, 30 or more. memory: MB of address space that a pipeline may take, of
    which the libraries alone take about one thousand."""
    kind = ElsewhereRegressor if dataset.task == "regression" else ElsewhereClassifier
    return kind("automl", search, {"seconds": seconds, "memory": memory, "seed": seed})


baseline = Baseline(
    rung=5.7,
    title="auto-sklearn",
    needs="categories",
    most_values=256,
    interpreter="automl",
    make=make,
)
