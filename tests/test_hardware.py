"""hardware: the precision that is fastest, and what a record says of the machine."""

from __future__ import annotations

import pytest
import torch

from talkers import hardware


@pytest.mark.parametrize(
    ("name", "amx", "bf16", "pays"),
    [
        ("AMD EPYC 9R14", False, True, True),
        ("AMD EPYC 7763", False, False, False),
        ("Intel(R) Xeon(R) Processor", False, True, False),
        ("Intel(R) Xeon(R) Platinum 8488C", True, True, True),
        ("Apple M2", False, False, False),
    ],
)
def test_bfloat16_is_used_where_it_is_faster(
    name: str, amx: bool, bf16: bool, pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "cpu_name", lambda: name)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    assert hardware.bfloat16_pays(torch.device("cpu")) is pays
    assert not hardware.bfloat16_pays(torch.device("mps"))
    assert name in hardware.machine()


@pytest.mark.parametrize(
    ("capability", "pays"), [((7, 0), False), ((7, 5), False), ((8, 0), True), ((9, 0), True)]
)
def test_bfloat16_is_used_on_gpus_that_have_it(
    capability: tuple[int, int], pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert hardware.bfloat16_pays(torch.device("cuda")) is pays
