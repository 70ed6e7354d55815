"""The command line: ``videostyle COMMAND``. A command's module is imported when the command is called, not before.

Exit codes: 0 done, 1 failed on the way, 2 bad use or input, 130 interrupted, 143 terminated. What goes wrong is one
line on stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

from videostyle import __version__
from videostyle.errors import VideoStyleError

COMMANDS = {
    "demo": "Turn the clip that comes along into a painting, and show it.",
    "live": "Paint a webcam: in a window, a recording, your next call.",
    "video": "Turn a video file into a painting.",
    "image": "Turn a picture into a painting.",
    "keyframes": "Paint a video offline: keyframes carried along its motion.",
    "learn": "Learn a style from a picture of yours, in two minutes.",
    "styles": "List, show, add, remove styles; paint a photo in all of them.",
    "export": "Write a bank as a file that phones and other programs run.",
    "train": "Learn a bank of styles from pictures and photos.",
    "measure": "Measure a painted video: steadiness, likeness, style.",
    "bench": "Measure how fast this computer paints, and what to choose.",
    "doctor": "Check what works on this computer, and how to mend the rest.",
}
"""One row a command: its name is its module beside this file (which calls it ``command``), its help is the one line."""

INTERRUPTED, TERMINATED = 128 + 2, 128 + 15


class LazyGroup(click.Group):
    """A group of the commands in ``COMMANDS``: listing them imports none of their modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"videostyle.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s")
def group() -> None:
    """Turn live or recorded video into a painting, on this computer."""


def run(arguments: Sequence[str], commands: click.Command = group) -> int:
    """Run one command line, without the program's name, and say what its exit code is."""
    options = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    as_json = "--json" in options
    try:
        result = commands.main(list(arguments), prog_name="videostyle", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.Abort:
        return _fail("interrupted", "KeyboardInterrupt", INTERRUPTED, as_json=as_json)
    except Exception as error:
        if "--debug" in options:
            traceback.print_exception(error)
        message, code = _explain(error)
        return _fail(message, type(error).__name__, code, as_json=as_json)


def main() -> NoReturn:
    """The program."""
    terminated = []

    def on_end(number: int, place: FrameType | None) -> None:
        # What stops services and jobs leaves outputs as whole as Ctrl-C does, and by the same way; so does a terminal
        # that is closed. Jobs in the background are started with SIGINT ignored; they must still end.
        terminated.append(number)
        handler = signal.getsignal(signal.SIGINT)
        (handler if callable(handler) else signal.default_int_handler)(number, place)

    signal.signal(signal.SIGTERM, on_end)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        signal.signal(signal.SIGHUP, on_end)
    try:
        code = run(sys.argv[1:])
        code = 128 + terminated[0] if terminated and code == INTERRUPTED else code
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter must not complain about that on its way out either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


def _explain(error: Exception) -> tuple[str, int]:
    """What to say of an error in one line, and the exit code."""
    if isinstance(error, VideoStyleError):
        return str(error), error.exit_code
    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        place = context.command_path if context else "videostyle"
        return f"{error.format_message().rstrip('.')} (see {place} --help)", error.exit_code
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}", 1
    return f"{type(error).__name__}: {error} (unexpected: run again with --debug to see where)", 1


def _fail(message: str, kind: str, code: int, *, as_json: bool) -> int:
    line = " ".join(message.split())
    click.echo(f"videostyle: {line}", err=True)
    if as_json:
        click.echo(json.dumps({"error": line, "type": kind, "exit_code": code}))
    return code
