"""TorchScript: for programs in C++ and Python that have PyTorch but not videostyle, on any of its devices."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.jit._fuser import optimized_execution
from torch.nn import functional as F

from videostyle.export.job import BYTES, Job, Painter
from videostyle.export.torch_graph import TorchGraph, TorchOps

TENSORS = BYTES
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def write(job: Job, path: Path) -> None:
    """Trace the network; sizes stay open. Files of ``torch.export`` would run in fewer versions of PyTorch."""
    with _deprecated():
        ops = _ScriptOps(torch.jit.script(_grown), DTYPES[job.precision])
        model = TorchGraph(ops, job.bank, job.vector, torch.zeros(1, 24, 40, 3, dtype=torch.uint8))
        with torch.no_grad():
            # Without its own check, which would run the trace again and forbid what varies in the last bit.
            traced = torch.jit.trace(model, model.example, check_trace=False)
            torch.jit.save(torch.jit.freeze(traced), path)


def load(path: Path) -> Painter:
    with _deprecated():
        model = torch.jit.load(path, map_location="cpu")

    def paint(images: NDArray[np.uint8], vector: NDArray[np.float32] | None) -> NDArray[np.uint8]:
        styles = () if vector is None else (torch.from_numpy(vector)[None],)
        # Without the compiler that takes seconds to make later runs a little faster: there are one or two.
        with torch.inference_mode(), optimized_execution(False):
            painted: NDArray[np.uint8] = model(torch.from_numpy(images), *styles).numpy()
        return painted

    return paint


class _ScriptOps(TorchOps):
    """grown: ``_grown``, compiled; a trace would freeze what it does to the size it is traced with."""

    def __init__(self, grown: Any, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        self._grown = grown

    def enter(self, images: Tensor, *, margin: int, least: int, multiple: int, reflect: bool, square: int) -> Tensor:
        x = images.permute(0, 3, 1, 2).to(self.dtype) / 255
        x = self._grown(x, margin, least, multiple, reflect)
        return self.fold(x, square) if square > 1 else x

    def leave(self, x: Tensor, images: Tensor, *, margin: int, square: int) -> Tensor:
        x = self.unfold(x, square) if square > 1 else x
        height, width = images.shape[1:3]
        x = x[..., margin : margin + height, margin : margin + width]
        # Half precisions cannot hold x.5 near 255, so rounding is done in float32.
        return (x.to(torch.float32) * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _grown(x: Tensor, margin: int, least: int, multiple: int, reflect: bool) -> Tensor:
    """See ``videostyle.engines.graph.Ops.enter``."""
    right, bottom = max(0, least - x.shape[3]), max(0, least - x.shape[2])
    x = F.pad(x, [margin, margin + right, margin, margin + bottom], mode="replicate")
    right, bottom = -x.shape[3] % multiple, -x.shape[2] % multiple
    return F.pad(x, [0, right, 0, bottom], mode="reflect" if reflect else "replicate")


@contextmanager
def _deprecated() -> Iterator[None]:
    """Without PyTorch's advice to leave TorchScript: whoever asks for the format has a program that reads it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is (deprecated|not supported)")
        yield
