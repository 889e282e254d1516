"""Blocks as MJML around slots that hold finished HTML.

MJML never sees what an author wrote, only the slots: so nothing in a text can move, close or break its tables.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runtime.templates.marks import Marks
from runtime.templates.part import Part, repeated
from runtime.templates.theme import LIGHT, STYLES, mirrored

_SPACE_ABOVE = {"heading": 36, "text": 16, "button": 24, "facts": 24, "items": 24, "alert": 24, "divider": 32}
_CLOSER = {("heading", "text"): 12, ("alert", "alert"): 12}
_TABLE = 'width="100%" cellpadding="0" cellspacing="0" border="0"'
_CELLS = "word-break:normal;overflow-wrap:break-word;font-variant-numeric:tabular-nums"
_SIGNS = {"info": "i", "success": "✓", "warning": "!", "danger": "✕"}


@dataclass(frozen=True)
class Setting:
    """What the parts of a mail share: the slots of its MJML, and the side on which its language begins."""

    slots: Marks
    start: str = "left"

    @property
    def end(self) -> str:
        """Return the side on which a line ends."""
        return "right" if self.start == "left" else "left"

    def turned(self, html: str) -> str:
        """Return Markdown's HTML with its lists and quotes on the side where lines start."""
        return html if self.start == "left" else mirrored(html)


def parts_to_mjml(parts: Iterable[Part], setting: Setting) -> str:
    """Return the MJML of blocks, which stand in one column so that neighbours share one section."""
    out, above = [], ""
    for part in parts:
        out.append(_MJML[part.block.type](part, setting, _padding(part.block.type, above)))
        above = part.block.type
    return "".join(out)


def _padding(kind: str, above: str) -> str:
    if not above:
        return "0"
    space = 32 if above == "divider" else _CLOSER.get((above, kind), _SPACE_ABOVE[kind])
    return f"{space}px 0 0"


def _element(content: str, padding: str, setting: Setting, css: str = "") -> str:
    css_class = f' css-class="{css}"' if css else ""
    return f'<mj-text align="{setting.start}" padding="{padding}"{css_class}>{setting.slots.add(content)}</mj-text>'


def _heading(part: Part, setting: Setting, padding: str) -> str:
    style = STYLES["h1"].split(";", 1)[1]
    content = f'<h1 class="w" style="margin:0;{style}">{part.html("text")}</h1>'
    return _element(content, padding, setting, "w")


def _paragraphs(part: Part, setting: Setting, padding: str) -> str:
    return _element(setting.turned(part.html("text")), padding, setting, "w")


def _button(part: Part, setting: Setting, padding: str) -> str:
    address, label = setting.slots.add(part.html("href")), setting.slots.add(part.html("label"))
    return f'<mj-button align="{setting.start}" padding="{padding}" href="{address}" css-class="go">{label}</mj-button>'


def _facts(part: Part, setting: Setting, padding: str) -> str:
    rows = []
    for number in range(len(part.block.columns)):
        edge = f"border-top:1px solid {LIGHT.line};" if number else ""
        rows.append(
            f'<tr><th class="m l" scope="row" align="{setting.start}" valign="top" style="{edge}padding:11px 0;'
            f'padding-{setting.end}:20px;color:{LIGHT.muted};font-weight:400;font-size:15px;line-height:22px">'
            f"{part.html(f'columns/{number}/label')}</th>"
            f'<td class="w l" align="{setting.end}" valign="top" style="{edge}padding:11px 0;color:{LIGHT.words};'
            f'font-weight:600;font-size:15px;line-height:22px">{part.html(f"columns/{number}/value")}</td></tr>'
        )
    panel = (
        f'<table {_TABLE} class="n" style="border-collapse:separate;background:{LIGHT.panel};border-radius:10px;'
        f'padding:5px 18px;{_CELLS}"><tbody>{"".join(rows)}</tbody></table>'
    )
    return _element(panel, padding, setting)


def _items(part: Part, setting: Setting, padding: str) -> str:
    head, cells = [], []
    count = len(part.block.columns)
    for number in range(count):
        side = setting.end if number and number == count - 1 else setting.start
        gap = "" if number == count - 1 else f";padding-{setting.end}:16px"
        head.append(
            f'<th class="m l" scope="col" align="{side}" style="padding:0 0 8px{gap};border-bottom:1px solid '
            f'{LIGHT.line};color:{LIGHT.muted};font-weight:400;font-size:13px;line-height:20px">'
            f"{part.html(f'columns/{number}/label')}</th>"
        )
        cells.append(
            f'<td class="w l" align="{side}" valign="top" style="padding:11px 0{gap};border-bottom:1px solid '
            f'{LIGHT.line};color:{LIGHT.words};font-size:15px;line-height:22px">'
            f"{part.html(f'columns/{number}/value')}</td>"
        )
    rest = f'<tr><td class="m" colspan="{count}" align="{setting.start}" style="padding:11px 0">'
    rows = repeated(part.block.each, f"<tr>{''.join(cells)}</tr>", rest + "{}</td></tr>", rest + "—</td></tr>")
    table = (
        f'<table {_TABLE} style="border-collapse:separate;{_CELLS}">'
        f"<thead><tr>{''.join(head)}</tr></thead><tbody>{rows}</tbody></table>"
    )
    return _element(table, padding, setting)


def _alert(part: Part, setting: Setting, padding: str) -> str:
    name = part.block.tone or "info"
    tone = LIGHT.tones[name]
    sign = (
        f'<div class="s" aria-hidden="true" style="width:20px;height:20px;border-radius:10px;background:{tone.sign};'
        f'color:{tone.on_sign};text-align:center;font-size:13px;font-weight:700;line-height:20px">{_SIGNS[name]}</div>'
    )
    words = setting.turned(part.html("text")).replace(f"color:{LIGHT.accent}", f"color:{tone.words}")
    box = (
        f'<table {_TABLE} role="presentation" class="{name}" style="border-collapse:separate;background:{tone.ground};'
        f'color:{tone.words};border-radius:10px"><tbody><tr>'
        f'<td width="20" valign="top" style="padding:15px 0 0;padding-{setting.start}:16px">{sign}</td>'
        f'<td align="{setting.start}" style="padding:14px 16px;padding-{setting.start}:12px;font-size:15px;'
        f'line-height:23px">{words}</td></tr></tbody></table>'
    )
    return _element(box, padding, setting)


def _divider(_part: Part, _setting: Setting, padding: str) -> str:
    return f'<mj-divider padding="{padding}" border-width="1px" border-color="{LIGHT.line}" css-class="l" />'


_MJML: dict[str, Callable[[Part, Setting, str], str]] = {
    "heading": _heading,
    "text": _paragraphs,
    "button": _button,
    "facts": _facts,
    "items": _items,
    "alert": _alert,
    "divider": _divider,
}
