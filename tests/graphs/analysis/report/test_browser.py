"""Reports in a real browser: nothing is asked for, all is seen, on a phone and on a desk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.browsers import OVERFLOWING, PALE, SCHEMES, WIDTHS, Browser, Scheme, open_browser
from helpers.reported_runs import HOSTILE, traced_run
from helpers.tiny_runs import ROOT, TINY
from tutelage.graphs.analysis.report.page import report_on
from tutelage.graphs.config.config import make_config

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {
    **TINY,
    "steps": 2048,
    "evaluation.every": 512,
    "evaluation.final_episodes": 50,
}
RUNS: dict[str, dict[str, Any]] = {
    "default": {},
    "weak": {**SMALL, "env": "ColoredDoorKey", "provider": "weak"},
    "alone": {**SMALL, "graph": "student_only"},
    "car": {**SMALL, "env": "mountain_car:MountainCar"},
}
NAMES = (*RUNS, "comparison", "hostile")
FILMS = {"default": 1, "weak": 1, "alone": 1, "car": 0, "comparison": 2, "hostile": 0}

SHOWN = """e => e.filter(e => getComputedStyle(e).visibility === "visible")
  .map(e => e.textContent)"""
"""The texts of those frames that are shown just now."""
SEEN = (
    """e => e.map(e => e.getBoundingClientRect()).map(box => box.width > 20 && box.height > 10)"""
)

AT = """moment => document.getAnimations().forEach(each => {
  each.pause();
  each.currentTime = moment;
})"""
"""Stops the page's films at a moment, in milliseconds: how fast this machine is must not matter."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


def write(page: str, file: Path) -> Path:
    file.write_text(page, "utf-8")
    return file


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The pages about real runs, about a comparison of two settings over three seeds, and about
    a run that is all hostile texts.
    """
    from tutelage.graphs.runtime.run import run  # torch is not needed to collect the tests

    folder = tmp_path_factory.mktemp("reports")

    def make(path: Path, **fields: Any) -> Path:
        places = {"run_dir": path, "cache": folder / "plans.sqlite"}
        run(make_config(None, [], {**fields, **places}))
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs" / "examples")
        paths = {name: make(folder / name, **fields) for name, fields in RUNS.items()}
        for graph in ("teacher_student", "student_only"):
            for seed in range(3):
                place = folder / "comparison" / f"{graph}-{seed}"
                make(place, **{**SMALL, "graph": graph, "seed": seed})
        paths["comparison"] = folder / "comparison"
        text = " ".join(HOSTILE).replace("\ud800", "")
        texts = {i: f"{i}: {text} {'w' * 300}" for i in range(1, 20)}
        paths["hostile"] = traced_run(
            folder / "hostile", texts, rejected={3: text}, word=text, settings={"env": text}
        )
        yield {
            name: write(report_on(path), folder / f"{name}.html") for name, path in paths.items()
        }


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_it_asks_for_nothing_and_all_is_seen(
    browser: Browser,
    reports: dict[str, Path],
    tmp_path: Path,
    name: str,
    width: int,
    scheme: Scheme,
) -> None:
    with browser.view(reports[name], width, scheme) as view:
        view.page.screenshot(path=tmp_path / f"{name}-{width}-{scheme}.png", full_page=True)
        for selector in ("h1", ".outcome", "nav", "section", "section h2", "svg.chart", "table"):
            seen = view.page.eval_on_selector_all(selector, SEEN)
            assert any(seen), f"{selector} is not seen"
            assert all(seen) or selector in ("svg.chart", "table"), f"not each {selector} is seen"
        assert view.page.locator(".film").count() == FILMS[name]
        assert view.ask(OVERFLOWING) == []
        assert view.ask(PALE) == []
        view.unfold()
        assert view.ask(OVERFLOWING) == []
        assert view.ask(PALE) == []
        assert view.asked == [reports[name].as_uri()]
        assert view.said == []


def test_both_schemes_are_what_they_are_called(browser: Browser, reports: dict[str, Path]) -> None:
    grounds = []
    for scheme in SCHEMES:
        with browser.view(reports["default"], scheme=scheme) as view:
            colour = view.ask("() => getComputedStyle(document.body).backgroundColor")
            grounds.append(sum(int(part) for part in colour[4:-1].split(",")))
    assert grounds[0] > 700
    assert grounds[1] < 100


class TestTheFilm:
    def test_shows_one_frame_after_the_other(
        self, browser: Browser, reports: dict[str, Path]
    ) -> None:
        with browser.view(reports["default"]) as view:
            seen = set()
            for moment in range(100, 2_200, 350):
                view.page.evaluate(AT, moment)
                for place in (".captions", ".maps figure:first-child", ".maps figure:last-child"):
                    assert len(view.page.eval_on_selector_all(f"{place} .f", SHOWN)) == 1
                seen.add(self.caption(view))
            assert len(seen) > 2

    def test_can_be_stopped(self, browser: Browser, reports: dict[str, Path]) -> None:
        with browser.view(reports["default"]) as view:
            view.page.wait_for_timeout(700)
            view.page.get_by_label("stop the film").check()
            stopped = self.caption(view)
            view.page.wait_for_timeout(1_000)
            assert self.caption(view) == stopped
            view.page.get_by_label("stop the film").uncheck()
            view.page.wait_for_timeout(1_000)
            assert self.caption(view) != stopped

    def test_stands_still_for_those_who_want_that(
        self, browser: Browser, reports: dict[str, Path]
    ) -> None:
        with browser.view(reports["default"], still=True) as view:
            last = view.page.locator(".captions .last").inner_text()
            for _ in range(3):
                assert self.caption(view) == last
                view.page.wait_for_timeout(400)

    def caption(self, view: Any) -> str:
        (shown,) = view.page.eval_on_selector_all(".captions .f", SHOWN)
        return str(shown)


@pytest.mark.parametrize("name", ["default", "comparison"])
def test_it_can_be_printed(
    browser: Browser, reports: dict[str, Path], tmp_path: Path, name: str
) -> None:
    with browser.view(reports[name], scheme="dark") as view:
        view.page.emulate_media(media="print")
        assert not view.page.locator("nav").is_visible()
        assert not view.page.get_by_label("stop the film").first.is_visible()
        assert view.page.locator(".captions .last").first.is_visible()
        view.page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000


def test_markup_that_slipped_in_could_do_nothing(
    browser: Browser, reports: dict[str, Path]
) -> None:
    smuggled = """() => {
      document.body.insertAdjacentHTML("beforeend",
        '<img src="http://evil.example/x.png"><iframe src="http://evil.example/"></iframe>' +
        '<p id="p" style="color: rgb(1, 2, 3)" onclick="window.ran = 1">x</p>');
      const script = document.createElement("script");
      script.textContent = "window.ran = 1";
      document.body.append(script);
      document.getElementById("p").click();
      return [window.ran, getComputedStyle(document.getElementById("p")).color];
    }"""
    with browser.view(reports["default"]) as view:
        ran, colour = view.ask(smuggled)
        view.page.wait_for_timeout(300)
        assert ran is None
        assert colour != "rgb(1, 2, 3)"
        # The browser names what it was about to ask for, and that the policy stopped it.
        assert view.asked[1:] == view.blocked


def test_a_default_run_is_a_small_page(reports: dict[str, Path]) -> None:
    assert reports["default"].stat().st_size < 5_000_000
    assert reports["comparison"].stat().st_size < 5_000_000
