"""The pictures that styles are learned on where no photos are given: python models/scenes/draw.py [FOLDER]

Photos differ in light, contrast, colour and detail, and a style learned on pictures that do not fails on photos that
do. Half of these are dead leaves (Lee et al. 2001), shapes of all sizes that cover each other, which share
statistics of photos and teach nets to see (Baradad et al. 2021), here with patterns, grain, shading and shadow;
half are parts of the demo clip in other light and colours.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from videostyle.sources import open_source

SIDE, COUNT = 288, 64
GREY = np.full(3, 1 / np.sqrt(3))
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
Y, X = np.mgrid[:SIDE, :SIDE].astype(np.float32)
Field = NDArray[np.float32]
Draw = np.random.Generator


def fractal(draw: Draw, fall: float, stretch: float = 1.0) -> Field:
    """Noise (SIDE, SIDE) of deviation 1 whose amplitude falls with frequency to the power of ``fall``; streaks along y,
    ``stretch`` times as long as they are wide."""
    down, across = np.fft.fftfreq(SIDE)[:, None] * stretch, np.fft.rfftfreq(SIDE)
    frequency = np.hypot(down, across)
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(draw.standard_normal((SIDE, SIDE))) * frequency**-fall, (SIDE, SIDE))
    return np.asarray(field / field.std(), np.float32)


def colour(draw: Draw) -> Field:
    """RGB (3,): of any lightness, more often dull than not, and warm half of the time."""
    hue = draw.normal(0.07, 0.06) if draw.random() < 0.5 else draw.random()
    saturation = min(0.9, abs(draw.normal(0, 0.4)))
    pure = cv2.cvtColor(np.array([[[hue % 1 * 360, saturation, 1]]], np.float32), cv2.COLOR_HSV2RGB)[0, 0]
    return np.asarray((0.03 + 0.95 * draw.beta(1.2, 1.2)) * pure / (pure @ LUMA), np.float32)


def pattern(draw: Draw) -> Field:
    """What a surface adds to its colour, as a share of it, (SIDE, SIDE): nothing, mottles, streaks, weave or grain."""
    kind, turn = draw.choice(5, p=[0.3, 0.3, 0.15, 0.15, 0.1]), draw.uniform(0, np.pi)
    if kind == 0:
        return np.zeros((SIDE, SIDE), np.float32)
    if kind == 1:
        return draw.uniform(0.03, 0.3) * fractal(draw, draw.uniform(0.6, 1.8))
    if kind == 2:
        around = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), np.degrees(turn), 1.5)
        streaks = fractal(draw, draw.uniform(0.4, 1.2), draw.uniform(4, 12))
        turned = cv2.warpAffine(streaks, around, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
        return np.asarray(draw.uniform(0.05, 0.3) * turned, np.float32)
    if kind == 3:
        pitch, folds = 2 * np.pi / draw.uniform(5, 24), 3 * fractal(draw, 2)
        u, v = (np.sin(pitch * (np.cos(at) * X + np.sin(at) * Y + folds)) for at in (turn, turn + np.pi / 2))
        weave = (u, (np.tanh(3 * u) + np.tanh(3 * v)) / 2, u * v - 0.4)[draw.integers(3)]
        return np.asarray(draw.uniform(0.05, 0.5) * np.tanh(3 * weave), np.float32)
    return draw.uniform(0.1, 0.45) * fractal(draw, draw.uniform(0.2, 0.6))


def surface(draw: Draw, sun: NDArray[np.float64]) -> Field:
    """RGB (SIDE, SIDE, 3), lit a little more towards the sun, or less."""
    slope = 1 + draw.normal(0, 0.25) * ((X * sun[0] + Y * sun[1]) / SIDE - 0.5)
    return np.asarray(colour(draw) * ((1 + pattern(draw)) * slope)[..., None], np.float32)


def leaf(picture: Field, radius: float, draw: Draw, sun: NDArray[np.float64]) -> Field:
    """The picture and one more shape: round to square, smooth or ragged, sharp or out of focus, flat or domed."""
    (x, y), turn, long = draw.uniform(-20, SIDE + 20, 2), draw.uniform(0, np.pi), np.exp(draw.normal(0, 0.45))
    u = (np.cos(turn) * (X - x) + np.sin(turn) * (Y - y)) / (radius * long)
    v = (np.cos(turn) * (Y - y) - np.sin(turn) * (X - x)) / (radius / long)
    power = draw.choice([1.2, 2, 2, 4, 8])
    away = (np.abs(u) ** power + np.abs(v) ** power) ** (1 / power)
    if draw.random() < 0.5:
        away += draw.uniform(0.05, 0.25) * fractal(draw, 1.8)
    soft = 0.7 + draw.exponential(1.2) * (draw.random() < 0.5)
    cover = np.clip((1 - away) * radius / (2 * soft) + 0.5, 0, 1).astype(np.float32)
    if draw.random() < 0.4:
        throw = draw.uniform(0.05, 0.2) * radius
        moved = cv2.warpAffine(cover, np.array([[1, 0, -throw * sun[0]], [0, 1, -throw * sun[1]]]), (SIDE, SIDE))
        shadow = cv2.GaussianBlur(moved, (0, 0), max(1, throw / 2))
        picture = picture * (1 - draw.uniform(0.2, 0.6) * shadow)[..., None]
    face = surface(draw, sun)
    if draw.random() < 0.6:
        towards = 0.7 * np.sqrt(np.clip(1 - u * u - v * v, 0, 1)) + 0.5 * (u * sun[0] + v * sun[1])
        face *= np.clip(0.45 + 0.55 * towards, 0, 1.3)[..., None]
    return picture + (face - picture) * cover[..., None]


def leaves(draw: Draw) -> Field:
    """RGB (SIDE, SIDE, 3): few shapes or many, mostly small ones, as a lens would see them."""
    turn = draw.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(turn), np.sin(turn)])
    small, count = np.exp(draw.uniform(np.log(8), np.log(60))), int(np.exp(draw.uniform(np.log(6), np.log(180))))
    sizes = small * (1 - draw.random(count) * (1 - (small / SIDE) ** 1.5)) ** (-1 / 1.5)
    picture = surface(draw, sun)
    for radius in np.sort(sizes)[::-1] if draw.random() < 0.5 else sizes:
        picture = leaf(picture, radius, draw, sun)
    exposed = np.clip(picture * draw.uniform(0.9, 1.5), 0, 1) ** draw.uniform(0.7, 1.4)
    lens = cv2.GaussianBlur(exposed, (0, 0), draw.uniform(0.3, 0.9))
    return np.asarray(lens + draw.exponential(0.008) * draw.standard_normal(lens.shape), np.float32)


def relit(frame: Field, draw: Draw) -> Field:
    """Part of a frame, RGB in [0, 1], with another lightness, contrast, saturation and hue."""
    height, width = frame.shape[:2]
    top, left = draw.integers(height - SIDE + 1), draw.integers(width - SIDE + 1)
    part = frame[top : top + SIDE, left : left + SIDE]
    hue = cv2.Rodrigues(draw.uniform(0, 2 * np.pi) * GREY)[0]
    greys = np.outer(GREY, GREY)
    mixed = draw.uniform(0.6, 1.6) * (greys + draw.uniform(0.2, 1.2) * (np.eye(3) - greys) @ hue)
    light = draw.uniform(0.2, 0.7) + draw.normal(0, 0.06, 3)
    seen = (part - part.mean((0, 1))) @ mixed.T + light
    return np.asarray(seen[:, :: draw.choice([1, -1])], np.float32)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with closing(open_source(Path(__file__).parent.parent / "demo.mp4")) as clip:
        frames = [frame.image.astype(np.float32) / 255 for frame in clip]
    for number in range(COUNT):
        draw = np.random.default_rng(number)
        scene = relit(frames[draw.integers(len(frames))], draw) if number % 2 else leaves(draw)
        path = folder / f"{number:02}.jpg"
        Image.fromarray((np.clip(scene, 0, 1) * 255).round().astype(np.uint8)).save(path, quality=88)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
