"""OpenVINO's own format, for its runtime in C++, Python and JavaScript: a file of the graph and one of the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import openvino.opset15 as op
from numpy.typing import NDArray
from openvino._offline_transformations import compress_quantize_weights_transformation

from videostyle.engines import graph
from videostyle.engines.openvino_graph import OpenVINOOps
from videostyle.errors import EngineError
from videostyle.export.job import BYTES, Job, Painter

TENSORS = BYTES


def write(job: Job, path: Path) -> None:
    """int8: activations by the ranges that the bank was calibrated with. Raises EngineError where it was not."""
    quantize = job.precision == "int8"
    if quantize and not job.bank.ranges:
        raise EngineError("this bank was not calibrated for int8: python -m videostyle.quantize BANK --photos FOLDER")
    images = op.parameter([-1, -1, -1, 3], ov.Type.u8, name="images")
    if job.vector is None:
        styles = op.parameter([-1, job.bank.styles.shape[1]], ov.Type.f32, name="styles")
    else:
        styles = op.constant(job.vector[None])
    painted = graph.paint(OpenVINOOps(portable=True), job.bank, images, styles, quantize=quantize)
    painted.output(0).set_names({"painted"})
    model = ov.Model([painted], [images] if job.vector is not None else [images, styles], "videostyle")
    compress_quantize_weights_transformation(model)
    ov.save_model(model, path, compress_to_fp16=job.precision == "fp16")


def load(path: Path) -> Painter:
    # In float32, so that the file is compared and not what this processor would make of it.
    compiled = ov.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": ov.Type.f32})

    def paint(images: NDArray[np.uint8], vector: NDArray[np.float32] | None) -> NDArray[np.uint8]:
        painted: NDArray[np.uint8] = compiled([images] if vector is None else [images, vector[None]])[0]
        return painted

    return paint
