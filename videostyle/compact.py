"""A compact perceptual network: a VGG of half the width that sees what VGG-16 sees, at a quarter of the cost.

Half of the channels of each layer are chosen, and their weights solved so that they are to the layers before, which are
narrow already, what the whole ones were (He et al. 2017); layers that pictures are compared by get all their channels
back by a 1x1 convolution. Then all of it learns to see as VGG-16 does (Romero et al. 2015), on photos, on paintings of
them in mixtures of styles, near ones and odd ones, and on pictures. Styles that are learned by it go where it errs to
their advantage; so, from some time on, it also sees paintings in styles that it has led itself (Ross et al. 2011).

``python -m videostyle.compact OUT --perceptual FILE --photos FOLDER --pictures FOLDER --bank BANK`` makes one; started
again, it goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from videostyle.distill import mismatch
from videostyle.learn import Learner, LearnOptions, LearnProgress, picture_of
from videostyle.losses import gram, style_distance
from videostyle.net import StyleNet, build
from videostyle.perceptual import STYLE_LAYERS, PerceptualNet, load_perceptual
from videostyle.quality import to_tensor
from videostyle.styles import StyleBank, StyleCard
from videostyle.train_data import Crops, photos_in
from videostyle.train_options import TrainOptions

NARROWER = 2
"""How many times fewer channels each layer has."""
PHOTOS, PAINTED, PICTURES = 1, 4, 3
"""Items of a batch of each kind."""
CROP = 128
RATE, WARMUP, CLIP, AVERAGE = 1.5e-4, 20, 10.0, 0.99
TELL_EVERY, SAVE_EVERY = 25, 100
"""Steps."""
ODD = 0.5
"""Standard deviation of what is added to the vectors of half of the paintings, in those that styles have."""
RIDGE = 1e-4
"""Of the mean square of all inputs, so that what is solved stays small."""
LEARN_AT, LEARNED, LEARNED_FROM, KEPT = 0.5, 3, 28, (8, 20, 50)
"""When styles are learned by the network itself, as a share of the time; paintings of a batch that are in them from
then on; pictures that are learned, and the steps after which their vectors are kept."""
FIRST, SAMPLES = 6, 12_000
"""Batches that weights are solved on, and positions of each layer's activations."""


class Examples:
    """Batches of what the network is to see; item i depends on the seed, i and ``learned``, vectors (N, P), alone."""

    def __init__(self, photos: Path, pictures: Path, bank: StyleBank, seed: int = 0) -> None:
        of_photos = TrainOptions(crop=CROP, seed=seed, batch=PHOTOS + PAINTED)
        self._photos = Crops(photos, of_photos)
        self._pictures = Crops(pictures, replace(of_photos, batch=PICTURES, photo_side=(192, 512)))
        net = build(bank.config)
        assert isinstance(net, StyleNet)
        net.load_state_dict({name: torch.from_numpy(value) for name, value in bank.body.items()})
        self._net = net.eval().requires_grad_(False)
        self._styles, self._seed = bank.styles, seed
        self.learned = np.zeros((0, bank.styles.shape[1]), np.float32)

    @torch.no_grad()
    def __call__(self, step: int) -> Tensor:
        """float32 (N, 3, CROP, CROP) in [0, 1]."""
        random = np.random.default_rng((self._seed, step, 7))
        photos, pictures = (to_tensor(torch.from_numpy(of.batch(step))) for of in (self._photos, self._pictures))
        shares = random.dirichlet(np.full(len(self._styles), 0.2), PAINTED)
        odd = random.normal(0, ODD, (PAINTED, self._styles.shape[1])) * (random.random((PAINTED, 1)) < 0.5)
        vectors = shares @ self._styles + odd * self._styles.std(0)
        if len(self.learned):
            draw = np.random.default_rng((self._seed, step, 8))
            chosen = self.learned[draw.integers(len(self.learned), size=LEARNED)]
            near = draw.uniform(0.5, 1.1, (LEARNED, 1))
            vectors[:LEARNED] = chosen * near + vectors[:LEARNED] * (1 - near)
        painted = self._net(photos[PHOTOS:], torch.from_numpy(vectors.astype(np.float32)))
        images = torch.cat([photos[:PHOTOS], painted, pictures])
        for image in images:  # other colours than those at hand
            if random.random() < 0.4:
                image.copy_(image[random.permutation(3).tolist()])
            if random.random() < 0.2:
                image.copy_(1 - image)
            image.pow_(math.exp(random.normal(0, 0.2)))
        return images

    def ahead(self, first: int) -> Iterator[Tensor]:
        """Batches from step ``first`` on, made in a thread of their own."""
        with ThreadPoolExecutor(1) as pool:
            waiting = deque(pool.submit(self, step) for step in range(first, first + 3))
            for step in range(first + 3, 10**9):
                yield waiting.popleft().result()
                waiting.append(pool.submit(self, step))


@torch.no_grad()
def narrowed(whole: PerceptualNet, batches: list[Tensor]) -> PerceptualNet:
    """A network of ``1 / NARROWER`` of the width that gives nearly what ``whole`` gives on these images."""
    weights = dict[str, Tensor]()
    was = now = whole.normalized(torch.cat(batches))
    index = 0
    for conv, (name, pooled) in zip(whole.convs, whole.layers, strict=True):
        if pooled:
            was, now, index = F.max_pool2d(was, 2), F.max_pool2d(now, 2), index + 1
        assert isinstance(conv, nn.Conv2d)
        was = F.relu(before := conv(was))
        kept = _chosen(was, conv.out_channels // NARROWER)
        weight, bias = _solved(now, before[:, kept], 3)
        weights[f"features.{index}.weight"], weights[f"features.{index}.bias"] = weight, bias
        now = F.relu(F.conv2d(now, weight, bias, padding=1))
        if name in STYLE_LAYERS:
            weights[f"heads.{name}.weight"], weights[f"heads.{name}.bias"] = _solved(now, was, 1)
        index += 2
    return PerceptualNet(weights)


def _chosen(activations: Tensor, count: int) -> list[int]:
    """Channels from which the others can best be told: pivots of a Cholesky decomposition of their products."""
    flat = _sampled(activations, 1).double()
    left = flat.T @ flat
    found: list[int] = []
    for _ in range(count):
        at = int(left.diagonal().argmax())
        found.append(at)
        column = left[:, at] / left[at, at].clamp_min(1e-12).sqrt()
        left = left - torch.outer(column, column)
        left[found, found] = -1.0
    return sorted(found)


def _solved(inputs: Tensor, outputs: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Weight (O, C, side, side) and bias (O,) that make ``outputs`` of ``inputs``, by least squares."""
    rows, wanted = _sampled(inputs, side).double(), _sampled(outputs, 1).double()
    rows = torch.cat([rows, rows.new_ones(len(rows), 1)], 1)
    products = rows.T @ rows
    products += RIDGE * products.diagonal().mean() * torch.eye(len(products))
    found = torch.linalg.solve(products, rows.T @ wanted)
    weight = found[:-1].T.unflatten(1, (inputs.shape[1], side, side))
    return weight.float().contiguous(), found[-1].float().contiguous()


def _sampled(of: Tensor, side: int) -> Tensor:
    """(SAMPLES or fewer, C * side * side): what a convolution finds at some positions, the same for the same size."""
    count, _, height, width = of.shape
    positions = count * height * width
    at = torch.randperm(positions, generator=torch.Generator().manual_seed(height))[:SAMPLES]
    item, row, column = at // (height * width), at // width % height, at % width
    pad = side // 2
    padded = F.pad(of, (pad, pad, pad, pad)).permute(0, 2, 3, 1)
    taps = [padded[item, row + y, column + x] for y in range(side) for x in range(side)]
    return torch.stack(taps, 2).flatten(1)


def learned(net: PerceptualNet, pictures: Path, bank: StyleBank) -> NDArray[np.float32]:
    """(N, P): vectors of styles on their way to pictures, as the network leads them."""
    found: list[NDArray[np.float32]] = []
    options = LearnOptions(steps=KEPT[-1], seconds=1e9)
    paths = photos_in(pictures)
    for path in paths[:: max(1, len(paths) // LEARNED_FROM)]:
        learner = Learner([picture_of(path)], StyleCard("x"), bank, options, net)

        def keep(step: LearnProgress, learner: Learner = learner) -> None:
            if step.step in KEPT:
                found.append(learner.present)

        learner.run(keep)
    return np.stack(found)


class Training:
    """All the state of one run; ``out`` has the average of the latest weights, ``.pt`` beside it what it goes on from.

    net: where it begins; minutes: the time of the run, earlier parts of it included, which the learning rate goes by.
    """

    def __init__(self, net: PerceptualNet, whole: PerceptualNet, out: Path, minutes: float) -> None:
        self._net, self._whole, self._out, self._minutes = net.requires_grad_(True), whole, out, minutes
        self._average = {name: value.clone() for name, value in net.state_dict().items()}
        self._optimizer = torch.optim.Adam(net.parameters(), RATE, betas=(0.9, 0.99))
        self._state = out.with_suffix(".pt")
        self.step, self._spent = 0, 0.0
        self._recent: Tensor | None = None
        self._learned = np.zeros((0, 0), np.float32)
        if self._state.exists():
            saved = torch.load(self._state, weights_only=True)
            net.load_state_dict(saved["net"])
            self._optimizer.load_state_dict(saved["optimizer"])
            self._average, self.step, self._spent = saved["average"], saved["step"], saved["spent"]
            self._learned = saved["learned"].numpy()

    def run(self, examples: Examples, learn: Callable[[PerceptualNet], NDArray[np.float32]]) -> None:
        """learn: what the network leads styles to, as ``learned`` says."""
        examples.learned = self._learned
        for images in examples.ahead(self.step):
            done = self._spent / (60 * self._minutes)
            if done >= 1:
                break
            if done >= LEARN_AT and not len(self._learned):
                self.save()
                examples.learned = self._learned = learn(load_perceptual(self._out))
                self.save()
            began = time.perf_counter()
            self._update(images, done)
            self._spent += time.perf_counter() - began
            if self.step % TELL_EVERY == 0 and self._recent is not None:
                activations, grams = self._recent.tolist()
                left = self._minutes - self._spent / 60
                print(
                    f"step {self.step}: activations {activations:.3f}, Gram {grams:.3f}, {left:.1f} minutes left",
                    flush=True,
                )
            if self.step % SAVE_EVERY == 0:
                self.save()
        self.save()

    def _update(self, images: Tensor, done: float) -> None:
        with torch.no_grad():
            wanted = self._whole(images, STYLE_LAYERS)
        found = self._net(images, STYLE_LAYERS)
        activations = mismatch(found, wanted).mean()
        grams = style_distance(found, {name: gram(of) for name, of in wanted.items()}).mean()
        self._optimizer.zero_grad()
        (activations + grams).backward()
        fall = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))
        for group in self._optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (self.step + 1) / WARMUP) * fall
        nn.utils.clip_grad_norm_(self._net.parameters(), CLIP)
        self._optimizer.step()
        self.step += 1
        keep = min(AVERAGE, self.step / (self.step + 10))
        for name, value in self._net.state_dict().items():
            self._average[name].lerp_(value, 1 - keep)
        now = torch.stack([activations.detach(), grams.detach()])
        self._recent = now if self._recent is None else torch.lerp(self._recent, now, 0.03)

    def save(self) -> None:
        """Files appear only when whole."""
        state: dict[str, Any] = {
            "net": self._net.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self._average,
        }
        partial = self._state.with_suffix(".partial")
        state |= {"step": self.step, "spent": self._spent, "learned": torch.from_numpy(self._learned)}
        torch.save(state, partial)
        os.replace(partial, self._state)
        write(self._net, self._average, self._out, self.step)


def write(net: PerceptualNet, weights: dict[str, Tensor], path: Path, steps: int) -> None:
    """In float16, named as ``PerceptualNet`` takes them."""
    places = [2 * at + sum(pooled for _, pooled in net.layers[: at + 1]) for at in range(len(net.layers))]
    features = {f"convs.{at}": f"features.{place}" for at, place in enumerate(places)}
    tensors = {}
    for name, value in weights.items():
        module, _, kind = name.rpartition(".")
        tensors[f"{features.get(module, module)}.{kind}"] = value.half().contiguous()
    about = {"kind": "vgg16 of half the width", "steps": steps}
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, {"videostyle": json.dumps(about)})
    os.replace(partial, path)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m videostyle.compact", description=__doc__)
    parser.add_argument("out", type=Path, help="safetensors; beside it, .pt, is what an interrupted run goes on from")
    parser.add_argument("--perceptual", help="VGG-16 weights (default: torchvision's)")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of paintings, drawings and patterns")
    parser.add_argument("--bank", type=Path, default=Path("models/paintings.safetensors"))
    parser.add_argument("--minutes", type=float, default=60.0)
    args = parser.parse_args(arguments)
    whole = load_perceptual(args.perceptual)
    bank = StyleBank.load(args.bank)
    examples = Examples(args.photos, args.pictures, bank)
    net = narrowed(whole, [examples(step) for step in range(FIRST)])
    Training(net, whole, args.out, args.minutes).run(examples, lambda now: learned(now, args.pictures, bank))


if __name__ == "__main__":
    main()
