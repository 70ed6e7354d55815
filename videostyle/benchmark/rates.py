"""How many operations a second a device multiplies matrices with at best: what a network's speed is measured against.

On processors it is a stack of wide convolutions in OpenVINO, which are products of matrices too: of all that was tried
in fp32, bf16 and int8 (squares of 1024 and 2048, 1x1 and 3x3 convolutions, OpenVINO's, PyTorch's, NumPy's) it was the
fastest, by 6 to 13 %. Elsewhere, and without OpenVINO, it is PyTorch's product of squares.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from videostyle.errors import EngineError

CHANNELS, SIDE, LAYERS = 256, 64, 8
"""Of the stack: weights and activations stay within the caches of a core or two."""
SQUARE = {"cpu": 2048, "cuda": 8192, "mps": 4096}


def product(precision: str, device: str) -> tuple[Callable[[], object], int]:
    """A step that multiplies matrices in ``precision`` on ``device``, and its operations.

    Raises EngineError where nothing that is installed can.
    """
    kind = device.partition(":")[0]
    if kind == "cpu" and find_spec("openvino") is not None:
        return _convolutions(precision)
    if kind not in SQUARE or precision == "int8" or find_spec("torch") is None:
        raise EngineError(f"nothing that is installed tells how fast {device} multiplies in {precision}")
    return _squares(precision, device, SQUARE[kind])


def _convolutions(precision: str) -> tuple[Callable[[], object], int]:
    import openvino as ov
    import openvino.opset15 as op

    from videostyle.engines.openvino import ARITHMETIC, core

    random = np.random.default_rng(0)
    x = first = op.parameter([1, CHANNELS, SIDE, SIDE], ov.Type.f32)
    for _ in range(LAYERS):
        weight = random.normal(0, 0.03, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
        kernel = op.constant(weight)
        if precision == "int8":
            low, high, most = np.float32(0), np.float32(4), np.abs(weight).max((1, 2, 3), keepdims=True)
            x = op.fake_quantize(x, low, high, low, high, 256)
            kernel = op.fake_quantize(kernel, -most, most, -most, most, 255)
        x = op.relu(op.convolution(x, kernel, [1, 1], [1, 1], [1, 1], [1, 1]))
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": ARITHMETIC.get(precision, ov.Type.f32)}
    request = core().compile_model(ov.Model([x], [first]), "CPU", options).create_infer_request()
    request.set_input_tensor(0, ov.Tensor(random.uniform(0, 4, (1, CHANNELS, SIDE, SIDE)).astype(np.float32)))
    return request.infer, 2 * LAYERS * 9 * CHANNELS**2 * SIDE**2


def _squares(precision: str, device: str, side: int) -> tuple[Callable[[], object], int]:
    import torch

    from videostyle.engines.pytorch import DTYPES

    if device.startswith("cuda"):  # cuDNN convolves float32 in TF32, so the products must be allowed to be as coarse
        torch.set_float32_matmul_precision("high")
    a, b = (torch.randn(side, side, device=device).to(DTYPES[precision]) for _ in range(2))
    wait = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}.get(device.partition(":")[0], lambda: None)

    def step() -> None:
        torch.matmul(a, b)
        wait()

    return step, 2 * side**3
