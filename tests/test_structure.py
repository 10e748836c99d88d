"""The shape of the code: which room imports which, what is at the top, what is never called."""

from __future__ import annotations

import ast
import importlib
import json
import re
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from helpers.tiny_runs import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PACKAGE = "tutelage"
FOLDERS = ("rl", "prompts", "agents", "graphs")

TOP_LEVEL = {
    *("LICENSE", "README.md", "cli.py", "docs", "pyproject.toml", "tests"),
    *FOLDERS,
}
BY_PRODUCTS = {"runs", "build", "dist", "__pycache__"}
"""What running and building leave behind, besides dot files and *.egg-info."""

UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_BUILTINS = {"eval", "exec", "compile", "__import__"}
UNSAFE_CALLS = {("torch", "load"), ("torch", "save"), ("os", "system"), ("yaml", "load")}

FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TREES = {path: ast.parse(path.read_text("utf-8"), str(path)) for path in FILES}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
}
"""The files by the dotted names of their modules, without the package's own name."""


def table(heading: str) -> dict[str, set[str]]:
    """The rows of the tables whose first column has this heading: its name, the names in the last.

    Each name is in backticks.
    """
    rows: dict[str, set[str]] = {}
    inside = False
    for line in PAGE.splitlines():
        if line.startswith(f"| {heading} |"):
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("| ---"):
            first, *_, last = line.strip("|").split("|")
            (name,) = re.findall(r"`([^`]+)`", first)
            assert name not in rows, f"{name} has two rows"
            rows[name] = set(re.findall(r"`([^`]+)`", last))
    assert rows, f"no table of {heading}s"
    return rows


ROOMS = table("room")
LIBRARIES = table("library")


def room_of(module: str) -> str | None:
    """The room of a module: the longest of the table's names that leads to it."""
    path = MODULES[module].relative_to(ROOT)
    places = [str(path), *map(str, path.parents)]
    return next((place for place in places if place in ROOMS), None)


def imports(module: str) -> Iterator[str]:
    """What a module imports, by its dotted name: at the top, late, and for type checking."""
    for node in ast.walk(TREES[MODULES[module]]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner.removeprefix(f"{PACKAGE}.") in MODULES else str(node.module)


def own_imports(module: str) -> set[str]:
    """The modules of this project that a module imports."""
    found = {name for name in imports(module) if name.partition(".")[0] == PACKAGE}
    return {name.removeprefix(f"{PACKAGE}.") for name in found - {PACKAGE}}


ARROWS = {
    room: {
        str(room_of(target))
        for module in MODULES
        if room_of(module) == room
        for target in own_imports(module)
        if target in MODULES
    }
    - {room}
    for room in ROOMS
}
"""The rooms that each room imports, as the code has it."""


def is_call_of(call: ast.Call, module: str, name: str) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id=found), attr=attribute):
            return (found, attribute) == (module, name)
        case _:
            return False


def resolves(dotted: str) -> bool:
    """Whether a name that begins with a module leads to something."""
    parts = dotted.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for name in parts[split:]:
            fields = getattr(found, "__annotations__", {}) | getattr(found, "model_fields", {})
            if not hasattr(found, name) and name not in fields:
                return False
            found = getattr(found, name, None)
        return True
    return False


def each_file() -> pytest.MarkDecorator:
    """A test for each module, named by its path."""
    names = [str(path.relative_to(ROOT)) for path in FILES]
    return pytest.mark.parametrize("path", FILES, ids=names)


class TestRooms:
    @pytest.mark.parametrize("module", MODULES)
    def test_every_module_is_in_a_room(self, module: str) -> None:
        says_only = len(TREES[MODULES[module]].body) == 1  # what its folder is for
        assert room_of(module) is not None or says_only

    @pytest.mark.parametrize("room", ROOMS)
    def test_a_room_imports_what_the_page_says_and_no_more(self, room: str) -> None:
        assert ARROWS[room] == ROOMS[room]

    def test_no_arrow_leads_back_up(self) -> None:
        above: set[str] = set()
        for room, imported in ROOMS.items():
            assert imported <= above, f"{room} imports rooms that are not above it"
            above.add(room)

    def test_no_modules_import_in_a_circle(self) -> None:
        tuple(TopologicalSorter({name: own_imports(name) for name in MODULES}).static_order())

    @pytest.mark.parametrize("module", MODULES)
    def test_what_is_imported_is_there(self, module: str) -> None:
        assert own_imports(module) <= set(MODULES)

    def test_the_rule_is_about_something(self) -> None:
        """Were the parsing wrong, nothing would be found and every rule would hold."""
        assert len(MODULES) > 200
        assert "rl/tasks" in ARROWS["rl/advice"]
        assert "graphs/nodes" in ARROWS["graphs"]

    @pytest.mark.parametrize("library", LIBRARIES)
    def test_a_library_is_used_in_its_rooms_alone(self, library: str) -> None:
        using = {
            str(room_of(module))
            for module in MODULES
            for name in imports(module)
            if re.split(r"[._]", name)[0] == library or name.partition(".")[0] == library
        }
        assert using == LIBRARIES[library]


class TestNamesInStrings:
    """A moved module must not leave its old name behind where no import would tell."""

    @pytest.mark.parametrize("module", MODULES)
    def test_dotted_names_lead_somewhere(self, module: str) -> None:
        named = set()
        for node in ast.walk(TREES[MODULES[module]]):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named |= {
                    f"{PACKAGE}.{name.removeprefix(f'{PACKAGE}.')}"
                    for name in re.findall(
                        r"`(?:tutelage\.)?((?:rl|agents|graphs|prompts)\.[\w.]*\w)`", node.value
                    )
                }
                if re.fullmatch(r"tutelage\.(rl|agents|graphs|prompts)[\w.]*(:\w+)?", node.value):
                    named.add(node.value.replace(":", "."))
        assert {name for name in named if not resolves(name)} == set()

    def test_so_do_those_of_other_files(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        named = [*project["scripts"].values()]
        named += [n for group in project.get("entry-points", {}).values() for n in group.values()]
        served = json.loads((ROOT / "graphs" / "langgraph.json").read_text("utf-8"))
        named += list(served["graphs"].values())
        assert len(named) > 5
        assert [name for name in named if not resolves(name.replace(":", "."))] == []

    @pytest.mark.parametrize(
        "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
    )
    def test_files_that_a_page_names_are_there(self, page: Path) -> None:
        text = page.read_text("utf-8")
        named = set(
            re.findall(r"(?<![\w/.])((?:rl|agents|graphs|prompts|tests|docs)/[\w/.]*\w)", text)
        )
        assert {name for name in named if not (ROOT / name).exists()} == set()


def test_the_top_level_is_as_it_was_fixed() -> None:
    found = {
        path.name
        for path in ROOT.iterdir()
        if not path.name.startswith(".") and not path.name.endswith(".egg-info")
    }
    assert found - BY_PRODUCTS == TOP_LEVEL


def test_the_tests_mirror_the_rooms() -> None:
    tests = ROOT / "tests"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    assert len(folders) > 20
    assert {folder for folder in folders if not (ROOT / folder).is_dir()} == set()


def test_the_package_is_the_four_folders() -> None:
    package = ROOT / ".package" / PACKAGE
    linked = {path.name: path.readlink() for path in package.iterdir() if path.is_symlink()}
    assert linked == {folder: Path("..", "..", folder) for folder in FOLDERS}


@each_file()
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert (ast.get_docstring(TREES[path]) or "").strip()


@each_file()
def test_no_module_unpickles_or_evaluates(path: Path) -> None:
    tree = TREES[path]
    module = next(name for name, place in MODULES.items() if place == path)
    assert not {name.partition(".")[0] for name in imports(module)} & UNSAFE_MODULES
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    assert not named & UNSAFE_BUILTINS
    for call in calls:
        assert not any(is_call_of(call, module, name) for module, name in UNSAFE_CALLS)
        pickling = [k.value for k in call.keywords if k.arg == "allow_pickle"]
        assert all(isinstance(v, ast.Constant) and v.value is False for v in pickling)
