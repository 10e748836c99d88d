"""What stands around the code: metadata, workflow, container file, changelog, contributing page."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import subprocess
import sys
import tomllib
from email.message import Message
from email.parser import Parser
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from helpers.tiny_runs import ROOT
from tutelage import __version__
from tutelage.graphs.registry import list_graphs
from tutelage.graphs.terminal.app import app

PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
README: Final = (ROOT / "README.md").read_text("utf-8")
CHECKS: Final = (ROOT / ".ci" / "run").read_text("utf-8")
CHANGELOG: Final = (ROOT / "docs" / "CHANGELOG.md").read_text("utf-8")
CONTRIBUTING: Final = (ROOT / "docs" / "CONTRIBUTING.md").read_text("utf-8")


def fenced_lines(page: str) -> set[str]:
    """The lines of a page's fenced blocks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    return {line.strip() for block in blocks for line in block.splitlines()}


def build_context(folder: Path) -> Path:
    """A copy of what .dockerignore lets an engine see. It lists what is allowed, name by name."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    everything, *rules = [line for line in lines if line and not line.startswith("#")]
    *allowed, inside = rules
    assert (everything, inside) == ("*", "**/__pycache__")
    for rule in allowed:
        assert rule.startswith("!"), rule
        place = ROOT / rule.removeprefix("!")
        if place.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(place, folder / place.name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(place, folder)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Message:
    """METADATA as setuptools writes it, from nothing but what an image is made from."""
    out = tmp_path_factory.mktemp("metadata")
    code = f"import setuptools.build_meta as b; b.prepare_metadata_for_build_wheel({str(out)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=build_context(tmp_path_factory.mktemp("context")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (place,) = out.glob("*.dist-info")
    return Parser().parsestr((place / "METADATA").read_text("utf-8"))


@pytest.fixture
def job() -> dict[str, Any]:
    """The workflow's one job."""
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    (job,) = yaml.safe_load(text)["jobs"].values()
    assert isinstance(job, dict)
    return job


@pytest.fixture
def steps() -> list[tuple[str, str]]:
    """The container file's instructions, each with what follows it."""
    text = (ROOT / "docs" / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(first, rest) for first, _, rest in (line.partition(" ") for line in lines)]


class TestMetadata:
    def test_it_builds_and_says_what_the_project_says(self, built: Message) -> None:
        project = PROJECT["project"]
        assert built["Name"] == "tutelage"
        assert built["Version"] == __version__
        assert built["Requires-Python"] == project["requires-python"]
        assert built["License-Expression"] == "MIT"
        assert built.get_all("Classifier") == project["classifiers"]
        assert str(built["Keywords"]).split(",") == project["keywords"]
        assert built.get_payload() == README

    def test_the_authors_are_those_of_the_licence(self, built: Message) -> None:
        assert f"(c) 2026 {built['Author']}\n" in (ROOT / "LICENSE").read_text("utf-8")

    def test_no_address_is_invented(self) -> None:
        """Each is one that the README gives."""
        addresses = PROJECT["project"]["urls"].values()
        assert [address for address in addresses if address not in README] == []

    def test_classifiers_are_known(self) -> None:
        known = pytest.importorskip("trove_classifiers")
        named = PROJECT["project"]["classifiers"]
        assert set(named) - known.classifiers == set()
        assert set(named) & set(known.deprecated_classifiers) == set()

    def test_classifiers_are_in_order_and_name_the_python_of_the_checks(self) -> None:
        named = PROJECT["project"]["classifiers"]
        assert named == sorted(set(named))
        oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
        assert f"Programming Language :: Python :: {oldest}" in named


class TestWorkflow:
    def test_it_runs_the_checks_and_nothing_else(self, job: dict[str, Any]) -> None:
        assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
        used = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
        assert used == ["actions/checkout", "actions/setup-python"]
        assert (ROOT / ".ci" / "run").stat().st_mode & 0o111, "not executable"

    def test_it_ends(self, job: dict[str, Any]) -> None:
        assert 0 < job["timeout-minutes"] <= 360

    def test_its_python_is_the_oldest_that_will_do(self, job: dict[str, Any]) -> None:
        (version,) = [step["with"]["python-version"] for step in job["steps"] if "with" in step]
        assert PROJECT["project"]["requires-python"] == f">={version}"

    def test_its_environment_is_the_readmes_index_of_cpu_builds(self, job: dict[str, Any]) -> None:
        (index,) = job["env"].values()
        assert f"--index-url {index}" in " ".join(fenced_lines(README))


class TestContainer:
    def test_what_it_runs_is_what_the_readme_says(self, steps: list[tuple[str, str]]) -> None:
        *installing, adding = [rest for word, rest in steps if word == "RUN"]
        assert set(installing) <= fenced_lines(README)
        torch, project = installing
        assert torch.startswith('pip install "torch')
        assert project == "pip install -e ."
        assert adding == f"useradd --create-home {dict(steps)['USER']}"

    def test_a_container_does_the_readmes_main_job(self, steps: list[tuple[str, str]]) -> None:
        command = dict(steps)
        assert json.loads(command["ENTRYPOINT"]) == [*PROJECT["project"]["scripts"]]
        line = " ".join(["python", "cli.py", *json.loads(command["CMD"])])
        assert line in fenced_lines(README)

    def test_nothing_is_done_by_root_and_all_is_written_at_home(
        self, steps: list[tuple[str, str]]
    ) -> None:
        words = [word for word, _ in steps]
        last = dict(steps)
        assert last["USER"] not in ("root", "0")
        assert "RUN" not in words[words.index("USER") :]
        assert last["WORKDIR"] == f"/home/{last['USER']}"
        assert last["ENV"] == f"HOME={last['WORKDIR']}"

    def test_its_python_is_that_of_the_checks(self, steps: list[tuple[str, str]]) -> None:
        oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
        assert dict(steps)["FROM"] == f"python:{oldest}-slim"

    def test_what_it_is_made_from_is_enough_to_start(self, tmp_path: Path) -> None:
        context = build_context(tmp_path)
        done = subprocess.run(
            [sys.executable, "-m", "tutelage", "graphs", "list"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(context / ".package"), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert "teacher_student" in done.stdout

    def test_nothing_gets_into_it_but_the_package(self, tmp_path: Path) -> None:
        project = PROJECT["project"]
        files = {"pyproject.toml", project["readme"], *project["license-files"]}
        links = {
            path.name for path in (ROOT / ".package" / "tutelage").iterdir() if path.is_symlink()
        }
        assert {path.name for path in build_context(tmp_path).iterdir()} == {
            ".package",
            *files,
            *links,
        }


@pytest.fixture(scope="module")
def dependencies() -> Any:
    """The module of the script that looks at what is installed."""
    spec = spec_from_file_location("dependencies", ROOT / ".ci" / "dependencies.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def requirements() -> list[Requirement]:
    """All of the project's, those of its extras and of its building too; not its own extras."""
    project = PROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    texts = [*PROJECT["build-system"]["requires"], *(text for group in groups for text in group)]
    return [wanted for wanted in map(Requirement, texts) if wanted.name != project["name"]]


class TestDependencies:
    @pytest.fixture
    def old(self, tmp_path: Path) -> Path:
        """A folder with an installed release that is known to be bad."""
        metadata = tmp_path / "urllib3-2.5.0.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text("Metadata-Version: 2.1\nName: urllib3\nVersion: 2.5.0\n")
        return tmp_path

    def test_a_known_bad_release_ends_the_checks(self, old: Path) -> None:
        done = subprocess.run(
            [sys.executable, ROOT / ".ci" / "dependencies.py"],
            env={"PYTHONPATH": str(old)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert "urllib3==2.5.0\n" in done.stdout
        assert "known to be bad: urllib3 2.5.0: CVE-" in done.stderr

    def test_every_environment_of_the_checks_is_looked_at(self) -> None:
        entered = re.findall("^ *enter_environment ", CHECKS, re.MULTILINE)
        assert len(re.findall(r"^ *python \.ci/dependencies\.py$", CHECKS, re.MULTILINE)) == len(
            entered
        )

    def test_each_row_says_when_and_why(self) -> None:
        known = tomllib.loads((ROOT / ".ci" / "known_bad.toml").read_text("utf-8"))
        assert isinstance(known["date"], datetime.date)
        for row in known["bad"]:
            assert set(row) == {"package", "releases", "advisory", "fault"}
            assert row["package"] == canonicalize_name(row["package"])
            assert SpecifierSet(row["releases"])
            assert re.fullmatch(r"(CVE-\d{4}-\d+|GHSA(-\w{4}){3})", row["advisory"])

    def test_the_oldest_that_is_allowed_is_not_known_to_be_bad(self, dependencies: Any) -> None:
        oldest = [
            (canonicalize_name(wanted.name), bound.version)
            for wanted in requirements()
            for bound in wanted.specifier
            if bound.operator == ">="
        ]
        assert len(oldest) > 30
        assert list(dependencies.bad_releases(oldest)) == []

    def test_the_licence_of_each_is_listed(self, dependencies: Any) -> None:
        page = (ROOT / "docs" / "licences.md").read_text("utf-8")
        listed = set(re.findall(r"^\| (\S+) \|", page, re.MULTILINE))
        assert {canonicalize_name(wanted.name) for wanted in requirements()} - listed == set()
        assert dependencies._PAGE in page


def listed(topic: str) -> list[str]:
    """The names in backticks of the changelog's entry on a topic."""
    (entry,) = re.findall(rf"^- \*\*{topic}\*\*: (.*?)\.", CHANGELOG, re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`]+)`", entry)


class TestChangelog:
    def test_the_newest_version_is_this_one(self) -> None:
        versions = re.findall(r"^## \[(.+?)\] - (.+)$", CHANGELOG, flags=re.MULTILINE)
        assert versions[0][0] == __version__
        for _, date in versions:
            assert date == "unreleased" or re.fullmatch(r"\d{4}-\d{2}-\d{2}", date)

    def test_its_sections_are_those_of_keep_a_changelog(self) -> None:
        sections = re.findall(r"^### (.+)$", CHANGELOG, flags=re.MULTILINE)
        assert sections
        known = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
        assert set(sections) <= known

    def test_all_that_there_is_is_in_it(self) -> None:
        group: Any = typer.main.get_command(app)
        assert listed("Commands") == list(group.commands)
        assert sorted(listed("Graphs")) == sorted(info.name for info in list_graphs())
        extras = set(PROJECT["project"]["optional-dependencies"]) - {"test", "dev"}
        assert set(listed("Extras")) == extras


class TestContributing:
    def test_its_commands_are_those_of_the_checks(self) -> None:
        commands = fenced_lines(CONTRIBUTING)
        assert len(commands) > 4
        for command in commands:
            assert re.search(rf"(^|\s){re.escape(command)}($|\s)", CHECKS), command

    def test_its_own_test_of_structure_is_there(self) -> None:
        (named,) = re.findall(r"`pytest (\S+\.py)`", CONTRIBUTING)
        assert (ROOT / named).is_file()


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_links_of_a_page_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    files = {target.partition("#")[0] for target in targets if "://" not in target} - {""}
    assert {name for name in files if not (page.parent / name).exists()} == set()
