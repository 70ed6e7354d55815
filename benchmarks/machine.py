"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe(device: str = "cpu") -> dict[str, str | int]:
    """Processor or card, cores that this process may use, and versions of Python and torch."""
    import torch

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
        facts = {key.strip(): value.strip() for key, value in fields.items()}
        extras = [
            flag for flag in ("avx2", "avx512f", "avx512_vnni", "amx_bf16") if flag in facts.get("flags", "").split()
        ]
        name = " ".join([facts.get("model name", name), *extras])
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"device": name, "cores": cores, "python": platform.python_version(), "torch": torch.__version__}
