"""What `--device` and `--precision` mean on machines that the tests don't run on."""

from __future__ import annotations

import pytest
import torch

from rung.device import Device, resolve
from rung.errors import RungError


@pytest.mark.parametrize(
    ("capability", "precision"), [((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16")]
)
def test_auto_takes_bf16_where_the_gpu_itself_has_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str
) -> None:
    asked = []

    def answer(index: int) -> tuple[int, int]:
        asked.append(index)
        return capability

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", answer)
    monkeypatch.setattr(torch.version, "hip", None)
    assert resolve("cuda:1") == Device("cuda:1", precision)
    assert asked == [1]
    assert resolve("auto", "fp32") == Device("cuda:0", "fp32")
    with pytest.raises(RungError, match="this machine has 2 CUDA GPUs"):
        resolve("cuda:2")


def test_on_a_cluster_this_machine_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    for gpus in (0, 1):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpus=gpus: bool(gpus))
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        assert resolve("auto", on_cluster=True) == Device()
        assert resolve("cuda", on_cluster=True) == Device("cuda:0", "bf16")
        assert resolve("cuda:1", "fp16", on_cluster=True) == Device("cuda:1", "fp16")
