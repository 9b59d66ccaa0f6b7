"""The training loop: what it learns, what it leaves alone, when it stops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rung.training import Muon, one_cycle, orthogonal, outputs, seeded, train


def data(n: int = 65) -> tuple[Tensor, Tensor]:
    X = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    return X, X @ torch.tensor([[1.0], [-2.0], [0.5]])


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(3, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1)
    )


def fitted(seed: int = 0, net: nn.Module | None = None, **options: object) -> nn.Module:
    X, y = data()
    arguments = {
        "loss": nn.MSELoss(),
        "epochs": 15,
        "batch_size": 16,
        "learning_rate": 0.05,
        "weight_decay": 0.0,
    } | options
    with seeded(seed) as generator:
        net = net or mlp()
        train(net, X, y, generator=generator, **arguments)  # type: ignore[arg-type]
    return net


def test_learns_and_ends_in_eval_mode() -> None:
    net = fitted()
    X, y = data()
    assert not any(module.training for module in net.modules())
    assert nn.MSELoss()(outputs(net, X), y) < 0.1 * y.var()


def test_same_seed_same_weights_and_another_seed_others() -> None:
    first, again, other = (fitted(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_global_random_state_is_left_alone_and_not_used() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = fitted()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(fitted()[0].weight, first[0].weight)  # type: ignore[index]


def test_weight_decay_leaves_norms_and_biases_alone() -> None:
    net = mlp()
    nn.init.ones_(net[0].bias)
    start = {k: v.clone() for k, v in net.named_parameters()}
    # A loss without slope: only weight decay can move anything.
    fitted(net=net, loss=lambda out, y: 0 * out.mean(), weight_decay=0.1)
    for name, parameter in net.named_parameters():
        if parameter.ndim > 1:
            assert parameter.norm() < 0.99 * start[name].norm(), name
        else:
            assert torch.equal(parameter, start[name]), name


def test_every_row_once_an_epoch_and_no_batch_of_one() -> None:
    seen: list[Tensor] = []

    def spy(batch: Tensor, generator: torch.Generator, progress: float) -> Tensor:
        seen.append(batch)
        return batch

    fitted(augment=spy, epochs=2)  # 65 rows in batches of 16 would leave one row over
    assert [len(batch) for batch in seen] == [13] * 10
    X, _ = data()
    for part in (seen[:5], seen[5:]):
        assert torch.equal(torch.cat(part).sort(0).values, X.sort(0).values)
    assert not torch.equal(seen[0], seen[5])


def test_augment_is_told_the_progress_and_its_batch_is_used() -> None:
    told: list[float] = []

    def blank(batch: Tensor, generator: torch.Generator, progress: float) -> Tensor:
        told.append(progress)
        return torch.zeros_like(batch)

    net = fitted(augment=blank)
    assert told == sorted(told)
    assert told[0] == 0
    assert 0.98 < told[-1] < 1
    X, y = data()
    assert nn.MSELoss()(outputs(net, X), y) > 0.5 * y.var()  # it never saw the rows


def test_one_cycle_rises_to_one_and_falls_to_zero() -> None:
    assert [one_cycle(t, 0.2) for t in (0, 0.1, 0.2, 0.6, 1)] == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_a_diverging_loss_stops_with_its_cause() -> None:
    with pytest.raises(FloatingPointError, match=r"NaN or infinite in epoch \d+ of 15"):
        fitted(net=nn.Linear(3, 1), learning_rate=1e6)


def test_outputs_do_not_depend_on_the_batch_size_or_the_mode() -> None:
    net = fitted()
    X, _ = data()
    whole = outputs(net, X)
    net.train()
    torch.testing.assert_close(outputs(net, X, batch_size=7), whole)
    assert whole.shape == (65, 1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_learns_on_a_gpu_and_leaves_its_random_state(precision: str) -> None:
    X, y = (t.cuda() for t in data())
    before = torch.cuda.get_rng_state()
    with seeded(0, "cuda:0") as generator:
        net = mlp().cuda()
        train(
            net,
            X,
            y,
            loss=nn.MSELoss(),
            epochs=15,
            batch_size=16,
            learning_rate=0.05,
            weight_decay=0.0,
            generator=generator,
            precision=precision,
        )
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert nn.MSELoss()(outputs(net, X, precision=precision), y) < 0.1 * y.var()


class Small(nn.Module):
    """A net on a device with room for so many rows at a time."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.body, self.room, self.seen = nn.Linear(3, 1), room, list[int]()

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.seen.append(len(x))
        return self.body(x)  # type: ignore[no-any-return]


def test_a_batch_that_does_not_fit_is_worked_on_in_pieces_with_the_same_result() -> None:
    whole, parted = Small(1_000), Small(5)
    parted.body.load_state_dict(whole.body.state_dict())
    fitted(net=whole, epochs=3)
    with pytest.warns(UserWarning, match="out of GPU memory with batches of 13") as said:
        fitted(net=parted, epochs=3)
    assert [str(w.message).partition(" pieces")[0][-1] for w in said] == ["2", "4"]
    assert max(whole.seen) == 13
    assert max(parted.seen) == 4
    torch.testing.assert_close(parted.body.weight, whole.body.weight)
    X, _ = data()
    with pytest.warns(UserWarning, match="out of GPU memory"):
        torch.testing.assert_close(outputs(parted, X), outputs(whole, X))


def test_no_piece_is_empty_where_one_row_fits() -> None:
    single = Small(1)
    with pytest.warns(UserWarning, match="in 13 pieces"):
        fitted(net=single)
    assert set(single.seen) == {1}


def test_one_row_that_does_not_fit_is_an_error() -> None:
    with (
        pytest.warns(UserWarning, match="out of GPU memory"),
        pytest.raises(torch.OutOfMemoryError),
    ):
        fitted(net=Small(0))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_and_keeps_weights_and_losses_in_fp32(precision: str) -> None:
    kinds: list[tuple[torch.dtype, torch.dtype]] = []

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp()

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.body(x)
            kinds.append((out.dtype, next(self.parameters()).dtype))
            return out

    net = fitted(net=Net(), precision=precision)
    low = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    assert set(kinds) == {(low, torch.float32)}
    X, y = data()
    assert nn.MSELoss()(outputs(net, X), y) < 0.1 * y.var()
    assert outputs(net, X, precision=precision).dtype == torch.float32


def test_a_gradient_that_overflows_costs_one_step_and_not_the_weights() -> None:
    steps: list[Tensor] = []

    def loss(out: Tensor, y: Tensor) -> Tensor:
        value = nn.functional.mse_loss(out, y)
        steps.append(net.weight.detach().clone())
        # The scaler multiplies this by 2¹⁶ and more, past what fp32 can hold.
        return value * 1e36 if len(steps) == 3 else value

    net = nn.Linear(3, 1)
    fitted(net=net, loss=loss, precision="fp16", epochs=2)
    assert torch.equal(steps[3], steps[2])  # the third step was left out
    assert not torch.equal(steps[4], steps[3])
    assert all(torch.isfinite(step).all() for step in steps)


def test_cut_gradients_survive_what_diverges_without() -> None:
    options = {"net": nn.Linear(3, 1), "learning_rate": 3.0}
    with pytest.raises(FloatingPointError):
        fitted(**options)  # type: ignore[arg-type]
    net = fitted(**options | {"net": nn.Linear(3, 1), "longest_gradient": 0.1})  # type: ignore[arg-type]
    assert all(p.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_orthogonal_keeps_the_directions_and_evens_out_the_lengths(shape: tuple[int, int]) -> None:
    G = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    U, _, V = torch.linalg.svd(G, full_matrices=False)
    lengths = torch.linspace(1, 20, min(shape)).double()
    G = U @ lengths.diag() @ V
    found = (
        U.T @ torch.mm(*orthogonal(G, iterations=5)) @ V.T
    )  # diagonal where the directions are kept
    assert (found - found.diagonal().diag()).abs().max() < 1e-9
    assert 0.6 < found.diagonal().min() <= found.diagonal().max() < 1.3


def test_orthogonal_takes_a_slope_of_zeros() -> None:
    assert torch.equal(torch.mm(*orthogonal(torch.zeros(3, 5))), torch.zeros(3, 5))


def test_muon_turns_a_weight_of_constant_length_by_its_rate() -> None:
    weight = nn.Parameter(torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0)))
    optimizer = Muon([weight], lr=0.1)
    for _ in range(3):
        before = weight.detach().clone()
        weight.grad = 1e6 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
        optimizer.step()
        start = before * 2 / before.norm()  # the norm that it is brought back to: √4
        assert 0.05 < (weight - start).norm() / start.norm() < 0.15  # whatever the slope's length


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (8, 4, 1, 1), (3, 5)])
def test_muon_turns_a_weight_the_same_way_however_it_lies_in_memory(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    start, *slopes = (torch.randn(shape, generator=generator) for _ in range(4))
    found = []
    for channels_last in (False, True):
        weight = nn.Parameter(start.clone())
        if channels_last and len(shape) == 4:
            weight = nn.Parameter(start.clone(memory_format=torch.channels_last))
        optimizer = Muon([weight], lr=0.1)
        for slope in slopes:
            weight.grad = slope.clone()
            optimizer.step()
        found.append(weight.detach())
    torch.testing.assert_close(*found)
    # As it is written down: momentum, then the nearest matrix with even lengths.
    expected, mean = start.double(), torch.zeros(shape).double()
    for slope in slopes:
        mean = 0.8 * mean + slope
        step = torch.mm(*orthogonal((slope + 0.8 * mean).flatten(1))).reshape(shape)
        expected = expected * len(start) ** 0.5 / expected.norm() - 0.1 * step
    torch.testing.assert_close(found[0].double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_convolutions_are_trained_by_muon_and_the_rest_by_sgd(precision: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Unflatten(1, (1, 1, 3)), nn.Conv2d(1, 8, (1, 3), bias=False), nn.BatchNorm2d(8)
    )
    net.extend([nn.ReLU(), nn.Flatten(), nn.Linear(8, 1)])
    fitted(net=net, convolution_rate=0.05, epochs=40, precision=precision)
    weight = next(net[1].parameters()).detach()
    assert 7 < float(weight.square().sum()) < 9.5  # brought to the length √8, then a small step
    X, y = data()
    assert nn.MSELoss()(outputs(net, X), y) < 0.1 * y.var()


def test_muon_leaves_alone_what_the_loss_does_not_reach() -> None:
    weight = nn.Parameter(torch.ones(2, 1, 3, 3))
    Muon([weight], lr=0.1).step()
    assert torch.equal(weight, torch.ones(2, 1, 3, 3))
