"""Checks of the loss: what it is given, where it starts and where it goes."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from rung.checks.base import Finding, Lines, NotApplicable
from rung.checks.model.subject import Model, ModelCheck
from rung.checks.net.seen import NAMED, Trained
from rung.errors import listed

LOGIT_LOSSES = ("cross_entropy", "binary_cross_entropy_with_logits", "nll_loss")


def prior_entropy(model: Model) -> float:
    """Of the training labels, nats: the loss of guessing with their frequencies."""
    shares = np.bincount(model.y_train) / len(model.y_train)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def is_class_loss(seen: Trained, model: Model) -> bool:
    """Whether what is minimised is the log loss of the classes, without weights and extras."""
    calls = [c for c in seen.recording.losses if c.name in LOGIT_LOSSES and c.plain and not c.flaw]
    steps = {c.step: c.value for c in calls}
    both = [(steps[i], s.loss) for i, s in enumerate(seen.recording.steps) if i in steps]
    return (
        bool(both)
        and model.classification
        and all(
            math.isclose(a, b, rel_tol=0.02, abs_tol=1e-3) for a, b in both if math.isfinite(a + b)
        )
    )


def loss_lines(seen: Trained, marks: dict[str, float] | None = None) -> Lines:
    losses = [s.loss for s in seen.steps]
    return Lines(
        "Training loss", list(range(1, len(losses) + 1)), {"loss": losses}, "step", "loss",
        marks=marks or {},
    )  # fmt: skip


def maximised(seen: Trained) -> bool:
    """Whether what is minimised is minus the loss that torch was asked for."""
    steps = seen.recording.steps
    both = [
        (c.value, steps[c.step].loss) for c in seen.recording.losses if c.step in range(len(steps))
    ]
    return bool(both) and all(a > 0 and math.isclose(b, -a, rel_tol=0.02) for a, b in both)


class LossAtStart(ModelCheck):
    """A fresh net knows nothing, so its first loss is that of guessing: log C for C balanced
    classes, the entropy of the class frequencies at best, the variance of a number's target. A much
    larger one means outputs of the wrong scale (inputs or initial weights too large) or a wrong
    loss. One that is only as large as an unset bias makes it costs the first steps: set the bias
    of the last layer to the log frequencies of the classes, or to the mean of the target
    (Karpathy, 2019)."""

    code = "RC301"
    title = "The first loss is that of guessing"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        call = next((c for c in seen.losses if c.step == seen.start), None)
        if call is None or call.flaw or not math.isfinite(call.value):
            raise NotApplicable("the first loss says nothing of guessing")
        if not call.plain:
            raise NotApplicable("what guessing costs in a weighted or summed loss is not known")
        if call.name in LOGIT_LOSSES and model.classification:
            classes = call.output[1] if len(call.output) > 1 and call.output[1] > 1 else 2
            return self._classes(call.value, math.log(classes), prior_entropy(model), model)
        if call.name == "mse_loss" and not model.classification:
            return self._numbers(call.value, call.variances[1], call.means)
        raise NotApplicable(f"what guessing costs in {call.name} is not known")

    def _classes(self, loss: float, uniform: float, prior: float, model: Model) -> Finding | None:
        values = {"first_loss": loss, "log_classes": uniform, "prior_entropy": prior}
        if loss > 2 * uniform + 1:
            return Finding(
                f"The first loss is {loss:.2f}; guessing costs {uniform:.2f}.",
                "Look for inputs that are not standardised and initial weights that are too large.",
                values,
                severity="error" if loss > 10 * uniform else "warning",
            )
        missing = uniform - prior
        if missing < 0.05 or loss - prior < missing / 2:
            return None
        shares = np.bincount(model.y_train, minlength=model.dataset.n_classes) / len(model.y_train)
        bias = [round(math.log(max(p, 1e-6)), 3) for p in shares]
        return Finding(
            f"The first loss is {loss:.2f}; guessing by the class frequencies costs {prior:.2f}.",
            "Set the bias of the last layer to the log frequencies of the classes "
            f"({', '.join(map(str, bias[:10]))}{', ...' if len(bias) > 10 else ''}).",
            {**values, "bias": bias},
            severity="warning" if missing > 0.4 else "info",
        )

    def _numbers(self, loss: float, variance: float, means: tuple[float, float]) -> Finding | None:
        if variance <= 0:
            raise NotApplicable("the first batch has one target only")
        ratio, missing = loss / variance, (means[1] - means[0]) ** 2 / variance
        if ratio < 3:
            return None
        values = {"first_loss": loss, "target_variance": variance, "target_mean": means[1]}
        if missing > ratio / 2:
            return Finding(
                f"The first loss is {ratio:.1f} times the variance of the target, since outputs "
                f"are about {means[0]:.3g} and targets {means[1]:.3g}.",
                f"Set the bias of the last layer to {means[1]:.4g}, the mean of the target, or "
                "standardise the target.",
                values,
            )
        return Finding(
            f"The first loss is {ratio:.1f} times the variance of the target.",
            "Standardise the inputs, or make the initial weights of the last layer smaller.",
            values,
        )


class LossInput(ModelCheck):
    """A loss takes logits, log-probabilities or probabilities, and computes something with the
    others too: cross-entropy of a softmax (a double softmax) can't fall below about log(1 + (C - 1)
    / e), a logit loss of a sigmoid not below 0.31, nll_loss of logits or probabilities has no lower
    bound or none at 0. Seen by the values that the loss got. Give cross_entropy and
    binary_cross_entropy_with_logits the outputs of the last layer; nll_loss those of
    log_softmax."""

    code = "RC302"
    title = "The loss is given what it expects"
    severity = "error"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        calls = model.trained.losses
        flawed = [c for c in calls if c.flaw]
        if len(flawed) <= len(calls) / 2:
            return None
        name, flaw = Counter((c.name, c.flaw) for c in flawed).most_common(1)[0][0]
        advice = {
            "cross_entropy": "Leave out the softmax: cross_entropy has one.",
            "binary_cross_entropy_with_logits": "Leave out the sigmoid: this loss has one.",
            "nll_loss": "Take cross_entropy, or log_softmax before nll_loss.",
        }[name]
        return Finding(f"{name} was given {flaw}.", advice, {"loss": name, "given": flaw})


class LossShapes(ModelCheck):
    """An output of (n, 1) against a target of (n,) broadcasts to (n, n): every output is compared
    with every target, and the best that can be learnt is the mean. Seen by the shapes of torch's
    losses and of differences that gradients go through. Squeeze the output, or give the target a
    second axis."""

    code = "RC303"
    title = "Outputs and targets have one shape"
    severity = "error"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        broadcasts = model.trained.recording.broadcasts
        if not broadcasts:
            return None
        (output, target), count = max(broadcasts.items(), key=lambda item: item[1])
        return Finding(
            f"An output of shape {output} was compared with a target of shape {target} "
            f"{sum(broadcasts.values()):,} times: all pairs, not each with its own.",
            "Say output.squeeze(1), or target[:, None].",
            {"output": list(output), "target": list(target), "count": count},
        )


class SoftmaxAxis(ModelCheck):
    """A softmax over the first axis, that of the batch, makes the examples compete, not the
    classes: a net trained so says something else in every other batch. Seen by the axis of the
    calls of softmax in training. Say dim=1, or dim=-1."""

    code = "RC304"
    title = "No softmax goes over the batch"
    severity = "error"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        sizes = model.trained.recording.softmax_over_batch
        if not sizes:
            return None
        return Finding(
            f"A softmax was taken over the first axis, of {sorted(sizes)[-1]} examples.",
            "Give it dim=1, or dim=-1.",
            {"sizes": sorted(sizes)},
            # One size could be that of another axis by chance.
            severity="error" if len(sizes) > 1 else "warning",
        )


class LossCut(ModelCheck):
    """A clamp of the loss has no gradient where it cuts: the examples that are most wrong teach
    nothing, and if all are cut, nothing is learnt at all. Seen by a clamp that changed a loss, and
    by gradients that were all zero while the loss was not. Cut the gradients (clip_grad_norm_), or
    take a robust loss."""

    code = "RC305"
    title = "The loss is not cut"
    severity = "error"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        empty = [s for s in seen.looked if s.loss > 1e-3 and s.gradients
                 and not any(s.gradients.values())]  # fmt: skip
        values = {"looked_at": len(seen.looked), "cut": seen.recording.clamped}
        if empty:
            return Finding(
                f"All gradients were zero in {len(empty)} of {len(seen.looked)} steps, while the "
                f"loss was {empty[0].loss:.3g}.",
                "Don't clamp the loss; look for anything constant between the net and the loss.",
                {**values, "zero": len(empty)},
            )
        if seen.recording.clamped:
            return Finding(
                f"A clamp changed the loss in {seen.recording.clamped} of the "
                f"{len(seen.looked)} steps that were looked at.",
                "Cut the gradients (clip_grad_norm_), not the loss.",
                values,
                severity="warning",
            )
        return None


class FiniteTraining(ModelCheck):
    """NaN or infinity in the loss, in a gradient or in a weight ends all learning. Common causes
    are log(0), a division by 0, the gradient of sqrt or norm at 0, and a learning rate that is
    too high. Seen at the steps; what was met first is named. torch.autograd.set_detect_anomaly
    finds the line."""

    code = "RC306"
    title = "Losses, gradients and weights stay finite"
    severity = "error"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        for number, step in enumerate(seen.steps, start=1):
            bad = [seen.names.get(k, "?") for k, v in step.gradients.items() if not np.isfinite(v)]
            if bad and math.isfinite(step.loss):
                return Finding(
                    f"At step {number} the gradient of {listed(bad, NAMED)} was not finite, while the "
                    f"loss was {step.loss:.3g}.",
                    "Look for sqrt, norm, log or a division at 0; add a small number within.",
                    {"step": number, "parameters": bad},
                )
            if not math.isfinite(step.loss) and seen.recording.backwards:
                return Finding(
                    f"At step {number} the loss was {step.loss}.",
                    "Look for log(0) and divisions by 0 in the loss; else lower the learning rate.",
                    {"step": number},
                )
        if not seen.finite:
            bad = [n for n, p in seen.net.named_parameters() if not bool(p.isfinite().all())]
            return Finding(
                f"After training, {listed(bad or ['a buffer'], NAMED)} is not finite.",
                "Look for sqrt, norm, log or a division at 0, or lower the learning rate.",
                {"parameters": bad},
            )
        return None


class LossFalls(ModelCheck):
    """The loss of training falls, and below what guessing costs: else the learning rate is far off,
    the gradient does not reach the weights, or inputs and targets don't belong together (one was
    shuffled without the other). Seen by the mean loss of the last quarter of the steps. Try to
    learn ten examples by heart, first."""

    code = "RC307"
    title = "The training loss falls"
    needs = ("net",)

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        losses = np.array([s.loss for s in seen.steps])
        if len(losses) < 20 or not np.isfinite(losses).all():
            raise NotApplicable("fewer than 20 steps with a loss were seen")
        few = max(3, len(losses) // 20)
        first, last = float(losses[:few].mean()), losses[-len(losses) // 4 :]
        final, error = float(last.mean()), float(last.std() / math.sqrt(len(last)))
        values = {"first": first, "last": final}
        figures = (loss_lines(seen),)
        if maximised(seen):
            return Finding(
                "The loss of torch that was called rises while what is minimised falls.",
                "Minimise the loss, not minus the loss.",
                values,
                figures=figures,
                severity="error",
            )
        if final > first + 3 * error and final > 1.1 * abs(first):
            return Finding(
                f"The loss rises, from {first:.3g} to {final:.3g}.",
                "Lower the learning rate.",
                values,
                figures=figures,
                severity="error",
            )
        guess = prior_entropy(model) if is_class_loss(seen, model) else math.inf
        if final > 0.98 * guess - error:
            return Finding(
                f"The loss ends at {final:.3g}; guessing by the class frequencies costs "
                f"{guess:.3g}.",
                "Try to learn ten examples by heart; if that fails, look at the learning rate, "
                "the gradients and whether inputs and targets still belong together.",
                {**values, "prior_entropy": guess},
                figures=figures,
            )
        if final > first - 3 * error and first > 1e-3:
            return Finding(
                f"The loss does not fall: {first:.3g} at first, {final:.3g} at last.",
                "Try to learn ten examples by heart; if that fails, look at the learning rate and "
                "the gradients.",
                values,
                figures=figures,
            )
        return None


class LossIsOfTheData(ModelCheck):
    """What was minimised in training is the loss of the predictions on the same rows. If the first
    is small and the second is worse than guessing, the loop trains on other targets (shifted by
    one, of another order), or predicts in another way than it trains: other preprocessing, other
    weights, batch statistics. Seen by the log loss of predict_proba on the rows of training."""

    code = "RC308"
    title = "Predictions on training rows have the loss of training"
    severity = "error"
    needs = ("net", "classification", "probabilities")

    def run(self, model: Model) -> Finding | None:
        seen = model.trained
        if not is_class_loss(seen, model):
            raise NotApplicable("what is minimised is not the log loss alone")
        losses = [s.loss for s in seen.steps]
        trained = float(np.mean(losses[-max(1, len(losses) // 10) :]))
        rows = slice(0, 300)
        proba = model.fitted.predict(model.X_train[rows]).proba
        assert proba is not None, "predict_proba was there"
        own = proba[np.arange(len(proba)), model.y_train[rows]]
        found = float(-np.log(np.maximum(own, 1e-12)).mean())
        guess = prior_entropy(model)
        if trained > 0.5 * guess or found < guess:
            return None
        return Finding(
            f"Training ended with a loss of {trained:.3g}, but predictions on the same rows have "
            f"{found:.3g}; guessing costs {guess:.3g}.",
            "See that training uses the labels as they are, and that it predicts with the weights, "
            "the preprocessing and the modes (eval) that were trained.",
            {"training": trained, "predictions": found, "prior_entropy": guess},
        )
