"""Options of painting by optimisation, and how far it is, for the commands that do it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import Field, dataclass, fields
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from videostyle.cli.common import Painting, pick_device, tell
from videostyle.cli.progress import LINE_EVERY
from videostyle.errors import StyleError, UsageError
from videostyle.library import Library
from videostyle.optimize_options import OPTIMIZERS, STARTS, PaintOptions, StylePicture, parse_pictures
from videostyle.styles import StyleMix, parse_mix

if TYPE_CHECKING:
    from videostyle.frame import Image
    from videostyle.optimize import PictureOptimizer, Step
    from videostyle.optimize_bank import BankNet

_HELP = {
    "content_weight": "How much of the photo to keep.",
    "style_weight": "How much of the style to take.",
    "tv_weight": "How smooth to paint.",
    "content_layers": "Layers of VGG by which the photo is kept, separated by commas.",
    "style_layers": "Layers of VGG by which style is taken, separated by commas.",
    "iterations": "At most so many at each size.",
    "plateau": "Stop where the loss falls by less than this share of itself in 20 iterations; 0 never does.",
    "optimizer": "What finds the painting.",
    "rate": "Learning rate of Adam.",
    "smallest": "No size below this longer side is painted on the way to the full one.",
    "picture_side": "Longer side of the style pictures: larger strokes if larger; 0 for 4/5 of the painting's.",
    "tile": "Side of the squares that are computed one after the other: less memory, the same painting.",
    "start": "What to begin with: the photo, noise, or the painting of the library's nearest style (or --style's).",
    "match_color": "Bring the style pictures to the photo's colours first.",
    "seed": "Of the noise.",
}
FOR_NETS = ("engine", "smooth")
"""Options of painting, "auto" by default, that say nothing to optimisation."""
_CHOICES = {"optimizer": OPTIMIZERS, "start": STARTS}


@dataclass(frozen=True, slots=True)
class Optimizing:
    """What to paint like and how, as the options say.

    given: the fields of PaintOptions that were named. perceptual: as ``load_perceptual`` takes it.
    """

    images: tuple[str, ...]
    masks: tuple[Path, ...]
    given: dict[str, Any]
    perceptual: str | None

    @property
    def asked(self) -> bool:
        """Whether any of it was named."""
        return bool(self.images or self.masks or self.given or self.perceptual)

    def check(self, painting: Painting) -> None:
        """Raises UsageError for options of painting by a net that say nothing here, StyleError for an unknown style."""
        for field in fields(painting):
            if field.name in FOR_NETS and getattr(painting, field.name) != "auto":
                raise UsageError(f"--{field.name} is for painting by a net alone: leave it out")
        if painting.style is not None:
            Library().bank(parse_mix(painting.style))

    def resolve(self, painting: Painting) -> tuple[tuple[StylePicture, ...], PaintOptions]:
        """The pictures and all options, checked. Raises UsageError for what is missing or makes no sense.

        painting: its style is what to begin with.
        """
        self.check(painting)
        style = painting.style
        if style is not None and self.given.get("start", "bank") != "bank":
            raise UsageError(f"--style is what --start bank begins with; it says nothing to {self.given['start']!r}")
        given = self.given if style is None else {**self.given, "start": "bank"}
        options = PaintOptions(**given, strength=painting.strength, precision=painting.precision)
        return parse_pictures(self.images, self.masks), options

    def load(
        self, pictures: tuple[StylePicture, ...], options: PaintOptions, device: str, colors: Image
    ) -> PictureOptimizer:
        """The optimizer, with its network loaded. Raises UsageError and EngineError where it cannot run."""
        from videostyle.optimize import PictureOptimizer
        from videostyle.perceptual import load_perceptual

        device = pick_device(device)
        net = load_perceptual(self.perceptual, deepest=options.deepest)
        return PictureOptimizer(pictures, options, net, device=device, colors=colors)


def library_net(style: str | None, photo: Image, distance: Callable[[Image], float], device: str = "cpu") -> BankNet:
    """The library's net for ``style``, or for the one whose painting of ``photo`` has the smallest ``distance``.

    Raises StyleError for an unknown style, and where there is none at all.
    """
    from videostyle.optimize_bank import BankNet, nearest

    library = Library()
    if style is None:
        entries = library.entries()
        if not entries:
            raise StyleError("no style is installed: choose another --start and --fill than bank")
        bank = library.bank(StyleMix(((entries[0].card.name, 1.0),)))
        style = nearest(bank, photo, distance)
        tell(f"note: the library's nearest style is {style}")
    mix = parse_mix(style)
    bank = library.bank(mix)
    return BankNet(bank, bank.vector(mix), device)


def optimizing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--style-image, --mask, --perceptual and one option a field of PaintOptions, as one argument ``optimizing``."""
    chosen = [field for field in fields(PaintOptions) if field.name in _HELP]

    @functools.wraps(command)
    def gather(style_image: tuple[str, ...], mask: tuple[Path, ...], perceptual: str | None, **options: Any) -> Any:
        given = {field.name: options.pop(field.name) for field in chosen}
        given = {name: value for name, value in given.items() if value is not None}
        for name in ("content_layers", "style_layers"):
            if name in given:
                given[name] = tuple(given[name].split(","))
        return command(optimizing=Optimizing(style_image, mask, given, perceptual), **options)

    wrapped: Callable[..., Any] = gather
    for field in reversed(chosen):
        wrapped = _option(field)(wrapped)
    wrapped = click.option("--perceptual", metavar="FILE", help="VGG weights, or vgg16 or vgg19 for a download.")(
        wrapped
    )
    wrapped = click.option(
        "--mask",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="PICTURE",
        help="Where to paint like the style picture of the same place in line: white for there.",
    )(wrapped)
    return click.option(
        "--style-image",
        multiple=True,
        metavar="PICTURE[:WEIGHT]",
        help="Paint like this picture; several, by weight, if given several times.",
    )(wrapped)


def _option(field: Field[Any]) -> Callable[..., Any]:
    flag, default = "--" + field.name.replace("_", "-"), field.default
    text = ",".join(default) if isinstance(default, tuple) else f"{default}"
    if isinstance(default, bool):
        return click.option(flag, field.name, is_flag=True, default=None, help=_HELP[field.name])
    kind = click.Choice(_CHOICES[field.name]) if field.name in _CHOICES else type(default)
    kind = str if isinstance(default, tuple) else kind
    return click.option(flag, field.name, type=kind, default=None, help=f"{_HELP[field.name]}  [default: {text}]")


class PaintProgress:
    """How far paintings are, of how many, and the present one: two bars on a terminal, else a line now and then.

    total: paintings. what: what one of them is called. before: how many were there already.
    """

    def __init__(self, total: int = 1, what: str = "painting", *, before: int = 0) -> None:
        self._total, self._what, self._before = total, what, before
        self._done = 0
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
        console = Console(stderr=True)
        self._bar = Bar(
            *columns,
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._all = self._bar.add_task(f"{what}s", total=total, note="")
        self._one = self._bar.add_task("starting", total=1, note="")
        self._began = self._shown = perf_counter()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def finish(self, number: int) -> None:
        """One more is there."""
        self._done += 1

    def __call__(self, step: Step) -> None:
        share = _share(step)
        whole = self._done + share
        text = f"{step.size[0]}x{step.size[1]}, iteration {step.iteration} of {step.iterations}, loss {step.loss:.3f}"
        self._bar.update(self._all, completed=whole, note=f"{self._done + 1} of {self._total}")
        self._bar.update(self._one, completed=share, description=text)
        now = perf_counter()
        if not self._bar.disable or now - self._shown < LINE_EVERY:
            return
        self._shown = now
        left = (now - self._began) * (self._total - whole) / max(whole - self._before, 1e-6)
        tell(f"{self._what} {self._done + 1} of {self._total}: {text}, about {left / 60:.1f} minutes left")


def _share(step: Step) -> float:
    """How much of a painting is done: each size takes four times as long as the one before."""
    costs = [4.0**level for level in range(step.levels)]
    return (sum(costs[: step.level]) + costs[step.level] * step.iteration / step.iterations) / sum(costs)
