"""Engines: what runs a bank's network on the machine at hand.

A new engine is one module with ``load(bank, precision, device, throughput) -> StyleEngine`` and one row in ``ENGINES``;
a light one has ``precisions(bank, device)`` too, and one for cards ``lacks(device)``. Modules are imported when they
are asked for, so that running on one engine never pays for another.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from videostyle.errors import EngineError
from videostyle.styles import StyleBank

# OpenVINO and NNCF tell their makers of every import, from a thread that stays: without this package they do not.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8")
DEVICES = ("auto", "cpu", "cuda", "mps", "directml", "coreml")


class StyleEngine(Protocol):
    """A bank's network, ready to run: stateless, shared between streams and threads.

    name, precision, device: what it is and runs on, spelt as on the command line, never "auto".
    lanes: how many threads should call it at a time for the most pictures a second.
    """

    name: str
    precision: str
    device: str
    lanes: int

    def __call__(self, images: NDArray[np.uint8], vector: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Paint images.

        images: uint8 RGB (N, H, W, 3) of any size, contiguous or not, left as they are.
        vector: float32 (P,) for all of them or (N, P), from ``StyleBank.vector``.

        Returns a new uint8 RGB (N, H, W, 3). Raises EngineError where memory runs out or the engine is closed.
        """
        ...

    def close(self) -> None:
        """Free memory and device; idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class EngineRow:
    """module: where ``load`` is. package: what must be installed for it. install: how to do that.

    devices: kinds of ``DEVICES`` that it may run on. light: imported within a fraction of a second, without torch.
    """

    module: str
    package: str
    install: str
    devices: tuple[str, ...] = ("cpu",)
    light: bool = False


ENGINES: dict[str, EngineRow] = {
    "openvino": EngineRow("videostyle.engines.openvino", "openvino", "pip install openvino", light=True),
    "pytorch": EngineRow("videostyle.engines.pytorch", "torch", "pip install torch", ("cpu", "cuda", "mps")),
    "onnx": EngineRow(
        "videostyle.engines.onnx",
        "onnxruntime",
        "pip install 'videostyle[onnx]'",
        ("cpu", "cuda", "directml", "coreml"),
        light=True,
    ),
}
"""By name, the preferred one first: see ``videostyle.engines.choice`` for what "auto" makes of it."""


def installed_engines() -> list[str]:
    """Names of the engines whose package is installed, the preferred one first. Imports none of them."""
    return [name for name, row in ENGINES.items() if importlib.util.find_spec(row.package) is not None]


def load_engine(
    bank: StyleBank,
    *,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    throughput: bool = False,
    told: Callable[[str], None] = lambda line: None,
) -> StyleEngine:
    """The engine that runs ``bank``.

    engine: a name of ``ENGINES``. precision: one of ``PRECISIONS``. device: one of ``DEVICES``, or "cuda:1".
    "auto" chooses; what is named is what runs. throughput: paint as many pictures a second as can be where the engine's
    ``lanes`` are kept busy, rather than each of them as soon as can be. told: gets lines for people about what "auto"
    passed over.

    Raises EngineError where engine, precision or device are not there: nothing falls back silently.
    """
    for option, value, known in (("--engine", engine, ("auto", *ENGINES)), ("--precision", precision, PRECISIONS)):
        if value not in known:
            raise EngineError(f"{option} {value} is unknown: choose {', '.join(known)}")
    if device.partition(":")[0] not in DEVICES:
        raise EngineError(f"--device {device} is unknown: choose {', '.join(DEVICES)}")
    there = installed_engines()
    if engine == "auto" and not there:
        raise EngineError(f"no engine is installed: {' or '.join(row.install for row in ENGINES.values())}")
    if engine not in ("auto", *there):
        raise EngineError(f"engine {engine} is not installed: {ENGINES[engine].install}, or choose {', '.join(there)}")
    if "auto" in (engine, precision, device):
        from videostyle.engines.choice import choose

        choice = choose(bank, there if engine == "auto" else [engine], precision, device, told)
        engine, precision, device = choice.engine, choice.precision, choice.device
    loaded: StyleEngine = importlib.import_module(ENGINES[engine].module).load(bank, precision, device, throughput)
    return loaded
