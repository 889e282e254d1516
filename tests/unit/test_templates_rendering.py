"""Rendering: the right words for one person, nothing for hostile values to break out of, and bounds."""

import re
import time
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import Permanent
from runtime.spec.compiled import CompiledText
from runtime.templates.choice import choose_text
from runtime.templates.compile import check_texts, compile_texts
from runtime.templates.environment import template_of
from runtime.templates.rendering import Renderer, RenderFailed, render
from runtime.templates.values import one_line
from tests.templates_sample import NAMES, VALUES, compiled, rendered, send

TITLE = "{{ new.title }}"
EVERYWHERE: dict[str, Any] = {
    "subject": TITLE,
    "preheader": TITLE,
    "blocks": [
        {"type": "heading", "text": TITLE},
        {
            "type": "text",
            "text": f"**{TITLE}** [{TITLE}](https://x.test/{TITLE}?q={TITLE}#{TITLE}) `{TITLE}`"
            f"\n\n- {TITLE}\n\n> {TITLE}",
        },
        {"type": "button", "label": TITLE, "href": f"https://x.test/{TITLE}?q={TITLE}"},
        {"type": "facts", "columns": [{"label": TITLE, "value": TITLE}]},
        {"type": "items", "each": "lines", "columns": [{"label": TITLE, "value": "{{ row.title }}"}]},
        {"type": "alert", "text": TITLE},
    ],
}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "{{ 7 * 7 }}{% for x in y %}",
    "--><!--<![endif]-->",
    "=?utf-8?q?Hi=0ABcc:_evil?=",
    "=?utf-8?q?=3D?utf-8?q?x?=?=",
    "Hi\r\nBcc: evil@x.test",
    "Hi\u2028Bcc: evil@x.test",
    "photo_\u202egnp.exe",
    "\u2066x\u2069\x00\x1b[31m",
    "<!channel> <https://evil.test|Login> <@U1>",
    "javascript:alert(1)",
    "//evil.test/\\@evil.test",
    "&lt;b&gt; &#60;",
    "jqz0z jqz1z",
]


class Shape(HTMLParser):
    """What is markup in some HTML: tags with their attributes, and comments."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[Any] = []
        self.addresses: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":  # what a line break in a value becomes
            return
        self.found.append((tag, [name for name, _ in attrs]))
        self.addresses += [value or "" for name, value in attrs if name == "href"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self.found.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.found.append(data)


def with_title(title: str) -> dict[str, Any]:
    return {**VALUES, "new": {**VALUES["new"], "title": title}, "lines": [{"title": title}]}


MAIL, SLACK = compiled(EVERYWHERE), compiled(EVERYWHERE, "slack")
BENIGN = render(MAIL, with_title("Mug"), locale="en", zone="UTC")
BENIGN_SLACK = render(SLACK, with_title("Mug"), locale="en", zone="UTC").text


def assert_contained(title: str) -> None:
    mail = render(MAIL, with_title(title), locale="en", zone="UTC")
    shape = Shape(mail.html)
    assert Shape(BENIGN.html).found == shape.found
    assert all(address.startswith("https://x.test/") for address in shape.addresses)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]|=\?", mail.subject)
    for words in (mail.html, mail.text):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", words)
    slack = render(SLACK, with_title(title), locale="en", zone="UTC").text
    assert [BENIGN_SLACK.count(sign) for sign in "<>|"][:2] == [slack.count(sign) for sign in "<>|"][:2]
    assert set(re.findall(r"&(?!amp;|lt;|gt;)", slack)) == set()


@pytest.mark.parametrize("title", HOSTILE)
def test_a_hostile_value_stays_a_value(title: str) -> None:
    assert_contained(title)


PIECES = st.sampled_from(
    [*HOSTILE, "<", ">", '"', "'", "&", "{{", "}}", "{%", "=?", "?=", "\n", "\r", "\u202e", "|", "a"]
)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.lists(PIECES, min_size=1, max_size=6).map("".join), st.text(min_size=1)))
def test_no_value_whatever_becomes_markup_or_a_header(title: str) -> None:
    if one_line(title):
        assert_contained(title)


AUTHORS = st.sampled_from(
    [
        *(
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            "{",
            "}",
            "\\",
            "\\{",
            "&#123;",
            "{{ '{{' }}",
            "{% raw %}",
            "{% endraw %}",
        ),
        *(
            "{{ new.id }}",
            "{{- new.title -}}",
            "{{ new.note | default('x') }}",
            "{% for r in lines %}",
            "{{ r.title }}",
        ),
        *(
            "{% endfor %}",
            "{% if new.note %}",
            "{% else %}",
            "{% endif %}",
            "\n",
            "\n\n",
            "    ",
            " ",
            "- ",
            "1. ",
            "> ",
        ),
        *(
            "# ",
            "**",
            "*",
            "_",
            "`",
            "```",
            "~~",
            "---",
            "[",
            "](",
            "https://x.test/",
            ")",
            "<",
            ">",
            "&",
            "|",
            "!",
            "a",
        ),
        *("<b>", "</p>", "-->", "<!--", "jqz0z", "&#106;qz0z", "'", '"'),
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(AUTHORS, max_size=12).map("".join),
    st.sampled_from(["body", "heading", "alert", "facts", "items", "button"]),
)
def test_whatever_an_author_writes_is_refused_with_problems_or_renders_well_formed(words: str, place: str) -> None:
    fields: dict[str, Any] = {
        "heading": {"text": words},
        "alert": {"text": words},
        "facts": {"columns": [{"label": words or "x", "value": words or "x"}]},
        "items": {"each": "lines", "columns": [{"label": "x", "value": words or "x"}]},
        "button": {"label": words or "x", "href": "https://x.test/"},
    }
    text = {"body": words or "x"} if place == "body" else {"blocks": [{"type": place, **fields[place]}]}
    step = send(text, channels=("email", "slack"))
    if any(not problem.warning for problem in check_texts(step, "", NAMES)):
        return
    for one in compile_texts(step, "", NAMES):
        mail = render(one, VALUES, locale="en", zone="UTC")
        found = Shape(mail.html).found
        opened = [f"/{tag[0]}" for tag in found if isinstance(tag, tuple) and tag[0] not in {"meta", "hr"}]
        closed = [tag for tag in found if isinstance(tag, str) and re.fullmatch(r"/[a-z0-9]+", tag)]
        assert sorted(opened) == sorted(closed)


def test_a_line_break_in_a_value_is_one_on_the_page() -> None:
    mail = rendered({"body": TITLE}, new={"title": "one\ntwo <b>"})
    assert "one<br>\ntwo &lt;b&gt;" in mail.html
    assert mail.text == "one\ntwo <b>"


def test_values_in_an_address_are_encoded_as_its_parts() -> None:
    mail = rendered({"body": f"[x](https://x.test/a/{TITLE}?q={TITLE})"}, new={"title": "b c&d=/é"})
    assert 'href="https://x.test/a/b%20c%26d%3D/%C3%A9?q=b%20c%26d%3D/%C3%A9"' in mail.html
    assert mail.text == "x (https://x.test/a/b%20c%26d%3D/%C3%A9?q=b%20c%26d%3D/%C3%A9)"


SLACK_TEXTS: list[tuple[dict[str, Any], str]] = [
    ({"subject": "{{ new.title }} is low", "body": "Only **{{ new.id }}** left."}, "*Mug is low*\n\nOnly *7* left."),
    ({"subject": "Low", "body": "# {{ new.title }}\n\nx"}, "*Mug*\n\nx"),
    ({"subject": "Low", "blocks": [{"type": "heading", "text": "Low!"}, {"type": "divider"}]}, "*Low!*\n\n———"),
    ({"subject": "", "body": "just {{ new.title }}"}, "just Mug"),
    ({"subject": "", "blocks": [{"type": "alert", "tone": "danger", "text": "x"}]}, ":rotating_light: x"),
    (
        {
            "subject": "",
            "blocks": [{"type": "button", "label": "Go & see", "href": "https://x.test/?a=1&b={{ new.title }}"}],
        },
        "<https://x.test/?a=1&amp;b=Mug|Go &amp; see>",
    ),
    (
        {"subject": "", "blocks": [{"type": "facts", "columns": [{"label": "Item", "value": "{{ new.title }}"}]}]},
        "*Item:* Mug",
    ),
    (
        {
            "subject": "",
            "blocks": [
                {
                    "type": "items",
                    "each": "lines",
                    "columns": [
                        {"label": "Item", "value": "{{ row.title }}"},
                        {"label": "Qty", "value": "{{ row.qty }}"},
                    ],
                }
            ],
        },
        "*Item:*\n• Mug · Qty: 2\n• Cap · Qty: 1",
    ),
]


@pytest.mark.parametrize(("text", "expected"), SLACK_TEXTS)
def test_slack_gets_mrkdwn(text: dict[str, Any], expected: str) -> None:
    said = rendered(text, channel="slack")
    assert said.text == expected
    assert said.html == ""
    assert said.subject == text["subject"].replace("{{ new.title }}", "Mug")


def test_a_null_that_the_schema_ruled_out_fails_the_message_and_names_it() -> None:
    with pytest.raises(RenderFailed) as caught:
        rendered({"body": "{{ new.title }}"}, new={"title": None})
    reason = "The text can't be rendered: new.title is NULL, and the text has no default for that."
    assert f"{reason} Correct the text or the row." == str(caught.value)
    assert isinstance(caught.value, Permanent)
    with pytest.raises(
        RenderFailed, match=r"The subject can't be rendered: new\['title'\] is NULL, and the text has no"
    ):
        rendered({"subject": "{{ new['title'] }}"}, new={})
    with pytest.raises(RenderFailed, match=r"lines\[3\].title is NULL"):
        rendered({"body": "{{ lines[3].title }}"})


def test_a_subject_that_comes_out_empty_fails() -> None:
    with pytest.raises(RenderFailed, match=r"^The subject comes out empty. Give its values a default.$"):
        rendered({"subject": "{{ new.note | default('') }}"})


def test_output_is_bounded() -> None:
    source = "{% for a in lines %}{{ a.title }}{% endfor %}"
    with pytest.raises(RenderFailed, match=r"^The text grows beyond 1,000,000 characters. Print fewer rows.$"):
        rendered({"body": source}, lines=[{"title": "x" * 1000}] * 1001)


def test_loops_are_bounded_even_when_they_print_nothing() -> None:
    source = "{% for a in lines %}{% for b in lines %}{% for c in lines %}{% endfor %}{% endfor %}{% endfor %}"
    begun = time.perf_counter()
    with pytest.raises(RenderFailed, match=r"its loops go round more than 100,000 times"):
        rendered({"body": source}, lines=[{"title": "x"}] * 1000)
    assert time.perf_counter() - begun < 2


def test_what_is_no_list_is_not_looped_over() -> None:
    with pytest.raises(RenderFailed, match=r"new.settings is no list to loop over"):
        rendered({"body": "{% for a in new.settings | default([]) %}x{% endfor %}"})


def test_an_attribute_of_python_can_not_be_reached_even_without_the_policy() -> None:
    for source in ("{{ new.__class__ }}", "{{ new['__class__'] }}", "{{ ''.__class__ }}", "{{ new.items }}"):
        text = CompiledText(locale="", channel="email", subject=source, html="x", text="x")
        with pytest.raises(RenderFailed, match="is NULL"):
            render(text, VALUES, locale="en", zone="UTC")


def test_money_and_times_follow_the_reader_else_the_text() -> None:
    step = send({"subject": "{{ new.total_cents | money('USD') }} {{ event.at | date }}"})
    text = compile_texts(step, "", NAMES)[0]
    for locale, of_text, expected in [
        ("fr", "", "40,00 $US 2 juin 2026"),
        ("", "fr", "40,00 $US 2 juin 2026"),
        ("", "", "$40.00 June 2, 2026"),
    ]:
        mail = render(text.model_copy(update={"locale": of_text}), VALUES, locale=locale, zone="Europe/Paris")
        assert expected == mail.subject.replace("\u00a0", " ")


def test_a_text_that_is_ready_renders_for_one_person_after_the_other() -> None:
    loop = "{% for line in lines %}{% if loop.first %}{{ line.title }}{% endif %}{% endfor %}"
    text = compiled({"subject": "To {{ recipient.email }}", "body": f"{{{{ recipient.email }}}} {loop}"})
    names = {**VALUES, "lines": [{"title": "x"}] * 20_000}
    renderer = Renderer(text, names, locale="en", zone="UTC", sender="Shop")
    for name in ("Ada", "Eve", "Bob"):
        person = {"email": name}
        pieces = renderer.pieces(person, link=f"https://x.test/{name}")
        links = {"unsubscribe": f"https://x.test/{name}"}
        whole = render(text, {**names, "recipient": person}, locale="en", zone="UTC", sender="Shop", links=links)
        assert pieces.joined() == whole
        assert whole.subject == f"To {name}"
        assert {f"https://x.test/{name}"} <= set(pieces.html) & set(pieces.text)
        assert sum(map(len, set(pieces.html) & renderer.constants)) > len(whole.html) * 0.9


def test_the_same_text_is_compiled_once_and_rendered_fast() -> None:
    text = compiled({"body": "Hello {{ recipient.full_name | default('') }}, {{ new.total_cents | money('USD') }}"})
    render(text, VALUES, locale="en", zone="UTC")
    before = template_of.cache_info()
    times = []
    for _ in range(50):
        begun = time.perf_counter()
        render(text, VALUES, locale="en", zone="UTC")
        times.append(time.perf_counter() - begun)
    assert template_of.cache_info().misses == before.misses
    assert min(times) < 0.002  # 0.06 ms on a quiet machine, 3.5 ms when it is compiled anew


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\r\n b", "a b"),
        ("=?utf-8?q?x?=", "= ?utf-8?q?x?="),
        ("\x00a\x85b\u2029c", "a b c"),
        ("x" * 2000, "x" * 900),
        (" a ", "a"),
    ],
)
def test_a_header_value_is_one_harmless_line(value: str, expected: str) -> None:
    assert expected == one_line(value)


def text_for(locale: str, channel: str = "") -> CompiledText:
    return CompiledText(locale=locale, channel=channel, subject="", html="", text="")


TEXTS = [
    text_for(""),
    text_for("fr"),
    text_for("fr-CA"),
    text_for("pt-BR"),
    text_for("zh-Hant"),
    text_for("de", "slack"),
    text_for("", "slack"),
    text_for("it"),
]


@pytest.mark.parametrize(
    ("channel", "locale", "expected"),
    [
        ("email", "fr", ("fr", "")),
        ("email", "fr-CA", ("fr-CA", "")),
        ("email", "FR_ca", ("fr-CA", "")),
        ("email", "fr-BE", ("fr", "")),
        ("email", "fr_FR.UTF-8", ("fr", "")),
        ("email", "pt", ("pt-BR", "")),
        ("email", "pt-PT", ("pt-BR", "")),
        ("email", "zh-Hant-TW", ("zh-Hant", "")),
        ("email", "de", ("", "")),
        ("email", "", ("", "")),
        ("email", "tlh", ("", "")),
        ("slack", "de-AT", ("de", "slack")),
        ("slack", "it", ("it", "")),
        ("slack", "ja", ("", "slack")),
    ],
)
def test_a_person_gets_the_text_in_their_language_for_their_channel(channel: str, locale: str, expected: Any) -> None:
    chosen = choose_text(TEXTS, channel, locale)
    assert expected == (chosen.locale, chosen.channel)


def test_no_text_for_a_channel_is_said() -> None:
    with pytest.raises(Permanent, match=r"^No text of this send is for email. Add one without a locale.$"):
        choose_text([text_for("", "slack")], "email", "fr")


def test_a_text_for_every_channel_leaves_out_those_with_their_own() -> None:
    step = send(
        {"body": "all"},
        {"channel": "slack", "body": "own"},
        {"locale": "fr", "body": "tous"},
        channels=("email", "slack"),
    )
    made = [(text.locale, text.channel, text.text) for text in compile_texts(step, "", NAMES)]
    assert made == [
        ("", "email", "all"),
        ("", "slack", "*s*\n\nown"),
        ("fr", "email", "tous"),
        ("fr", "slack", "*s*\n\ntous"),
    ]


def test_blocks_that_lack_what_they_need_are_left_to_the_spec() -> None:
    blocks = [
        {"type": "button", "label": "x"},
        {"type": "items", "each": "lines"},
        {"type": "items", "columns": [{"label": "a", "value": "b"}]},
        {"type": "facts"},
        {"type": "text", "text": "here"},
    ]
    assert rendered({"blocks": blocks}).text == "here"
