"""What this runs on, and which precision is fastest there."""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

BFLOAT16_CAPABILITY = (8, 0)  # CUDA's compute capability from which GPUs have bfloat16


@cache
def cpu_name() -> str:
    """The processor's own name, as far as the system tells it."""
    try:
        rows = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
        fields = {key.strip(): value.strip() for key, _, value in rows}
    except OSError:
        fields = {}
    return fields.get("model name") or platform.processor() or platform.machine()


def bfloat16_pays(device: torch.device) -> bool:
    """Whether convolutions are faster in bfloat16 than in float32.

    On GPUs that have units for it (compute capability 8.0 and above: a T4 or V100 has none, and
    emulates it), on AMD's CPUs with AVX-512 BF16 (a U-Net 2.3 times as fast, measured) and on CPUs
    with AMX. On Intel's without AMX it is no gain (0.7 times as fast, measured).
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= BFLOAT16_CAPABILITY
    if device.type != "cpu":
        return False
    if torch.cpu._is_amx_tile_supported():
        return True
    return torch.cpu._is_avx512_bf16_supported() and "Intel" not in cpu_name()


def machine() -> str:
    """What this runs on, for the record."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    unit = "AMX" if torch.cpu._is_amx_tile_supported() else torch.backends.cpu.get_cpu_capability()
    system = f"{platform.system()} {platform.machine()}"
    cores = f"{os.cpu_count()} cores of {cpu_name()} ({unit})"
    return f"{system}, {cores}, torch {torch.__version__}{gpu}"


def give_back_memory() -> None:
    """Return what is freed to the system.

    glibc keeps it, in pieces that the next work may not fit, and so a process grows.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
