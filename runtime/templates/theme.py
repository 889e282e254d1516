"""How mails look: one quiet theme in two schemes, as colours, and the styles of each element.

Styles stand inline, because many mail readers drop style sheets; the dark scheme and the phone come as a style sheet
on top (`runtime.templates.stylesheet`) for those that keep it.
"""

from typing import NamedTuple

FONT = "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"


class Tone(NamedTuple):
    """The colours of an alert; its sign says the tone to those who see no colours."""

    ground: str
    words: str
    sign: str
    on_sign: str


class Scheme(NamedTuple):
    """Colours; every pair of words and ground that occurs has a contrast of 4.5 or more."""

    page: str
    card: str
    panel: str
    line: str
    words: str
    muted: str
    accent: str
    on_accent: str
    tones: dict[str, Tone]


LIGHT = Scheme(
    page="#f3f4f7",
    card="#ffffff",
    panel="#f7f8fa",
    line="#e4e7ec",
    words="#1b2330",
    muted="#5c6675",
    accent="#3553c8",
    on_accent="#ffffff",
    tones={
        "info": Tone("#eef2fe", "#22346f", "#3553c8", "#ffffff"),
        "success": Tone("#e9f6ee", "#17502f", "#22804a", "#ffffff"),
        "warning": Tone("#fef4de", "#5f3f05", "#a16207", "#ffffff"),
        "danger": Tone("#fdeeed", "#7c1d1a", "#c5352f", "#ffffff"),
    },
)
DARK = Scheme(
    page="#0f1217",
    card="#191d24",
    panel="#20252e",
    line="#2e3541",
    words="#e8ebf0",
    muted="#a3acba",
    accent="#9db1ff",
    on_accent="#10162b",
    tones={
        "info": Tone("#1e2642", "#ccd7ff", "#9db1ff", "#10162b"),
        "success": Tone("#162b20", "#bce8cc", "#4fc487", "#0a1f13"),
        "warning": Tone("#2f2612", "#f5dda6", "#e2a53a", "#241a05"),
        "danger": Tone("#351d1e", "#f8c9c6", "#f0746d", "#2a0d0c"),
    },
)

_BLOCK = "margin:16px 0 0"
_HEADING = f"font-weight:600;color:{LIGHT.words};letter-spacing:-0.01em"
STYLES: dict[str, str] = {
    "p": _BLOCK,
    "h1": f"margin:28px 0 0;font-size:24px;line-height:32px;{_HEADING}",
    "h2": f"margin:28px 0 0;font-size:20px;line-height:28px;{_HEADING}",
    "h3": f"margin:24px 0 0;font-size:16px;line-height:24px;{_HEADING}",
    "ul": f"{_BLOCK};padding:0 0 0 22px",
    "ol": f"{_BLOCK};padding:0 0 0 22px",
    "li": "margin:0 0 6px",
    "blockquote": f"{_BLOCK};padding:2px 0 2px 16px;border-left:3px solid {LIGHT.line};color:{LIGHT.muted}",
    "pre": f"{_BLOCK};padding:14px 16px;background:{LIGHT.panel};border-radius:8px;white-space:pre-wrap;"
    f"font:14px/21px {MONO}",
    "code": f"padding:2px 5px;background:{LIGHT.panel};border-radius:4px;font-family:{MONO};font-size:0.9em",
    "hr": f"{_BLOCK};border:0;border-top:1px solid {LIGHT.line}",
    "a": f"color:{LIGHT.accent};text-decoration:underline;text-underline-offset:2px",
    "strong": "font-weight:600",
}
"""Tag → inline style of what Markdown makes."""
CLASSES = {
    "h1": "w",
    "h2": "w",
    "h3": "w",
    "blockquote": "m l",
    "pre": "n",
    "code": "n",
    "hr": "l",
    "a": "a",
}
"""Tag → class, for the dark scheme: w words, m muted, a accent, l line, n panel."""


def mirrored(html: str) -> str:
    """Return HTML that is dressed in these styles as it stands in a language written from right to left."""
    return html.replace("padding:0 0 0 22px", "padding:0 22px 0 0").replace(
        "padding:2px 0 2px 16px;border-left", "padding:2px 16px 2px 0;border-right"
    )
