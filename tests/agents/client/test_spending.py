"""What is spent is written down as it is spent: kills and resumes give no budget back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.fork_server import Child, ForkServer, Kill
from helpers.openai_server import Body, OpenAIServer, Reply, teach
from helpers.planners import LIBRARY, TASK, run_once, settings
from helpers.small_runs import Runner, assert_only_notices, assert_tidy
from tutelage.agents.client.spending import Ledger, Spending
from tutelage.agents.common.files import RunFolderError
from tutelage.agents.providers.make import make_chat_model
from tutelage.agents.store.plan_cache import PlanCache
from tutelage.agents.teacher.teacher import Teacher
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.shapes import LlmUse

PRICES: dict[str, Any] = {
    "usd_per_million_prompt_tokens": 10.0,
    "usd_per_million_completion_tokens": 20.0,
}


class TestFile:
    def test_it_goes_on_from_what_is_there(self, tmp_path: Path) -> None:
        path, answer = tmp_path / "spending.jsonl", Spending(prompt_tokens=7, usd=0.25, unpriced=1)
        with Ledger(path) as first:
            assert not path.exists(), "nobody was asked yet"
            first.add(Spending(calls=1))
            first.add(answer)
        with Ledger(path) as second:
            assert second.total == first.total == Spending(calls=1) + answer
            second.add(Spending(cache_hits=3))
        assert Ledger(path).total == Spending(1, 7, 0, 0.25, 1, 3)

    def test_what_a_crash_tore_is_cut(self, tmp_path: Path) -> None:
        path = tmp_path / "spending.jsonl"
        path.write_bytes(b'{"calls": 1}\n{"calls": ')
        with Ledger(path) as ledger:
            assert (ledger.total.calls, ledger.problem) == (1, None)
            ledger.add(Spending(calls=1))
        assert path.read_bytes() == b'{"calls": 1}\n{"calls": 1}\n'

    @pytest.mark.parametrize(
        "line",
        [
            *(
                '{"calls": -5}',
                '{"usd": NaN}',
                '{"usd": -1}',
                '{"calls": 1.5}',
                "[]",
                "\ud800",
                "x",
            ),
            "[" * 5000,
            '{"calls": ' + "9" * 5000 + "}",
        ],
        ids=lambda line: line[:14].encode("utf-8", "replace").decode(),
    )
    def test_a_damaged_line_gives_nothing_back(self, line: str, tmp_path: Path) -> None:
        path = tmp_path / "spending.jsonl"
        path.write_bytes(b'{"calls": 2}\n%b\n{"calls": 1}\n' % line.encode("utf-8", "replace"))
        ledger = Ledger(path)
        assert ledger.total == Spending(calls=3)
        assert ledger.problem is not None
        assert "line 2 is damaged" in ledger.problem
        assert "\n" not in ledger.problem

    def test_where_it_cannot_be_written_nothing_is_spent(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "gone" / "spending.jsonl")
        with pytest.raises(RunFolderError, match="cannot write"):
            ledger.add(Spending(calls=1))
        assert ledger.total == Spending()

    def test_a_file_that_was_lost_is_made_up_for(self, tmp_path: Path) -> None:
        with Ledger(tmp_path / "spending.jsonl") as ledger:
            ledger.add(Spending(calls=5, usd=0.5))
            ledger.make_up_for(Spending(calls=3, prompt_tokens=10))
        assert Ledger(tmp_path / "spending.jsonl").total == Spending(5, 10, usd=0.5)


def test_answers_of_the_cache_are_counted_in_all_processes(tmp_path: Path) -> None:
    chosen = settings(samples=1)

    def teacher(ledger: Ledger) -> Teacher:
        provider = make_chat_model("offline", None, chosen, TASK)
        cache = PlanCache(tmp_path / "plans.sqlite")
        return Teacher(TASK, LIBRARY, provider, chosen, cache, ledger=ledger)

    with Ledger(tmp_path / "spending.jsonl") as ledger:
        first = teacher(ledger)
        run_once(first, [1, 2, 3])
        before = first.snapshot()
        assert len(first.lookup([1, 2, 3, 4])) == 3
    with Ledger(tmp_path / "spending.jsonl") as ledger:
        second = teacher(ledger)
        assert second.counters.spent == first.counters.spent
        second.restore(before)
        assert len(second.lookup([1])) == 1
        assert (second.counters.calls, second.counters.cache_hits) == (3, 3 + 1)
        assert second.counters.answers == 3


class Killer:
    """Teaches, and kills who asks while the requests of these numbers are under way."""

    def __init__(self, *numbers: int) -> None:
        self.child: Child | None = None
        self._numbers, self._seen = numbers, 0

    def __call__(self, body: Body) -> Reply:
        self._seen += 1
        if self._seen not in self._numbers:
            return teach()(body)
        assert self.child is not None
        self.child.kill()
        return Reply(status=0)


def asking(server: ForkServer, url: str, **limits: Any) -> Runner:
    flags = ["--wait", "--provider", "openai:test-model", "--base-url", url]
    given = {"teacher.samples": 1, **{f"teacher.{k}": v for k, v in {**PRICES, **limits}.items()}}
    sets = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    return Runner(server, ["--env", "helpers.toy_task:Corridor", *flags, *sets])


def resume(server: ForkServer, folder: Path, url: str, **how: Any) -> Child:
    return server.start(["resume", str(folder / "run"), "--base-url", url], **how)


def spent_by(folder: Path) -> LlmUse:
    assert_tidy(folder)
    summary = RunFolder.open(folder / "run").read_summary()
    assert summary is not None
    assert summary.status == "finished"
    return summary.llm


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "requests"),
    [({"budget_calls": 11}, 11), ({"budget_tokens": 7 * 110}, 10), ({"budget_usd": 0.0084}, 10)],
    ids=["calls", "tokens", "usd"],
)
def test_a_budget_holds_through_kills(
    limit: dict[str, float], requests: int, server: ForkServer, tmp_path: Path
) -> None:
    killer = Killer(3, 6, 9)  # before anything is saved: a corridor has four situations
    with OpenAIServer(killer) as teaching:
        killer.child = asking(server, teaching.base_url, **limit).start(tmp_path)
        for _ in range(3):
            assert killer.child.wait().code == -9
            killer.child = resume(server, tmp_path, teaching.base_url)
        assert_only_notices(killer.child.wait())
        assert len(teaching.requests) == requests
    answered = requests - 3
    llm = spent_by(tmp_path)
    assert (llm.calls, llm.prompt_tokens, llm.completion_tokens) == (
        requests,
        100 * answered,
        10 * answered,
    )
    assert llm.cost_usd == pytest.approx(0.0012 * answered)


@pytest.mark.slow
def test_what_was_spent_after_a_checkpoint_stays_spent(server: ForkServer, tmp_path: Path) -> None:
    with OpenAIServer() as teaching:
        runner = asking(server, teaching.base_url)
        kill = Kill(3, "RunFolder.append_metrics:after")
        assert runner.run(tmp_path, kill=kill).code == -9
        child = resume(server, tmp_path, teaching.base_url)
        assert_only_notices(child.wait())
        requests = len(teaching.requests)
    llm = spent_by(tmp_path)
    assert (llm.calls, llm.prompt_tokens) == (requests, 100 * requests)
    assert Ledger(tmp_path / "run" / "spending.jsonl").total.cache_hits == llm.cache_hits
