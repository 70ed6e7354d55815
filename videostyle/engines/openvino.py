"""The OpenVINO engine: the fastest one on processors, in fp32, bf16 and int8. It does not import torch.

Models are compiled for one size of picture each: the same model for any size took 1.2 to 1.5 times as long a frame.
Compiling takes a tenth of a second, and half of that once a size is in the cache on disk.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from videostyle.engines import graph
from videostyle.engines.arguments import CLOSED, check_arguments, out_of_memory
from videostyle.engines.openvino_graph import build
from videostyle.errors import EngineError
from videostyle.library import cache_folder
from videostyle.memory import empty
from videostyle.styles import StyleBank

ARITHMETIC = {"bf16": ov.Type.bf16, "fp16": ov.Type.f16, "fp32": ov.Type.f32}
"""By their names on the command line: what OpenVINO computes in, apart from int8."""

NO_MEMORY = ("bad_alloc", "allocate")
"""In the messages of std::bad_alloc and of OpenVINO's allocators, which have no error class of their own."""

MOST_LANES = 4
"""Pictures at a time, each with its share of the cores, where throughput is asked for: threads of one picture wait for
each other after every layer, which costs most where decoders and encoders want the cores too (two cores, 1280x720, one
of them in use elsewhere: 53 ms a picture in one lane, 32 in two). Each takes the memory of a picture's layers."""

KEPT_SIZES = 4
"""Compiled sizes in memory: the stream's own, the governor's last ones, and that of thumbnails."""
KEPT_FILES = 64
"""Compiled sizes on disk, about 1 MB each."""


def load(bank: StyleBank, precision: str, device: str, throughput: bool = False) -> OpenVINOEngine:
    """See ``videostyle.engines.load_engine``."""
    if device not in ("auto", "cpu"):
        raise EngineError(f"OpenVINO finds no device {device} here: choose cpu or auto")
    chosen = _precision(bank, precision)
    graph.check(bank, chosen)
    return OpenVINOEngine(bank, chosen, cache_folder() / "openvino", min(MOST_LANES, _cores()) if throughput else 1)


def precisions(bank: StyleBank, device: str) -> list[str]:
    """What ``device``, the processor, and ``bank`` can do, the one that is likely to be the fastest first."""
    native = _native()
    int8 = bank.ranges and "INT8" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return [*(["int8"] if int8 else []), *([native] if native != "fp32" else []), "fp32"]


class _Compiled:
    """A model for one size, with a request for each lane: further callers wait for one of them."""

    def __init__(self, model: ov.CompiledModel, lanes: int) -> None:
        self._free: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for _ in range(lanes):
            self._free.put(model.create_infer_request())

    def run(self, *tensors: NDArray[Any]) -> None:
        """images and styles in, painted out: arrays that OpenVINO reads and writes where they are."""
        images, styles, painted = (ov.Tensor(array, shared_memory=True) for array in tensors)
        request = self._free.get()
        try:
            request.set_input_tensor(0, images)
            request.set_input_tensor(1, styles)
            request.set_output_tensor(painted)
            request.infer()
        finally:
            self._free.put(request)


class OpenVINOEngine:
    """Runs a bank's network with OpenVINO on the processor. See ``StyleEngine`` for the contract.

    folder: where compiled models are kept from one start to the next. lanes: pictures to paint at a time.
    """

    name = "openvino"
    device = "cpu"

    def __init__(self, bank: StyleBank, precision: str, folder: Path, lanes: int = 1) -> None:
        self.precision = precision
        self.lanes = lanes
        self._style_size = bank.styles.shape[1]
        self._model: ov.Model | None = build(bank, quantize=precision == "int8")
        self._options = {
            "PERFORMANCE_HINT": "LATENCY" if lanes == 1 else "THROUGHPUT",
            "NUM_STREAMS": lanes,
            "INFERENCE_PRECISION_HINT": ARITHMETIC[_native() if precision == "int8" else precision],
            **_cache_options(folder),
        }
        self._compiled: OrderedDict[tuple[int, ...], _Compiled] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, images: NDArray[np.uint8], vector: NDArray[np.float32]) -> NDArray[np.uint8]:
        if self._model is None:
            raise EngineError(CLOSED)
        styles = check_arguments(images, vector, self._style_size)
        try:
            # OpenVINO shares memory with arrays that are contiguous and could be written to alone.
            images = np.require(images, requirements=["C", "W"])
            styles = np.broadcast_to(styles, (len(images), self._style_size)).copy()
            painted = empty(images.shape)
            compiled = self._compiled_for(images.shape[1:3])
            for number in range(len(images)):  # batches gain nothing on a processor
                one = slice(number, number + 1)
                compiled.run(images[one], styles[one], painted[one])
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError) or any(sign in str(error) for sign in NO_MEMORY):
                raise out_of_memory(images, self.device) from error
            raise
        return painted

    def _compiled_for(self, size: tuple[int, ...]) -> _Compiled:
        with self._lock:
            if self._model is None:
                raise EngineError(CLOSED)
            if size not in self._compiled:
                while len(self._compiled) >= KEPT_SIZES:
                    self._compiled.popitem(last=False)
                model = self._model.clone()
                model.reshape({0: [1, *size, 3]})
                compiled = core().compile_model(model, "CPU", self._options)
                self._compiled[size] = _Compiled(compiled, self.lanes)
            self._compiled.move_to_end(size)
            return self._compiled[size]

    def close(self) -> None:
        with self._lock:
            self._model = None
            self._compiled.clear()


@cache
def core() -> ov.Core:
    """OpenVINO itself, once a process."""
    return ov.Core()


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _native() -> str:
    """The shortest floating-point numbers that this processor multiplies in hardware.

    OpenVINO lists those that it emulates, many times more slowly than fp32, among a processor's abilities too; what it
    computes in unless told otherwise is what is there.
    """
    preferred = core().get_property("CPU", "INFERENCE_PRECISION_HINT")
    return next((name for name, kind in ARITHMETIC.items() if kind == preferred), "fp32")


def _precision(bank: StyleBank, name: str) -> str:
    there = precisions(bank, "cpu")
    if name == "auto":
        return there[0]
    if name == "int8" and not bank.ranges:
        raise EngineError(
            f"{bank.path or 'this bank'} was not calibrated for int8: python -m videostyle.quantize BANK --photos "
            "FOLDER does it, or choose another --precision"
        )
    if name not in there:
        raise EngineError(
            f"OpenVINO does not run {name} on this processor in hardware: choose {', '.join(there)} or auto"
        )
    return name


def _cache_options(folder: Path) -> dict[str, str]:
    """Where to keep compiled models; nothing where the folder cannot be made. The oldest files go."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = sorted(folder.glob("*.blob"), key=lambda path: path.stat().st_mtime)
        for path in files[:-KEPT_FILES]:
            path.unlink()
    except OSError:
        return {}
    return {"CACHE_DIR": str(folder)}
