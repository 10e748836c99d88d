"""`trace stats|diff|replay|export` on real runs, and hostile text through every verb."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from typer.testing import CliRunner

from helpers import commands
from helpers.openai_server import OpenAIServer, hang_up, teach
from helpers.tiny_runs import TinyRun, make_run
from helpers.trace_rows import ADVICE, CALL, visit
from tutelage.graphs.analysis.trace_statistics import percentiles
from tutelage.graphs.records.run_folder import RunFolder
from tutelage.graphs.records.trace.records import AdviceRecord, EventRecord, ExampleRecord
from tutelage.graphs.records.trace.schema import TraceError
from tutelage.graphs.records.trace.writer import TraceWriter
from tutelage.graphs.terminal.app import app
from tutelage.graphs.terminal.trace import command as tracing
from tutelage.prompts.library import SHIPPED


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return make_run(tmp_path_factory.mktemp("run"), env="helpers.toy_task:Corridor")


@pytest.fixture(scope="module")
def my_prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one prompt that was edited."""
    folder = tmp_path_factory.mktemp("prompts")
    text = (SHIPPED / "planner_system.md").read_text("utf-8")
    (folder / "planner_system.md").write_text(f"{text}\nBe brave.\n", "utf-8")
    return folder


def say(*arguments: str | Path, code: int = 0) -> str:
    """What a `trace` command prints."""
    return commands.say("trace", *arguments, code=code)


def tell(*arguments: str | Path, code: int = 0) -> Any:
    """What it prints as JSON."""
    return commands.tell("trace", *arguments, code=code)


def digest(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


# ------------------------------------------------------------------------------------- show


def test_a_call_is_shown_down_to_its_history(run: TinyRun) -> None:
    shown = say("show", run.path, "c1")
    details = tell("show", run.path, "c1")
    (call,) = details["calls_made"]
    assert call["id"] == 1
    for part in ("prompt", "tools on offer", "answers 1 to ", "plan: ", "advice", "history"):
        assert part in shown
    assert shown.index("prompt") < shown.index("answers 1 to ") < shown.index("history")
    assert "prompt" not in say("show", run.path, "c1", "--brief")
    assert re.search("agreement [▁▂▃▄▅▆▇█·]+", shown)


def test_turns_are_told_once_and_tools_answer(tmp_path: Path) -> None:
    """The messages of a call's look-ups come again in the next one."""
    asked = [{"role": "system", "content": "the rules"}, {"role": "user", "content": "where?"}]
    looked = {
        "role": "assistant",
        "tool_calls": [{"id": "1", "function": {"name": "look", "arguments": '{"at": "door"}'}}],
    }
    seen = {"role": "tool", "tool_call_id": "1", "content": "it is locked"}
    path = made_run(tmp_path / "run")
    with TraceWriter(path / "trace.sqlite") as writer:
        writer.situations({1: "a room"})
        writer.calls(
            replace(CALL, situation_id=1, messages=messages)
            for messages in (asked, [*asked, looked, seen])
        )
        writer.commit()
    shown = say("show", path, "1")
    assert shown.count("the rules") == 1
    assert "messages 1 to 2 as in c1" in shown
    assert 'look({"at": "door"})' in shown
    assert "it is locked" in shown
    assert "plan: explore()" in shown
    for line in say("export", path).splitlines():
        assert "resourceSpans" in json.loads(line)
    parts = attributes(say("export", path).splitlines()[1])["gen_ai.input.messages"]
    assert json.loads(parts)[-1]["parts"] == [
        {"type": "tool_call_response", "id": "1", "response": "it is locked"}
    ]


@pytest.mark.parametrize("id", ["x", "c", "c0x", "-1", "1.5", "c99999999999999999999", ""])
def test_what_is_no_id_says_what_is(run: TinyRun, id: str) -> None:
    done = CliRunner().invoke(app, ["trace", "show", "--", str(run.path), id])
    assert "no id; allowed: a situation's number" in str(done.exception)


# ------------------------------------------------------------------------------------ stats


def test_statistics_are_those_of_the_run(run: TinyRun) -> None:
    figures = tell("stats", run.path)
    llm = run.summary.llm
    assert figures["calls"] == llm.calls == figures["nodes"]["planner"]
    assert figures["prompt_tokens"] == llm.prompt_tokens
    assert figures["completion_tokens"] == llm.completion_tokens
    assert (figures["cost_usd"], figures["unpriced_calls"]) == (0.0, 0)
    assert figures["failures"] == {}
    stretches = figures["over_time"]
    assert [each["first"] for each in stretches] == [row.iteration for row in run.rows]
    for each, row in zip(stretches, run.rows, strict=True):
        assert each["coverage"] == pytest.approx(row.advised_share)
    shown = say("stats", run.path)
    for part in ("requests", "latency", "by situation", "student and teacher over time"):
        assert part in shown


def test_what_failed_and_what_was_replayed_is_counted(tmp_path: Path) -> None:
    path = made_run(tmp_path / "run")
    with TraceWriter(path / "trace.sqlite") as writer:
        writer.situations({1: "a room"})
        statuses = ["ok", "ok", "cached", "timed_out", "timed_out", "refused"]
        writer.calls(
            replace(CALL, situation_id=1, status=status, latency_s=float(i), cost_usd=cost)
            for i, (status, cost) in enumerate(
                zip(statuses, (0.5, None, None, None, None, None), strict=True)
            )
        )
        writer.advice([AdviceRecord(1, 1, 1, s, []) for s in ("cache", "model", "fallback:x")])
        writer.events([EventRecord(1, 1, "planner", "timed_out", "situation 1", 1)])
        writer.commit()
    figures = tell("stats", path)
    assert (figures["calls"], figures["failed"], figures["replayed_calls"]) == (5, 3, 1)
    assert figures["failures"] == {"timed_out": 2, "refused": 1}
    assert figures["given_up"] == {"timed_out": 1}
    assert (figures["cache_hits"], figures["fallbacks"]) == (1, 1)
    assert (figures["cost_usd"], figures["unpriced_calls"]) == (0.5, 1)
    assert figures["latency_s"] == {"p50": 3.0, "p90": 5.0, "p95": 5.0, "p99": 5.0, "max": 5.0}
    assert "at least 0.5000 USD; 1 call without a known price" in say("stats", path)


def test_costs_that_nobody_knows_are_no_number(tmp_path: Path) -> None:
    path = made_run(tmp_path / "run")
    with TraceWriter(path / "trace.sqlite") as writer:
        writer.situations({1: "a room"})
        writer.calls([replace(CALL, situation_id=1)] * 2)
        writer.calls([replace(CALL, situation_id=1, status="timed_out", error="late", answers=[])])
        writer.commit()
    figures = tell("stats", path)
    assert (figures["cost_usd"], figures["unpriced_calls"]) == (None, 2)
    assert "not known: 2 calls without a known price" in say("stats", path)
    assert "0.0000" not in say("stats", path)
    assert "cost not known" in say("show", path, "c1")
    assert "cost" not in say("show", path, "c3"), "nothing came that could cost anything"
    assert tell("list", path, "calls")[0]["cost_usd"] is None


def test_a_run_without_a_call_cost_nothing(tmp_path: Path) -> None:
    path = made_run(tmp_path / "run")
    TraceWriter(path / "trace.sqlite").close()
    assert (tell("stats", path)["cost_usd"], tell("stats", path)["unpriced_calls"]) == (0, 0)


def test_percentiles_are_values_that_so_many_do_not_exceed() -> None:
    assert percentiles([]) is None
    values = [float(i) for i in range(1, 201)]
    expected = {"p50": 100.0, "p90": 180.0, "p95": 190.0, "p99": 198.0, "max": 200.0}
    assert percentiles(values) == expected
    assert set((percentiles([3.0]) or {}).values()) == {3.0}


def test_a_trace_without_anything_has_statistics(tmp_path: Path) -> None:
    path = made_run(tmp_path / "run")
    TraceWriter(path / "trace.sqlite").close()
    assert tell("stats", path)["over_time"] == []
    assert "requests" in say("stats", path)


# ------------------------------------------------------------------------------------- diff


def test_two_calls_differ_where_their_situations_do(run: TinyRun) -> None:
    found = tell("diff", f"{run.path}:c1", f"{run.path}:c2")
    assert found["a"] != found["b"]
    prompt = found["difference"]["prompt"]
    assert {line[1:] for line in prompt if line.startswith("-")} & set(found["a"].splitlines())
    assert {line[1:] for line in prompt if line.startswith("+")} & set(found["b"].splitlines())
    same = tell("diff", f"{run.path}:1", f"{run.path}:1")
    assert same["difference"] == {"prompt": [], "answer": [], "advice": []}
    assert "prompt: the same" in say("diff", f"{run.path}:1", f"{run.path}:1")


def test_two_runs_differ_by_situation(run: TinyRun, my_prompts: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path, env="helpers.toy_task:Corridor", prompts=my_prompts)
    rows = tell("diff", run.path, other.path)
    both = [row for row in rows if row["a"] and row["b"]]
    assert both
    for row in both:
        assert "+Be brave." in row["difference"]["prompt"]
    shown = say("diff", run.path, other.path)
    assert shown.count("+Be brave.") < len(both) or len(both) == 1
    alone = tell("diff", run.path, run.path)
    assert all(not any(row["difference"].values()) for row in alone)


def test_a_run_and_a_call_cannot_be_compared(run: TinyRun) -> None:
    done = CliRunner().invoke(app, ["trace", "diff", str(run.path), f"{run.path}:1"])
    assert "not of one kind" in str(done.exception)


# ----------------------------------------------------------------------------------- replay


def test_the_same_question_gets_the_same_answer_and_nothing_is_written(run: TinyRun) -> None:
    before = digest(run.path)
    done = tell("replay", run.path, "1")
    assert done["difference"] == {"prompt": [], "answer": [], "advice": []}
    assert (done["failure"], done["cost_usd"]) == (None, 0.0)
    assert done["calls"] > 0
    assert digest(run.path) == before


@pytest.mark.parametrize(
    "settings",
    [
        {"env": "helpers.numbered_task:Numbered"},
        {"env": "helpers.taught_tasks:TaughtCar"},
        {"env": "SimpleDoorKey", "teacher__lookups": "objects,inventory,record"},
    ],
)
def test_a_situation_is_asked_again_by_its_text(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Ids mean nothing in another process, and what was looked up is a part of the text."""
    run = make_run(tmp_path, **settings)
    for id in (row["id"] for row in tell("list", run.path, "--sort", "id")[:3]):
        done = tell("replay", run.path, str(id))
        assert done["difference"] == {"prompt": [], "answer": [], "advice": []}
        assert done["calls"] > 0


def test_an_edited_prompt_is_asked_with_and_shown(run: TinyRun, my_prompts: Path) -> None:
    before = digest(run.path)
    shown = say("replay", run.path, "c1", "--prompts", my_prompts)
    assert "+Be brave." in shown
    assert "asked offline: " in shown
    assert "0.0000 USD; nothing was written into the run folder" in "".join(shown.splitlines())
    assert digest(run.path) == before


def test_prompts_that_were_edited_since_are_asked_with_and_told_of(
    run: TinyRun, my_prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`prompts edit` writes into people's own folder, which `run` takes its prompts from."""
    own = tmp_path / "tutelage" / "prompts"
    shutil.copytree(my_prompts, own)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    shown = say("replay", run.path, "1")
    assert "+Be brave." in shown
    assert "prompt: the same" not in shown
    assert f"differ from those that the run recorded: planner_system ({own}" in shown
    assert "offline reads no prompts" in shown
    recorded = run.path / "prompts"
    assert f"--prompts {recorded}" in shown
    told = tell("replay", run.path, "1")
    assert told["changed_prompts"] == {"planner_system": str(own / "planner_system.md")}
    assert told["reads_prompts"] is False
    again = say("replay", run.path, "1", "--prompts", recorded)
    assert "prompt: the same" in again
    assert "differ from" not in again


def test_a_model_gets_the_edited_prompt(
    run: TinyRun, my_prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(my_prompts, tmp_path / "tutelage" / "prompts")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with OpenAIServer(teach()) as server:
        arguments = ("replay", run.path, "1", "--provider", "openai:m")
        shown = say(*arguments, "--base-url", server.base_url)
        assert all("Be brave." in str(request.body["messages"]) for request in server.requests)
    assert "asked with these" in shown
    assert "reads no prompts" not in shown


def test_the_recorded_prompts_stand_in_for_a_folder_that_is_gone(
    my_prompts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "my_prompts"
    shutil.copytree(my_prompts, folder)
    made = make_run(tmp_path, env="helpers.toy_task:Corridor", prompts=folder)
    (folder / "planner_system.md").write_text(
        (SHIPPED / "planner_system.md").read_text("utf-8"), "utf-8"
    )
    assert "-Be brave." in say("replay", made.path, "1"), "the run's own folder, as it is now"
    shutil.rmtree(folder)
    shown = say("replay", made.path, "1")
    assert f"the prompts of {folder} are not there: asked with those that the run recorded" in shown
    assert "prompt: the same" in shown
    done = CliRunner().invoke(app, ["trace", "replay", str(made.path), "1", "--prompts", "gone"])
    assert "gone: not a readable folder" in str(done.exception), "what is asked for must be there"


def test_another_model_is_asked_and_its_cost_told(run: TinyRun) -> None:
    before = digest(run.path)
    with OpenAIServer(teach()) as server:
        arguments = ("replay", run.path, "1", "--provider", "openai:m")
        done = tell(*arguments, "--base-url", server.base_url)
        assert server.requests
    assert done["provider"] == "openai:m"
    assert done["prompt_tokens"] == 100 * done["calls"]
    assert done["replayed"]["advice"]
    assert digest(run.path) == before


def test_a_teacher_that_does_not_answer_is_told_and_is_an_error(run: TinyRun) -> None:
    with OpenAIServer(hang_up()) as server:
        path = run.path.with_name("impatient")
        shutil.copytree(run.path, path)
        config = json.loads((path / "config.json").read_text())
        config["teacher"] |= {"max_tries": 1}
        (path / "config.json").write_text(json.dumps(config))
        arguments = ("replay", path, "1", "--provider", "openai:m", "--base-url", server.base_url)
        shown = say(*arguments, code=1)
    assert "no plan came back: provider_down" in shown


def test_a_situation_that_reads_otherwise_now_is_not_asked(run: TinyRun, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    with TraceWriter(copy / "trace.sqlite") as writer:
        writer._connection.execute("UPDATE situations SET text = 'other' WHERE number = 1")
        writer.commit()
    done = CliRunner().invoke(app, ["trace", "replay", str(copy), "1"])
    assert "use the version that made the run" in str(done.exception)


# ----------------------------------------------------------------------------------- export


def attributes(line: str) -> dict[str, Any]:
    """The attributes of the one span of a line."""
    span = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    return {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}


def test_spans_have_the_conventions_names(run: TinyRun, tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    said = say("export", run.path, file)
    lines = file.read_text("utf-8").splitlines()
    assert said.startswith("wrote ")
    assert said.endswith(f": {len(lines):,} spans\n")
    assert say("export", run.path).splitlines() == lines
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    with run.trace() as reader:
        calls = reader.calls()
    assert len(lines) == len(calls) > 0
    ids = Counter()  # type: Counter[str]
    for line, call in zip(lines, calls, strict=True):
        span = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        ids[span["spanId"]] += 1
        assert re.fullmatch("[0-9a-f]{32}", span["traceId"])
        assert re.fullmatch("[0-9a-f]{16}", span["spanId"])
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        assert span["name"] == f"chat {call.model}"
        found = attributes(line)
        names = {name for name in found if name.startswith("gen_ai.")}
        assert names <= known
        assert found["gen_ai.usage.input_tokens"] == str(call.prompt_tokens)
        assert found["gen_ai.provider.name"] == "offline"
        messages = json.loads(found["gen_ai.input.messages"])
        assert messages[-1]["parts"][0]["content"] == call.messages[-1]["content"]
        outputs = json.loads(found["gen_ai.output.messages"])
        assert len(outputs) == len(call.answers)
        part = outputs[0]["parts"][0]
        assert part["name"] == call.answers[0]["tool_calls"][0]["name"]
        assert outputs[0]["finish_reason"] == "tool_call"
        tools = {tool["name"] for tool in json.loads(found["gen_ai.tool.definitions"])}
        assert tools == {tool["function"]["name"] for tool in call.tools}
    assert set(ids.values()) == {1}


def test_a_failed_request_is_a_span_with_an_error(tmp_path: Path) -> None:
    path = made_run(tmp_path / "run")
    with TraceWriter(path / "trace.sqlite") as writer:
        writer.calls([replace(CALL, status="rate_limited", error="429", answers=[])])
        writer.commit()
    (line,) = say("export", path).splitlines()
    span = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert span["status"] == {"code": 2, "message": "429"}
    assert attributes(line)["error.type"] == "rate_limited"
    done = CliRunner().invoke(app, ["trace", "export", str(path), str(tmp_path / "no" / "file")])
    assert "cannot write" in str(done.exception)


# ------------------------------------------------------------------------- the help's examples

PRINTING = [command for command in tracing.app.registered_commands if command.name != "open"]
"""The verbs that print; the full-screen browser has tests of its own."""

EXAMPLES = [
    line.strip().removeprefix("Example: ").removeprefix("python cli.py trace ")
    for command in PRINTING
    for line in str(command.callback.__doc__).splitlines()
    if "python cli.py trace" in line
]


def test_every_verb_has_an_example() -> None:
    verbs = {example.split()[0] for example in EXAMPLES}
    assert verbs == {command.name for command in PRINTING}


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_of_the_help_work(
    example: str, run: TinyRun, my_prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("my-run", "other-run"):
        shutil.copytree(run.path, tmp_path / "runs" / name)
    shutil.copytree(my_prompts, tmp_path / "my_prompts")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key-of-no-worth")
    with OpenAIServer(teach()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        assert say(*shlex.split(example)).strip()


# ------------------------------------------------------------------------------ hostile text

EVIL = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202egnp[bold]m[/bold][/red] \x00"
EVIL += "\u200b\u200e\u200f\u061c\U000e0041 \u2028 and \u2029."


def made_run(path: Path) -> Path:
    """A run folder that a trace can be put into."""
    RunFolder.create(path).write_config({})
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose trace has escape sequences and markup in every column of text."""
    path = made_run(tmp_path_factory.mktemp("hostile") / "run")
    call = replace(
        CALL,
        situation_id=1,
        node=EVIL,
        provider=EVIL,
        model=EVIL,
        status=EVIL,
        error=EVIL,
        messages=[{"role": EVIL, "content": EVIL, "tool_calls": [{"function": {"name": EVIL}}]}],
        tools=[{"function": {"name": EVIL, "description": EVIL}}],
        settings={EVIL: EVIL},
        answers=[
            {"content": EVIL, "tool_calls": [{"name": EVIL, "args": {EVIL: EVIL}}]},
            {"refusal": EVIL, "invalid_tool_calls": [{"name": EVIL}]},
        ],
        plans=[[[EVIL, EVIL]], None],
    )
    with TraceWriter(path / "trace.sqlite") as writer:
        writer.situations({1: EVIL, 2: f"{EVIL} 2"})
        another = [{"role": "user", "content": f"{EVIL} 2"}]
        writer.calls([call, replace(call, situation_id=2, messages=another)])
        plans = [{"plan": [[EVIL, EVIL]], "p": 1.0}, *ADVICE.to_json()]
        writer.advice([AdviceRecord(1, 1, s, EVIL, plans) for s in (1, 2)])
        writer.events([EventRecord(1, 1, EVIL, EVIL, EVIL, 1)])
        writer.visits([visit(1, s, 3) for s in (1, 2)])
        writer.examples([ExampleRecord(1, 1, 0, EVIL)])
        writer.commit()
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        *("list RUN", "list RUN calls", "list RUN failures", "list RUN calls --node fallback"),
        *("show RUN 1", "show RUN c1", "stats RUN", "follow RUN", "export RUN"),
        *("diff RUN:1 RUN:2", "diff RUN:c1 RUN:c2", "diff RUN RUN"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_hostile_text_never_reaches_the_terminal(
    hostile: Path, arguments: str, as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    words = arguments.replace("RUN", str(hostile)).split()
    if as_json and words[0] != "export":
        words.append("--json")
    shown = say(*words)
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\U000e0041]",
        shown,
    )
    if "fallback" not in words and words[1:] != [str(hostile), str(hostile)]:
        assert "[bold]" in shown, "markup is text like any other"


# ------------------------------------------------------------------------------ damaged rows


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose trace has odd, deep or no JSON, and wrong types, in a row of each table."""
    path = made_run(tmp_path_factory.mktemp("damaged") / "run")
    with TraceWriter(path / "trace.sqlite") as writer:
        writer.situations({1: "a room", 2: "a hall", 3: "a door"})
        writer.calls([replace(CALL, situation_id=s) for s in (1, 2, 3)])
        writer.advice([AdviceRecord(1, 1, s, "model", ADVICE.to_json()) for s in (1, 2)])
        writer.events([EventRecord(1, 1, "planner", "timed_out", "late", s) for s in (1, 2)])
        writer.visits([visit(i, s, 3) for s in (1, 2) for i in (1, 2)])
        writer.examples([ExampleRecord(1, s, 0, "a map") for s in (1, 2)])
        writer.commit()
    with closing(sqlite3.connect(path / "trace.sqlite")) as connection, connection:
        connection.execute("UPDATE calls SET plans = '[[[1]]]' WHERE id = 2")
        connection.execute("UPDATE advice SET plans = '[{}]' WHERE id = 2")
        connection.execute("UPDATE events SET iteration = 'never' WHERE id = 2")
        connection.execute("UPDATE visits SET visits = x'00' WHERE iteration = 2")
        connection.execute("UPDATE examples SET decision = ?", ("[" * 9999,))
        connection.execute("UPDATE situations SET text = x'01' WHERE number = 3")
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        *("list RUN", "list RUN calls", "list RUN failures", "list RUN --text room"),
        *("show RUN 1", "show RUN 2", "show RUN c1", "stats RUN", "export RUN"),
        *("diff RUN:1 RUN:2", "diff RUN:c1 RUN:c3", "diff RUN RUN"),
    ],
)
def test_damaged_rows_are_named_and_the_rest_is_shown(damaged: Path, arguments: str) -> None:
    words = arguments.replace("RUN", str(damaged)).split()
    done = CliRunner().invoke(app, ["trace", *words])
    if arguments == "diff RUN:c1 RUN:c3":  # the situation of c3 is damaged
        assert isinstance(done.exception, TraceError)
        return
    assert done.exit_code == 0, done.exception
    assert done.stdout.strip()
    told = [line for line in done.stderr.splitlines() if line.startswith("passed over: ")]
    for row in ("row 2 of events", "iteration 2 of visits", "row 3 of situations"):
        assert any(row in line for line in told)


def test_what_is_followed_names_damaged_rows_once(damaged: Path) -> None:
    told = say("follow", damaged).split("passed over: ")
    assert sum("row 2 of events" in part for part in told) == 1
