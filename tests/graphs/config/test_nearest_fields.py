"""A field or value that is not known: the nearest ones are named, whatever section they are in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tutelage.graphs.config.config import ConfigError, make_config


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("gamma=0.9", "unknown field gamma (did you mean 'ppo.gamma'?)"),
        ("gama=0.9", "unknown field gama (did you mean 'ppo.gamma'?)"),
        ("ppo.gama=0.9", "unknown field ppo.gama (did you mean 'ppo.gamma'?)"),
        ("pppo.gamma=0.9", "unknown field pppo.gamma (did you mean 'ppo.gamma'?)"),
        ("teacher.gamma=0.9", "unknown field teacher.gamma (did you mean 'ppo.gamma'?)"),
        ('ppo={"gama": 0.9}', "unknown field ppo.gama (did you mean 'ppo.gamma'?)"),
        ("sched=off", "unknown field sched (did you mean 'weaning.schedule'?)"),
        ("seeed=3", "unknown field seeed (did you mean 'seed'?)"),
        ("budget=3", "'teacher.budget_calls' or 'teacher.budget_tokens' or 'teacher.budget_usd'?)"),
        ("ppo.zzz=1", "unknown field ppo.zzz; allowed: num_steps, epochs, "),
        ("zzz=1", "unknown field zzz; allowed: graph, env, "),
        ("seed.x=1", "unknown field seed.x: seed has no fields of its own"),
        ("teacher=3", "teacher is a section of fields"),
        ("weaning.schedule=linaer", "weaning.schedule = 'linaer': "),
        ("weaning.schedule=linaer", "or 'off' (did you mean 'linear'?)"),
        ("task.engine=bached", "(did you mean 'batched'?)"),
        ("device=cdua", "(did you mean 'cuda'?)"),
        ("loggers=wandb,tensrboard", "loggers = 'tensrboard': input should be 'tensorboard', "),
        ("loggers=wandb,tensrboard", "(did you mean 'tensorboard'?)"),
        ("teacher.soft=ture", "(did you mean 'true'?)"),
        ("teacher.fallback=ofline", "'ofline' cannot stand in (did you mean 'offline'?); allowed"),
        ("graph=hierarchicl", "(did you mean 'hierarchical'?); allowed: teacher_student, "),
    ],
)
def test_what_is_near_is_named(assignment: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make_config(None, [assignment], {})
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_so_it_is_for_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[taks]\nengine = 'batched'\n")
    with pytest.raises(ConfigError, match=r"unknown field taks\.engine .*'task\.engine'"):
        make_config(file, [], {})
