"""`bench` with a tiny budget: every part is there, and the figures hang together."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.fork_server import ForkServer
from tutelage.graphs.analysis.bench_rivals import RivalMissingError, stable_baselines
from tutelage.graphs.config.config import make_config

TINY = ["bench", "--seconds", "0.2", "--num-envs", "4", "--set", "ppo.num_steps=8"]


def test_it_measures_every_part(server: ForkServer, tmp_path: Path) -> None:
    done = server.run([*TINY, "--json"], cwd=str(tmp_path))
    assert done.code == 0, done.err
    shown = json.loads(done.out)
    assert (shown["env"], shown["num_envs"], shown["threads"]) == ("SimpleDoorKey", 4, 1)
    figures: dict[str, Any] = {figure["name"]: figure for figure in shown["figures"]}
    assert list(figures) == [
        "batched engine, no resets",
        "batched engine, 25-step episodes",
        "gymnasium engine, no resets",
        "gymnasium engine, 25-step episodes",
        "engine, remembered map and what is seen",
        "situation_ids",
        "student forward",
        "labels",
        "collecting",
        "PPO update with labels",
        "PPO update",
        "end to end, labels on every step",
        "end to end, no teacher",
        "Gymnasium SyncVectorEnv",
        "Stable-Baselines3 PPO",
    ]
    for figure in figures.values():
        assert figure["steps_per_s"] > 0
        assert figure["us_per_step"] == pytest.approx(1e6 / figure["steps_per_s"])
    batched, gymnasium = (figures[f"{e} engine, no resets"] for e in ("batched", "gymnasium"))
    assert batched["steps_per_s"] > gymnasium["steps_per_s"]
    rival = figures["Stable-Baselines3 PPO"]
    ours = figures["end to end, no teacher"]["steps_per_s"]
    assert rival["ratio"] == pytest.approx(ours / rival["steps_per_s"])
    assert 0 < sum(shown["shares"].values()) <= 1.001
    assert list(tmp_path.iterdir()) == []


def test_a_task_of_ones_own_has_no_engine_and_no_rivals(server: ForkServer) -> None:
    done = server.run([*TINY, "--env", "helpers.toy_task:Corridor"])
    assert done.code == 0, done.err
    assert "PPO update" in done.out
    assert "LangGraph" in done.out
    assert "engine, no resets" not in done.out
    assert "Stable" not in done.out


def test_a_missing_rival_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(RivalMissingError, match=r'pip install "tutelage\[bench\]"'):
        stable_baselines("MiniGrid-Empty-5x5-v0", make_config(None, [], {}), 0.1)
