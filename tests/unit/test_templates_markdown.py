"""Markdown with Jinja2 in it, in its three forms: statements go round whole paragraphs and items."""

import re

import pytest

from runtime.templates.wording import MRKDWN, PLAIN
from runtime.templates.words import Words
from tests.templates_sample import rendered

LOOP = "{% for line in lines %}"
END = "{% endfor %}"
HTML = [
    (
        "Hello *you* and **you** ~~not~~ `x`",
        "<p>Hello <em>you</em> and <strong>you</strong> <s>not</s> <code>x</code></p>",
    ),
    ("one\ntwo\n\nthree", "<p>one<br />\ntwo</p>\n<p>three</p>"),
    ("{{ new.title }}_{{ new.id }}_", "<p>{{ new.title }}_{{ new.id }}_</p>"),
    ("**{{ new.title }}**", "<p><strong>{{ new.title }}</strong></p>"),
    ("{{ new.total_cents | money(new.currency) }}", "<p>{{ new.total_cents | money(new.currency) }}</p>"),
    ("- {{ a }}\n- b", "<ul>\n<li>{{ a }}</li>\n<li>b</li>\n</ul>"),
    (f"{LOOP}\n- {{{{ line.title }}}}\n{END}", f"<ul>\n{LOOP}<li>{{{{ line.title }}}}</li>\n{END}</ul>"),
    (f"{LOOP}- {{{{ line.title }}}}\n{END}", f"<ul>\n{LOOP}<li>{{{{ line.title }}}}</li>\n{END}</ul>"),
    (f"  {LOOP}\n  1. {{{{ line.title }}}}\n  {END}", f"<ol>\n{LOOP}<li>{{{{ line.title }}}}</li>\n{END}</ol>"),
    (f"- a\n{LOOP}\n- b\n{END}\n- c", f"<ul>\n<li>a</li>\n{LOOP}<li>b</li>\n{END}<li>c</li>\n</ul>"),
    (f"{LOOP}\n- a\n{{% else %}}\n- none\n{END}", f"<ul>\n{LOOP}<li>a</li>\n{{% else %}}<li>none</li>\n{END}</ul>"),
    (
        f"{LOOP}\n{{% if x %}}\n- a\n{{% endif %}}\n{END}",
        f"<ul>\n{LOOP}{{% if x %}}<li>a</li>\n{{% endif %}}{END}</ul>",
    ),
    (f"{LOOP}\npara\n\n- a\n{END}", f"{LOOP}<p>para</p>\n<ul>\n<li>a</li>\n</ul>\n{END}"),
    (f"x\n{LOOP}\n{{{{ line.title }}}}\n{END}\ny", f"<p>x</p>\n{LOOP}<p>{{{{ line.title }}}}</p>\n{END}<p>y</p>"),
    (f"{LOOP}{{{{ line.title }}}}\n{END}", f"<p>{LOOP}{{{{ line.title }}}}<br />\n{END}</p>"),
    ("a {% if x %}b{% endif %} c", "<p>a {% if x %}b{% endif %} c</p>"),
    ("{% if x %}a\n\nb{% endif %}", "<p>{% if x %}a</p>\n<p>b{% endif %}</p>"),
    ("a{# b #}c", "<p>ac</p>"),
    ("{{- a -}}  b", "<p>{{ a }}b</p>"),
    ('<script>x</script> & "y"', "<p>&lt;script&gt;x&lt;/script&gt; &amp; &quot;y&quot;</p>"),
    ("&#123;&#123; x }} \\{\\% y %}", "<p>{{ '{' }}{ x }} {{ '{' }}% y %}</p>"),
    ("{ {{ a }}", "<p>{ {{ a }}</p>"),
    ("&#123;{{ a }}", "<p>{{ '{' }}{{ a }}</p>"),
    ("jqz0z {{ a }} &#106;qz0z", "<p>jqz0z {{ a }} jqz0z</p>"),
    (
        "[pay {{ a }}](https://x.test/o/{{ b }}?c={{ d | urlencode }}&e=1)",
        '<p><a href="https://x.test/o/{{ (b) | urlencode }}?c={{ d | urlencode }}&amp;e=1">pay {{ a }}</a></p>',
    ),
    ("<https://x.test/{{ a }}>", '<p><a href="https://x.test/{{ (a) | urlencode }}">https://x.test/{{ a }}</a></p>'),
    ("[x](https://x.test/{% if a %}b{% endif %})", '<p><a href="https://x.test/{% if a %}b{% endif %}">x</a></p>'),
    (
        "[x](mailto:sup@x.test?subject={{ a }})",
        '<p><a href="mailto:sup@x.test?subject={{ (a) | urlencode }}">x</a></p>',
    ),
    ("    x = {{ a }}", "<p>x = {{ a }}</p>"),
    ("a\n\n    x = {{ a }}", "<p>a</p>\n<pre>x = {{ a }}\n</pre>"),
    ("```\n<b>{{ a }}\n```", "<pre>&lt;b&gt;{{ a }}\n</pre>"),
]


@pytest.mark.parametrize(("source", "expected"), HTML)
def test_markdown_becomes_html_that_is_still_a_template(source: str, expected: str) -> None:
    words = Words(source, "blocks")
    assert words.flaws == []
    assert expected == re.sub(r' (style|class)="[^"]*"', "", words.html)


WRITTEN = [
    ("*a* **b** ~~c~~ `d`", "a b c d", "_a_ *b* ~c~ `d`"),
    ("## Title\n\ntext", "Title\n\ntext", "*Title*\n\ntext"),
    ("- a\n- b\n  more\n\nx", "- a\n- b\n  more\n\nx", "• a\n• b\n  more\n\nx"),
    ("3. a\n4. b", "3. a\n4. b", "3. a\n4. b"),
    ("- a\n  - b", "- a\n  - b", "• a\n  • b"),
    ("> a\n> b", "> a\n> b", "> a\n> b"),
    ("a\n\n---\n\nb", "a\n\n---\n\nb", "a\n\n———\n\nb"),
    ("```\na < b\n```", "a < b", "```\na &lt; b\n```"),
    ("[Pay](https://x.test/?a=1&b=2)", "Pay (https://x.test/?a=1&b=2)", "<https://x.test/?a=1&amp;b=2|Pay>"),
    ("<https://x.test/{{ a }}>", "https://x.test/{{ (a) | urlencode }}", "<https://x.test/{{ (a) | urlencode }}>"),
    ("a < b & c", "a < b & c", "a &lt; b &amp; c"),
    ("<!here> <@U123> <!x y>", "<!here> <@U123> <!x y>", "<!here> <@U123> &lt;!x y&gt;"),
    (
        "{% for l in x %}\n1. {{ l }}\n{% endfor %}",
        "{% for l in x %}- {{ l }}\n{% endfor %}",
        "{% for l in x %}• {{ l }}\n{% endfor %}",
    ),
]


@pytest.mark.parametrize(("source", "plain", "mrkdwn"), WRITTEN)
def test_markdown_becomes_plain_text_and_mrkdwn(source: str, plain: str, mrkdwn: str) -> None:
    words = Words(source, "blocks")
    assert plain == words.written(PLAIN)
    assert mrkdwn == words.written(MRKDWN)


def test_the_first_paragraph_of_a_block_has_no_space_above() -> None:
    html = Words("a\n\nb\n\n> c", "blocks").html
    assert re.findall(r'<p style="([^"]*)"', html)[:2] == ["margin:0", "margin:16px 0 0"]
    assert '<p style="margin:0">c' in html


def test_a_loop_prints_its_lines_without_gaps() -> None:
    source = (
        "Comments:\n\n{% for line in lines %}\n- {{ line.title }}{% if line.note %} ({{ line.note }}){% endif %}\n"
        "{% endfor %}\n\nBye"
    )
    assert rendered({"body": source}).text == "Comments:\n\n- Mug\n- Cap (blue)\n\nBye"
    assert rendered({"body": source}).html.count("<ul") == 1
    assert rendered({"body": source}).html.count("<li ") == 2


def test_a_condition_that_fails_leaves_no_hole() -> None:
    source = "a\n\n{% if new.note %}\nfragile\n{% endif %}\n\nb"
    assert rendered({"body": source}).text == "a\n\nb"
