"""ONNX: for ONNX Runtime in any language, on processors, cards, in browsers and on phones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from videostyle.engines.onnx_graph import build
from videostyle.export.job import BYTES, Job, Painter

TENSORS = BYTES
ONLY_ERRORS = 3


def write(job: Job, path: Path) -> None:
    """int8: the weights alone, a channel at a time, for the size of the file. What is computed stays in float32, in
    which ONNX Runtime's convolutions are faster or more exact: see ``videostyle.engines.onnx``."""
    model = onnx.load_from_string(build(job.bank, half=job.precision == "fp16"))
    if job.precision == "int8":
        _round_weights(model.graph)
    if job.vector is not None:
        (styles,) = [value for value in model.graph.input if value.name == "styles"]
        model.graph.input.remove(styles)
        model.graph.initializer.append(numpy_helper.from_array(job.vector[None], "styles"))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _round_weights(graph: onnx.GraphProto) -> None:
    constants = {value.name: value for value in graph.initializer}
    nodes = []
    for node in [node for node in graph.node if node.op_type == "Conv"]:
        stored = constants[node.input[1]]
        weight = numpy_helper.to_array(stored)
        # Never 0, by which a channel of zeros would be divided.
        scale = np.maximum(np.abs(weight).max((1, 2, 3)), np.float32(1e-12)) / np.float32(127)
        rounded = np.rint(weight / scale[:, None, None, None]).astype(np.int8)
        graph.initializer.remove(stored)
        graph.initializer.append(numpy_helper.from_array(rounded, f"{stored.name}_int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{stored.name}_scale"))
        inputs = [f"{stored.name}_int8", f"{stored.name}_scale"]
        nodes.append(helper.make_node("DequantizeLinear", inputs, [stored.name], axis=0))
    nodes.extend(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)


def load(path: Path) -> Painter:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ONLY_ERRORS
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def paint(images: NDArray[np.uint8], vector: NDArray[np.float32] | None) -> NDArray[np.uint8]:
        styles = {} if vector is None else {"styles": vector[None]}
        painted: NDArray[np.uint8] = session.run(["painted"], {"images": images, **styles})[0]
        return painted

    return paint
