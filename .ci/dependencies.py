"""What is installed beside this project: its versions, known bad releases, licences.

    python .ci/dependencies.py               the versions; exit code 1 where one is known to be bad
    python .ci/dependencies.py licences      docs/licences.md, on standard output

Run it where `tutelage[dev]` is installed. It asks nobody: what is bad stands in known_bad.toml.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[1]
KNOWN_BAD: Final = Path(__file__).with_name("known_bad.toml")
_PAGE: Final = """\
# Licences of what is installed

What `pip install tutelage` brings along, and what each extra adds to it, as each package's own
metadata says. No version stands here: the newest that fit are taken. This page is made anew by
`python .ci/dependencies.py licences > docs/licences.md`, where `tutelage[dev]` is installed.
tutelage itself is under the [MIT licence](../LICENSE).
"""
_LONGEST: Final = 40
"""Characters of a licence's name: some packages give the whole text."""


def installed() -> dict[str, Distribution]:
    """All distributions that Python finds, by normalised name; of two the first, as it does."""
    found: dict[str, Distribution] = {}
    for distribution in distributions():
        found.setdefault(canonicalize_name(distribution.name), distribution)
    return dict(sorted(found.items()))


def bad_releases(versions: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A line for each known fault of these packages, given by normalised name and version."""
    listed = tomllib.loads(KNOWN_BAD.read_text("utf-8"))
    for name, version in versions:
        for bad in listed["bad"]:
            releases = SpecifierSet(bad["releases"])
            if bad["package"] == name and releases.contains(version, prereleases=True):
                yield f"{name} {version}: {bad['advisory']}, {bad['fault']} ({listed['date']})"


def licence(distribution: Distribution) -> str:
    """The licence as a package says it: as an expression, in a classifier, or in a word."""
    said = distribution.metadata
    classified = [
        line.rpartition(" :: ")[2]
        for line in said.get_all("Classifier", [])
        if line.startswith("License :: ") and not line.endswith("OSI Approved")
    ]
    word = (said.get("License") or "").strip().partition("\n")[0]
    names = [said.get("License-Expression") or "", ", ".join(classified), word[:_LONGEST]]
    return next(filter(None, names), "its metadata does not say")


def brought_by(
    requirements: Iterable[str], there: dict[str, Distribution], extras: Iterable[str] = ("",)
) -> set[str]:
    """The packages that requirements bring along, and those that these need, as far as installed.

    extras: those of the package that has the requirements.
    """
    found: set[str] = set()
    waiting = [(Requirement(text), tuple(extras)) for text in requirements]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        wanted, of = waiting.pop()
        name = canonicalize_name(wanted.name)
        marker = wanted.marker
        if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in of):
            continue
        inner = ("", *sorted(wanted.extras))
        if name not in there or (name, inner) in seen:
            continue
        seen.add((name, inner))
        found.add(name)
        waiting += [(Requirement(text), inner) for text in there[name].requires or ()]
    return found


def licences_page(there: dict[str, Distribution]) -> str:
    """docs/licences.md."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    core = brought_by(project["dependencies"], there)
    page = f"{_PAGE}\n## Always\n\n{_table(core, there)}"
    for extra, requirements in project["optional-dependencies"].items():
        others = [text for text in requirements if not text.startswith("tutelage[")]
        more = brought_by(others, there) - core
        if more:
            page += f"\n## With `{extra}`\n\n{_table(more, there)}"
    return page


def _table(names: Iterable[str], there: dict[str, Distribution]) -> str:
    rows = [f"| {name} | {licence(there[name]).replace('|', '/')} |" for name in sorted(names)]
    return "\n".join(["| package | licence |", "| --- | --- |", *rows, ""])


def main(arguments: list[str]) -> int:
    """The command. Returns the exit code."""
    there = installed()
    if arguments == ["licences"]:
        print(licences_page(there), end="")
        return 0
    if arguments:
        print(__doc__, end="", file=sys.stderr)
        return 2
    versions = [(name, distribution.version) for name, distribution in there.items()]
    for name, version in versions:
        print(f"{name}=={version}")
    faults = list(bad_releases(versions))
    for line in faults:
        print(f"known to be bad: {line}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
