"""Checks of nets: each fault is found by the check that is meant for it, healthy nets are left in
peace, and watching a training changes nothing of it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from conftest import pictures, table
from scipy.sparse import csr_array
from torch import nn
from torch.nn import functional
from torch.nn.modules import module as module_hooks
from torch.optim import optimizer as optimizer_hooks
from torch.overrides import _get_current_function_mode_stack
from zoo_nets import FAULTS, HEALTHY, Lightning, Loop, Scheduled, convnet, mlp

from rung import checks
from rung.checks.base import Images, Lines
from rung.checks.catalogue import checks as checks_of
from rung.checks.model.given import given, seeds
from rung.checks.model.subject import Model
from rung.checks.net.estimator import NetEstimator
from rung.checks.net.measures import LargestBatch, Watching, tried
from rung.checks.net.recording import recorded
from rung.errors import RungError


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found_by_the_check_meant_for_it(name: str) -> None:
    codes, factory, data, options = FAULTS[name]
    dataset = data if isinstance(data, str) else data()
    report = checks.check(factory, dataset, fast=True, only=codes, **options)
    for code in codes:
        result = report[code]
        assert result.alarms, f"{code}: {result.status} {result.reason}"
        assert result.finding is not None
        assert result.finding.said.endswith(".")
        assert result.finding.advice
    report.to_json()


def test_healthy_nets_are_left_in_peace() -> None:
    alarms, looked = [], 0
    for name, (factory, data, options) in HEALTHY.items():
        dataset = data if isinstance(data, str) else data()
        report = checks.check(factory, dataset, fast=True, only=["RC3"], **options)
        broke = [(r.code, r.reason) for r in report.results if r.status == "broke"]
        assert not broke, f"{name}: {broke}"
        found = [(r.code, r.finding.said) for r in report.errors if r.finding]
        assert not found, f"{name}: {found}"
        alarms += [(name, r.code) for r in report.warnings]
        looked += sum(r.status in ("passed", "found") for r in report.results)
    assert len(alarms) <= 0.05 * looked, alarms


def test_every_check_says_what_goes_wrong_and_is_meant_for_some_fault() -> None:
    meant = {code for codes, *_ in FAULTS.values() for code in codes}
    for check in checks_of("net"):
        assert len((check.__doc__ or "").split()) > 30, check.code
        assert check.code in meant or check.severity == "info", check.code


# --- The recording --------------------------------------------------------------------------------


def hooks() -> list[int]:
    """How many global hooks and modes there are."""
    return [
        len(module_hooks._global_forward_pre_hooks),
        len(module_hooks._global_forward_hooks),
        len(module_hooks._global_forward_hooks_always_called),
        len(optimizer_hooks._global_optimizer_pre_hooks),
        len(optimizer_hooks._global_optimizer_post_hooks),
        len(_get_current_function_mode_stack()),
    ]


def data(n: int = 96) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 1, 8, 8)).astype(np.float32), rng.integers(0, 10, n)


@pytest.mark.parametrize("make", [lambda: convnet(10, dropout=0.3), Scheduled])
def test_watching_changes_no_bit_of_the_training(make: Any) -> None:
    X, y = data()

    def weights(watched: bool) -> list[torch.Tensor]:
        with seeds(3):
            estimator = NetEstimator(make, "classification", seed=3, epochs=3)
            if watched:
                with recorded() as seen:
                    estimator.fit(X, y)
                assert not seen.broke
                assert len(seen.steps) == estimator.n_steps_
            else:
                estimator.fit(X, y)
        return list(estimator.net_.state_dict().values())

    for a, b in zip(weights(True), weights(False), strict=True):
        assert torch.equal(a, b)


def test_all_hooks_are_gone_after_it_also_after_an_exception() -> None:
    before = hooks()
    with recorded():
        assert hooks() != before
        mlp(4, 2)(torch.zeros(3, 4))
    assert hooks() == before
    with pytest.raises(ZeroDivisionError), recorded():
        1 / 0  # noqa: B018
    assert hooks() == before
    with pytest.raises(RuntimeError, match="shapes"), recorded():
        mlp(4, 2)(torch.zeros(3, 5))  # within a module
    assert hooks() == before

    class Failing(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            raise ArithmeticError("within a step")

    with pytest.raises(ArithmeticError), recorded():
        Failing(mlp(4, 2).parameters(), lr=0.1).step()
    assert hooks() == before
    assert torch._C._is_torch_function_enabled()


def test_what_goes_wrong_in_the_watching_breaks_no_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from rung.checks.net import recording

    def broken(*args: Any) -> Any:
        raise ValueError("oops")

    monkeypatch.setattr(recording, "norms", broken)
    X, y = data()
    with recorded() as seen:
        NetEstimator(lambda: convnet(10), "classification", epochs=1).fit(X, y)
    assert seen.broke == ["before_step: ValueError: oops"]


def test_steps_and_losses_are_seen_as_they_were() -> None:
    torch.manual_seed(0)
    net = nn.Linear(3, 1, bias=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    x, y = torch.randn(8, 3), torch.randn(8, 1)
    with recorded() as seen:
        before = net.weight.detach().clone()
        loss = functional.mse_loss(net(x), y)
        loss.backward()
        gradient = net.weight.grad.clone()  # type: ignore[union-attr]
        optimizer.step()
    (step,) = seen.steps
    key = id(net.weight)
    assert step.loss == loss.item()
    assert step.learning_rates == (0.5,)
    assert step.rows == 8
    assert step.weights[key] == pytest.approx(float(before.norm()))
    assert step.gradients[key] == pytest.approx(float(gradient.norm()))
    assert step.updates[key] == pytest.approx(0.5 * float(gradient.norm()))
    (call,) = seen.losses
    assert (call.name, call.output, call.target) == ("mse_loss", (8, 1), (8, 1))
    assert seen.roots[0].module is net
    assert torch.equal(seen.initial[key], before)


def test_a_fit_that_fails_was_still_seen() -> None:
    class Fails(Loop):
        lr = 0.0

        def fit(self, X: Any, y: Any) -> Any:
            super().fit(X, y)
            raise ValueError("at last")

    report = checks.check(Fails, pictures(90), fast=True, only=["RC314", "RC331"])
    assert report["RC314"].status == "found"
    assert report["RC331"].status == "not applicable"


def test_loops_of_other_kinds_are_seen_too() -> None:
    class InParts(Lightning):
        """Its training calls its parts, never itself."""

        def make_body(self) -> nn.Module:
            self.head = nn.Linear(32, self.n_classes)
            return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(x))  # type: ignore[no-any-return]

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            out = self.head(self.body(batch[0])).log_softmax(1)  # a loss written out
            return -out[torch.arange(len(out)), batch[1]].mean()  # type: ignore[no-any-return]

    class Closures(Loop):
        def fit(self, X: Any, y: Any) -> Any:
            self.classes_, codes = np.unique(y, return_inverse=True)
            inputs, targets = torch.tensor(X, dtype=torch.float32), torch.tensor(codes)
            self.net_ = mlp(inputs.shape[1], len(self.classes_))
            optimizer = torch.optim.LBFGS(self.net_.parameters(), lr=0.3, max_iter=3)

            def closure() -> torch.Tensor:
                optimizer.zero_grad()
                loss = functional.cross_entropy(self.net_(inputs), targets)
                loss.backward()
                return loss

            for _ in range(25):
                optimizer.step(closure)
            return self

    class Copied(Loop):
        def fit(self, X: Any, y: Any) -> Any:
            super().fit(X, y)
            self.net_ = copy.deepcopy(self.net_)
            return self

    for factory in (InParts, Copied, Closures):
        report = checks.check(factory, "digits", fast=True, only=["RC3"])
        assert report.ok, str(report)
        assert report["RC311"].status == "passed"
    assert report["RC342"].finding is None  # all rows at once are no batch that comes again


@pytest.mark.parametrize("weighted", [True, False])
def test_what_guessing_costs_is_not_said_of_weighted_and_summed_losses(weighted: bool) -> None:
    class Other(Lightning):
        def compare(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            if weighted:
                return functional.cross_entropy(out, y, weight=torch.linspace(0.1, 9, 10))
            return nn.CrossEntropyLoss(reduction="sum")(out, y)  # type: ignore[no-any-return]

    report = checks.check(Other, "digits", fast=True, only=["RC301", "RC307"])
    assert report["RC301"].status == "not applicable"
    assert "weighted or summed" in report["RC301"].reason
    assert report["RC307"].finding is None


def test_a_probability_that_is_sure_of_itself_is_not_saturated() -> None:
    def sure() -> nn.Module:
        last = nn.Linear(32, 1)
        nn.init.normal_(last.weight, std=50.0)
        return nn.Sequential(nn.Linear(4, 32), nn.ReLU(), last, nn.Sigmoid())

    class Binary(Lightning):
        def make_body(self) -> nn.Module:
            return sure()

        def compare(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return functional.binary_cross_entropy(out[:, 0], y.float())

    report = checks.check(Binary, table(classes=2), fast=True, only=["RC324"])
    assert report["RC324"].status == "passed"
    assert report["RC324"].finding is None


def test_a_training_that_fails_at_its_first_step_breaks_no_check() -> None:
    class Fails(Loop):
        def step(self, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
            optimizer.step(lambda: 1 / 0)  # type: ignore[arg-type]

    report = checks.check(Fails, "digits", fast=True, only=["RC3"])
    assert {r.status for r in report.results} == {"not applicable"}


def test_gradients_that_are_added_up_on_purpose_are_no_mistake() -> None:
    class Accumulates(Loop):
        waiting = 0

        def step(self, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
            (loss / 2).backward()
            self.waiting += 1
            if self.waiting % 2 == 0:
                optimizer.step()
                optimizer.zero_grad()

    report = checks.check(Accumulates, "digits", fast=True, only=["RC313"])
    assert report["RC313"].status == "passed"


# --- The estimator --------------------------------------------------------------------------------


def test_a_module_is_trained_by_its_own_step_and_optimizer() -> None:
    class Counted(Lightning):
        steps = 0

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.steps += 1
            return {"loss": super().training_step(batch, batch_idx)}

    X, y = data()
    estimator = NetEstimator(Counted, "classification", epochs=2).fit(X, y)
    assert estimator.net_.steps == estimator.n_steps_ == 6
    assert list(estimator.classes_) == list(range(10))
    proba = estimator.predict_proba(X)
    assert proba.shape == (96, 10)
    assert proba.sum(1) == pytest.approx(np.ones(96))
    assert not estimator.net_.training


def test_a_predict_step_is_called_in_eval_mode_and_may_give_labels() -> None:
    class Steps(Lightning):
        labels = False

        def make_body(self) -> nn.Module:
            return convnet(self.n_classes, dropout=0.2)

        def predict_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
            out = self(batch)
            assert not out.requires_grad
            return out.argmax(1) if self.labels else out  # type: ignore[no-any-return]

    class Labels(Steps):
        labels = True

    report = checks.check(Steps, "digits", fast=True, only=["RC331", "RC334"])
    assert {r.status for r in report.results} == {"passed"}, str(report)
    X, y = data()
    assert NetEstimator(Labels, "classification", epochs=1).fit(X, y).predict_proba(X).shape == (
        96,
        10,
    )


def test_lightnings_other_ways_to_train() -> None:
    class Plateau(Lightning):
        def training_step(self, batch: Any) -> torch.Tensor:  # type: ignore[override]
            return super().training_step(batch, 0)

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
            self.optimizer = optimizer
            schedule = {"scheduler": plateau, "monitor": "val_loss"}
            return {"optimizer": optimizer, "lr_scheduler": schedule}

    class Stuck(Plateau):
        def compare(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return super().compare(out, y) * 0 + 1

    X, y = data()
    assert NetEstimator(Stuck, "classification", epochs=3).fit(X, y).net_.optimizer.param_groups[0][
        "lr"
    ] == pytest.approx(0.01)
    assert NetEstimator(Plateau, "classification", epochs=2).fit(X, y).n_steps_ == 6


def test_outputs_of_some_rows_are_watched_of_sparse_data_too() -> None:
    X, y = data()
    rows = csr_array(X.reshape(len(X), -1))
    watched = Watching(lambda: mlp(64, 10), "classification", epochs=1).fit(rows, y)
    assert watched.moments_


def test_outputs_are_as_many_as_the_module_has_whatever_classes_are_there() -> None:
    X, y = data()
    estimator = NetEstimator(lambda: convnet(10), "classification", epochs=1).fit(
        X, 3 + 4 * (y % 2)
    )
    assert estimator.predict_proba(X).shape == (96, 10)


def test_numbers_of_any_scale_are_learnt_with_the_default_loss() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)).astype(np.float32)
    y = 1e4 + 50 * X[:, 0]
    found = NetEstimator(lambda: mlp(3, 1), "regression").fit(X, y).predict(X)
    assert np.mean((found - y) ** 2) < 0.1 * y.var()


def test_one_output_is_the_logit_of_the_second_class() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    estimator = NetEstimator(lambda: mlp(3, 1), "classification").fit(X, y)
    assert estimator.predict_proba(X).shape == (400, 2)
    assert np.mean(estimator.predict(X) == y) > 0.9


def test_several_optimizers_are_refused_in_one_line() -> None:
    class Two(Lightning):
        def configure_optimizers(self) -> Any:
            return [torch.optim.Adam(self.parameters()), torch.optim.Adam(self.parameters())]

    X, y = data()
    with pytest.raises(RungError, match="several optimizers"):
        NetEstimator(Two, "classification").fit(X, y)


def test_two_outputs_for_a_number_are_refused_in_one_line() -> None:
    class Wide(Lightning):
        def compare(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return (out.mean(1) - y).square().mean()

    X, y = data()
    wide = NetEstimator(Wide, "regression", epochs=1).fit(X, y)
    with pytest.raises(RungError, match="10 numbers for one example"):
        wide.predict(X)


# --- Measurements ---------------------------------------------------------------------------------


def test_measurements_show_figures_and_never_alarm() -> None:
    report = checks.check(lambda n_classes: convnet(n_classes), "digits", fast=True, only=["RC35"])
    assert report.ok
    assert not report.warnings
    assert {r.code for r in report.told} == {"RC351", "RC352", "RC353", "RC354"}
    ranged = report["RC352"].finding
    assert ranged is not None
    assert 1e-4 < ranged.values["suggested"] < 0.3
    (figure,) = ranged.figures
    assert isinstance(figure, Lines)
    assert figure.marks["suggested"] == ranged.values["suggested"]
    shown = report["RC354"].finding
    assert shown is not None
    pictured = next(f for f in shown.figures if isinstance(f, Images))
    assert all(p.shape == (3, 3, 3) and p.dtype == np.uint8 for p in pictured.pictures)


def test_memory_of_a_batch_grows_with_what_the_net_keeps() -> None:
    def each(width: int) -> float:
        model = Model(
            given(lambda n_features, n_classes: mlp(n_features, n_classes, width)), table()
        )
        found = LargestBatch().run(model)
        assert found is not None
        return float(found.values["bytes_each"])

    assert each(256) > 3 * each(64)


def test_the_largest_batch_is_tried_where_memory_can_end() -> None:
    class Full(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > 100:
                raise torch.OutOfMemoryError("full")
            return super().forward(x)

    assert tried(Full(3, 2), torch.zeros(5, 3)) == 64


def test_nothing_is_said_of_models_without_a_net() -> None:
    report = checks.check("linear", table(), fast=True, only=["RC3"])
    assert {r.status for r in report.results} == {"not applicable"}
