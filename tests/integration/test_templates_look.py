"""Mails as a browser shows them: readable in both schemes, and as wide as a phone."""

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from runtime.templates.compile import compile_texts
from runtime.templates.rendering import render
from runtime.templates.theme import DARK, LIGHT
from tests.templates_sample import EVERY_BLOCK, NAMES, VALUES, send

pytestmark = pytest.mark.services

MEASURE = """
<script>
onload = () => {
  const page = document.querySelector("iframe").contentDocument, view = page.defaultView;
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = rgb => rgb.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(view.getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const dull = [];
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.offsetParent) continue;
    const one = light(parts(view.getComputedStyle(element).color)), other = light(ground(element));
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) dull.push([walker.currentNode.data.trim(), contrast]);
  }
  const result = document.createElement("pre");
  result.textContent = JSON.stringify({dull, wide: page.documentElement.scrollWidth, page: ground(page.body)});
  document.body.append(result);
};
</script>"""


def measured(html: str, folder: Path, width: int, *, dark: bool) -> dict[str, Any]:
    """Show a mail in Chromium and return what was measured of it."""
    page = folder / "page.html"
    frame = f'<iframe style="border:0;width:{width}px;height:2000px" srcdoc="{escape(html)}"></iframe>'
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{frame}{MEASURE}", encoding="utf-8")
    quiet = ("gpu", "background-networking", "component-update", "sync", "dev-shm-usage")
    command = [
        shutil.which("chromium") or shutil.which("google-chrome") or "chromium",
        *("--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in quiet)),
        *(("--force-dark-mode", "--blink-settings=preferredColorScheme=0") if dark else ()),
        *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", "--dump-dom", page.as_uri()),
    ]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    found = re.search(r"<pre>(.*?)</pre>", shown.rpartition("</iframe>")[2], re.DOTALL)
    assert found, shown[-500:]
    result: dict[str, Any] = json.loads(unescape(found.group(1)))
    return result


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [375, 760])
@pytest.mark.parametrize("locale", ["", "ar"])
def test_every_block_can_be_read_and_fits(tmp_path: Path, locale: str, width: int, *, dark: bool) -> None:
    text = compile_texts(send({}, {**EVERY_BLOCK, "locale": locale}) if locale else send(EVERY_BLOCK), "", NAMES)[-1]
    links = {"unsubscribe": "https://x.test/u"}
    mail = render(text, VALUES, locale=locale, zone="UTC", links=links, sender="Shop <hi@shop.test>")
    seen = measured(mail.html, tmp_path, width, dark=dark)
    ground = (DARK if dark else LIGHT).page
    assert [int(ground[at : at + 2], 16) for at in (1, 3, 5)] == seen["page"]
    assert seen["dull"] == []
    assert seen["wide"] <= width
