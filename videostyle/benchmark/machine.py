"""What a figure was measured on. Nothing heavy is imported."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
from pathlib import Path

from videostyle.engines import ENGINES

ABILITIES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimd", "i8mm", "bf16")


def describe(device: str = "cpu") -> dict[str, str | int]:
    """device: the processor with what it is able to, or the card; cores that this process may use; system; versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    card = nvidia_smi("name", device) if device.startswith("cuda") else None
    packages = [row.package for row in ENGINES.values() if importlib.util.find_spec(row.package) is not None]
    return {
        "device": card or processor(),
        "cores": cores,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def processor() -> str:
    """The processor's name and those of its abilities that nets gain from."""
    name, able = platform.processor() or platform.machine(), list[str]()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = dict(line.split(":", 1) for line in cpuinfo.read_text(encoding="utf-8").splitlines() if ":" in line)
        facts = {key.strip(): value.strip() for key, value in fields.items()}
        flags = facts.get("flags", facts.get("Features", "")).split()
        name, able = facts.get("model name", name), [ability for ability in ABILITIES if ability in flags]
    return " ".join([name, *able])


def nvidia_smi(query: str, device: str) -> str | None:
    """What NVIDIA's driver says of a card ("cuda" or "cuda:1"), without units; None where it does not."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, f"--query-gpu={query}", "--format=csv,noheader,nounits", f"--id={device[5:] or 0}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def card_mb(device: str) -> float | None:
    """Memory of a CUDA card that is in use by anybody, in 10^6 bytes; None where the driver does not say."""
    used = nvidia_smi("memory.used", device) if device.startswith("cuda") else None
    return int(used) * 2**20 / 1e6 if used is not None and used.isdecimal() else None
