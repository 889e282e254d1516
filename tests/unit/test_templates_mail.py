"""The page of a mail: what readers of mail need, two schemes that can be read, and nothing lost on the way."""

import re
from html.parser import HTMLParser
from itertools import product
from typing import Any

import pytest

from runtime.spec.compiled import CompiledText
from runtime.templates.compile import compile_texts
from runtime.templates.marks import Marks
from runtime.templates.policy import flaws, parse
from runtime.templates.preview import as_document
from runtime.templates.rendering import render
from runtime.templates.stylesheet import stylesheet
from runtime.templates.theme import DARK, LIGHT, Scheme
from tests.templates_sample import EVERY_BLOCK, NAMES, VALUES, compiled, rendered, send

VOID = {"meta", "br", "hr", "img", "link"}


class Tree(HTMLParser):
    """Collects tags, visible words and addresses; unbalanced tags are an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.addresses: list[str] = []
        self._open: list[tuple[str, bool]] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.addresses += [given["href"] or ""] if "href" in given else []
        hidden = tag in {"style", "title"} or "display:none" in (given.get("style") or "")
        if tag not in VOID:
            self._open.append((tag, hidden))

    def handle_startendtag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if not any(hidden for _, hidden in self._open):
            self.words += data.split()


def test_every_block_stands_in_well_formed_html_with_its_values() -> None:
    html = rendered(EVERY_BLOCK).html
    tree = Tree(html)
    said = " ".join(tree.words)
    for words in (
        "Order 7",
        "Hello there,",
        "Track Mug",
        "Title Mug",
        "Item Qty Mug 2 Cap 1",
        "info: Mug",
        "danger: Mug",
    ):
        assert words in said
    assert tree.addresses == ["https://x.test/7", "https://x.test/Mug?a=1&b=7"]
    assert tree.tags.count("h1") == 1
    assert "{{" not in html
    assert "{%" not in html


def test_a_mail_fetches_nothing() -> None:
    html = rendered(EVERY_BLOCK).html
    assert not re.search(r"<(link|img|script|iframe|object|base)\b|@import|url\(|src=", html)


def test_neighbouring_blocks_share_one_section() -> None:
    few, many = compiled({"body": "x"}).html, compiled(EVERY_BLOCK).html
    assert few.count("max-width:568px") == many.count("max-width:568px")
    assert len(many) < 22_000


def test_the_preheader_is_hidden_padded_and_nowhere_else() -> None:
    mail = rendered(EVERY_BLOCK)
    before, _, after = mail.html.partition("It left June 1, 2026.")
    assert "display:none" in before[-200:]
    assert after.startswith("&#847;&zwnj;&nbsp;")
    assert "It left" not in after
    assert "It left" not in mail.text
    assert "\u034f" not in mail.text
    assert "display:none" not in rendered({"preheader": ""}).html


def test_the_subject_is_the_title_and_escaped_there() -> None:
    html = rendered(EVERY_BLOCK).html
    assert "<title>Order 7 &amp; more</title>" in html
    assert 'aria-label="Order 7 &amp; more"' in html


@pytest.mark.parametrize(
    ("locale", "opening"),
    [
        ("", '<html lang="und" dir="auto"'),
        ("fr", '<html lang="fr" dir="ltr"'),
        ("ar-EG", '<html lang="ar-EG" dir="rtl"'),
    ],
)
def test_language_and_direction_are_said_on_the_page_and_inside_its_body(locale: str, opening: str) -> None:
    step = send({}, {**EVERY_BLOCK, "locale": locale}) if locale else send(EVERY_BLOCK)
    html = compile_texts(step, "", NAMES)[-1].html
    assert html.startswith(f"<!doctype html>{opening}")
    assert opening.removeprefix("<html ") in html.partition("<body")[2]
    turned = ("direction:rtl", "padding:0 22px 0 0", "border-right:3px")
    assert all((style in html) == (locale == "ar-EG") for style in turned)


def footer(**given: Any) -> tuple[str, str]:
    mail = render(compiled({"body": "words"}), VALUES, locale=given.pop("locale", "en"), zone="UTC", **given)
    said = " ".join(Tree(mail.html).words)
    return said.partition("words")[2].strip(), mail.text


def test_the_footer_says_who_sends_and_how_to_leave() -> None:
    link = {"unsubscribe": "https://x.test/u?a=1&b=2"}
    assert footer() == ("", "words")
    assert footer(sender="Shop <hi@shop.test>") == ("Shop", "words\n\n-- \nShop")
    assert footer(sender="hi@shop.test") == ("", "words")
    assert footer(links=link) == ("Unsubscribe", "words\n\n-- \nUnsubscribe: https://x.test/u?a=1&b=2")
    html, text = footer(sender="Shop & <b>Co</b>", links=link, locale="fr-CA")
    assert html == "Shop & <b>Co</b> · Se désabonner"
    assert text == "words\n\n-- \nShop & <b>Co</b>\nSe désabonner: https://x.test/u?a=1&b=2"


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_all_words_can_be_read_on_their_ground(scheme: Scheme) -> None:
    pairs = [*product((scheme.words, scheme.muted, scheme.accent), (scheme.card, scheme.panel, scheme.page))]
    pairs += [(scheme.on_accent, scheme.accent)]
    for tone in scheme.tones.values():
        pairs += [(tone.words, tone.ground), (tone.on_sign, tone.sign)]
    assert [pair for pair in pairs if contrast(*pair) < 4.5] == []


def test_every_coloured_word_of_a_block_has_a_class_that_the_dark_scheme_knows() -> None:
    known = set(re.findall(r"\.([a-z]+)", stylesheet()))
    coloured = re.findall(r'<(?:h1|h2|th|td|a|blockquote)\b[^>]*[";]color:#[^>]*>', compiled(EVERY_BLOCK).html)
    ours = [tag for tag in coloured if "_blank" not in tag]  # a button's link is found by where it stands
    assert len(ours) > 10
    for tag in ours:
        classes = re.findall(r'class="([^"]*)"', tag)
        assert classes, tag
        assert set(classes[0].split()) <= known, tag


def test_the_dark_scheme_is_said_for_readers_with_and_without_media_queries() -> None:
    sheet = stylesheet()
    media = sheet.partition("@media (prefers-color-scheme:dark) {")[2].partition("\n}\n")[0]
    for colour in (DARK.page, DARK.card, DARK.words, DARK.muted, DARK.accent, *(t.ground for t in DARK.tones.values())):
        assert colour in media
    assert f"[data-ogsc] .m, [data-ogsc] .m > div {{ color:{DARK.muted} !important; }}" in sheet
    assert f"[data-ogsb] .n {{ background:{DARK.panel} !important; }}" in sheet
    html = rendered(EVERY_BLOCK).html
    assert "@media all {" in as_document(html, "dark")
    assert "@media not all {" in as_document(html, "light")


def test_no_style_holds_a_value_of_a_template() -> None:
    html = compiled(EVERY_BLOCK).html
    for style in re.findall(r'style="([^"]*)"', html) + re.findall(r"<style[^>]*>(.*?)</style>", html, re.DOTALL):
        assert "{{" not in style
        assert "{%" not in style


def test_the_whole_template_keeps_the_policy() -> None:
    text = compiled(EVERY_BLOCK)
    for source in (text.html, text.text, text.subject):
        assert list(flaws(parse(source), ours=frozenset({"_subject", "_footer"}))) == []


def test_what_mjml_loses_is_told_by_name() -> None:
    marks = Marks()
    first, second = marks.add("<p>{{ a }}</p>"), marks.protect("{{ b }}")
    restored = marks.restore(f"<td>{first}</td>")
    assert restored == ("<td><p>{{ a }}</p></td>", ("{{ b }}",))
    assert marks.restore(first + second).lost == ()


def test_a_compiled_text_is_plain_data() -> None:
    text = compiled(EVERY_BLOCK)
    assert text == CompiledText.model_validate_json(text.model_dump_json())
