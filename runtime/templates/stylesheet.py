"""The style sheet of a mail: the dark scheme, for readers that have one, and phones."""

from collections.abc import Iterator

from runtime.templates.theme import DARK, Scheme

_PHONE = """
@media only screen and (max-width:520px) {
 .page > table > tbody > tr > td { padding:16px 10px 28px !important; }
 .card > table > tbody > tr > td { padding:26px 20px 28px !important; }
 h1 { font-size:22px !important; line-height:29px !important; }
 .go table { width:100% !important; }
}"""


def stylesheet() -> str:
    """Return the style sheet; its braces never touch each other, so that no template begins in it."""
    rules = list(_rules(DARK))
    media = "\n".join(f" {selector} {{ {style} }}" for selector, style in rules)
    # Outlook.com knows no media query; it marks what it darkens itself with these attributes instead.
    outlook = "\n".join(
        f"{_each(kind, selector)} {{ {style} }}"
        for selector, style in rules
        for kind in ("[data-ogsc]", "[data-ogsb]")
        if ("background" in style) == (kind == "[data-ogsb]")
    )
    schemes = ":root { color-scheme:light dark; supported-color-schemes:light dark; }"
    return f"{schemes}{_PHONE}\n@media (prefers-color-scheme:dark) {{\n{media}\n}}\n{outlook}"


def _each(prefix: str, selectors: str) -> str:
    return ", ".join(f"{prefix} {selector.strip()}" for selector in selectors.split(","))


def _rules(scheme: Scheme) -> Iterator[tuple[str, str]]:
    """Yield selectors and what they mean in a scheme; grounds and words apart, because Outlook.com asks for both."""
    yield "body, .page, body > div", f"background-color:{scheme.page} !important;"
    yield ".card, .card > table", f"background:{scheme.card} !important;"
    yield ".card, .card > table > tbody > tr > td, .l, .l p", f"border-color:{scheme.line} !important;"
    yield ".w, .w > div", f"color:{scheme.words} !important;"
    yield ".m, .m > div", f"color:{scheme.muted} !important;"
    yield ".a", f"color:{scheme.accent} !important;"
    yield ".n", f"background:{scheme.panel} !important;"
    yield ".go td, .go a", f"background:{scheme.accent} !important;"
    yield ".go a", f"color:{scheme.on_accent} !important;"
    for name, tone in scheme.tones.items():
        yield f".{name}", f"background:{tone.ground} !important;"
        yield f".{name}, .{name} .a, .{name} .w", f"color:{tone.words} !important;"
        yield f".{name} .s", f"background:{tone.sign} !important;"
        yield f".{name} .s", f"color:{tone.on_sign} !important;"
