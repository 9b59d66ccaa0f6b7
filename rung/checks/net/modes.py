"""Checks of modes (training, prediction) and of what the loop feeds the net."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from rung.checks.base import Finding, NotApplicable
from rung.checks.model.given import seeds
from rung.checks.model.subject import Model, ModelCheck
from rung.checks.net.recording import recorded
from rung.checks.net.seen import Trained, answer, two_modes


def kind(module: nn.Module) -> str:
    return "batch norm" if isinstance(module, _BatchNorm) else "dropout"


class EvalInPredict(ModelCheck):
    """In prediction, dropout must be off and batch norm must use what it has learnt, not the batch:
    call net.eval() first. Without it predictions are noisy, depend on their company, and the
    statistics of batch norm learn from the test data. Seen by the mode of each such layer while the
    model predicts."""

    code = "RC331"
    title = "Predictions are made in eval mode"
    severity = "error"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        fitted = model.fitted
        with seeds(0), recorded() as seen:
            fitted.predict(model.X_test[:32])
        if not seen.roots:
            raise NotApplicable("predict called no net that has parameters")
        wrong = sorted({
            kind(m.module)
            for m in seen.two_modes.values()
            if True in m.training
            and not (isinstance(m.module, _BatchNorm) and not m.module.track_running_stats)
            and getattr(m.module, "p", 1) > 0
        })  # fmt: skip
        if wrong:
            return Finding(
                f"While it predicts, {' and '.join(wrong)} of the net are in training mode.",
                "Call net.eval() before predictions, and net.train() before training goes on.",
                {"layers": wrong},
            )
        if any(grad for root in seen.roots for _, grad in root.modes):
            return Finding(
                "Predictions keep what gradients need, which costs time and memory.",
                "Predict within torch.inference_mode() or no_grad().",
                severity="info",
            )
        return None


class TrainInTraining(ModelCheck):
    """In training, dropout must drop and batch norm must learn its statistics. An evaluation within
    the loop leaves the net in eval mode, and all that follows is trained without either. Seen by
    the mode of the net at each step. Call net.train() at the start of each epoch."""

    code = "RC332"
    title = "Training is done in training mode"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        if not two_modes(seen.net):
            raise NotApplicable("it has no layer that differs in training")
        still = [s for s in seen.steps if not s.training]
        if not still:
            return None
        return Finding(
            f"In {len(still):,} of {len(seen.steps):,} steps the net was in eval mode.",
            "Call net.train() at the start of each epoch.",
            {"eval": len(still), "steps": len(seen.steps)},
        )


class NormBatches(ModelCheck):
    """Batch norm estimates mean and variance of a channel from the batch: of one example they are
    nothing but that example, of fewer than eight they are mostly noise. Seen by the batches that it
    was fed in training. Leave the last short batch out (drop_last), make batches larger, or take
    group norm or layer norm."""

    code = "RC333"
    title = "Batch norm sees batches that are large enough"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        found = [
            m.fewest[1] for m in model.trained.recording.two_modes.values() if m.fewest is not None
        ]
        if not found:
            raise NotApplicable("no batch norm was trained")
        fewest = min(found)
        if fewest >= 4:
            return None
        rows = [s.rows for s in model.trained.steps]
        small = sum(n < 4 for n in rows)
        return Finding(
            f"Batch norm was trained on batches of {fewest}, in {small:,} of {len(rows):,} steps.",
            "Leave the last short batch out (drop_last), or take group norm or layer norm.",
            {"fewest": fewest, "steps": small},
            severity="error" if fewest == 1 and small > len(rows) / 2 else None,
        )


class PredictionsRepeat(ModelCheck):
    """Asked twice, a net says the same. It does not if augmentation or dropout is on in
    prediction, and if it keeps something of what it saw before (a hidden state, a cache, a running
    mean). Seen by predictions of the same rows: again, with the same seed again, and after other
    rows. Noise that is wanted belongs to an average over many draws."""

    code = "RC334"
    title = "Predictions of a row don't change"
    severity = "error"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        half = min(48, len(model.test) // 2)
        if half < 1:
            raise NotApplicable("there are fewer than two test rows")
        rows, others = model.X_test[:half], model.X_test[half : 2 * half]
        values = []
        for seed, asked in ((0, rows), (0, others), (0, rows), (1, rows)):
            with seeds(seed):
                found = model.fitted.predict(asked)
            if asked is rows:
                values.append(np.asarray(found.label if found.proba is None else found.proba))
        first, after, reseeded = values
        scale = float(np.abs(first).max()) + 1e-12
        if np.abs(after - first).max() > 1e-4 * scale:
            return Finding(
                "Predictions of the same rows differ after other rows were predicted, with the "
                "same random numbers.",
                "Look for what the net keeps between calls: a hidden state, a cache, batch norm "
                "in training mode.",
                {"difference": float(np.abs(after - first).max())},
            )
        if np.abs(reseeded - first).max() > 1e-4 * scale:
            return Finding(
                "Predictions of the same rows differ with the random numbers.",
                "Look for dropout that does not ask self.training, and for augmentation in "
                "prediction; average over draws where noise is meant.",
                {"difference": float(np.abs(reseeded - first).max())},
            )
        return None


class RunningStatistics(ModelCheck):
    """Batch norm predicts with running means of what it saw in training. Where training was
    short, momentum is small or training and evaluation data differ, these are far from the
    batch's, and a net that is good in training mode is bad in prediction. Seen by how often the
    most probable class differs between the two modes (dropout left out) on rows of training.
    Train longer, or raise the momentum of batch norm."""

    code = "RC335"
    title = "Batch norm in prediction does as in training"
    needs = ("net", "classification")

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        if not any(isinstance(m, _BatchNorm) for m in seen.root.module.modules()):
            raise NotApplicable("it has no batch norm")
        if len(seen.inputs) < 32:
            raise NotApplicable("fewer than 32 rows were fed")
        net = seen.copy()
        with torch.no_grad():
            predicted = answer(net, seen.inputs)
            for module in net.modules():
                if isinstance(module, _BatchNorm):
                    module.train()
            trained = answer(net, seen.inputs)
        if predicted.ndim != 2 or predicted.shape[1] < 2:
            raise NotApplicable("its output is not one number for each class")
        differs = float((predicted.argmax(1) != trained.argmax(1)).float().mean())
        if differs <= 0.3:
            return None
        return Finding(
            f"For {differs:.0%} of the rows of training, the most probable class is another one "
            "with the running statistics of batch norm than with those of the batch.",
            "Train longer, raise the momentum of batch norm, or take another norm.",
            {"differs": differs},
        )


class InputScale(ModelCheck):
    """Initial weights and learning rates are made for inputs of mean 0 and standard deviation 1;
    inputs of 0 to 255 make activations and gradients as many times larger. Seen by what the first
    layer with weights was fed, unless a norm comes first. Subtract the mean and divide by the
    standard deviation of the training set."""

    code = "RC341"
    title = "The first layer's input is standardised"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained.recording.first_input
        if seen is None:
            raise NotApplicable("its first layer takes no numbers")
        if seen.normalized or (0.05 <= seen.sd <= 5 and abs(seen.mean) <= 3):
            return None
        return Finding(
            f"The first layer gets inputs of mean {seen.mean:.3g} and standard deviation "
            f"{seen.sd:.3g} ({seen.low:.3g} to {seen.high:.3g}).",
            "Subtract the mean and divide by the standard deviation of the training set.",
            {"mean": seen.mean, "sd": seen.sd, "low": seen.low, "high": seen.high},
        )


class Shuffled(ModelCheck):
    """Gradients of a mini-batch stand for the whole set only if the batch is drawn from it at
    random. Data in the order of its classes gives batches of one class or two; the same order in each
    epoch gives the same batches. Seen by the classes in the targets of each batch, and by the sums
    of the batches, epoch by epoch. Shuffle in each epoch (shuffle=True)."""

    code = "RC342"
    title = "Batches are drawn at random"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        if model.classification and (found := self._few_classes(model, seen)):
            return found
        sums = np.array(seen.recording.order)
        period = round(len(model.X_train) / max(1, int(np.median([s.rows for s in seen.steps]))))
        if period < 2:  # all rows at once
            return None
        for length in range(max(2, period - 2), period + 3):
            whole = len(sums) // length
            if whole < 3:
                continue
            epochs = np.sort(sums[: whole * length].reshape(whole, length), axis=1)
            if np.allclose(epochs, epochs[0], rtol=1e-9, atol=1e-9):
                return Finding(
                    f"The same {length} batches came in every epoch.",
                    "Shuffle in each epoch (shuffle=True).",
                    {"batches": length},
                    severity="info",
                )
        return None

    def _few_classes(self, model: Model, seen: Trained) -> Finding | None:
        counted = [c for c in seen.recording.losses if c.classes and len(c.target) == 1]
        if len(counted) < 3:
            return None
        shares = np.bincount(model.y_train) / len(model.y_train)
        usual = float(np.mean([(1 - (1 - shares) ** c.target[0]).sum() for c in counted]))
        found = float(np.mean([c.classes for c in counted]))
        if found > 0.6 * usual:
            return None
        return Finding(
            f"A batch holds {found:.1f} classes on average; drawn at random, it would hold "
            f"{usual:.1f}.",
            "Shuffle before batches are made (shuffle=True).",
            {"classes": found, "at_random": usual, "looked_at": len(counted)},
        )
