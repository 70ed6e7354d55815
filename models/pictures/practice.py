"""Pictures that a body practises on, so that it can learn styles nobody has shown it yet:
python models/pictures/practice.py FOLDER [PICTURE...]

Ways of making a picture that differ in mark, scale, ground and palette, all drawn from random numbers, and the given
PICTURES in other colours: turned in hue, and as negatives.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 512
Field = NDArray[np.float32]
Draw = np.random.Generator


def noise(size: float, draw: Draw) -> Field:
    """Smooth noise (SIDE, SIDE) of mean 0 and deviation 1, with blobs of about ``size`` pixels."""
    field = cv2.GaussianBlur(draw.standard_normal((SIDE, SIDE)).astype(np.float32), (0, 0), size / 2)
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def palette(count: int, draw: Draw) -> Field:
    """Colours (count, 3) in [0, 1] that go together: some hues, each at some depths."""
    hues = draw.uniform(0, 180) + draw.choice([0, 12, 30, 75, 90, 105], count) + draw.normal(0, 4, count)
    coded = np.stack([hues % 180, draw.uniform(30, 230, count), draw.uniform(40, 250, count)], -1).astype(np.uint8)
    return cv2.cvtColor(coded[None], cv2.COLOR_HSV2RGB)[0].astype(np.float32) / 255


def ground(draw: Draw, dark: float = 0.2) -> Field:
    """Paper or canvas: one tone, pale or (``dark`` of the time) deep, with its grain."""
    tone = draw.uniform(0.05, 0.25, 3) if draw.random() < dark else draw.uniform(0.72, 0.97) + draw.normal(0, 0.04, 3)
    grain = draw.uniform(0.005, 0.03) * noise(draw.uniform(1, 4), draw) + draw.uniform(0, 0.04) * noise(90, draw)
    return np.asarray(np.clip(tone + grain[..., None], 0, 1), np.float32)


def subject(draw: Draw) -> Field:
    """What a picture shows: coloured masses of several sizes, (SIDE, SIDE, 3)."""
    colours = palette(draw.integers(4, 9), draw)
    height = noise(140, draw) + 0.6 * noise(50, draw) + 0.2 * noise(16, draw)
    steps = np.quantile(height, np.linspace(0, 1, len(colours) + 1)[1:-1])
    return np.asarray(colours[np.digitize(height, steps)], np.float32)


def tiling(draw: Draw) -> Field:
    """Straight cuts one after another, each part of one colour, with or without lines between them."""
    which = np.zeros((SIDE, SIDE), np.int32)
    upright = draw.random() < 0.4
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    for cut in range(draw.integers(6, 18)):
        turn = draw.choice([0, np.pi / 2]) if upright else draw.uniform(0, np.pi)
        side = (x - draw.uniform(0, SIDE)) * np.cos(turn) + (y - draw.uniform(0, SIDE)) * np.sin(turn) > 0
        part = which == which[draw.integers(SIDE), draw.integers(SIDE)] if cut > 2 else np.ones_like(side)
        which[part & side] = which.max() + 1
    flat = palette(9, draw)[draw.integers(9, size=which.max() + 1)][which]
    edges = cv2.morphologyEx(which.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    line = cv2.dilate(edges.astype(np.uint8), np.ones((2, 2)), iterations=int(draw.integers(0, 6)))
    ink = cv2.GaussianBlur(line.astype(np.float32), (0, 0), 0.7)[..., None]
    return np.asarray((flat + 0.02 * noise(3, draw)[..., None]) * (1 - ink) + draw.uniform(0, 0.15) * ink, np.float32)


def figures(draw: Draw) -> Field:
    """Circles, bars, triangles and long thin lines on a quiet ground."""
    canvas, colours = (ground(draw) * 255).astype(np.uint8), palette(8, draw) * 255
    for _ in range(draw.integers(25, 70)):
        colour, (x, y), size = colours[draw.integers(8)].tolist(), draw.integers(SIDE, size=2), draw.exponential(28) + 4
        kind, layer = draw.integers(4), canvas.copy()
        width = -1 if draw.random() < 0.5 else int(draw.integers(1, 5))
        if kind == 0:
            cv2.circle(layer, (int(x), int(y)), int(size), colour, width, cv2.LINE_AA)
        elif kind == 1:
            ends = (np.array([x, y]) + draw.normal(0, 4 * size, 2)).astype(int)
            cv2.line(layer, (int(x), int(y)), ends.tolist(), colour, int(draw.integers(1, 4)), cv2.LINE_AA)
        else:
            count = 3 if kind == 2 else 4
            turns = np.sort(draw.uniform(0, 2 * np.pi, count)) if kind == 2 else np.arange(4) * np.pi / 2 + 0.4
            corners = np.stack([x + size * np.cos(turns), y + size * np.sin(turns)], -1).astype(np.int32)
            cv2.polylines(layer, [corners], True, colour, max(1, width), cv2.LINE_AA)
            if width < 0:
                cv2.fillPoly(layer, [corners], colour, cv2.LINE_AA)
        canvas = cv2.addWeighted(layer, 0.85, canvas, 0.15, 0)
    return np.asarray(canvas, np.float32) / 255


def strokes(draw: Draw) -> Field:
    """Short strokes of a brush that follow a flow, over and over, each of nearly the colour that lies under it."""
    scene, turn = subject(draw), 2 * noise(draw.uniform(40, 160), draw)
    canvas = (scene * 255).astype(np.uint8)
    long, wide, rough = draw.uniform(6, 40), draw.uniform(2, 9), draw.uniform(0.04, 0.14)
    for x, y in draw.integers(SIDE, size=(int(9 * SIDE**2 / (long * wide) ** 0.9 / 4), 2)):
        angle, reach = turn[y, x] + draw.normal(0, 0.1), long * draw.uniform(0.5, 1.3) / 2
        step = np.array([np.cos(angle), np.sin(angle)]) * reach
        colour = np.clip(scene[y, x] + draw.normal(0, rough) + draw.normal(0, rough / 2, 3), 0, 1) * 255
        ends = ((np.array([x, y]) - step).astype(int).tolist(), (np.array([x, y]) + step).astype(int).tolist())
        cv2.line(canvas, *ends, colour.tolist(), max(1, int(wide * draw.uniform(0.5, 1.2))), cv2.LINE_AA)
    return np.asarray(canvas, np.float32) / 255


def dots(draw: Draw) -> Field:
    """Points of pure colours side by side, on a ground that shows between them."""
    scene, canvas = subject(draw), (ground(draw, 0.4) * 255).astype(np.uint8)
    size, colours = draw.uniform(1.2, 5), palette(10, draw)
    for x, y in draw.integers(SIDE, size=(int(0.9 * SIDE**2 / (3 * size**2)), 2)):
        near = np.argsort(np.square(colours - scene[y, x]).sum(1))[draw.integers(3)]
        colour = np.clip(0.5 * colours[near] + 0.5 * scene[y, x] + draw.normal(0, 0.06, 3), 0, 1) * 255
        radius = max(1, int(size * draw.uniform(0.6, 1.3)))
        cv2.circle(canvas, (int(x), int(y)), radius, colour.tolist(), -1, cv2.LINE_AA)
    return np.asarray(canvas, np.float32) / 255


def pen(draw: Draw) -> Field:
    """Fine lines: contours of the masses, and hatching where they are dark, in one ink."""
    paper, grey = ground(draw, 0.1), cv2.GaussianBlur(subject(draw).mean(2), (0, 0), 5)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    gap, wide, lean = draw.uniform(4, 11), draw.uniform(0.4, 1.2), draw.uniform(0, 2)
    ink = np.zeros((SIDE, SIDE), np.float32)
    for turn, below in zip(draw.uniform(0, np.pi, 3), (0.75, 0.5, 0.3), strict=True):
        across = x * np.cos(turn) + y * np.sin(turn) + lean * 3 * noise(60, draw)
        line = np.clip(wide - np.abs(across % gap - gap / 2) + 0.7, 0, 1)
        ink = np.maximum(ink, line * np.clip((below - grey) * 9, 0, 1) * np.clip(0.8 + 0.5 * noise(20, draw), 0, 1))
    level = grey * draw.uniform(8, 26)
    slope = np.hypot(*np.gradient(level)) + 1e-3
    ink = np.maximum(ink, np.clip(wide + 0.5 - np.abs(level - np.round(level)) / slope, 0, 1))[..., None]
    return np.asarray(paper + ink * (palette(1, draw)[0] * 0.45 - paper), np.float32)


def wash(draw: Draw) -> Field:
    """Thin colour that has run: soft inside, dark at the edges, over the grain of the paper."""
    picture = ground(draw, 0.0)
    for colour in palette(draw.integers(3, 8), draw):
        field = noise(draw.uniform(30, 130), draw) + 0.25 * noise(12, draw)
        inside = 1 / (1 + np.exp(-(field - draw.uniform(0, 0.9)) * draw.uniform(4, 18)))
        edge = np.clip(inside * (1 - inside) * 4, 0, 1)
        depth = inside * (0.45 + 0.2 * noise(40, draw)) + 0.3 * edge
        picture = picture * (1 - np.clip(depth, 0, 1)[..., None] * (1 - colour))
    return np.asarray(picture * (1 + 0.02 * noise(2, draw)[..., None]), np.float32)


def chalk(draw: Draw) -> Field:
    """Rough soft lines and rubbed tones of one or two chalks on toned paper."""
    picture, grey = ground(draw, 0.3), subject(draw).mean(2)
    for colour in palette(draw.integers(1, 3), draw):
        tooth = np.clip(0.5 + noise(draw.uniform(1.5, 4), draw), 0, 1)
        y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
        turn = draw.uniform(0, np.pi)
        across = x * np.cos(turn) + y * np.sin(turn) + 6 * noise(40, draw)
        streak = np.clip(0.6 + np.sin(across / draw.uniform(1.5, 5)), 0, 1)
        dark = np.clip((draw.uniform(0.4, 0.7) - cv2.GaussianBlur(grey, (0, 0), 6)) * 4, 0, 1)
        edge = cv2.GaussianBlur(np.abs(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 2), cv2.CV_32F)), (0, 0), 1.2)
        outline = np.clip(edge / (edge.max() + 1e-6) * 3, 0, 1)
        cover = np.clip((dark * streak + outline) * tooth, 0, 0.95)[..., None]
        picture = picture + cover * (colour - picture)
    return np.asarray(picture, np.float32)


def weave(draw: Draw) -> Field:
    """Rings, scales or threads that repeat, in the colours of what lies under them."""
    scene, turn, gap = subject(draw), draw.uniform(0, np.pi), draw.uniform(8, 26)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    bend = draw.uniform(0, 6) * noise(80, draw)
    u, v = x * np.cos(turn) + y * np.sin(turn) + bend, y * np.cos(turn) - x * np.sin(turn) + bend
    v = v + (np.floor(u / gap) % 2) * gap / 2 * draw.integers(2)
    far = np.hypot(u % gap - gap / 2, v % gap - gap / 2) / gap
    rings = 0.5 + 0.5 * np.cos(far * draw.uniform(8, 30))
    other = scene[..., ::-1] if draw.random() < 0.5 else np.clip(scene * draw.uniform(0.2, 0.6), 0, 1)
    return np.asarray(scene + rings[..., None] * (other - scene) + 0.02 * noise(3, draw)[..., None], np.float32)


WAYS: tuple[Callable[[Draw], Field], ...] = (tiling, figures, strokes, dots, pen, wash, chalk, weave)
EACH = 4


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, NDArray[np.uint8]] = {}
    for number, way in enumerate(WAYS):
        for seed in range(EACH):
            field = np.clip(way(np.random.default_rng((number, seed))), 0, 1)
            made[f"{way.__name__}-{seed}"] = np.asarray(field * 255 + 0.5, np.uint8)
    for number, path in enumerate(map(Path, sys.argv[2:])):
        coded = cv2.cvtColor(np.asarray(Image.open(path).convert("RGB")), cv2.COLOR_RGB2HSV)
        coded[..., 0] = (coded[..., 0].astype(int) + (60, 90, 120)[number % 3]) % 180
        turned = cv2.cvtColor(coded, cv2.COLOR_HSV2RGB)
        made[f"turned-{path.stem}"] = 255 - turned if number % 2 else turned
    for name, pixels in made.items():
        Image.fromarray(pixels).save(folder / f"{name}.jpg", quality=90)


if __name__ == "__main__":
    main()
