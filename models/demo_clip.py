"""Makes the demo clip, pictures and sound, from nothing but numbers: ``python models/demo_clip.py demo.mp4``.

A low flight over a mountain lake at golden hour. The terrain is baked once, light and shadow included, on a grid that
widens with distance as a picture does, so that one cell is about one pixel everywhere and nothing shimmers. A frame
walks each picture column outward over that grid, once as seen and once mirrored for the water, then adds what stands
upright: trees, a lighthouse, a boat, a balloon, birds. Metres; x right, y up, z away; linear light until the end.
"""

import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace

Array = npt.NDArray[np.floating[Any]]
Painter = Callable[[Array, Array, float], tuple[Array, Array]]  # (u, v, pixel size) -> colour, cover

WIDTH, HEIGHT, FPS, SECONDS, RATE = 640, 360, 25, 6, 48_000
OVER = 2  # pixels are rendered OVER x OVER times and averaged
FOCAL, HORIZON = 0.84, 0.585  # in picture widths; in picture heights from the top
SUN_P, SUN_Q = -0.315, 0.205  # where the sun stands: x/z and y/z
LIGHT = np.array([-0.80, 0.44, -0.41], np.float32)  # where it shines from: further round, so that what we see is lit
SUN, SKY = np.array([3.9, 2.25, 1.05], np.float32), np.array([0.26, 0.36, 0.62], np.float32)
BACK, SPREAD, NEAR, FAR = 100.0, 0.95, 130.0, 14_000.0  # the grid: x / (z + BACK) and log(z + BACK)
ROWS, COLS = 3072, 2304
RNG = np.random.default_rng(7)
ANGLES = RNG.uniform(0, 2 * np.pi, 65_536).astype(np.float32)
GRAD_X, GRAD_Z = np.cos(ANGLES), np.sin(ANGLES)
PEAKS = (  # x, z, height, radius
    (1400, 5600, 1480, 1650), (2950, 6300, 1400, 1350), (330, 6900, 1150, 1000), (-1330, 2450, 760, 760),
    (-1750, 4300, 950, 900), (-500, 9800, 1750, 1500), (-2500, 10500, 1750, 1400), (1150, 1500, 420, 560),
    (2150, 3000, 950, 900),
)  # fmt: skip
ISLANDS = ((62.0, 262.0, 40.0, 5.5), (-60.0, 176.0, 34.0, 4.5), (-190.0, 520.0, 70.0, 9.0))  # x, z, radius, height


class Camera(NamedTuple):
    x: float
    y: float
    z: float
    yaw: float


class World(NamedTuple):
    height: Array
    colour: Array
    clouds: Array
    pines: list[list[Array]]
    trees: list[tuple[float, float, float, float, int]]


def ramp(low: float | Array, high: float | Array, x: Array) -> Array:
    t: Array = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Array, b: Array, t: Array) -> Array:
    return a + (b - a) * t[..., None]


def rgb(*values: float) -> Array:
    return np.array(values, np.float32)


def noise(x: Array, z: Array, seed: int) -> Array:
    """Gradient noise, about -0.7 to 0.7, turned by its seed so that no two layers share their lattice."""
    c, s = np.float32(np.cos(seed * 1.7)), np.float32(np.sin(seed * 1.7))
    x, z = c * x - s * z + np.float32(seed * 17.3), s * x + c * z + np.float32(seed * 9.1)
    ix, iz = np.floor(x).astype(np.int32), np.floor(z).astype(np.int32)
    fx, fz = x - ix, z - iz

    def corner(dx: int, dz: int) -> Array:
        i = (((iz + dz) & 255) << 8) | ((ix + dx) & 255)
        slope: Array = GRAD_X[i] * (fx - dx) + GRAD_Z[i] * (fz - dz)
        return slope

    u, v = fx * fx * fx * (fx * (fx * 6 - 15) + 10), fz * fz * fz * (fz * (fz * 6 - 15) + 10)
    near, far = corner(0, 0), corner(0, 1)
    near += u * (corner(1, 0) - near)
    far += u * (corner(1, 1) - far)
    near += v * (far - near)
    return near


def sample(grid: Array, row: Array, col: Array) -> Array:
    """Bilinear, edges held."""
    rows, cols = grid.shape[:2]
    row, col = np.clip(row, 0, rows - 1.001), np.clip(col, 0, cols - 1.001)
    r, c = row.astype(np.int32), col.astype(np.int32)
    fr, fc, i = row - r, col - c, r * cols + c
    flat = grid.reshape(rows * cols, -1) if grid.ndim == 3 else grid.ravel()
    if grid.ndim == 3:
        fr, fc = fr[..., None], fc[..., None]
    top: Array = np.take(flat, i, 0)
    low: Array = np.take(flat, i + cols, 0)
    top += fc * (np.take(flat, i + 1, 0) - top)
    low += fc * (np.take(flat, i + cols + 1, 0) - low)
    top += fr * (low - top)
    return top


def on_grid(x: Array, z: Array) -> tuple[Array, Array]:
    d = np.maximum(z + BACK, NEAR)
    return np.log(d / NEAR) * ((ROWS - 1) / np.log(FAR / NEAR)), (x / d / SPREAD + 1) * (COLS - 1) / 2


def blur(a: Array, size: int, axis: int) -> Array:
    """Two box filters, one after the other."""
    for _ in range(2):
        pad = [(0, 0)] * a.ndim
        pad[axis] = (size + 1, size)
        total = np.cumsum(np.pad(a, pad, mode="edge"), axis=axis, dtype=np.float64)
        n, span = a.shape[axis], 2 * size + 1
        index = np.arange(n)
        a = ((total.take(index + span, axis) - total.take(index, axis)) / span).astype(np.float32)
    return a


# ---- the world, baked once


def terrain(x: Array, z: Array) -> tuple[Array, Array]:
    """Height of the ground, and how much forest stands on it; waves shorter than two cells fade out."""
    cell = 0.0018 * (z + BACK)
    wx, wz = x + 90 * noise(x / 520, z / 520, 1), z + 90 * noise(x / 520, z / 520, 2)
    ridge, weight = np.zeros_like(x), np.ones_like(x)
    for octave in range(11):
        length = 1900 / 2.05**octave
        fine = ramp(1.5, 4.0, length / cell)
        n = (1 - 2.1 * np.abs(noise(wx / length, wz / length, 3 + octave))) ** 2 * weight
        weight = np.clip(n * 1.5, 0, 1)
        ridge += (n * fine + 0.3 * (1 - fine) * weight) * 0.5 ** (octave * 1.03)
    mass = np.zeros_like(x)
    for px, pz, tall, radius in PEAKS:
        mass = np.maximum(mass, tall * np.exp(-((np.hypot(x - px, z - pz) / radius) ** 1.1))) + 0.04 * mass
    coast = sum(
        a * noise(wx / s, wz / s, 20 + i) for i, (a, s) in enumerate(((160, 600), (50, 170), (16, 45), (5, 14)))
    )
    land = np.maximum(np.abs(x + 20 - 0.10 * z) - 215 - 0.13 * z, (z - 3500) * 0.6) + coast
    ground = np.where(land < 0, 0.1 * land, 0.05 * land) + (40 + mass) * (0.46 + 0.345 * ridge) * ramp(-30, 620, land)
    for ix, iz, size, top in ISLANDS:
        d = np.hypot(x - ix, (z - iz) * 1.3) / size
        rock = top * (1 - d * d) + 3.2 * noise(x / 13, z / 13, 31)
        rock += sum(0.45 * s * (0.25 - np.abs(noise(x / s, z / s, 32 + i))) for i, s in enumerate((5.0, 2.2, 1.0)))
        ground = np.maximum(ground, np.where(d < 2, rock, -9))
    forest = ramp(0.04, 0.2, noise(x / 160, z / 160, 36) + 0.42 - np.maximum(ground - 170, 0) / 420)
    forest *= ramp(3, 9, ground) * ramp(420, 560, z)
    return ground, forest


def trees_on_grid(x: Array, z: Array) -> tuple[Array, Array]:
    """Cones on a jittered lattice: height 0 to 1 and one random number a tree."""
    size = 7.5
    best, tone = np.zeros_like(x), np.zeros_like(x)
    ix, iz = np.floor(x / size - 0.5).astype(np.int32), np.floor(z / size - 0.5).astype(np.int32)
    for dx, dz in ((0, 0), (1, 0), (0, 1), (1, 1)):
        i = (((iz + dz) & 255) << 8) | ((ix + dx) & 255)
        cx, cz = (ix + dx + 0.5 + 0.4 * GRAD_X[i]) * size, (iz + dz + 0.5 + 0.4 * GRAD_Z[i]) * size
        cone = (0.7 + 0.3 * GRAD_X[i]) * np.maximum(1 - np.hypot(x - cx, z - cz) / 4.6, 0)
        tone = np.where(cone > best, GRAD_Z[i], tone)
        best = np.maximum(best, cone)
    return best, tone


def bake() -> tuple[Array, Array]:
    """The height and the lit colour of every grid cell."""
    d = (NEAR * (FAR / NEAR) ** (np.arange(ROWS) / (ROWS - 1))).astype(np.float32)[:, None]
    x = d * np.linspace(-SPREAD, SPREAD, COLS, dtype=np.float32)
    z = np.broadcast_to(d - BACK, x.shape)
    ground, forest, crown, tone = (np.empty_like(x) for _ in range(4))
    for i in range(0, ROWS, 64):
        part = slice(i, i + 64)
        ground[part], forest[part] = terrain(x[part], z[part])
        crown[part], tone[part] = trees_on_grid(x[part], z[part])
    sharp = ramp(5200, 1800, z)  # far trees are finer than a cell
    height = ground + forest * (14 * crown * sharp + 5 * (1 - sharp))
    flat_x, flat_z = (
        np.gradient(ground, axis=1) / np.gradient(x, axis=1),
        np.gradient(ground, axis=0) / np.gradient(d, axis=0),
    )
    slope = np.hypot(flat_x, flat_z)
    rough = (
        noise(x / 210, z / 210, 41)
        + 0.5 * noise(x / 60, z / 60, 42)
        + 0.35 * noise(x / 17, z / 17, 43) * ramp(6000, 2500, z)
    )
    face = 1.1 * noise(x / 46, ground / 190, 44) + 0.8 * noise(x / 20, ground / 60, 45)  # cracks and gullies run down
    rock = mix(rgb(0.115, 0.10, 0.095), rgb(0.25, 0.215, 0.19), np.clip(0.45 + 0.6 * rough + face, 0, 1))
    grass = mix(rgb(0.085, 0.105, 0.030), rgb(0.20, 0.155, 0.05), np.clip(0.5 + rough, 0, 1))
    colour = mix(grass, rock, np.maximum(ramp(0.72, 1.05, slope + 0.3 * rough), ramp(260, 480, ground + 160 * rough)))
    colour = mix(colour, rgb(0.16, 0.145, 0.125), ramp(2.6, 0.8, ground))
    leaf = mix(
        rgb(0.020, 0.046, 0.022), rgb(0.085, 0.085, 0.022), np.clip(0.30 + 0.4 * tone * sharp + 0.6 * rough, 0, 1)
    )
    colour = mix(colour, leaf, forest)
    snow = ramp(430, 640, ground + 240 * rough) * ramp(2.1, 1.15, slope + 0.4 * rough + 0.5 * face)
    colour = mix(colour, rgb(0.82, 0.84, 0.88), snow)
    sx, sz = np.gradient(height, axis=1) / np.gradient(x, axis=1), np.gradient(height, axis=0) / np.gradient(d, axis=0)
    facing = np.clip((-sx * LIGHT[0] + LIGHT[1] - sz * LIGHT[2]) / np.sqrt(1 + sx * sx + sz * sz), 0, 1)
    climb = 0.36 * x  # the light comes along the grid's rows, so a running maximum is the edge of its shadow
    shade = np.maximum.accumulate(height + climb, axis=1) - climb - height
    lit = facing * ramp(0.012 * d, 0.002 * d, shade)
    hollow = sum(np.clip((height - blur(blur(height, n, 0), n, 1)) / (0.012 * n * d), -1, 1) for n in (4, 16))
    ambient = (0.62 + 0.38 / np.sqrt(1 + sx * sx + sz * sz)) * np.clip(0.82 + 0.4 * hollow, 0.3, 1.25)
    bounce = 0.12 * np.clip(1 - ground / 900, 0.2, 1)
    return height, colour * (lit[..., None] * SUN + ambient[..., None] * SKY * 1.25 + bounce[..., None] * SUN * 0.5)


def pine(seed: int) -> list[Array]:
    """A conifer as a picture (premultiplied colour and cover) and its halvings: needles laid along drooping boughs."""
    rng = np.random.default_rng(seed)
    high, wide, count = 768, 448, 260_000
    level = rng.integers(0, 26, count)
    at = (0.06 + 0.94 * (level / 26) ** 0.92 + rng.normal(0, 0.006, count)).clip(0, 1)
    turn = rng.integers(0, 11, count) * (2 * np.pi / 11) + level * 2.4 + rng.normal(0, 0.16, count)
    bough = rng.random((26, 11))[level, (turn * 11 / 6.2832).astype(int) % 11] * 0.6 + 0.55
    out = np.sqrt(rng.random(count)) * bough * (0.30 * (1 - at) ** 0.85 + 0.008)
    up = at - 0.30 * out + 0.9 * out**2 - np.abs(rng.normal(0, 0.009, count)) * (0.4 + 2 * out)
    across, depth = out * np.cos(turn), out * np.sin(turn)
    glow = np.clip(
        0.30 - 2.6 * across + 1.2 * (out / (0.3 * (1 - at) + 0.02) - 0.5) - depth + rng.normal(0, 0.16, count),
        0.06,
        1.25,
    )
    tint = mix(rgb(0.014, 0.030, 0.024), rgb(0.155, 0.165, 0.040), glow.astype(np.float32))
    order = np.argsort(-depth)
    picture: Array = np.zeros((high, wide, 4), np.float32)
    trunk = np.abs(np.arange(wide) - wide / 2) < 7 * np.linspace(0.1, 1, high)[:, None]
    picture[trunk] = rgb(0.06, 0.04, 0.03, 1)
    row = ((1 - up[order]) * (high - 4)).astype(int).clip(0, high - 2)
    col = ((across[order] / 0.583 + 0.5) * wide).astype(int).clip(0, wide - 2)
    for dr, dc in ((0, 0), (1, 0), (0, 1)):
        picture[row + dr, col + dc] = np.column_stack([tint[order], np.ones(count, np.float32)])
    levels: list[Array] = []
    while len(picture) > 8:
        picture = (picture[::2, ::2] + picture[1::2, ::2] + picture[::2, 1::2] + picture[1::2, 1::2]) / 4
        picture = picture[: len(picture) // 2 * 2, : picture.shape[1] // 2 * 2]
        levels.append(picture)
    return levels


def build() -> World:
    height, colour = bake()
    spectrum = np.fft.rfft2(RNG.normal(size=(1024, 1024)))
    wave = np.hypot(np.fft.fftfreq(1024)[:, None], np.fft.rfftfreq(1024)) * 1024
    clouds = np.fft.irfft2(spectrum * (wave > 1.5) / np.maximum(wave, 1) ** 1.72 * np.exp(-((wave / 260) ** 2)))
    x, z = RNG.uniform(-420, 420, 26_000).astype(np.float32), RNG.uniform(60, 640, 26_000).astype(np.float32)
    ground = sample(height, *on_grid(x, z))
    grove = ramp(-0.12, 0.16, noise(x / 26, z / 26, 51)) * np.where(z < 330, 0.22, 0.10)
    clear = (np.abs(x - 62) > 14) | (np.abs(z - 250) > 30)
    keep = (ground > 1.6) & (ground < 60) & (RNG.random(len(x)) < grove) & clear & (np.abs(x) < 0.75 * z + 60)
    trees = [
        (float(a), float(b), float(c), float(RNG.uniform(7, 15)), int(RNG.integers(4)))
        for a, b, c in zip(x[keep], ground[keep], z[keep], strict=True)
    ]
    return World(height, colour, (clouds / clouds.std()).astype(np.float32), [pine(i) for i in range(4)], trees)


# ---- air, sky and water


def haze(colour: Array, p: Array, distance: Array, eye: float, y: Array) -> Array:
    """Mist on the water and thin haze above it, both thinner with height; warm toward the sun."""
    depth = np.zeros_like(distance)
    y = np.where(np.abs(y - eye) < 0.5, eye + 0.5, np.maximum(y, 0))
    for range_, scale in ((2600.0, 24.0), (15000.0, 900.0)):
        depth += distance / range_ * scale * (np.exp(-eye / scale) - np.exp(-y / scale)) / (y - eye)
    toward = np.exp(-(((p - SUN_P) / 0.34) ** 2))
    return mix(mix(rgb(0.36, 0.40, 0.58), rgb(1.30, 0.66, 0.26), toward), colour, np.exp(-depth))


def sky(world: World, p: Array, q: Array, t: float) -> Array:
    across = np.hypot(p - SUN_P, q - SUN_Q)
    colour = mix(rgb(1.05, 0.66, 0.40), rgb(0.36, 0.48, 0.60), ramp(0.0, 0.22, q))
    colour = mix(colour, rgb(0.015, 0.19, 0.50), ramp(0.10, 0.46, q))
    glow = 2.3 * np.exp(-across / 0.10) + 0.28 * np.exp(-across / 0.30)
    colour = colour + glow[..., None] * rgb(1.0, 0.54, 0.19)
    q2 = np.maximum(q, 0) + 0.075

    def thick(shift: float) -> Array:  # how much cloud, sampled nearer to the sun to tell its bright side
        u, v = (p + shift * (SUN_P - p)) / q2, 1 / (q2 + shift * 0.35 * (SUN_Q - q))
        big = sample(world.clouds, (v * 32 + 300) % 1022, (u * 30 + 512 + 1.6 * t) % 1022)
        small = sample(world.clouds, (v * 120 + 690) % 1022, (u * 120 + 200 + 3.5 * t) % 1022)
        return big + 0.42 * small

    body = thick(0)
    cover = ramp(0.35, 1.7, body) * ramp(0.02, 0.14, q)
    edge = np.clip(0.62 - 0.22 * body + 0.8 * (body - thick(0.12)), 0, 1.3) * (0.55 + 1.3 * np.exp(-across / 0.34))
    lit = rgb(0.20, 0.19, 0.27) + edge[..., None] * rgb(1.95, 0.86, 0.30)
    colour = mix(colour, lit, cover * 0.86)
    return colour + (ramp(0.020, 0.014, across) * 14)[..., None] * rgb(1.0, 0.8, 0.5) * (1 - 0.7 * cover)[..., None]


WAVES = [
    (np.float32(k * np.cos(a)), np.float32(k * np.sin(a)), np.float32(np.sqrt(9.8 * k)), np.float32(ph), np.float32(k))
    for k, a, ph in zip(
        2 * np.pi / np.geomspace(3.0, 28, 15),
        np.pi / 2 + RNG.normal(0, 0.75, 15),
        RNG.uniform(0, 6.28, 15),
        strict=True,
    )
]


def water(mirror: Array, focal: float, cam: Camera, p: Array, q: Array, x: Array, z: Array, t: float) -> Array:
    """The mirrored picture through ripples; ripples finer than a pixel blur it instead. q > 0 looks down."""
    distance = cam.y / q
    foot = distance * distance / (cam.y * focal * 2) * 1.5
    calm = 0.35 + 0.75 * ramp(-0.35, 0.4, noise(x / 70, z / 190 + np.float32(0.05 * t), 61))
    tilt, side, lost = np.zeros_like(q), np.zeros_like(q), np.zeros_like(q)
    for kx, kz, speed, phase, k in WAVES:
        seen = np.exp(-((foot * kz) ** 2) * 0.5)
        swing = np.cos(kx * x + kz * z - speed * np.float32(t) + phase) * seen
        steep = np.float32(0.0085 * (k / 2) ** 0.2)
        tilt += swing * steep
        side += swing * (steep * kx / k)
        lost += (1 - seen * seen) * steep * steep
    tilt, side, lost = tilt * calm, side * calm, np.sqrt(lost / 2) * calm
    row = np.abs(q + 2 * tilt) * focal
    col = mirror.shape[1] / 2 + (p + 2 * q * side) * focal
    levels = [np.minimum(mirror, 9.0)] + [blur(np.minimum(mirror, 9.0), n, 0) for n in (5, 18)]
    far = np.clip(2 * lost * focal / 8, 0, 2)
    colour = np.zeros((*q.shape, 3), np.float32)
    for i, level in enumerate(levels):
        share = np.maximum(1 - np.abs(far - i), 0)
        pick = share > 0
        colour[pick] += share[pick][:, None] * sample(level, row[pick], col[pick])
    cosine = np.clip((q + tilt) / np.sqrt(1 + q * q), 0.0, 1)
    fresnel = 0.03 + 0.97 * (1 - cosine) ** 4.2
    deep = mix(rgb(0.012, 0.050, 0.066), rgb(0.05, 0.115, 0.12), np.clip(0.4 + 9 * tilt, 0, 1))
    return mix(deep, colour * rgb(0.95, 0.97, 1.0), fresnel)


# ---- what stands upright


def inside(distance: Array, pixel: float) -> Array:
    cover: Array = np.clip(0.5 - distance / pixel, 0, 1)
    return cover


def polygon(u: Array, v: Array, *points: tuple[float, float]) -> Array:
    """Signed distance to a convex polygon, points clockwise."""
    edges = zip(points, (*points[1:], points[0]), strict=True)
    parts = [((u - a) * (b - d) + (v - b) * (c - a)) / np.hypot(c - a, d - b) for (a, b), (c, d) in edges]
    far: Array = np.maximum.reduce(parts)
    return far


def layers(u: Array, pixel: float, *parts: tuple[Array, Array]) -> tuple[Array, Array]:
    """Paints (distance, colour) one over the other; colour comes premultiplied by cover."""
    colour, cover = np.zeros((*u.shape, 3), np.float32), np.zeros_like(u)
    for distance, paint in parts:
        a = inside(distance, pixel)
        colour = colour * (1 - a)[..., None] + paint * a[..., None]
        cover = cover * (1 - a) + a
    return colour, cover


def round_light(nx: Array) -> Array:
    nx = np.clip(nx, -1, 1)
    return np.clip(-0.86 * nx + 0.42 * np.sqrt(1 - nx * nx), 0, 1)[..., None] * SUN * 0.72 + SKY * 1.1


def balloon(t: float) -> Painter:
    def paint(u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        w = np.clip((v - 15.5) / 9.0, -1, 1)
        radius = np.where(v > 11.5, 9 * np.sqrt(1 - w * w), 1.5 + 6.55 * np.clip((v - 4.4) / 7.1, 0, 1) ** 0.8)
        nx = np.clip(u / np.maximum(radius, 0.1), -1, 1)
        gore = (np.arcsin(nx) + 0.10 * t) * (16 / (2 * np.pi)) + 0.3
        which = np.floor(gore).astype(int) % 4
        dyes = rgb(0.80, 0.09, 0.05, 0.92, 0.50, 0.06, 0.86, 0.80, 0.66, 0.92, 0.50, 0.06).reshape(4, 3)
        band = ramp(0.2, -0.2, np.abs(v - 14.5) - 1.5)
        cloth = mix(dyes[which], np.where((which % 2 == 0)[..., None], dyes[2], rgb(0.10, 0.16, 0.42)), band)
        seam = 1 - 0.22 * np.abs(2 * (gore - np.floor(gore)) - 1) ** 3
        light = round_light(nx * 0.95) * (0.75 + 0.25 * np.clip(w + 0.6, 0, 1))[..., None]
        envelope = np.maximum(np.abs(u) - radius, np.maximum(4.4 - v, v - 24.5))
        ropes = np.maximum(np.abs(np.abs(u) - 0.75 - 0.22 * (v - 1.5)) - 0.05, np.abs(v - 3) - 1.5)
        basket = polygon(u, v, (-0.8, 1.6), (0.8, 1.6), (0.7, 0.2), (-0.7, 0.2))
        crew = np.minimum(np.hypot(u + 0.3, v - 2.0) - 0.28, np.hypot(u - 0.32, v - 1.9) - 0.28)
        wicker = mix(rgb(0.42, 0.22, 0.09), rgb(0.10, 0.05, 0.03), ramp(-0.7, 0.6, u))
        return layers(u, pixel, (ropes, rgb(0.1, 0.08, 0.07)), (crew, rgb(0.2, 0.1, 0.08)), (basket, wicker),
                      (envelope, cloth * light * seam[..., None]))  # fmt: skip

    return paint


def boat(t: float) -> Painter:
    def paint(u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        u = u - v * (0.05 + 0.018 * np.sin(1.3 * t))
        belly = 0.55 * np.sin(np.clip((v - 1.5) / 8.5, 0, 1) * np.pi)
        main = np.maximum(polygon(u + belly, v, (-0.3, 10.3), (0.9, 1.6), (-4.1, 1.5)), u)
        jib = polygon(u - 0.6 * belly, v, (0.25, 8.9), (3.6, 1.35), (0.45, 1.7))
        seams = 1 - 0.13 * ramp(0.82, 0.97, np.abs(np.sin(v * 1.9 + 0.3 * u)))
        canvas = (rgb(1.7, 1.18, 0.70) * (0.95 - 0.09 * (u + 2))[..., None]) * seams[..., None]
        red = mix(rgb(1.25, 0.20, 0.09), rgb(0.62, 0.07, 0.05), ramp(0.2, 3.0, u)) * seams[..., None]
        hull = polygon(u, v - 0.035 * u * np.abs(u) * 0.4, (-3.5, 1.15), (4.2, 1.2), (3.2, -0.1), (-3.1, -0.1))
        wood = (
            mix(rgb(0.62, 0.30, 0.12), rgb(0.13, 0.05, 0.025), ramp(-3.4, 3.0, u))
            * (0.55 + 0.45 * ramp(0.1, 0.9, v))[..., None]
        )
        stripe = np.maximum(hull, np.abs(v - 0.98 - 0.014 * u * np.abs(u)) - 0.10)
        mast = np.maximum(np.abs(u - 0.07) - 0.07, np.abs(v - 5.8) - 4.7)
        boom = np.maximum(np.abs(v - 1.5) - 0.07, np.abs(u + 1.9) - 2.1)
        crew = np.minimum(np.hypot(u + 2.2, v - 1.85) - 0.22, np.hypot((u + 2.25) * 1.3, (v - 1.3)) - 0.42)
        return layers(u, pixel, (main, canvas), (jib, red), (mast, rgb(0.35, 0.2, 0.1)), (boom, rgb(0.3, 0.17, 0.08)),
                      (crew, rgb(0.10, 0.12, 0.25)), (hull, wood), (stripe, rgb(1.2, 0.95, 0.7)))  # fmt: skip

    return paint


def lighthouse(u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
    half = 2.3 - 0.06 * v
    bands = ramp(-0.15, 0.15, np.abs(v - 9.6) - 1.7)
    red = rgb(0.75, 0.10, 0.07)
    white = mix(red, rgb(0.84, 0.80, 0.74), bands) * round_light(u / half)
    tower = np.maximum(np.abs(u) - half, np.maximum(-1 - v, v - 15))
    door = np.minimum(
        polygon(u, v, (-0.5, 2.6), (0.5, 2.6), (0.5, -1.0), (-0.5, -1.0)),
        np.maximum(np.abs(u) - 0.28, np.abs(v - 6.3) - 0.5),
    )
    rail = np.maximum(np.abs(u) - 2.2, np.abs(v - 15.2) - 0.28)
    lamp = np.maximum(np.abs(u) - 1.25, np.abs(v - 16.7) - 1.3)
    bars = np.maximum(lamp, np.minimum(np.abs(u - 0.45), np.abs(u + 0.45)) - 0.07)
    roof = np.minimum(polygon(u, v, (0.0, 20.2), (1.8, 17.9), (-1.8, 17.9)), np.hypot(u, v - 20.2) - 0.25)
    wall = polygon(u, v, (3.0, 3.3), (9.2, 3.3), (9.2, -2.0), (3.0, -2.0))
    gable = polygon(u, v, (4.2, 6.2), (8.4, 6.2), (9.9, 3.1), (2.6, 3.1))
    window = np.maximum(np.abs(np.abs(u - 6.1) - 1.6) - 0.45, np.abs(v - 1.6) - 0.6)
    chimney = np.maximum(np.abs(u - 7.4) - 0.4, np.abs(v - 6.3) - 1.0)
    plaster = rgb(0.62, 0.52, 0.44) * (SKY * 0.8 + SUN * 0.30)
    tiles = mix(rgb(0.62, 0.22, 0.11), rgb(0.44, 0.14, 0.08), ramp(0.3, 0.7, np.abs(np.sin(v * 6))))
    house = ((chimney, rgb(0.25, 0.14, 0.1)), (wall, plaster), (gable, tiles), (window, rgb(2.2, 1.35, 0.5)))
    top = ((lamp, rgb(3.6, 2.6, 1.2)), (bars, rgb(0.1, 0.09, 0.1)), (roof, red * round_light(u / 1.8)))
    return layers(u, pixel, *house, (tower, white), (door, rgb(0.08, 0.06, 0.06)), (rail, rgb(0.12, 0.11, 0.13)), *top)


def bird(phase: float) -> Painter:
    def paint(u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        a = np.abs(u)
        wing = 1.2 + np.sin(phase) * 0.9 * a - 0.42 * a * a * (1.2 + 0.5 * np.sin(phase - 0.8))
        body = np.minimum(
            np.hypot(u * 1.2, v - 1.15) - 0.17, np.maximum(np.abs(v - wing) - 0.17 * (1.2 - a * 0.7), a - 1.35)
        )
        return layers(u, pixel, (body, rgb(0.05, 0.045, 0.06)))

    return paint


def picture(levels: list[Array], tall: float) -> Painter:
    def paint(u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
        level = min(max(float(np.log2(pixel / tall * len(levels[0]))), 0.0), len(levels) - 1.001)
        out = np.zeros((*u.shape, 4), np.float32)
        for image, share in ((levels[int(level)], 1 - level % 1), (levels[int(level) + 1], level % 1)):
            row, col = (1 - v / tall) * len(image) - 0.5, (u / (tall * 0.583) + 0.5) * image.shape[1] - 0.5
            out += np.float32(share) * sample(image, row, col)
        out *= ((v > 0) & (v < tall) & (np.abs(u) < tall * 0.29))[..., None]
        return out[..., :3] * (SUN * 0.5 + SKY * 0.5), out[..., 3]

    return paint


def things(world: World, t: float) -> list[tuple[float, float, float, float, float, Painter]]:
    """Everything upright at time t: x, y, z, half width, height, painter."""
    out: list[tuple[float, float, float, float, float, Painter]] = [
        (62, 4.2, 250, 11, 21, lighthouse),
        (-11 + 2.2 * t, -0.1, 128 + 1.4 * t, 6, 11, boat(t)),
        (-22 + 1.6 * t, 41 + 0.7 * t, 245, 10, 25, balloon(t)),
    ]
    for i, (dx, dy, dz) in enumerate(
        ((0, 0, 0), (-4, -1.6, 5), (4, -1.8, 4), (-8, -2.8, 9), (8.5, -4, 11), (13, -5.2, 14), (-13, -3.6, 15))
    ):
        out.append((-6 + dx + 5 * t, 39 + dy + 0.5 * np.sin(t + i), 165 + dz, 2, 3, bird(7.0 * t + 1.9 * i)))
    out += [(x, y - 0.5, z, 0.3 * tall, tall, picture(world.pines[kind], tall)) for x, y, z, tall, kind in world.trees]
    return sorted(out, key=lambda thing: -thing[2])


# ---- a frame


def camera(t: float) -> Camera:
    s = t / SECONDS
    return Camera(-15 + 30 * s, 7.5 + 6 * s * s * (3 - 2 * s), 8 + 46 * s, 0.045 - 0.075 * s)


def look(
    world: World, cam: Camera, t: float, width: int, top: float, bottom: float, mirrored: bool
) -> tuple[Array, Array]:
    """Land and sky, and their depth; rows from `top` to `bottom` pixels over the horizon."""
    focal, eye = FOCAL * width, -cam.y if mirrored else cam.y
    p = ((np.arange(width) + 0.5 - width / 2) / focal).astype(np.float32)
    rows = np.arange(bottom + 0.5, top, dtype=np.float32)  # upward
    steps = np.geomspace(24, FAR - BACK - 100, 760 if mirrored else 1900).astype(np.float32)[:, None]
    cos, sin = np.float32(np.cos(cam.yaw)), np.float32(np.sin(cam.yaw))
    ahead, aside = cos - p * sin, p * cos + sin
    ground = sample(world.height, *on_grid(cam.x + steps * aside, cam.z + steps * ahead))
    if mirrored:
        ground[ground < 0.05] = -1e6
    raw = np.clip(focal * (ground - eye) / steps, bottom - 2, top + 2)
    shown = np.maximum.accumulate(raw, axis=0)  # the land's outline so far, step by step
    count, wide = len(rows), np.arange(width, dtype=np.int32)
    first = np.clip(np.floor(shown - rows[0]).astype(np.int32) + 1, 0, count)
    index = np.bincount((wide * (count + 1) + first).ravel(), minlength=width * (count + 1)).reshape(width, -1)
    index = np.cumsum(index, axis=1)[:, :count].T  # which step first reaches each pixel
    if mirrored:  # a ray comes up out of the water only past -eye / q: look again where that was missed
        early = (index < len(steps)) & (steps[np.minimum(index, len(steps) - 1), 0] * rows[:, None] < -eye * focal)
        i, j = np.nonzero(early)
        index[early] = np.argmax((steps * rows[i] > -eye * focal) & (raw[:, j] > rows[i]), axis=0)
        index[index == 0] = len(steps)
    hit = index < len(steps)
    k = np.minimum(index, len(steps) - 1)
    low, high = raw[np.maximum(k - 1, 0), wide], raw[k, wide]
    part = np.clip((rows[:, None] - low) / np.maximum(high - low, 1e-4), 0, 1)
    near = steps[np.maximum(k - 1, 0), 0]
    depth = np.where(hit, near + part * (steps[k, 0] - near), np.float32(1e9)).astype(np.float32)
    q = np.broadcast_to(rows[:, None] / focal, depth.shape)
    world_p = np.broadcast_to(aside / ahead, depth.shape)
    colour = np.empty((*depth.shape, 3), np.float32)
    column = np.broadcast_to(wide, depth.shape)[hit]
    d = depth[hit]
    solid = sample(world.colour, *on_grid(cam.x + d * aside[column], cam.z + d * ahead[column]))
    colour[hit] = haze(solid, world_p[hit], d, cam.y, eye + d * q[hit])
    colour[~hit] = sky(world, world_p[~hit], q[~hit] / ahead[np.broadcast_to(wide, depth.shape)[~hit]], t)
    return colour[::-1].copy(), depth[::-1].copy()


def stand(
    world: World, colour: Array, depth: Array, cam: Camera, t: float, width: int, top: float, mirrored: bool
) -> None:
    """Paints what stands upright into a picture, far to near."""
    focal, eye = FOCAL * width, -cam.y if mirrored else cam.y
    cos, sin = np.cos(cam.yaw), np.sin(cam.yaw)
    for x, y, z, half, tall, painter in things(world, t):
        dx, dz = x - cam.x, z - cam.z
        away, right = dz * cos + dx * sin, dx * cos - dz * sin
        if away < 8:
            continue
        scale = focal / away
        centre, foot = width / 2 + right * scale, top - (y - eye) * scale
        c0, c1 = max(int(centre - half * scale) - 1, 0), min(int(centre + half * scale) + 2, width)
        r0, r1 = max(int(foot - tall * scale) - 1, 0), min(int(foot + 0.2 * scale) + 2, len(colour))
        if c0 >= c1 or r0 >= r1:
            continue
        u = ((np.arange(c0, c1) + 0.5 - centre) / scale).astype(np.float32)
        v = ((foot - np.arange(r0, r1) - 0.5) / scale).astype(np.float32)[:, None]
        u, v = np.broadcast_to(u, (r1 - r0, c1 - c0)), np.broadcast_to(v, (r1 - r0, c1 - c0))
        paint, cover = painter(u, v, 1 / scale)
        cover = cover * (depth[r0:r1, c0:c1] > away - 2)
        solid = paint / np.maximum(cover, 1e-3)[..., None]
        solid = haze(solid, np.full_like(u, right / away + cam.yaw), np.full_like(u, away), cam.y, y + v)
        colour[r0:r1, c0:c1] = mix(colour[r0:r1, c0:c1], solid, cover)


def shafts(light: Array, row: float, col: float) -> Array:
    """Light smeared away from the sun."""
    r, c = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in light.shape[:2]), indexing="ij")
    total = np.zeros_like(light)
    for i in range(28):
        s = np.float32(i / 28 * 0.72)
        total += sample(light, r + (row - r) * s, c + (col - c) * s) * np.float32(0.94**i)
    return total / 12


def frame(world: World, t: float) -> npt.NDArray[np.uint8]:
    cam, width, rows = camera(t), WIDTH * OVER, HEIGHT * OVER
    top = round(rows * HORIZON)
    focal = FOCAL * width
    half = top // 2
    mirror, far = look(world, cam, t, width // 2, half, 0, True)
    stand(world, mirror, far, cam, t, width // 2, half, True)
    colour, depth = look(world, cam, t, width, top, top - rows, False)
    q = np.broadcast_to((np.arange(rows, dtype=np.float32)[:, None] + 0.5 - top) / focal, depth.shape)
    p = np.broadcast_to((np.arange(width, dtype=np.float32) + 0.5 - width / 2) / focal, depth.shape)
    wet = (q > 0) & (cam.y / np.maximum(q, 1e-6) < depth)
    q, p = q[wet], p[wet]
    depth[wet] = d = cam.y / q
    x = cam.x + d * (p * np.float32(np.cos(cam.yaw)) + np.float32(np.sin(cam.yaw)))
    z = cam.z + d * (np.float32(np.cos(cam.yaw)) - p * np.float32(np.sin(cam.yaw)))
    surface = water(mirror[::-1], FOCAL * (width // 2), cam, p, q, x, z, t)
    colour[wet] = haze(surface, p + np.float32(cam.yaw), d, cam.y, np.zeros_like(d))
    stand(world, colour, depth, cam, t, width, top, False)
    small = np.minimum(colour, 6.0).reshape(rows // 8, 8, width // 8, 8, 3).mean((1, 3))
    clear = (depth > 1e8).astype(np.float32).reshape(rows // 8, 8, width // 8, 8).mean((1, 3))
    sun_p = (SUN_P - np.tan(cam.yaw)) / (1 + SUN_P * np.tan(cam.yaw))
    sun = ((top - SUN_Q * focal) / 8 - 0.5, (width / 2 + sun_p * focal) / 8 - 0.5)
    rays = blur(blur(shafts(np.maximum(small - 1.1, 0) * clear[..., None], *sun), 1, 0), 1, 1)
    bloom = blur(blur(np.maximum(small - 0.9, 0), 4, 0), 4, 1)
    r, c = np.meshgrid((np.arange(rows) + 0.5) / 8 - 0.5, (np.arange(width) + 0.5) / 8 - 0.5, indexing="ij")
    colour += sample(0.32 * rays + 0.16 * bloom, r.astype(np.float32), c.astype(np.float32))
    colour *= 0.70
    colour = colour * (2.51 * colour + 0.03) / (colour * (2.43 * colour + 0.59) + 0.14)  # a film's curve
    colour = np.clip(colour, 0, 1).reshape(HEIGHT, OVER, WIDTH, OVER, 3).mean((1, 3)) ** np.float32(1 / 2.2)
    grey = colour.mean(2, keepdims=True)
    colour = grey + 1.16 * (colour - grey)
    v, u = np.linspace(-1, 1, HEIGHT)[:, None], np.linspace(-1, 1, WIDTH)
    colour *= (1 - 0.13 * (u * u + 0.7 * v * v) ** 1.3)[..., None]
    image: npt.NDArray[np.uint8] = (np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8)
    return image


# ---- sound and file


def sound() -> Array:
    """Wind, water and a few plucked strings, stereo, about -20 dBFS."""
    rng, count = np.random.default_rng(11), RATE * SECONDS
    t = np.arange(count) / RATE
    hertz = np.fft.rfftfreq(count, 1 / RATE)

    def band(centre: float, octaves: float) -> npt.NDArray[np.float64]:
        shape = np.exp(-((np.log2(np.maximum(hertz, 1) / centre) / octaves) ** 2)) / np.sqrt(np.maximum(hertz, 20))
        out: npt.NDArray[np.float64] = np.fft.irfft(np.fft.rfft(rng.normal(size=(2, count))) * shape, count)
        out /= out.std()
        return out

    gust = 0.6 + 0.3 * np.sin(2 * np.pi * t / SECONDS - 1) + 0.1 * np.sin(6 * np.pi * t / SECONDS)
    lap = (0.5 + 0.5 * np.sin(2 * np.pi * (0.55 * t + 0.1 * np.sin(1.9 * t)))) ** 3
    mixed = 0.030 * gust * band(260, 1.3) + (0.006 + 0.016 * lap) * band(900, 0.9)
    notes = (
        (0.35, 293.66),
        (0.95, 440.0),
        (1.55, 587.33),
        (2.3, 369.99),
        (2.9, 493.88),
        (3.5, 440.0),
        (4.1, 293.66),
        (4.12, 739.99),
    )
    dry = np.zeros((2, count))
    for at, pitch in notes:
        s = np.maximum(t - at, 0)
        swell = 1 - np.exp(-s / 0.004)
        tone = sum(np.sin(2 * np.pi * pitch * h * s) * np.exp(-s * (1.5 + 1.1 * h)) / h**1.7 for h in range(1, 8))
        pan = rng.uniform(0.3, 0.7)
        dry += 0.085 * swell * tone * np.array([[np.cos(pan * np.pi / 2)], [np.sin(pan * np.pi / 2)]])
    room = rng.normal(size=(2, RATE * 2)) * np.exp(-np.arange(RATE * 2) / RATE * 3.2)
    room = room / np.sqrt((room**2).sum(1, keepdims=True))
    size = count + room.shape[1]
    wet = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(room, size), size)[:, :count]
    fade = np.minimum(1, np.minimum(t / 0.4, (SECONDS - t) / 0.9))
    wave: Array = 2.7 * ((mixed + dry + 0.45 * wet) * np.sin(fade * np.pi / 2) ** 2).astype(np.float32)
    return wave


def main(path: str) -> None:
    world = build()
    with av.open(path, "w", options={"movflags": "+faststart"}) as out:
        video = out.add_stream("libx264", rate=FPS, options={"crf": "19", "preset": "veryslow"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.time_base = Fraction(1, FPS)
        codec = video.codec_context
        codec.color_range, codec.colorspace, codec.color_primaries, codec.color_trc = (
            ColorRange.MPEG,
            Colorspace.ITU709,
            1,
            1,
        )
        audio = out.add_stream("aac", rate=RATE, layout="stereo")
        audio.bit_rate = 96_000
        for i in range(FPS * SECONDS):
            still = av.VideoFrame.from_ndarray(frame(world, i / FPS), format="rgb24")
            still = still.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            still.pts, still.time_base = i, Fraction(1, FPS)
            out.mux(video.encode(still))
            print(f"\r{i + 1}/{FPS * SECONDS}", end="", file=sys.stderr)
        out.mux(video.encode(None))
        wave = sound()
        for start in range(0, wave.shape[1], 1024):
            part = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(wave[:, start : start + 1024]), format="fltp", layout="stereo"
            )
            part.sample_rate, part.pts, part.time_base = RATE, start, Fraction(1, RATE)
            out.mux(audio.encode(part))
        out.mux(audio.encode(None))
    print(file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python models/demo_clip.py OUT.mp4")
    main(sys.argv[1])
