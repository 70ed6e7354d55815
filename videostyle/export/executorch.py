"""ExecuTorch: PyTorch's runtime for phones and other small devices, here on their processors by XNNPACK."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from videostyle.export.job import FLOATS, Job, Painter, from_planes, to_planes
from videostyle.export.mobile import mobile_graph

TENSORS = FLOATS


def write(job: Job, path: Path) -> None:
    """Hand the whole network to XNNPACK.

    int8: weights are rounded a channel at a time; activations at run time, each picture by its own range, so that no
    photos are needed to calibrate.
    """
    model = mobile_graph(job.bank, job.vector, job.fixed_size)
    with _its_own_warnings():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        program = torch.export.export(model, model.example)
        if job.precision == "int8":
            program = torch.export.export(_quantized(program.module(), model.example), model.example)
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    with path.open("wb") as file:
        lowered.write_to_file(file)


def _quantized(model: torch.nn.Module, example: tuple[torch.Tensor, ...]) -> Any:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    scheme = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    prepared = prepare_pt2e(model, XNNPACKQuantizer().set_global(scheme))
    prepared(*example)
    return convert_pt2e(prepared)


def load(path: Path) -> Painter:
    with _its_own_warnings():
        from executorch.runtime import Runtime

        method = Runtime.get().load_program(path).load_method("forward")
    assert method is not None, f"{path} has no method forward"

    def paint(images: NDArray[np.uint8], vector: NDArray[np.float32] | None) -> NDArray[np.uint8]:
        styles = () if vector is None else (torch.from_numpy(vector)[None],)
        (painted,) = method.execute([torch.from_numpy(to_planes(images)), *styles])
        return from_planes(painted.numpy())

    return paint


@contextmanager
def _its_own_warnings() -> Iterator[None]:
    """Without those that the package gives about how it uses Python and that its interface may change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(read_text|open_text|read_binary|open_binary) is deprecated")
        warnings.filterwarnings("ignore", "This API is experimental")
        yield
