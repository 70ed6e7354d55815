"""The pictures of the bank that this project drew itself: python models/pictures/draw.py [FOLDER]

Three ways of making a picture that no painting of the bank has: glass in lead, pen in crossed lines, and tiles laid in
rows. All three draw the same landscape, which is nothing but shapes and random numbers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 768
Field = NDArray[np.float32]


def noise(size: float, draw: np.random.Generator) -> Field:
    """Smooth noise (SIDE, SIDE) of mean 0 and deviation 1, with blobs of about ``size`` pixels."""
    field = cv2.GaussianBlur(draw.standard_normal((SIDE, SIDE)).astype(np.float32), (0, 0), size / 2)
    return np.asarray(field / field.std(), np.float32)


def landscape(draw: np.random.Generator) -> Field:
    """A low sun over hills and water, RGB in [0, 1]: what all three pictures show."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    sky, glow = np.array([0.16, 0.33, 0.66]), np.array([0.98, 0.72, 0.32])
    share = np.clip(y / 0.6, 0, 1)[..., None] ** 1.5
    picture = sky + share * (glow - sky) + 0.05 * noise(90, draw)[..., None]
    sun = np.hypot(x - 0.64, y - 0.3)
    picture[sun < 0.11] = 1.0, 0.9, 0.45
    for top, wave, colour in (
        (0.46, 0.06, (0.36, 0.28, 0.58)),
        (0.55, 0.05, (0.16, 0.45, 0.42)),
        (0.64, 0.04, (0.72, 0.32, 0.2)),
    ):
        ridge = top + wave * cv2.GaussianBlur(draw.standard_normal((1, SIDE)).astype(np.float32), (0, 0), 60) * 12
        picture[y > ridge] = colour
    water = y > 0.74
    ripple = 0.1 * np.sin(160 * y**2 + 4 * noise(60, draw))
    picture[water] = (np.array([0.1, 0.36, 0.5]) + ripple[..., None] * np.array([0.9, 1, 0.8]))[water]
    picture[water & (np.abs(x - 0.64) < 0.05 + 0.1 * np.abs(noise(24, draw)) * (y - 0.7))] = 0.97, 0.75, 0.35
    for _ in range(26):  # trees on the nearest hill
        at, foot, tall = draw.uniform(0, 1), draw.uniform(0.7, 0.76), draw.uniform(0.08, 0.2)
        crown = (np.abs(x - at) < 0.28 * (y - foot + tall) * (0.6 + 0.4 * np.sin(90 * y))) & (y < foot)
        picture[crown] = np.array([0.08, 0.26, 0.14]) + draw.uniform(0, 0.12)
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def cells(seeds: Field) -> tuple[NDArray[np.intp], Field]:
    """Which of the seeds (N, 2), as x and y, is nearest to each pixel, and how much nearer than the second one."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    first, second = np.full((2, SIDE, SIDE), np.inf, np.float32)
    which = np.zeros((SIDE, SIDE), np.intp)
    for number, (sx, sy) in enumerate(seeds):
        part = np.s_[max(0, int(sy) - 140) : int(sy) + 140, max(0, int(sx) - 140) : int(sx) + 140]
        far = np.hypot(x[part] - sx, y[part] - sy)
        nearer = far < first[part]
        second[part] = np.where(nearer, first[part], np.minimum(second[part], far))
        which[part] = np.where(nearer, number, which[part])
        first[part] = np.minimum(first[part], far)
    return which, second - first


def stained_glass(draw: np.random.Generator) -> Field:
    """Panes of glass, each of one deep colour that the light shines through, in black lead."""
    picture = landscape(draw)
    grid = np.stack(np.meshgrid(np.arange(20, SIDE, 40), np.arange(20, SIDE, 40)), -1).reshape(-1, 2)
    which, gap = cells((grid + draw.uniform(-19, 19, grid.shape)).astype(np.float32))
    mean = np.stack([np.bincount(which.ravel(), picture[..., c].ravel()) for c in range(3)], -1)
    mean /= np.bincount(which.ravel())[:, None]
    grey = mean.mean(1, keepdims=True)
    panes = np.clip(grey + 1.9 * (mean - grey) + draw.normal(0, 0.05, mean.shape), 0.02, 1)
    light = 1 + 0.16 * noise(26, draw) + 0.1 * noise(5, draw)
    glass = panes[which] * light[..., None]
    lead = np.clip((gap - 4.5) / 2.5, 0, 1)[..., None]
    round_ = np.clip((gap - 1.5) / 2, 0, 1)[..., None]
    return np.asarray(lead * glass + (1 - lead) * (0.03 + 0.12 * (1 - round_)), np.float32)


def crosshatch(draw: np.random.Generator) -> Field:
    """Lines of a pen on cream paper: the darker, the more directions they cross in."""
    grey = cv2.GaussianBlur(landscape(draw).mean(2), (0, 0), 3)
    grey = (grey - grey.min()) / (grey.max() - grey.min())
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    ink = np.zeros((SIDE, SIDE), np.float32)
    for number, (turn, below) in enumerate(((0.75, 0.8), (-0.6, 0.58), (0.1, 0.4), (1.45, 0.24))):
        across = x * np.cos(turn) + y * np.sin(turn) + 2.2 * noise(110, draw) + 0.5 * noise(12, draw)
        phase = np.abs((across / 7.5) % 1 - 0.5) * 7.5  # pixels from the middle between two lines
        wide = 0.5 + 1.1 * np.clip((below - grey) / 0.3, 0, 1) + 0.25 * noise(30, draw)
        stroke = np.clip(wide - (3.75 - phase) + 0.5, 0, 1)
        dash = np.clip(0.9 + noise(34, draw), 0, 1)  # the pen is lifted now and then
        ink = np.maximum(ink, stroke * dash * np.clip((below - grey) * 12, 0, 1) * (0.95 - 0.08 * number))
    edges = cv2.Canny((grey * 255).astype(np.uint8), 20, 50)
    outline = cv2.GaussianBlur(cv2.dilate(edges, np.ones((2, 2), np.uint8)).astype(np.float32) / 255, (0, 0), 0.7)
    ink = np.maximum(ink, np.clip(1.3 * outline, 0, 0.95))[..., None]
    paper = np.array([0.96, 0.93, 0.85]) + 0.012 * noise(3, draw)[..., None]
    return np.asarray(paper + ink * (np.array([0.11, 0.1, 0.16]) - paper), np.float32)


def tesserae(draw: np.random.Generator) -> Field:
    """Small stones in rows that follow the shapes, light grout between them."""
    picture = landscape(draw)
    grey = cv2.GaussianBlur(picture.mean(2), (0, 0), 14)
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    turn = np.arctan2(dy, dx + 1e-4)
    canvas = np.empty_like(picture)
    canvas[:] = np.array([0.83, 0.8, 0.73]) + 0.03 * noise(4, draw)[..., None]
    free = np.ones((SIDE, SIDE), bool)
    places = np.stack(np.meshgrid(np.arange(3, SIDE, 3), np.arange(3, SIDE, 3)), -1).reshape(-1, 2)
    rows = places[np.argsort((places[:, 1] // 12) * 10_000 + places[:, 0] + draw.uniform(0, 3, len(places)))]
    for x, y in rows:
        half = draw.uniform(4.6, 6.2), draw.uniform(4.6, 6.2)
        angle = turn[y, x] + draw.normal(0, 0.06)
        box = cv2.boxPoints(((float(x), float(y)), (2 * half[0], 2 * half[1]), float(np.degrees(angle))))
        left, top = np.maximum(box.min(0).astype(int) - 1, 0)
        right, low = np.minimum(box.max(0).astype(int) + 2, SIDE)
        part = np.s_[top:low, left:right]
        stone = np.zeros((low - top, right - left), np.uint8)
        cv2.fillConvexPoly(stone, np.round(box - (left, top)).astype(np.int32), 1)
        inside = stone.astype(bool)
        if inside.sum() < 40 or not free[part][inside].mean() > 0.93:
            continue
        colour = picture[y, x] * draw.uniform(0.8, 1.2) + draw.normal(0, 0.035, 3)
        sheen = np.linspace(1.08, 0.9, low - top, dtype=np.float32)[:, None, None]
        canvas[part] = np.where(inside[..., None], colour * sheen, canvas[part])
        free[part] &= ~cv2.dilate(stone, np.ones((3, 3), np.uint8)).astype(bool)
    return np.asarray(canvas, np.float32)


PICTURES = {"stained-glass": stained_glass, "crosshatch": crosshatch, "tesserae": tesserae}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for number, (name, paint) in enumerate(PICTURES.items()):
        pixels = np.asarray(np.clip(paint(np.random.default_rng(20 + number)), 0, 1) * 255 + 0.5, np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.jpg", quality=85)


if __name__ == "__main__":
    main()
