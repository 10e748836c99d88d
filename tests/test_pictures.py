"""docs/make_pictures.py: it draws what it says, with the program as it is today."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from helpers.finished_runs import finished_run
from helpers.tiny_runs import ROOT, make_run


@pytest.mark.slow
def test_the_pictures_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path)
    for seed in range(2):
        finished_run(tmp_path / "compared" / str(seed), seed)
    monkeypatch.setattr(sys, "argv", ["make_pictures.py"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    draw_all = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))["draw_all"]
    monkeypatch.setitem(draw_all.__globals__, "DOCS", tmp_path)
    draw_all(run.path, tmp_path / "compared")
    for name in ("run", "curves", "trace", "trace_open"):
        drawn = (tmp_path / f"{name}.svg").read_text("utf-8")
        assert drawn.rstrip().endswith("</svg>")
        assert len(drawn) > 10_000
