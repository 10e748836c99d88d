"""The page about a run or a comparison: what stands in it, and that it asks for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.finished_runs import finished_run
from helpers.html_pages import Page, checked
from helpers.reported_runs import HOSTILE, traced_run
from helpers.tiny_runs import TinyRun, make_run
from tutelage.agents.common.files import RunFolderError
from tutelage.graphs.analysis.report import page as pages
from tutelage.graphs.analysis.report.limits import Limits
from tutelage.graphs.analysis.report.page import report_on
from tutelage.graphs.analysis.report.played import PlayedEpisode, Step, play
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import NO_TEACHER

PARTS = {"outcome", "curves", "episode", "check", "situations", "costs", "failures", "config"}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A real run of a task that can be drawn."""
    return make_run(tmp_path_factory.mktemp("real"), env="ColoredDoorKey")


@pytest.fixture(scope="module")
def page(real: TinyRun) -> Page:
    """The page about it."""
    return checked(report_on(real.path))


def parts_of(page: Page) -> set[str]:
    return {section.attributes["id"] for section in page.all("section")}


class TestARun:
    def test_has_all_parts_under_headings(self, page: Page) -> None:
        assert parts_of(page) == PARTS
        assert page.one("html").attributes["lang"] == "en"
        assert len(page.all("h1")) == 1
        assert {link.attributes["href"][1:] for link in page.all("a")} == PARTS
        assert all(table.words for table in page.all("caption"))
        assert len(page.all("caption")) == len(page.all("table"))

    def test_shows_an_episode_as_a_film(self, real: TinyRun, page: Page) -> None:
        played = play(real.path, with_advice=False).episode
        assert played is not None
        assert len(page.all("svg", class_="map")) == 2
        captions = page.one("p", class_="captions").words
        assert captions.count("step ") == min(len(played.steps), 120)
        shape = {use.attributes["href"] for use in page.all("use")}
        assert {"#s-key", "#s-locked"} <= shape

    def test_sets_student_beside_the_advice_that_its_trace_holds(
        self, real: TinyRun, page: Page
    ) -> None:
        rows = [row.words for row in page.all("tr")]
        assert any(row.startswith("student ") for row in rows)
        advised = play(real.path, with_advice=True).advice
        assert advised is not None
        assert advised.episodes == 100
        low, high = (100 * bound for bound in advised.ci95)
        shown = f"{100 * advised.success_rate:.1f} % {low:.1f} to {high:.1f} 100"
        assert any(row.startswith(f"teacher's advice {shown}") for row in rows)

    def test_tells_each_situation_with_its_plans(self, real: TinyRun, page: Page) -> None:
        with real.trace() as reader:
            situations = reader.situations()
        cards = page.all("article")
        assert len(cards) == len(situations)
        assert {card.words.split(" mission")[0] for card in cards} == {
            f"situation {each.number}" for each in situations
        }
        assert sum("explore()" in card.words for card in cards) > 0

    def test_is_small(self, real: TinyRun) -> None:
        assert len(report_on(real.path).encode()) < 500_000  # a default run may have 5 MB

    def test_of_a_task_that_cannot_be_drawn_has_a_table_of_steps(self, tmp_path: Path) -> None:
        run = make_run(tmp_path, env="helpers.toy_task:Corridor")
        page = checked(report_on(run.path))
        assert not page.all("svg", class_="map")
        assert any("The steps of the episode" in t.words for t in page.all("table"))

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"success": None}, "The run was interrupted"),
            ({"provider": NO_TEACHER}, "nobody taught it"),
            ({"success": 0.0}, "solves 0.0 %"),
        ],
    )
    def test_that_ended_otherwise_has_all_parts_too(
        self, tmp_path: Path, fields: dict[str, Any], says: str
    ) -> None:
        page = checked(report_on(finished_run(tmp_path / "run", **fields)))
        assert parts_of(page) == PARTS
        assert says in page.words
        assert "no episode could be played" in page.one("section", id="episode").words

    def test_that_has_only_begun_has_all_parts_too(self, tmp_path: Path) -> None:
        folder = RunFolder.create(tmp_path / "run")
        folder.write_config({})
        page = checked(report_on(folder.path))
        assert parts_of(page) == PARTS
        assert "it has made no steps yet" in page.words

    def test_costs_that_are_not_known_are_no_zero(self, tmp_path: Path) -> None:
        llm = {
            **{"calls": 8, "situations": 8, "cache_hits": 0, "prompt_tokens": 5},
            **{"completion_tokens": 5, "cost_usd": None, "failures": 0, "fallbacks": 0},
        }
        page = checked(report_on(traced_run(tmp_path / "run", {7: "a"}, llm=llm)))
        costs = page.one("section", id="costs").words
        assert costs.count("not known") == 2  # the run's, and that of its calls
        assert "0.0000" not in costs


class TestHostility:
    @pytest.fixture
    def hostile(self, tmp_path: Path, request: pytest.FixtureRequest) -> Page:
        text = request.param.replace("\ud800", "")  # no file can hold it
        name = text.replace("/", "_").replace("\x00", "")[:80]
        path = traced_run(
            tmp_path / name,
            {7: text, 8: f"mission: {text}\n{text}"},
            rejected={7: text},
            word=text,
            settings={"env": text, "env_args": {"a" + text: text}},
            provider=text,
        )
        return checked(report_on(path))

    @pytest.mark.parametrize("hostile", HOSTILE, indirect=True, ids=range(len(HOSTILE)))
    def test_texts_stay_texts(self, hostile: Page) -> None:
        assert parts_of(hostile) == PARTS
        assert not set("\x00\x1b\u202e\u2066") & set(hostile.words)
        assert len(hostile.all("article")) == 2

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "hostile", ["x" * 1_000_000, "<&\"'" * 250_000], indirect=True, ids="ab"
    )
    def test_texts_of_a_megabyte_are_cut(self, hostile: Page) -> None:
        assert "more characters" in hostile.words
        assert len(hostile.words) < 200_000

    def test_so_do_those_of_an_episode(self, tmp_path: Path, monkeypatch: Any) -> None:
        steps = [Step(i, HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[3], True) for i in range(3)]
        episode = PlayedEpisode(steps, None, {HOSTILE[4]: HOSTILE[5]}, 0.0, True)
        monkeypatch.setattr(pages, "play", lambda *_, **__: pages.Played(episode=episode))
        page = checked(report_on(finished_run(tmp_path / "run")))
        assert "alert(1)" in page.one("section", id="episode").words

    def test_a_task_that_fails_is_a_line(self, real: TinyRun, monkeypatch: Any) -> None:
        def fail(*_: Any) -> None:
            raise ZeroDivisionError("<b>in the task</b>")

        monkeypatch.setattr("tutelage.graphs.analysis.watching.EpisodeViewer.frames", fail)
        page = checked(report_on(real.path))
        said = page.one("section", id="episode").words
        assert "no episode could be played: ZeroDivisionError: <b>in the task</b>" in said


class TestSize:
    def test_long_lists_are_folded_and_what_is_left_out_is_said(self, tmp_path: Path) -> None:
        texts = {i: f"mission: number {i}" for i in range(1, 402)}
        page = checked(report_on(traced_run(tmp_path / "run", texts)))
        section = page.one("section", id="situations").words
        assert len(page.all("article")) == Limits().situations
        assert "292 more situations" in section
        assert "101 more situations are left out of this page" in section

    def test_a_page_that_is_too_large_shows_less_of_everything(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        texts = {i: f"mission: {i} {'&' * 5_000}" for i in range(1, 200)}
        path = traced_run(tmp_path / "run", texts)
        whole = report_on(path)
        monkeypatch.setattr(pages, "MOST_BYTES", len(whole) // 5)
        page = checked(report_on(path))
        assert 0 < len(page.all("article")) < 199
        assert "are left out of this page" in page.words

    @pytest.mark.slow
    def test_no_page_is_larger_than_the_limit(self, tmp_path: Path) -> None:
        texts = {i: f"{i}{'<' * 10_000}" for i in range(1, 2_000)}
        settings = {"env_args": {f"k{i}": "&" * 5_000 for i in range(500)}}
        path = traced_run(tmp_path / "run", texts, word='"' * 5_000, settings=settings)
        assert 1_000_000 < len(report_on(path).encode()) <= pages.MOST_BYTES


class TestAComparison:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Two conditions of three seeds; one run was interrupted."""
        for graph, success in (("teacher_student", 0.9), ("student_only", 0.2)):
            for seed in range(3):
                provider = "offline" if graph == "teacher_student" else NO_TEACHER
                finished_run(
                    tmp_path / "cmp" / f"{graph}-{seed}",
                    seed=seed,
                    success=None if (graph, seed) == ("student_only", 2) else success + 0.01 * seed,
                    settings={"graph": graph},
                    provider=provider,
                )
        return tmp_path / "cmp"

    def test_sets_the_conditions_against_each_other(self, folder: Path) -> None:
        page = checked(report_on(folder))
        assert page.one("h1").words == "2 conditions, 6 runs"
        outcome = page.one("p", class_="outcome").words
        assert "graph=student_only solves 20.5 % of its held-out episodes" in outcome
        assert "graph=teacher_student solves 70.5 points more" in outcome
        tables = {table.words.split(" condition")[0]: table.words for table in page.all("table")}
        assert "+70.5" in tables["More than graph=student_only"]
        assert "graph=teacher_student 0, 1, 2 91.0 %" in tables["Conditions"]
        assert "student_only-2: not finished" in page.words

    def test_draws_a_curve_with_a_band_for_each_condition(self, folder: Path) -> None:
        page = checked(report_on(folder))
        first = page.one("section", id="curves")
        curves = [e for e in page.all("polyline") if e.attributes["class"].startswith("curve")]
        assert {e.attributes["class"] for e in curves} == {"curve c0", "curve c1"}
        assert len(page.all("polygon", class_="band")) >= 2
        assert "graph=student_only, 3 seeds" in first.words
        # Only of the condition that had a teacher.
        assert {m.attributes["class"] for m in page.all("polygon", class_="mark")} == {"mark c1"}

    def test_links_to_each_run_in_short(self, folder: Path) -> None:
        page = checked(report_on(folder))
        runs = [e for e in page.all("article") if e.attributes.get("id", "").startswith("run-")]
        assert len(runs) == 6
        links = {a.attributes["href"]: a.words for a in page.all("a")}
        assert [links[f"#run-{i}"] for i in range(1, 7)] == ["seed 0", "seed 1", "seed 2"] * 2
        assert sum("The run was interrupted" in run.words for run in runs) == 1

    def test_says_which_runs_are_left_out(self, folder: Path) -> None:
        text = pages.comparison_page(pages.read_comparison(folder), [], Limits(runs=4))
        page = checked(text)
        assert "2 more runs are left out of this page" in page.words

    def test_of_which_no_run_has_ended_is_one_too(self, tmp_path: Path) -> None:
        for seed in range(2):
            finished_run(tmp_path / "cmp" / str(seed), seed=seed, success=None)
        page = checked(report_on(tmp_path / "cmp"))
        assert "No run with a student has ended yet." in page.words

    def test_a_damaged_run_is_a_note(self, folder: Path) -> None:
        (folder / "student_only-0" / "config.json").write_text("{", "utf-8")
        page = checked(report_on(folder))
        assert page.one("h1").words == "2 conditions, 5 runs"
        assert "config.json is damaged" in page.words


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError):
        report_on(tmp_path)
