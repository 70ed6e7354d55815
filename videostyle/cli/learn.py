"""``videostyle learn``: a style of one's own from a picture."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from videostyle.cli import INTERRUPTED
from videostyle.cli.common import card_options, emit, force_option, pick_device, report_options, tell
from videostyle.cli.progress import ShareProgress
from videostyle.errors import StyleError, UsageError
from videostyle.learned import LearnedStyle
from videostyle.library import Library, cache_folder, shipped_folder
from videostyle.output import check_target
from videostyle.styles import StyleBank, StyleCard, StyleMix

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from videostyle.frame import Image
    from videostyle.learn import LearnProgress

PREVIEW_SIDE = 480
"""Longer side in pixels of the photo in a preview."""
ENOUGH = 100
"""Steps after which a style that is far from its picture is unlikely to come much nearer."""


@click.command()
@click.argument("pictures", metavar="PICTURE...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--name", help="What to call the style: lower-case letters, digits, hyphens.")
@click.option("--again", metavar="NAME", help="Learn your style NAME anew from the pictures that are kept with it.")
@click.option(
    "--stroke", type=click.Choice(["small", "medium", "large"]), help="Size of the strokes.  [default: medium]"
)
@click.option("--gentle/--no-gentle", default=None, help="Keep more of what is painted, faces above all.")
@click.option("--seconds", type=click.FloatRange(min=1), metavar="S", help="Time to learn in, at most.  [default: 117]")
@click.option(
    "--steps", type=click.IntRange(min=1), metavar="N", help="Optimiser steps in that time, at most.  [default: 500]"
)
@click.option(
    "--photos",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Learn on these photos instead of the scenes that come with videostyle.",
)
@click.option(
    "--perceptual",
    metavar="FILE",
    help="Compares pictures: compact, which is shipped, vgg16, a download, or VGG weights.  [default: compact]",
)
@click.option(
    "--preview",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A picture that shows every few seconds how it stands.  [default: in the cache folder]",
)
@click.option("--net", metavar="STYLE", help="Learn on the net that paints STYLE.  [default: the library's first]")
@click.option(
    "--so-far",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep the best so far in FILE meanwhile, for a program that paints with it, and give way to that.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@card_options
@force_option
@report_options
def command(
    pictures: tuple[Path, ...],
    name: str | None,
    again: str | None,
    photos: Path | None,
    perceptual: str | None,
    preview: Path | None,
    net: str | None,
    so_far: Path | None,
    device: str,
    about: dict[str, Any],
    force: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Learn a style from PICTURE, or one style from several, and keep it as your own.

    Ctrl-C ends it early and keeps the best so far.

    \b
    videostyle learn my-painting.jpg --name mine
    videostyle learn --again mine --stroke large
    """
    began = perf_counter()
    library = Library()
    tell(*(f"note: {note}" for note in library.notes))
    given = {key: value for key, value in given.items() if value is not None}
    old = None
    if again is not None:
        if pictures or name is not None:
            raise UsageError("--again learns a style of yours from its own pictures: leave PICTURE and --name out")
        old = _learned(library, again)
        before = old.recipe.get("options", {})
        given = {key: before[key] for key in ("stroke", "gentle") if key in before} | given
    elif not pictures or name is None:
        raise UsageError("give the pictures to learn from, and a --name for the style")
    else:
        library.check_free([name], force=force)
    card = replace(old.card if old else StyleCard(str(name)), **about)
    bank = _bank(library, net)
    if so_far is not None and hasattr(os, "nice"):
        os.nice(10)

    from videostyle.learn import FAR, Learner, LearnOptions, picture_of
    from videostyle.perceptual import load_perceptual
    from videostyle.pictures import decode_jpeg

    images = [decode_jpeg(file) for file in old.pictures] if old else [picture_of(path) for path in pictures]
    if preview is None:
        preview = cache_folder() / f"{card.name}.png"
    else:
        check_target(preview, force=force)
    show = Preview(preview, bank, images[0], _photo(photos))
    device, options = pick_device(device), LearnOptions(**given)
    judge = load_perceptual(perceptual, otherwise="compact")
    tell(f"learning {card.name}: looking for known styles that are near")
    learner = Learner(images, card, bank, options, judge, photos, device, end=began + options.seconds)

    def follow(step: LearnProgress) -> None:
        bar(step.done, step.seconds_left, f"step {step.step}, style {step.style:.2f}, content {step.content:.2f}")
        if step.vector is not None:
            show(step.vector)
            if so_far is not None:
                learner.style.save(so_far)

    interrupted = False
    try:
        if so_far is not None:
            learner.style.save(so_far)
        show(bank.styles[bank.names.index(learner.start)])
        tell(f"starting from {learner.start}; {preview} shows how it stands")
        with ShareProgress() as bar:
            learner.run(follow)
    except KeyboardInterrupt:
        interrupted = True
        tell("stopped: the best so far is kept")
    style = learner.style
    path = library.add(style, force=force or old is not None)
    if as_json:
        found = {"learned": card.name, "path": str(path), "preview": str(preview), "interrupted": interrupted}
        emit(found | {key: style.recipe[key] for key in ("steps", "seconds", "start", "losses")})
    tell(f"Learned {card.name} ({path}). Try it: videostyle live --style {card.name}")
    far = (distance := style.recipe["losses"]["style"]) > FAR
    if far and style.recipe["steps"] < ENOUGH:
        tell(f"It is far from the picture yet: {style.recipe['steps']} steps were all there was time for")
    elif far and not interrupted:
        tell(
            f"It is far from the picture (style distance {distance:.1f}, where others come to 0.5): this "
            "net may be unable to paint like that. Slower, without learning: videostyle keyframes"
        )
    if not card.rights:
        tell(f"Its card does not say whose picture it is: videostyle styles describe {card.name} --rights ...")
    return INTERRUPTED if interrupted else 0


def _learned(library: Library, name: str) -> LearnedStyle:
    style = library.take(name)
    if not isinstance(style, LearnedStyle) or not style.pictures:
        raise StyleError(f"style {name!r} was not learned from pictures that are kept with it: give them, and --name")
    return style


def _bank(library: Library, net: str | None) -> StyleBank:
    """The bank to learn on: that of the style ``net``, or of the library's first which has a body for others."""
    if net is not None:
        return library.bank(StyleMix(((net, 1.0),)))
    for entry in library.entries():
        label = entry.shelved.label
        if label.body is None and label.config.kind == "stylenet":
            return library.bank(StyleMix(((entry.card.name, 1.0),)))
    raise StyleError("no bank is installed whose net could paint a new style")


def _photo(photos: Path | None) -> Image:
    """What previews are painted of: a photo, or the first frame of the clip that comes along."""
    from videostyle.pictures import load_picture
    from videostyle.quality import resized
    from videostyle.sources import open_source
    from videostyle.train_data import photos_in

    if photos is not None:
        return resized(load_picture(photos_in(photos)[0]), PREVIEW_SIDE)
    source = open_source(shipped_folder() / "demo.mp4")
    try:
        return resized(next(iter(source)).image, PREVIEW_SIDE)
    finally:
        source.close()


class Preview:
    """Writes a picture of how a style stands: what it is learned from, a photo, and that photo painted.

    path: a picture file. picture, photo: uint8 (H, W, 3). Raises UsageError where such a file cannot be written.
    """

    def __init__(self, path: Path, bank: StyleBank, picture: Image, photo: Image) -> None:
        from videostyle.pictures import check_picture_target

        path.parent.mkdir(parents=True, exist_ok=True)
        check_picture_target(path, force=True)
        self._path, self._bank, self._picture, self._photo = path, bank, picture, photo

    def __call__(self, vector: NDArray[np.float32]) -> None:
        """vector: float32 (P,)."""
        import numpy as np

        from videostyle.optimize_bank import BankNet
        from videostyle.pictures import write_picture
        from videostyle.quality import covered

        height, width = self._photo.shape[:2]
        cells = [covered(self._picture, width, height), self._photo, BankNet(self._bank, vector)(self._photo)]
        write_picture(self._path, np.concatenate(cells, 1))
