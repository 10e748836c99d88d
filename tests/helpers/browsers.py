"""A real browser without a network, and what it makes of a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest

WIDTHS = (360, 1280)
"""A phone's, and a desk's, in pixels."""
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")

OVERFLOWING = """() => {
  const found = [], edge = document.documentElement.clientWidth + 1;
  const seen = e => e.checkVisibility({ contentVisibilityAuto: true });
  const say = (what, e) => found.push(`${what}: ${e.tagName} ${e.textContent.slice(0, 60)}`);
  if (document.documentElement.scrollWidth > edge) found.push("the page is wider than its window");
  for (const e of document.querySelectorAll("body *:not(svg, svg *, .wide *, input)")) {
    const box = e.getBoundingClientRect();
    if (!seen(e) || getComputedStyle(e).display === "inline") continue;
    if (box.right > edge || box.left < -1) say("beyond the window", e);
    if (e.scrollWidth > e.clientWidth + 1 && !e.classList.contains("wide")) say("cut", e);
  }
  for (const text of document.querySelectorAll("svg.chart text")) {
    const inner = text.getBoundingClientRect(), outer = text.closest("svg").getBoundingClientRect();
    const out = Math.max(outer.left - inner.left, inner.right - outer.right,
                         outer.top - inner.top, inner.bottom - outer.bottom);
    if (out > 1) say("outside its chart", text);
  }
  return found;
}"""
"""What does not fit: boxes beyond the window, texts that are cut, texts outside their charts."""

PALE = """() => {
  const numbers = c => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = numbers(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length || e.closest("svg.map, title, desc")) continue;
    const style = getComputedStyle(e);
    if (style.visibility !== "visible") continue;
    const ink = light(numbers(e.namespaceURI.includes("svg") ? style.fill : style.color));
    const ground = light(numbers(`${behind(e)}`));
    const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    if (contrast < 4.5) found.push(`${contrast.toFixed(1)}: ${e.tagName} ${e.textContent}`);
  }
  return found;
}"""
"""Texts whose contrast to what is behind them is less than WCAG's 4.5 to 1."""


@dataclass
class View:
    """A page as a browser shows it. asked: what it has requested; blocked: what of it the page's
    own policy has not let through; said: on the console.
    """

    page: Any
    asked: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def ask(self, script: str) -> Any:
        """What a function of the page's gives back."""
        return self.page.evaluate(script)

    def unfold(self) -> None:
        """Open all that is folded."""
        self.ask("() => document.querySelectorAll('details').forEach(e => { e.open = true })")


class Browser:
    """Opens files. Whatever is asked of the network fails, and is noted."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    @contextmanager
    def view(
        self, file: Path, width: int = 1280, scheme: Scheme = "light", still: bool = False
    ) -> Iterator[View]:
        """A file at a window's width. still: for somebody who wants nothing to move."""
        context = self._browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce" if still else "no-preference",
            offline=True,
        )
        try:
            view = View(context.new_page())
            view.page.on("request", lambda request: view.asked.append(request.url))
            view.page.on("requestfailed", lambda request: _note(view, request))
            view.page.on("console", lambda message: view.said.append(message.text))
            view.page.on("pageerror", lambda error: view.said.append(str(error)))
            view.page.on("dialog", lambda dialog: (view.said.append("dialog"), dialog.dismiss()))
            view.page.goto(file.as_uri())
            yield view
        finally:
            context.close()


def _note(view: View, request: Any) -> None:
    if request.failure == "csp":
        view.blocked.append(request.url)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser. Where there is none, the test is skipped; with BROWSER_TESTS=required it fails."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _without("Playwright, which the extra `test` brings")
    # Its settings and reports of crashes are not to lie in anybody's folders.
    with TemporaryDirectory() as places, sync_playwright() as playwright:
        names = ("chromium", "chromium-browser", "google-chrome")
        found = next(filter(None, map(shutil.which, names)), playwright.chromium.executable_path)
        if not Path(found).exists():
            _without("Chromium (apt-get install chromium, or playwright install chromium)")
        browser = playwright.chromium.launch(
            executable_path=found,
            args=["--host-resolver-rules=MAP * ~NOTFOUND"],
            env={**os.environ, "HOME": places, "XDG_CONFIG_HOME": places, "XDG_CACHE_HOME": places},
        )
        try:
            yield Browser(browser)
        finally:
            browser.close()


def _without(what: str) -> None:
    if os.environ.get("BROWSER_TESTS") == "required":
        pytest.fail(f"a browser is needed here: {what}")
    pytest.skip(f"needs {what}")
