"""What "auto" stands for: an accelerator where there is one, else what a short measurement finds fastest.

It is measured once a machine, for each kind of network, and remembered in ``engines.json`` in the cache folder, which
may be deleted at any time.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, astuple, dataclass
from math import inf
from pathlib import Path
from time import perf_counter

import numpy as np

from videostyle.engines import ENGINES, StyleEngine
from videostyle.errors import EngineError
from videostyle.library import cache_folder
from videostyle.styles import StyleBank

SIZE = (144, 256)
"""Height and width of the picture that is measured with."""
FRAMES = 3
ENOUGH = 1.2
"""Seconds after which nothing more is measured: candidates come the likely fastest first."""
GAIN = 0.85
"""Share of the time of more exact numbers that less exact ones must not exceed, to be worth it."""
EXACTNESS = ("int8", "bf16", "fp16", "fp32")


@dataclass(frozen=True, slots=True)
class Choice:
    """engine: a name of ``ENGINES``. precision: "auto" leaves it to the engine. device: never "auto"."""

    engine: str
    precision: str
    device: str


def choose(bank: StyleBank, engines: Sequence[str], precision: str, device: str, told: Callable[[str], None]) -> Choice:
    """Which of ``engines`` (installed, the preferred one first) runs ``bank``, in which precision and where.

    precision, device: as asked for, "auto" included. told: gets a line for what is passed over.
    """
    if device == "auto":
        device = _accelerator(engines, told) or "cpu"
    able = [name for name in engines if device.partition(":")[0] in ENGINES[name].devices]
    if not able:
        raise EngineError(f"none of {', '.join(engines)} runs on {device}: choose another --device or --engine")
    light = [name for name in able if ENGINES[name].light]
    if device != "cpu" or not light:
        return Choice(able[0], precision, device)
    return _fastest(bank, light, precision, told)


def _fastest(bank: StyleBank, engines: Sequence[str], precision: str, told: Callable[[str], None]) -> Choice:
    """The fastest on the processor of the engines that start quickly."""
    memory = Memory(cache_folder() / "engines.json")
    key = describe(bank, engines, precision)
    found = memory.recall(key)
    if found is not None:
        return found
    candidates = list[Choice]()
    for name in engines:
        try:
            able = importlib.import_module(ENGINES[name].module).precisions(bank, "cpu")
        except Exception as error:  # a package that is damaged, or lacks a library of the system's
            told(f"{name} was passed over: {error}")
            continue
        candidates += [Choice(name, each, "cpu") for each in able if precision in ("auto", each)]
    if len(candidates) < 2:
        return candidates[0] if candidates else Choice(engines[0], precision, "cpu")
    seconds = measure(bank, candidates, told)
    if not seconds:
        raise EngineError(f"none of {', '.join(engines)} can run this bank here: choose another --engine or --device")
    found = best(seconds)
    memory.keep(key, found)
    return found


def best(seconds: dict[Choice, float]) -> Choice:
    """The most exact of the fastest: numbers of fewer bits are chosen where they are faster by a margin."""
    exact_first = sorted(seconds, key=lambda each: (-EXACTNESS.index(each.precision), seconds[each]))
    found = exact_first[0]
    for each in exact_first[1:]:
        if seconds[each] < GAIN * seconds[found]:
            found = each
    return found


def measure(bank: StyleBank, candidates: Sequence[Choice], told: Callable[[str], None]) -> dict[Choice, float]:
    """Seconds a small picture takes, the best of a few, taken in turns: what else the computer does meanwhile slows
    all of them, and what comes out is remembered.

    Those that cannot run are told and left out; so are, without a word, those that time has run out for.
    """
    photo = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    began = perf_counter()
    with ExitStack() as engines:
        ready: dict[Choice, StyleEngine] = {}
        for each in candidates:
            if ready and perf_counter() - began > ENOUGH:
                break
            try:
                engine = importlib.import_module(ENGINES[each.engine].module).load(bank, each.precision, each.device)
                engines.callback(engine.close)
                engine(photo, bank.styles[-1])  # warms up
            except Exception as error:
                told(f"{each.engine}/{each.precision} was passed over: {error}")
            else:
                ready[each] = engine
        found = dict.fromkeys(ready, inf)
        for each in FRAMES * list(ready):
            start = perf_counter()
            ready[each](photo, bank.styles[-1])
            found[each] = min(found[each], perf_counter() - start)
    return found


class Memory:
    """What was chosen before. A file that is missing or damaged is an empty one; one that cannot be written is none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _read(self) -> dict[str, list[str]]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def recall(self, key: str) -> Choice | None:
        match self._read().get(key):
            case [str(engine), str(precision), str(device)] if engine in ENGINES:
                return Choice(engine, precision, device)
        return None

    def keep(self, key: str, choice: Choice) -> None:
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({**self._read(), key: astuple(choice)}, indent=1), encoding="utf-8")
            partial.replace(self._path)
        except OSError:
            return


def describe(bank: StyleBank, engines: Sequence[str], precision: str) -> str:
    """All that a choice depends on, as a key: processor, cores, versions, network, whether int8 is there, the wish."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = [f"{name} {_version(ENGINES[name].package)}" for name in engines]
    facts = [_processor(), cores, *versions, asdict(bank.config), bool(bank.ranges), precision]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # installed under another name, as onnxruntime-gpu is
        owners = importlib.metadata.packages_distributions().get(package, [])
        return ", ".join(f"{owner} {importlib.metadata.version(owner)}" for owner in owners)


def _processor() -> str:
    """The processor's name and abilities."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    first = lines[: lines.index("") if "" in lines else None]
    return "\n".join(line for line in first if line.startswith(("model name", "flags", "CPU part", "Features")))


def _accelerator(engines: Sequence[str], told: Callable[[str], None]) -> str | None:
    """The device that goes before the processor: a CUDA card or Apple's GPU, where an installed engine drives it."""
    card = "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else "cuda" if has_cuda_card() else None
    for name in engines:
        if card in ENGINES[name].devices:
            reason = importlib.import_module(ENGINES[name].module).lacks(card)
            if reason is None:
                return card
            told(f"{name} does not use this computer's card: {reason}")
    return None


def has_cuda_card() -> bool:
    """Whether NVIDIA's driver is installed and finds a card: asked of the driver itself, for torch takes seconds."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
