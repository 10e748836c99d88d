"""The shape of the code base: who imports whom, what lies at the top, what is never called."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.tiny_runs import ROOT

MAY_IMPORT = {
    "rl": set(),
    "prompts": set(),
    "agents": {"rl", "prompts"},
    "graphs": {"rl", "prompts", "agents"},
    "cli": {"rl", "prompts", "agents", "graphs"},
}
"""The siblings that each package may import (DESIGN.md, "Layout")."""

TOP_LEVEL = {
    "LICENSE",
    "README.md",
    "agents",
    "cli.py",
    "docs",
    "graphs",
    "prompts",
    "pyproject.toml",
    "rl",
    "tests",
}
BY_PRODUCTS = {"runs", "build", "dist", "__pycache__"}
"""What running and building leave behind, besides dot files and *.egg-info."""

LONGEST = 400
UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_BUILTINS = {"eval", "exec", "compile", "__import__"}
UNSAFE_CALLS = {("torch", "load"), ("torch", "save"), ("os", "system"), ("yaml", "load")}

FILES = sorted(
    [ROOT / "cli.py"]
    + [path for name in MAY_IMPORT if name != "cli" for path in (ROOT / name).rglob("*.py")]
)


def each_file() -> pytest.MarkDecorator:
    """A test for each module, named by its path."""
    names = [str(path.relative_to(ROOT)) for path in FILES]
    return pytest.mark.parametrize("path", FILES, ids=names)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(nodes: Iterator[ast.AST], package: str) -> set[str]:
    """The top-level names of what is imported; a relative import is one of the package's own."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(package if node.level else (node.module or "").partition(".")[0])
        elif isinstance(node, ast.Call) and is_call_of(node, "importlib", "import_module"):
            found |= {
                str(argument.value).partition(".")[0]
                for argument in node.args
                if isinstance(argument, ast.Constant)
            }
    return found


def is_call_of(call: ast.Call, module: str, name: str) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id=found), attr=attribute):
            return (found, attribute) == (module, name)
        case _:
            return False


@each_file()
def test_a_package_imports_only_what_it_may(path: Path) -> None:
    package = package_of(path)
    siblings = imported(ast.walk(tree_of(path)), package) & set(MAY_IMPORT)
    assert siblings <= MAY_IMPORT[package] | {package}


def test_the_import_rule_is_about_something() -> None:
    """Were the parsing wrong, nothing would be found and every rule would hold."""
    found = {
        name: set().union(
            *(imported(ast.walk(tree_of(p)), name) for p in FILES if package_of(p) == name)
        )
        for name in MAY_IMPORT
    }
    assert {"rl", "prompts"} <= found["agents"]
    assert {"rl", "prompts", "agents"} <= found["graphs"]
    assert "graphs" in found["cli"]


def test_the_top_level_is_as_it_was_fixed() -> None:
    found = {
        path.name
        for path in ROOT.iterdir()
        if not path.name.startswith(".") and not path.name.endswith(".egg-info")
    }
    assert found - BY_PRODUCTS == TOP_LEVEL


@each_file()
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert (ast.get_docstring(tree_of(path)) or "").strip()


def test_no_module_is_long() -> None:
    """The command line apart: it has a few lines for each command there is."""
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {path for path in lengths if lengths[path] > LONGEST} <= {ROOT / "cli.py"}


@each_file()
def test_no_module_unpickles_or_evaluates(path: Path) -> None:
    tree = tree_of(path)
    assert not imported(ast.walk(tree), package_of(path)) & UNSAFE_MODULES
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    assert not named & UNSAFE_BUILTINS
    for call in calls:
        assert not any(is_call_of(call, module, name) for module, name in UNSAFE_CALLS)
        pickling = [k.value for k in call.keywords if k.arg == "allow_pickle"]
        assert all(isinstance(v, ast.Constant) and v.value is False for v in pickling)
