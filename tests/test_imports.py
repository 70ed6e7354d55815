"""Imports point downward only, and what is light stays light: the table of the design, held by the syntax tree."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "videostyle"

LAYERS = (
    {"errors", "address", "memory"},
    {"frame"},
    {"keys", "governor", "scaling", "overlap"}
    | {"channel", "stats", "color", "yuv", "canvas", "output", "pictures", "sources", "sinks"}
    | {"styles", "learned", "library"},
    {"net", "transformer_net", "fast_neural_style"},
    {"engines"},
    {"quantize", "flow", "steadiness", "standing", "temporal", "losses", "perceptual", "quality", "motion"}
    | {"equalize", "compiled", "vectors", "dense_search", "dense_search_loops", "refinement", "temporal_loops"}
    | {"compositor", "compositor_loops", "compositor_card"},
    {"stylizer"},
    {"pipeline"},
    {"batch", "web", "export", "measure", "benchmark"}
    | {"train", "train_data", "train_options", "distill", "prune", "learn", "compact"}
    | {"optimize", "optimize_options", "optimize_loss", "optimize_search", "optimize_bank", "keyframes"}
    | {"painter", "controls", "live", "live_outputs", "doctor", "apprentice"},
    {"cli"},
)
"""From the bottom up. A module or package imports from layers below its own and from its own."""

WITHOUT_TORCH = {*LAYERS[0], *LAYERS[1], *LAYERS[2]}
WITHOUT_TORCH |= {"quantize", "flow", "steadiness", "standing", "temporal", "stylizer", "pipeline"}
WITHOUT_TORCH |= {"compiled", "vectors", "dense_search", "dense_search_loops", "refinement", "temporal_loops"}
WITHOUT_TORCH |= {"compositor", "compositor_loops"}
"""These neither import torch nor anything that does; nor do the registry of engines, which imports them by name, and
the engines but PyTorch's own."""

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or not path.stem.startswith("__"))


def part(path: Path) -> str:
    """The module or package directly below videostyle/ that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Full names of all modules that a file imports, inside functions too; not those for type checkers alone."""
    return tuple(_names(ast.parse(path.read_text(encoding="utf-8"))))


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        else:
            yield from _names(node)


def neighbours(path: Path) -> set[Path]:
    """Files of this package that a file imports."""
    found = set()
    for name in imports(path):
        place = ROOT.joinpath(*name.split("."))
        found |= {file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()}
    return found - {path, PACKAGE / "__init__.py"}


def layer(name: str) -> int:
    (found,) = [number for number, names in enumerate(LAYERS) if name in names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path: Path) -> None:
    known = set().union(*LAYERS)
    assert part(path) in known, "a new module needs its place in LAYERS"
    upward = {part(other) for other in neighbours(path) if layer(part(other)) > layer(part(path))}
    assert upward == set()


def test_no_module_imports_itself_by_a_detour() -> None:
    def reach(path: Path, seen: frozenset[Path]) -> None:
        assert path not in seen, f"a cycle of imports: {' -> '.join(map(part, seen))}"
        # A package's __init__ may name its members, and they its contents: Python allows for that.
        for other in neighbours(path):
            if other.name != "__init__.py":
                reach(other, seen | {path})

    for path in MODULES:
        reach(path, frozenset())


LIGHT = [
    path for path in MODULES if part(path) in WITHOUT_TORCH or (part(path) == "engines" and path.stem != "pytorch")
]


@pytest.mark.parametrize("path", LIGHT, ids=part)
def test_what_needs_no_torch_does_not_reach_it(path: Path) -> None:
    seen, ahead = set(), {path}
    while ahead:
        now = ahead.pop()
        seen.add(now)
        heavy = {name for name in imports(now) if name.split(".")[0] in {"torch", "torchvision"}}
        assert heavy == set(), f"{now.relative_to(ROOT)} imports {heavy}"
        ahead |= neighbours(now) - seen


@pytest.mark.parametrize("path", sorted((PACKAGE / "cli").glob("*.py")), ids=lambda path: path.stem)
def test_commands_import_the_heavy_ones_only_when_they_run(path: Path) -> None:
    top = ast.parse(path.read_text(encoding="utf-8")).body
    names = {
        name for node in top if isinstance(node, ast.Import | ast.ImportFrom) for name in _names(ast.Module([node], []))
    }
    assert {name.split(".")[0] for name in names} & {"torch", "torchvision", "cv2", "av"} == set()


@pytest.mark.parametrize("program", ["import videostyle", "import videostyle.cli", "import videostyle.cli.common"])
def test_a_fresh_interpreter_stays_light(program: str) -> None:
    program += "; import sys; print(sorted({'torch', 'torchvision', 'cv2', 'av'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"
