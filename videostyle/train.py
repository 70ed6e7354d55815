"""Learning a bank of styles from pictures and photos (Johnson et al. 2016, Dumoulin et al. 2017).

Every item of a batch is a crop of a photo painted in one style. Its loss is
``style_weight * style distance + content_weight * content distance + tv_weight * total variation``, or for the identity
style how far the net is from giving the photo back. So that paintings hold still in a film, each photo is painted again
as it might be a moment later, and what changed beyond the motion is a loss too (Ruder et al. 2016, Gao et al. 2018).
"""

from __future__ import annotations

import copy
import csv
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from videostyle.distill import Teacher, mismatch
from videostyle.equalize import equalized
from videostyle.errors import TrainingError, UsageError
from videostyle.learned import wider
from videostyle.losses import Features, content_distance, grid, relative_error, style_distance, total_variation
from videostyle.motion import NextFrames, next_frames
from videostyle.net import SHRINK, StyleNet, build
from videostyle.perceptual import PerceptualNet, load_perceptual
from videostyle.pictures import save_picture
from videostyle.prune import pruned
from videostyle.quality import to_tensor
from videostyle.styles import IDENTITY, NetConfig, Range, StyleBank, StyleCard, check_name
from videostyle.train_data import Crops, picture_grams
from videostyle.train_options import StyleSpec, TrainOptions

AHEAD, READERS = 4, 6
"""Batches of photos that are decoded ahead of the step that wants them, and the most threads that do it: more of them
hold up the one that feeds a card."""
COMPARED, RANGED = 4, 24
"""Crops that known styles are painted on to find the nearest, in their middle alone, for there are many styles and
little hangs on it; and those that tell ranges."""


@dataclass(slots=True)
class Progress:
    """What a training run tells after every step: losses are means over the last steps."""

    step: int
    steps: int
    losses: Mapping[str, float]
    seconds_left: float
    preview: Path | None = None


@dataclass(eq=False)
class Trainer:
    """All the state of one training run.

    photos: a folder, or None for the scenes that come with videostyle in their place.
    base: a trained bank to extend: its body and its styles stay as they are, only the new styles' vectors are learned,
        from those of the known styles named in ``began``, whose paintings are nearest.
    start: a trained bank to begin from instead of at random: its body, and its vectors for styles of the same name; one
    of more inner channels or a larger head is pruned.
    teacher: a trained bank with the same styles whose paintings are copied, too.
    data: what the card says of the pictures and photos: sources and licences.
    folder: where checkpoint, log (CSV) and previews (PNG) go; a run in the same folder goes on where it stopped.
    """

    specs: Sequence[StyleSpec]
    photos: Path | None
    folder: Path
    options: TrainOptions = field(default_factory=TrainOptions)
    config: NetConfig = field(default_factory=NetConfig)
    base: StyleBank | None = None
    perceptual: PerceptualNet | None = None
    device: str = "cpu"
    data: Mapping[str, str] = field(default_factory=dict)
    start: StyleBank | None = None
    teacher: StyleBank | None = None

    def __post_init__(self) -> None:
        o = self.options
        if not self.specs:
            raise UsageError("nothing to learn: give at least one style picture")
        self._check_names()
        if o.precision == "fp16" and not self.device.startswith("cuda"):
            raise UsageError("fp16 training needs CUDA: choose bf16 or fp32")
        self.crops = Crops(self.photos, o)
        torch.manual_seed(o.seed)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[o.precision]
        self.vgg = copy.deepcopy(self.perceptual or load_perceptual()).to(self.device, self.dtype)
        net = build(self.base.config if self.base else self.config)
        assert isinstance(net, StyleNet)
        self.net = net.to(self.device).to(memory_format=torch.channels_last)
        self.net.checkpointing = self.vgg.checkpointing = o.checkpointing
        if self.base:
            net.load_state_dict({k: torch.from_numpy(v) for k, v in self.base.body.items()})
            net.requires_grad_(False)
            rows = torch.from_numpy(self.base.styles[:1]).repeat(len(self.specs), 1)
            self.names = [spec.card.name for spec in self.specs]
            self.identity = False
        else:
            rows = net.neutral(len(self.specs) + 1)
            self.names = [IDENTITY, *(spec.card.name for spec in self.specs)]
            self.identity = True
        if self.start:
            self._begin_from(self.start, rows)
        taught = [spec.card.name for spec in self.specs]
        self.shows = Teacher(self.teacher, taught, self.device, self.dtype) if self.teacher else None
        with torch.no_grad():
            targets = [self._target(spec, i) for i, spec in enumerate(self.specs)]
        self.grams = {name: torch.stack([t[name] for t in targets]) for name in o.style_layers}
        weights = [(s.style_weight * o.style_weight, s.content_weight * o.content_weight) for s in self.specs]
        self.weights = torch.tensor(weights, device=self.device)
        self.began = self._begin_near(self.base, rows) if self.base else self.names
        self.styles = nn.Parameter(rows.to(self.device))
        self.trained = [self.styles, *(p for p in self.net.parameters() if p.requires_grad)]
        self.average = copy.deepcopy([p.detach() for p in self.trained])
        self.pace = (_pace(self.base) if self.base else torch.ones(1)).to(self.device)
        card = self.device.startswith("cuda")
        self.optimizer = torch.optim.Adam(self.trained, lr=o.rate, betas=(0.9, 0.99), fused=card)
        self.scaler = torch.amp.GradScaler(self.device, enabled=o.precision == "fp16")
        self.step, self.spent = 0, 0.0
        self.recent: dict[str, float] = {}
        if self.checkpoint.exists():
            self.resume()

    def _check_names(self) -> None:
        known = {IDENTITY, *(self.base.names if self.base else ())}
        for spec in self.specs:
            if spec.practice:
                continue
            name = check_name(spec.card.name)
            if name in known:
                raise UsageError(f"there cannot be two styles called {name}: rename its picture")
            known.add(name)

    def _target(self, spec: StyleSpec, seed: int) -> dict[str, Tensor]:
        found = [picture_grams(of, self.vgg, self.options, seed) for of in (spec.picture, *spec.more)]
        return {name: torch.stack([grams[name] for grams in found]).mean(0) for name in self.options.style_layers}

    def _begin_from(self, bank: StyleBank, rows: Tensor) -> None:
        if self.base:
            raise UsageError("a bank that is extended keeps its own weights: leave --start out")
        if bank.config != self.config:
            bank = pruned(bank, self.config, to_tensor(self.crops.batch(0)))
        self.net.load_state_dict({k: torch.from_numpy(v) for k, v in bank.body.items()})
        for row, name in enumerate(self.names):
            if name in bank.names:
                rows[row] = torch.from_numpy(bank.styles[bank.names.index(name)])

    @torch.inference_mode()
    def _begin_near(self, bank: StyleBank, rows: Tensor) -> list[str]:
        """Each new style begins with the vector of the known one that paints most like it; their names."""
        o = self.options
        quarter = o.crop // 4
        crops = np.stack([self.crops[number][quarter:-quarter, quarter:-quarter] for number in range(COMPARED)])
        photos = to_tensor(crops).to(self.device)
        target = self.content(photos)
        known = [row for row, name in enumerate(bank.names) if name != IDENTITY or len(bank.names) == 1]
        found = []
        for vector in torch.from_numpy(bank.styles[known]).to(self.device):
            painted = self.net(photos, vector[None].expand(len(photos), -1)).clamp(0, 1)
            seen = self.vgg(painted, {*o.style_layers, o.content_layer})
            content = content_distance(seen, target, o.content_layer)
            wanted = ({name: of[i, :1] for name, of in self.grams.items()} for i in range(len(self.specs)))
            style = torch.stack([style_distance(seen, grams) for grams in wanted])
            found.append((self.weights[:, :1] * style + self.weights[:, 1:] * content).mean(1))
        nearest = [known[of] for of in torch.stack(found).argmin(0).tolist()]
        rows.copy_(torch.from_numpy(bank.styles[nearest]))
        return [bank.names[row] for row in nearest]

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def content(self, photos: Tensor) -> dict[str, Tensor]:
        """What is to be kept of photos, (N, 3, H, W) in [0, 1]: the activations that contents are compared by."""
        with torch.no_grad():
            found: dict[str, Tensor] = self.vgg(photos, (self.options.content_layer,))
        return found

    def losses(
        self, photos: Tensor, which: Tensor, variant: Tensor, target: Features | None = None
    ) -> dict[str, Tensor]:
        """photos: (N, 3, H, W) in [0, 1]. which, variant: int (N,), style (-1 for the identity) and picture variant, on
        the CPU: what depends on them is then known without waiting for a card.

        target: ``content`` of the photos that are painted, where it is known already.
        """
        o = self.options
        chosen, variant = which[which >= 0], variant[which >= 0]
        painted, same = (of.nonzero()[:, 0].to(self.device) for of in (which >= 0, which < 0))
        half = o.precision != "fp32"
        later = next_frames(photos[painted], o.seed + self.step) if self.steady and len(painted) else None
        seen = photos if later is None else torch.cat([photos, later.images])
        rows = self.styles[(which + self.identity).to(self.device)]
        rows = rows if later is None else torch.cat([rows, rows[painted]])
        with torch.autocast(self.device.split(":")[0], self.dtype if half else None, enabled=half):
            features = self.net.features(seen.contiguous(memory_format=torch.channels_last), rows)
            out = self.net.paint(features, rows, (photos.shape[-2], photos.shape[-1])).float()
        shown = out + (out.clamp(0, 1) - out).detach()  # what is shown is clamped; the gradient is not
        found = {"range": (out - shown).abs().mean()}
        if later is not None:
            count = len(photos)
            before_and_after = [(of[:count][painted], of[count:]) for of in (shown, features)]
            found |= self._change(later, *before_and_after)
            shown = shown[:count]
        if len(same):
            found["identity"] = (shown[same] - photos[same]).abs().mean()
        if len(painted):
            target = self.content(photos[painted]) if target is None else target
            seen_as = self.vgg(shown[painted], {*o.style_layers, o.content_layer})
            of_style, of_variant = chosen.to(self.device), variant.to(self.device)
            grams = {name: values[of_style, of_variant] for name, values in self.grams.items()}
            style = style_distance(seen_as, grams)
            content = content_distance(seen_as, target, o.content_layer)
            weights = self.weights[of_style]
            found |= {"style": style.mean(), "content": content.mean(), "tv": total_variation(shown[painted]).mean()}
            found["grid"] = grid(shown[painted]).mean()
            found["paint"] = (weights[:, 0] * style + weights[:, 1] * content).mean()
            if self.shows is not None:
                copied = self.shows(photos[painted], of_style)
                with torch.no_grad():
                    taught = self.vgg(copied, tuple(seen_as))
                found |= {
                    "output": (shown[painted] - copied).square().mean(),
                    "match": mismatch(seen_as, taught).mean(),
                }
            found |= {f"style/{self.specs[of].card.name}": style[at] for at, of in enumerate(chosen.tolist())}
        share = len(photos)
        still = ("temporal", o.temporal_weight), ("feature", o.feature_weight)
        of_teacher = ("output", o.output_weight), ("match", o.match_weight)
        weighted = ("paint", 1.0), *still, ("grid", o.grid_weight), *of_teacher
        zero = torch.zeros((), device=self.device)
        paintings = sum(weight * found.get(name, zero) for name, weight in weighted)
        found["loss"] = (
            paintings * (len(painted) / share)
            + o.tv_weight * found.get("tv", zero)
            + o.identity_weight * found.get("identity", zero) * (len(same) / share)
            + 10 * found["range"]
        )
        return found

    @property
    def steady(self) -> bool:
        """Whether paintings are trained to hold still."""
        return self.options.temporal_weight > 0 or self.options.feature_weight > 0

    def _change(
        self, later: NextFrames, paintings: tuple[Tensor, Tensor], features: tuple[Tensor, Tensor]
    ) -> dict[str, Tensor]:
        """How much paintings and features change from the first frames to the next, beyond their motion."""
        before, after = paintings
        changed = (after - later.warp(before)).square() * later.valid
        high, wide = (-(-side // SHRINK) for side in before.shape[-2:])
        old, new = (of[..., 1 : 1 + high, 1 : 1 + wide] for of in features)
        valid = nn.functional.adaptive_avg_pool2d(later.valid, (high, wide))
        moved = relative_error(new.float() * valid, later.warp(old) * valid)
        return {"temporal": changed.sum() / (3 * later.valid.sum()).clamp_min(1), "feature": moved.mean()}

    def draw(self) -> tuple[Tensor, Tensor]:
        """Style and picture variant of each item of this step: every style comes up as often as its share says."""
        o, deck = self.options, np.repeat(np.arange(len(self.specs)), [spec.share for spec in self.specs])
        rng = np.random.default_rng((o.seed, self.step, 1))
        first, count = self.step * o.batch, len(deck)
        rounds = range(first // count, (first + o.batch) // count + 1)
        order = np.concatenate([np.random.default_rng((o.seed, e, 2)).permutation(deck) for e in rounds])
        which = order[first % count :][: o.batch].copy()
        if self.identity:
            # As many in each step, or nearly: every new size of batch costs a card a second to find its convolutions.
            share = o.batch * o.identity_share
            which[rng.permutation(o.batch)[: int((self.step + 1) * share) - int(self.step * share)]] = -1
        return torch.from_numpy(which), torch.from_numpy(rng.integers(o.augment, size=o.batch))

    def update(self, photos: Tensor, target: Features | None = None, done: float | None = None) -> dict[str, float]:
        """One optimiser step. photos, target: as ``losses`` takes them. done: share of the run that is over, in [0, 1],
        which the learning rate goes by; of the steps, if None.

        Raises TrainingError, with the weights as they were, where a loss is no finite number.
        """
        o = self.options
        ramp = min(1.0, (self.step + 1) / o.warmup)
        fall = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (self.step / o.steps if done is None else done)))
        for group in self.optimizer.param_groups:
            group["lr"] = o.rate * ramp * fall
        found = self.losses(photos, *self.draw(), target)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(found["loss"]).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.trained, o.clip)
        # One wait for the card a step.
        *values, length = torch.stack([*(value.detach() for value in found.values()), norm]).tolist()
        told = dict(zip(found, values, strict=True))
        if not math.isfinite(told["loss"]) or (o.precision != "fp16" and not math.isfinite(length)):
            raise TrainingError(
                f"step {self.step}: the loss is no finite number any more; the last good weights are kept in "
                f"{self.folder}. Lower the learning rate, or train in fp32"
            )
        before = self.styles.detach().clone()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.styles.data.copy_(torch.lerp(before, self.styles.data, self.pace))
        self.step += 1
        # Early on a long average would mostly remember the start.
        decay = min(o.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, [p.detach() for p in self.trained], 1 - decay)
        return told

    def save(self) -> None:
        """Write the checkpoint; it appears only when whole."""
        state = {
            "step": self.step,
            "spent": self.spent,
            "names": self.names,
            "net": self.net.state_dict(),
            "styles": self.styles.detach(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.checkpoint)

    def resume(self) -> None:
        """Go on from the checkpoint. Raises TrainingError where it belongs to another run."""
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        try:
            if state["names"] != self.names:
                raise TrainingError(f"{self.checkpoint} trains {', '.join(state['names'])}: use another --work folder")
            self.net.load_state_dict(state["net"])
            self.styles.data.copy_(state["styles"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            self.average, self.step, self.spent = state["average"], state["step"], state.get("spent", 0.0)
        except (KeyError, RuntimeError, ValueError) as error:
            raise TrainingError(f"{self.checkpoint} is of another network: use another --work folder") from error

    def averaged(self) -> StyleNet:
        """A copy of the net in eval mode that carries the moving average of the weights."""
        net: StyleNet = copy.deepcopy(self.net).eval()
        trained = [p for p in net.parameters() if p.requires_grad]
        for parameter, value in zip(trained, self.average[1:], strict=True):
            parameter.data.copy_(value)
        return net

    @torch.inference_mode()
    def ranges(self, photos: Tensor, vector: NDArray[np.float32]) -> dict[str, Range]:
        """What enters each convolution under a style, as ``StyleBank.ranges`` says it: the mean over photos of the
        lowest and the highest value. photos: (N, 3, H, W) in [0, 1]. vector: float32 (P,)."""
        net, seen = self.averaged(), dict[str, Range]()

        def look(name: str) -> Callable[..., None]:
            def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
                low, high = torch.aminmax(inputs[0].flatten(1), dim=1)
                seen[name] = float(low.mean()), float(high.mean())

            return hook

        for name, module in net.named_modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(look(name.rpartition(".")[0]))
        net(photos, torch.from_numpy(vector)[None].to(self.device))
        return seen

    def bank(self) -> StyleBank:
        """The bank as it stands: averaged weights and, where a bank is extended, its old styles first."""
        body = {k: v.detach().cpu().float().numpy() for k, v in self.averaged().state_dict().items()}
        kept = [row for row, spec in enumerate(self.specs) if not spec.practice]
        rows = self.average[0].cpu().numpy()[[*range(self.identity), *(row + self.identity for row in kept)]]
        cards = tuple(self.specs[row].card for row in kept)
        recipe: dict[str, Any] = {
            "data": dict(self.data),
            "options": asdict(self.options),
            "steps": self.step,
            "photos": len(self.crops.paths),
        }
        if self.start:
            recipe["start"] = dict(self.start.recipe)
        if self.shows is not None:
            recipe["teacher"] = self.shows.body_hash
        if self.base:
            recipe = {**self.base.recipe, "extended": recipe}
            styles, ranges = np.concatenate([self.base.styles, rows]), self.base.ranges
            if ranges:
                photos = to_tensor(np.stack([self.crops[number] for number in range(RANGED)])).to(self.device)
                for row in rows:
                    ranges = wider(ranges, self.ranges(photos, row))
            return StyleBank(self.base.config, self.base.body, styles, (*self.base.cards, *cards), recipe, None, ranges)
        identity = StyleCard(IDENTITY, title="The photo itself")
        return StyleBank(self.config, body, rows, (identity, *cards), recipe)

    def preview(self) -> Path:
        """A PNG: the first photo and its painting in every style."""
        photo = to_tensor(self.crops[0]).to(self.device)
        net = self.averaged()
        with torch.inference_mode():
            shown = torch.cat([photo, *(net(photo, row[None]) for row in self.average[0])])
        tiles = (shown * 255).round().byte().cpu()
        columns = min(len(tiles), 5)
        blank = tiles.new_zeros(-len(tiles) % columns, *tiles.shape[1:])
        rows = torch.cat([tiles, blank]).unflatten(0, (-1, columns))  # (rows, columns, 3, H, W)
        sheet = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
        path = self.folder / f"preview-{self.step:06d}.png"
        save_picture(path, np.ascontiguousarray(sheet.numpy()), force=True)
        return path

    def run(self, tell: Callable[[Progress], None] = lambda progress: None) -> StyleBank:
        """Train to the last step. An interruption or an error leaves a checkpoint to go on from.

        A new body comes with its channels evened out, for int8.
        """
        o, began, earlier = self.options, time.perf_counter(), self.spent
        log = self.folder / "log.csv"
        recent = self.recent
        columns = ["step", "seconds", "loss", "style", "content", "tv", "identity", "temporal", "feature", "grid"]
        columns += ["output", "match", "range", "paint"]
        columns += [f"style/{spec.card.name}" for spec in self.specs]
        with open(log, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            if file.tell() == 0:
                writer.writeheader()
            try:
                for photos in self._batches():
                    if (done := self.done) >= 1:
                        break
                    found = self.update(to_tensor(torch.from_numpy(photos).to(self.device)), done=done)
                    for name, value in found.items():
                        recent[name] = 0.95 * recent.get(name, value) + 0.05 * value
                    self.spent = spent = earlier + time.perf_counter() - began
                    left = spent / self.done - spent
                    shown = None
                    if self.step % 25 == 0:
                        writer.writerow(
                            {"step": self.step, "seconds": round(spent, 1)}
                            | {k: round(v, 5) for k, v in recent.items()}
                        )
                        file.flush()
                    if self.step % o.save_every == 0:
                        self.save()
                    if self.step % o.preview_every == 0:
                        shown = self.preview()
                    tell(Progress(self.step, o.steps, dict(recent), left, shown))
            finally:
                self.save()
        return self.bank() if self.base else equalized(self.bank(), self._samples())

    def _samples(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        """Some photos and styles to paint them in."""
        rows = np.concatenate([self.average[0].cpu().numpy()] * 2)
        yield from ((self.crops[number], row) for number, row in enumerate(rows))

    @property
    def done(self) -> float:
        """Share of the run that is over, in [0, 1]."""
        o = self.options
        return min(1.0, max(self.step / o.steps, self.spent / (60 * o.minutes) if o.minutes else 0.0))

    def _batches(self) -> Iterator[NDArray[np.uint8]]:
        """The photos of the steps to come, decoded ahead: Pillow lets other threads run meanwhile."""
        readers = max(2, min(READERS, (os.cpu_count() or 1) - 2))
        with ThreadPoolExecutor(readers, "photos") as pool:
            steps = range(self.step, self.options.steps)
            ahead = deque(pool.submit(self.crops.batch, step) for step in steps[: max(AHEAD, 2 * readers)])
            while ahead:
                photos = ahead.popleft().result()
                if (step := self.step + 1 + len(ahead)) < self.options.steps:
                    ahead.append(pool.submit(self.crops.batch, step))
                yield photos


def _pace(bank: StyleBank) -> Tensor:
    """float32 (P,): how far each number of a vector may go in a step, 1 on average. Adam would move all alike, but in
    some of them known styles lie far apart, and in others close together; fewer than four cannot say."""
    known = bank.styles[[name != IDENTITY for name in bank.names]]
    apart = known.std(0) if len(known) >= 4 else np.ones_like(bank.styles[0])
    return torch.from_numpy(np.maximum(apart / apart.mean(), 0.1))
