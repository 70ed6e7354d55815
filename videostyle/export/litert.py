"""LiteRT, once TensorFlow Lite: for apps on Android and iOS, and in browsers."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videostyle.export.job import FLOATS, Job, Painter, from_planes, to_planes
from videostyle.export.mobile import mobile_graph

TENSORS = FLOATS
THREADS = 2


def write(job: Job, path: Path) -> None:
    """int8: weights are rounded a channel at a time, activations at run time, so that no photos are needed."""
    model = mobile_graph(job.bank, job.vector, job.fixed_size)
    # By name, so that the file's inputs have theirs.
    inputs = dict(zip(("images", "styles"), model.example, strict=False))
    with redirect_stdout(sys.stderr):  # both tell their progress, and stdout is for reports
        import litert_torch

        litert_torch.convert(model, sample_kwargs=inputs).export(str(path))
        if job.precision == "int8":
            from ai_edge_quantizer import quantizer, recipe

            rounded = quantizer.Quantizer(str(path), recipe.dynamic_wi8_afp32()).quantize()
            path.write_bytes(rounded.quantized_model)


def load(path: Path) -> Painter:
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(path), num_threads=THREADS).get_signature_runner()

    def paint(images: NDArray[np.uint8], vector: NDArray[np.float32] | None) -> NDArray[np.uint8]:
        styles = {} if vector is None else {"styles": vector[None]}
        (painted,) = run(images=to_planes(images), **styles).values()
        return from_planes(painted)

    return paint
