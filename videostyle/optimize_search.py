"""The search for a painting: L-BFGS or Adam, preconditioned, with a way back where a step goes astray."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from videostyle.errors import EngineError
from videostyle.optimize_loss import Objective
from videostyle.optimize_options import PaintOptions

HISTORY = 10
"""Steps that L-BFGS remembers: two pictures each."""
WINDOW = 20
"""Iterations over which a plateau is looked for."""
ASTRAY = 2.0
"""Without a line search a step of L-BFGS may go astray: where the loss is so many times the best, it begins anew."""
SLOWER, FASTER = 0.5, 1.1
"""By what steps are multiplied after one that went astray, and after one that did well, until they are whole again."""


def minimise(
    objective: Objective,
    image: Tensor,
    options: PaintOptions,
    told: Callable[[int, float], None] = lambda i, loss: None,
) -> Tensor:
    """The best image found from ``image``, float32 (1, 3, H, W), in so many iterations, or until a plateau.

    told: called after each with its number from 1 and the loss before it.
    Raises EngineError where the loss is no number to begin with.
    """
    image = image.contiguous()
    spread = Spectrum(image, options.precondition)
    change = torch.zeros_like(image).requires_grad_()
    best, least = torch.zeros_like(image), math.inf
    losses: list[float] = []
    pace, full = 1.0, options.rate if options.optimizer == "adam" else 1.0

    def closure() -> float:
        loss, gradient = objective(image + spread(change.detach()))
        change.grad = spread(gradient)
        losses.append(loss)
        return loss

    optimizer = _optimizer(change, options, pace)
    for iteration in range(1, options.iterations + 1):
        before = change.detach().clone()
        optimizer.step(closure)
        loss = losses[-1]
        if loss < least:
            best, least = before, loss
            pace = min(1.0, pace * FASTER)
            optimizer.param_groups[0]["lr"] = pace * full
        elif not loss <= ASTRAY * least:
            if math.isinf(least):
                raise EngineError("the loss is no finite number: try --precision fp32, or smaller weights")
            change.data.copy_(best)
            pace *= SLOWER  # or it goes astray again, in the same place, for as long as it is let
            optimizer = _optimizer(change, options, pace)
        told(iteration, loss)
        if len(losses) > WINDOW and least > (1 - options.plateau) * min(losses[:-WINDOW]):
            break
    return image + spread(best)


class Spectrum:
    """Turns variables into a change of a picture (1, 3, H, W): a filter by frequency^-power, its own transpose.

    It preconditions the search: in pixels (power 0) L-BFGS took about twice the iterations that it took with power 0.5
    to the same loss; with 0.35 and 0.65 about as many, with 1 more.
    """

    def __init__(self, image: Tensor, power: float) -> None:
        self._size = image.shape[-2], image.shape[-1]
        down, across = torch.fft.fftfreq(self._size[0]), torch.fft.rfftfreq(self._size[1])
        frequency = (down[:, None].square() + across.square()).sqrt().clamp_min(1 / max(self._size))
        gain = frequency**-power
        self._gain = (gain / gain.mean()).to(image.device)

    def __call__(self, values: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(values, norm="ortho") * self._gain
        filtered: Tensor = torch.fft.irfft2(spectrum, s=self._size, norm="ortho")
        return filtered.contiguous()


def _optimizer(change: Tensor, options: PaintOptions, pace: float) -> torch.optim.Optimizer:
    if options.optimizer == "adam":
        return torch.optim.Adam([change], lr=options.rate * pace)
    # One iteration a step, without a line search: one evaluation each. The search took twice the time to the same loss.
    return torch.optim.LBFGS([change], lr=pace, max_iter=1, history_size=HISTORY, tolerance_grad=0, tolerance_change=0)
