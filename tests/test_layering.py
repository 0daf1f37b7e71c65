"""Imports point one way, and what the docstrings call arguments are arguments."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import fullband

ROOT = Path(fullband.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

LADDER = (
    ("errors", "version"),
    ("settings", "manifest", "workers", "folders"),
    ("audio",),
    ("degrade", "models", "losses"),
    ("card",),
    ("corpora", "engine"),
    ("enhancement", "streaming"),
    ("inspection", "batch", "evaluate", "spans"),
    ("batch_run", "live", "scale", "train"),
    ("web",),
    ("listening",),
    ("cli", "__main__"),
)
"""Each part may import from those above it in this list, and from itself. The package's own
`__init__` and the folder of released weights import nothing but the version."""

RUNGS = {part: number for number, parts in enumerate(LADDER) for part in parts}


def part_of(path: Path) -> str:
    """The first name below the package: a module of its own or a subpackage."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_parts(tree: ast.AST) -> set[str]:
    """The parts of fullband that a file imports when it runs, anywhere in it."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fullband":
            inside = (node.module or "").split(".")[1:]
            found |= {inside[0]} if inside else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {name[1] for name in names if name[0] == "fullband" and len(name) > 1}
        found |= imported_parts(node)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    part = part_of(path)
    imported = imported_parts(ast.parse(path.read_text(encoding="utf-8")))
    if part in ("__init__", "released"):
        assert imported <= {"version"}
        return
    upwards = {other for other in imported if other != part and RUNGS[other] >= RUNGS[part]}
    assert upwards == set(), f"{part} may not import {upwards}"


def test_the_ladder_has_every_part_and_no_other():
    parts = {part_of(path) for path in FILES} - {"__init__", "released"}
    assert parts == set(RUNGS) - ({"__main__"} if not (ROOT / "__main__.py").exists() else set())


def test_an_import_the_wrong_way_would_be_noticed():
    tree = ast.parse("def f():\n    from fullband.cli import main\n    import fullband.audio.file")
    assert imported_parts(tree) == {"cli", "audio"}
    tree = ast.parse("if TYPE_CHECKING:\n    from fullband.cli import main")
    assert imported_parts(tree) == set()


def documented_arguments(docstring: str) -> list[str]:
    """The names under `Args:`, where a line may name several: `rate, model: see above.`"""
    lines = docstring.expandtabs().splitlines()
    starts = [i for i, line in enumerate(lines) if line.strip() == "Args:"]
    if not starts:
        return []
    indent = len(lines[starts[0]]) - len(lines[starts[0]].lstrip())
    names: list[str] = []
    for line in lines[starts[0] + 1 :]:
        depth = len(line) - len(line.lstrip())
        if line.strip() and depth <= indent:
            break
        match = re.match(r"([\w, ]+):", line.strip())
        if depth == indent + 4 and match:
            names += [name.strip() for name in match[1].split(",")]
    return names


def documented_definitions():
    """Every function and class whose docstring has arguments, with the names it really takes."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                continue
            names = documented_arguments(ast.get_docstring(node) or "")
            if not names:
                continue
            function = node
            if isinstance(node, ast.ClassDef):
                function = next(
                    (
                        inner
                        for inner in node.body
                        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__"
                    ),
                    None,
                )
            taken = []
            if function is not None:
                arguments = function.args
                taken = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
                taken += [rest for rest in (arguments.vararg, arguments.kwarg) if rest is not None]
            yield pytest.param(
                names,
                {argument.arg for argument in taken},
                id=f"{path.relative_to(ROOT)}:{node.name}",
            )


@pytest.mark.parametrize(("documented", "taken"), list(documented_definitions()))
def test_documented_arguments_are_arguments(documented, taken):
    assert set(documented) <= taken


def test_documented_arguments_are_found():
    docstring = (
        "Do.\n\nArgs:\n    a: first,\n        which: is long.\n    b, c: see a.\n"
        "\nRaises:\n    d: no."
    )
    assert documented_arguments(docstring) == ["a", "b", "c"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_is_in_it(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
