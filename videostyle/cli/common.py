"""What commands share: options, the way from options to a stylizer, and what is said on stdout and stderr."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from videostyle.engines import DEVICES, ENGINES, PRECISIONS, StyleEngine
from videostyle.errors import EngineError, StyleError, UsageError
from videostyle.library import Library
from videostyle.styles import StyleBank, StyleMix, parse_mix

if TYPE_CHECKING:
    from videostyle.stats import RunReport
    from videostyle.stylizer import Stylizer

SPINS = "10000"
"""How long torch's threads spin for one another, set before torch comes. By default it is so long that an encoder and a
window beside the net slow it down tenfold on two cores; not at all, and it is slower by a third when it is alone."""

Command = TypeVar("Command", bound=Callable[..., Any])


def _check_smooth(context: click.Context, option: click.Parameter, value: str) -> str | float:
    if value in ("off", "auto", "best"):
        return value
    try:
        strength = float(value)
    except ValueError:
        strength = -1.0
    if not 0 <= strength <= 1:
        raise click.BadParameter(f"{value!r} is none of off, auto and best, nor a number from 0 to 1")
    return strength


def _check_device(context: click.Context, option: click.Parameter, value: str) -> str:
    kind, colon, number = value.partition(":")
    if kind not in DEVICES or (colon and not (kind == "cuda" and number.isdecimal())):
        raise click.BadParameter(f"{value!r} is none of {', '.join(DEVICES)}, nor one of several cards like cuda:1")
    return value


@dataclass(frozen=True, slots=True)
class Painting:
    """How frames are to be painted and by what, as the options say; nothing is loaded yet."""

    style: str | None
    strength: float
    keep_color: bool
    max_side: int | None
    engine: str
    precision: str
    device: str
    smooth: str | float = "auto"

    def choose(self, library: Library | None = None) -> tuple[StyleMix, StyleBank]:
        """The styles and the bank that has them; the library's first style where none was named.

        Raises StyleError for a mix that makes no sense and for styles that are not there.
        """
        library = Library() if library is None else library
        if self.style is None:
            entries = library.entries()
            if not entries:
                raise StyleError("no style is installed: add one with videostyle styles add FILE")
            mix = StyleMix(((entries[0].card.name, 1.0),))
        else:
            mix = parse_mix(self.style)
        bank = library.bank(mix)
        tell(*(f"note: {note}" for note in library.notes))
        return mix, bank

    def start(
        self, mix: StyleMix, bank: StyleBank, *, crossfade: float = 0.0, throughput: bool = False
    ) -> tuple[StyleEngine, Stylizer]:
        """The engine, loaded, and a stylizer for one stream on it. Raises EngineError where it cannot run here.

        crossfade: seconds in which the stylizer turns one style into the next. throughput: as of ``load_engine``.
        """
        from videostyle.engines import load_engine
        from videostyle.stylizer import Stylizer

        def told(line: str) -> None:
            tell(f"note: {line}")

        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
        engine = load_engine(
            bank,
            engine=self.engine,
            precision=self.precision,
            device=self.device,
            throughput=throughput,
            told=told,
        )
        return engine, Stylizer(
            engine,
            bank,
            mix,
            strength=self.strength,
            keep_color=self.keep_color,
            max_side=self.max_side,
            crossfade=crossfade,
            smooth="auto" if self.smooth == "best" else self.smooth,
            told=told,
        )


_PAINTING = (
    click.option("--style", metavar="MIX", help="What to paint like: NAME, or NAME:WEIGHT,NAME:WEIGHT."),
    click.option(
        "--strength",
        type=click.FloatRange(0, 1),
        default=1.0,
        show_default=True,
        help="0 is the photo as the net sees it, 1 the style.",
    ),
    click.option("--keep-color", is_flag=True, help="Take the brush strokes of the style, not its colours."),
    click.option(
        "--max-side", type=click.IntRange(min=16), metavar="N", help="Scale down so that no side is above N pixels."
    ),
    click.option(
        "--smooth",
        callback=_check_smooth,
        metavar="off|auto|best|0..1",
        default="auto",
        show_default=True,
        help="Hold the painting still where the film is; best looks ahead, in files, and takes its time.",
    ),
    click.option(
        "--engine", type=click.Choice(["auto", *ENGINES]), default="auto", show_default=True, help="What runs the net."
    ),
    click.option("--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True, help="Its numbers."),
    click.option(
        "--device",
        callback=_check_device,
        metavar="|".join(DEVICES),
        default="auto",
        show_default=True,
        help="Where it runs.",
    ),
)

_ENCODING = (
    click.option("--codec", help="What to encode with, as FFmpeg calls it. Left out: what suits OUTPUT's name."),
    click.option(
        "--quality",
        type=int,
        metavar="N",
        help="The encoder's quality (CRF): lower is better and larger; for videotoolbox and mf higher, up to 100.",
    ),
    click.option("--preset", help="The encoder's preset: how much time it takes to save space."),
)

force_option = click.option("--force", is_flag=True, help="Overwrite the output if it is there already.")
debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show where in the program an error arose."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout; the rest on stderr.")


def painting_options(command: Command) -> Command:
    """The options of ``_PAINTING``, as one argument ``painting``."""

    @functools.wraps(command)
    def gather(**options: Any) -> Any:
        painting = Painting(**{field.name: options.pop(field.name) for field in fields(Painting)})
        return command(painting=painting, **options)

    for option in reversed(_PAINTING):
        gather = option(gather)
    return gather  # type: ignore[return-value]


def encoding_options(command: Command) -> Command:
    """The options of ``_ENCODING`` that were given, as one argument ``encoding``: keyword arguments for a sink."""

    @functools.wraps(command)
    def gather(**options: Any) -> Any:
        encoding = {name: options.pop(name) for name in ("codec", "quality", "preset")}
        return command(encoding={name: value for name, value in encoding.items() if value is not None}, **options)

    for option in reversed(_ENCODING):
        gather = option(gather)
    return gather  # type: ignore[return-value]


def report_options(command: Command) -> Command:
    """--json (argument ``as_json``) and --debug (which ``videostyle.cli.run`` looks at itself)."""
    return json_option(debug_option(command))


_CARD = {
    "title": "The picture it was learned from.",
    "artist": "Who made that picture.",
    "year": "When.",
    "rights": "Its licence, and that of the weights.",
}


def card_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--title, --artist, --year and --rights, as one argument ``about`` with those that were given."""

    @functools.wraps(command)
    def gather(**options: Any) -> Any:
        about = {name: options.pop(name) for name in _CARD}
        return command(about={name: text for name, text in about.items() if text is not None}, **options)

    wrapped: Callable[..., Any] = gather
    for name, text in reversed(_CARD.items()):
        wrapped = click.option(f"--{name}", help=text)(wrapped)
    return wrapped


def pick_device(name: str) -> str:
    """``name``, or for "auto" a CUDA card if there is one, else the CPU. Raises EngineError where PyTorch lacks it."""
    from videostyle.engines.pytorch import lacks

    if name == "auto":
        return "cpu" if lacks("cuda") else "cuda"
    if reason := lacks(name):
        raise EngineError(reason)
    return name


def check_paths(source: str | Path, output: str | Path, *, force: bool) -> None:
    """Refuse early what the sink would refuse only after nets are loaded, and what no sink can see.

    Raises UsageError for an output file that exists, unless ``force``, and for one that is its own input.
    """
    target, origin = (Path(str(of).removeprefix("images:").removeprefix("file:")) for of in (output, source))
    if not origin.exists() and ("*" in origin.name or "?" in origin.name):
        origin = origin.parent
    if target.exists() and origin.exists() and target.samefile(origin):
        raise UsageError(f"{output} is the input itself: choose another output")
    if target.is_file() and not force:
        raise UsageError(f"{output} exists already: choose another output, or --force to overwrite it")


def tell(*lines: str) -> None:
    """Say something to a person: on stderr, so that stdout stays for programs."""
    for line in lines:
        click.echo(line, err=True)


def emit(values: Mapping[str, Any]) -> None:
    """The one JSON object of a ``--json`` run, on stdout."""
    click.echo(json.dumps(values, ensure_ascii=False))


def tell_report(report: RunReport, *, as_json: bool) -> None:
    """How a run went: its notes and a closing line for people, or JSON for programs."""
    tell(*(f"note: {note}" for note in report.notes))
    size = f", {report.size[0]}x{report.size[1]}" if report.size else ""
    dropped = f", {report.dropped} dropped" if report.dropped else ""
    where = f"{report.engine}/{report.precision}/{report.device}"
    tell(
        f"{report.output}: {report.frames_out} frames{size} in {report.seconds:.1f} s, "
        f"{report.fps:.1f} fps{dropped} ({where})"
    )
    if as_json:
        emit(report.to_json())
