"""The command line as a program sees it: what is imported, exit codes, one line on stderr, one object on stdout."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from videostyle import __version__
from videostyle.cli import COMMANDS, run
from videostyle.cli.common import Painting, check_paths, painting_options, report_options, tell_report
from videostyle.cli.demo import has_screen
from videostyle.cli.progress import RunProgress, remaining
from videostyle.errors import EngineError, SinkError, SourceError, StyleError, UsageError, VideoStyleError
from videostyle.library import Library
from videostyle.pipeline import Progress
from videostyle.stats import Latency, RunReport

FOLDER = Path(__file__).parent.parent / "videostyle" / "cli"
Captured = pytest.CaptureFixture[str]


def failing(error: BaseException) -> click.Group:
    @click.group()
    def group() -> None: ...

    @group.command("work")
    @report_options
    def work(as_json: bool) -> None:
        raise error

    return group


def test_help_lists_all_commands_and_imports_none_of_them() -> None:
    program = (
        "import sys; sys.argv = ['videostyle', '--help']\n"
        "import atexit, videostyle.cli\n"
        "heavy = ('torch', 'cv2', 'av', 'numpy', 'rich', 'videostyle.cli.video')\n"
        "atexit.register(lambda: print([name for name in heavy if name in sys.modules], file=sys.stderr))\n"
        "videostyle.cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == "[]\n"
    listed = done.stdout[done.stdout.index("Commands:") :].splitlines()[1:]
    assert [line.split()[0] for line in listed] == list(COMMANDS)


def test_every_row_is_a_command_and_every_command_has_a_row() -> None:
    def defines_command(path: Path) -> bool:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        return any(isinstance(node, ast.FunctionDef) and node.name == "command" for node in tree.body)

    assert {path.stem for path in FOLDER.glob("*.py") if defines_command(path)} == set(COMMANDS)
    for name in COMMANDS:
        assert isinstance(importlib.import_module(f"videostyle.cli.{name}").command, click.Command)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_json_and_debug(name: str) -> None:
    def leaves(command: click.Command) -> list[click.Command]:
        if not isinstance(command, click.Group):
            return [command]
        return [leaf for inner in command.commands.values() for leaf in leaves(inner)]

    for leaf in leaves(importlib.import_module(f"videostyle.cli.{name}").command):
        options = {flag for parameter in leaf.params for flag in parameter.opts}
        assert {"--json", "--debug"} <= options


def test_version(capsys: Captured) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"videostyle {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [(VideoStyleError, 1), (SinkError, 1), (EngineError, 1), (UsageError, 2), (StyleError, 2), (SourceError, 2)],
)
def test_errors_are_one_line_and_say_their_exit_code(error: type[VideoStyleError], code: int, capsys: Captured) -> None:
    assert run(["work"], failing(error("it broke"))) == code
    said = capsys.readouterr()
    assert said.err == "videostyle: it broke\n"
    assert said.out == ""


def test_an_error_of_several_lines_is_said_in_one(capsys: Captured) -> None:
    run(["work"], failing(SinkError("the disk\n  is full\n")))
    assert capsys.readouterr().err == "videostyle: the disk is full\n"


@pytest.mark.parametrize(
    ("arguments", "said", "place"),
    [
        (["paint"], "No such command 'paint'", "(see videostyle --help)\n"),
        (["video"], "Missing argument 'INPUT'", "(see videostyle video --help)\n"),
        (["video", "a", "b", "--frobnicate"], "--frobnicate", "(see videostyle video --help)\n"),
    ],
)
def test_bad_use_is_exit_code_2(arguments: list[str], said: str, place: str, capsys: Captured) -> None:
    assert run(arguments) == 2
    line = capsys.readouterr().err
    assert line.startswith("videostyle: ")
    assert said in line
    assert line.endswith(place)
    assert line.count("\n") == 1


def test_the_unexpected_is_one_line_too_and_debug_shows_where(capsys: Captured) -> None:
    assert run(["work"], failing(ZeroDivisionError("in the net"))) == 1
    short = capsys.readouterr().err
    assert short == "videostyle: ZeroDivisionError: in the net (unexpected: run again with --debug to see where)\n"
    assert run(["work", "--debug"], failing(ZeroDivisionError("in the net"))) == 1
    long = capsys.readouterr().err
    assert long.startswith("Traceback (most recent call last):\n")
    assert "raise error" in long
    assert long.endswith(short)


def test_debug_shows_where_a_known_error_arose_as_well(capsys: Captured) -> None:
    assert run(["work", "--debug"], failing(UsageError("no such thing"))) == 2
    assert "raise error" in capsys.readouterr().err


def test_errors_are_json_where_that_was_asked_for(capsys: Captured) -> None:
    assert run(["work", "--json"], failing(UsageError("no such thing"))) == 2
    said = capsys.readouterr()
    assert json.loads(said.out) == {"error": "no such thing", "type": "UsageError", "exit_code": 2}
    assert said.err == "videostyle: no such thing\n"
    assert run(["video", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2


def test_ctrl_c_is_130(capsys: Captured) -> None:
    assert run(["work", "--json"], failing(KeyboardInterrupt())) == 130
    said = capsys.readouterr()
    assert json.loads(said.out) == {"error": "interrupted", "type": "KeyboardInterrupt", "exit_code": 130}
    assert said.err.strip() == "videostyle: interrupted"


@pytest.mark.parametrize("arguments", [["--help"], ["video", "--json"]])
def test_a_reader_that_leaves_is_no_reason_to_complain(arguments: list[str]) -> None:
    program = [sys.executable, "-m", "videostyle", *arguments]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


def painting(*arguments: str) -> Painting:
    @click.command()
    @painting_options
    def command(painting: Painting) -> Painting:
        return painting

    chosen: Painting = command.main(list(arguments), standalone_mode=False)
    return chosen


def test_painting_options_arrive_as_one_value() -> None:
    assert painting() == Painting(None, 1.0, False, None, "auto", "auto", "auto")
    given = (
        "--style a:1,b:2 --strength 0.5 --keep-color --max-side 640 --engine pytorch --precision bf16 --device cuda:1"
    )
    assert painting(*given.split()) == Painting("a:1,b:2", 0.5, True, 640, "pytorch", "bf16", "cuda:1")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--strength", "1.1"),
        ("--strength", "-0.1"),
        ("--max-side", "0"),
        ("--engine", "abacus"),
        ("--precision", "fp8"),
        ("--device", "tpu"),
        ("--device", "cpu:1"),
        ("--device", "cuda:"),
    ],
)
def test_values_out_of_range_are_bad_use(option: str, value: str) -> None:
    with pytest.raises(click.BadParameter):
        painting(option, value)


def test_a_library_without_styles_says_so(tmp_path: Path) -> None:
    with pytest.raises(StyleError, match="no style is installed"):
        painting().choose(Library(tmp_path, tmp_path))
    with pytest.raises(StyleError, match="'sunflowers'"):
        painting("--style", "sunflowers").choose(Library(tmp_path, tmp_path))


def test_outputs_are_not_overwritten_unless_forced_and_inputs_never(tmp_path: Path) -> None:
    there, other = tmp_path / "there.mp4", tmp_path / "other.mp4"
    there.touch()
    other.touch()
    check_paths(other, tmp_path / "new.mp4", force=False)
    check_paths(other, there, force=True)
    with pytest.raises(UsageError, match=r"there\.mp4 exists already: choose another output, or --force"):
        check_paths(other, there, force=False)
    with pytest.raises(UsageError, match="is the input itself"):
        check_paths(there, tmp_path / "." / "there.mp4", force=True)


def test_a_folder_of_pictures_is_not_painted_over_while_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "seq").mkdir()
    (tmp_path / "seq/1.png").touch()
    for source in ("seq", "images:seq", "seq/*.png"):
        for output in ("images:seq", "seq/"):
            with pytest.raises(UsageError, match="is the input itself"), contextlib.chdir(tmp_path):
                check_paths(source, output, force=True)


def test_what_the_system_refuses_is_one_plain_line(tmp_path: Path, capsys: Captured) -> None:
    name = "x" * 300 + ".mp4"
    assert run(["video", "synthetic:64x48", str(tmp_path / name)]) == 1
    err = capsys.readouterr().err
    assert err == f"videostyle: {tmp_path / name}: File name too long\n"


def report(**changes: object) -> RunReport:
    values = {"frames_in": 40, "frames_out": 30, "dropped": 10, "seconds": 2.0, "fps": 15.0, "size": (640, 360)}
    values |= {"latency_ms": Latency(1.0, 2.0, 3.0), "peak_rss_mb": 100.0, "output": "out.mp4"}
    return RunReport(**values | {"engine": "pytorch", "precision": "fp32", "device": "cpu"} | changes)  # type: ignore[arg-type]


def test_a_run_closes_with_a_line_for_people_and_json_for_programs(capsys: Captured) -> None:
    tell_report(report(notes=("3 frames were damaged",)), as_json=False)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "note: 3 frames were damaged\nout.mp4: 30 frames, 640x360 in 2.0 s, 15.0 fps, 10 dropped (pytorch/fp32/cpu)\n"
    )
    tell_report(report(), as_json=True)
    assert json.loads(capsys.readouterr().out) == report().to_json()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def walk(stream: io.StringIO, every: float | None, expected: int | None = 4) -> str:
    with RunProgress(stream, every=every) as progress:
        for frames in range(1, 5):
            progress(Progress(frames, expected, 0, frames * 30.0))
    return stream.getvalue()


def test_without_a_terminal_progress_is_a_line_now_and_then() -> None:
    assert walk(io.StringIO(), None) == ""
    assert walk(io.StringIO(), 0.0).splitlines() == [
        "1 of 4 frames, 0.0 fps, 1:30 left",
        "2 of 4 frames, 0.0 fps, 1:00 left",
        "3 of 4 frames, 0.0 fps, 0:30 left",
        "4 of 4 frames, 0.0 fps, 0:00 left",
    ]
    assert walk(io.StringIO(), 0.0, expected=None).splitlines()[-1] == "4 frames, 0.0 fps"
    assert walk(io.StringIO(), 0.0, expected=3).splitlines()[-1] == "4 frames, 0.0 fps"


def test_on_a_terminal_progress_is_a_bar(capsys: Captured) -> None:
    assert "4 of 4 frames" in walk(Terminal(), 0.0)
    assert capsys.readouterr().out == ""


def test_long_waits_are_told_in_hours() -> None:
    assert remaining(Progress(1, 7201, 0, 1.0), 7201) == "2:00:00"


def test_windows_open_only_where_there_is_a_screen() -> None:
    assert has_screen({}, "win32")
    assert has_screen({}, "darwin")
    assert has_screen({"DISPLAY": ":0"}, "linux")
    assert has_screen({"WAYLAND_DISPLAY": "wayland-0"}, "linux")
    assert not has_screen({"DISPLAY": ""}, "linux")
