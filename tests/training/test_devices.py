"""Training on several devices: two processes go on where one stopped, and one where they did."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import devices


def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    straight = devices.train(tmp_path / "straight", 8, 16, 99, 1)
    parts = tmp_path / "parts"
    with pytest.raises(devices.Stopped):
        devices.train(parts, 8, 16, 6, 1)
    assert [p.name for p in parts.glob("*.ckpt")] == ["line-000000004.ckpt"]
    # two processes with half of the batch each, from step 4 until they are stopped after step 10
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = [devices.__file__, str(parts), "4", "16", "10"]
    done = subprocess.run(
        [sys.executable, *command, *script],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stderr=subprocess.PIPE,
        text=True,
        timeout=600,
        check=False,
    )
    assert "exitcode  : 3" in done.stderr, done.stderr[-3000:]
    assert [p.name for p in parts.glob("*.ckpt")] == ["line-000000008.ckpt"]
    ended = devices.train(parts, 8, 16, 99, 1)
    for name, weight in straight.items():
        assert torch.allclose(weight, ended[name], atol=1e-6), name
