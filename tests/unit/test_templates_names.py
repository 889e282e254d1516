"""What a text may print: NULLs that are caught, and what each way of catching them prints."""

from typing import Any

import pytest

from runtime.templates.compile import check_texts
from tests.templates_sample import NAMES, VALUES, rendered, send

ANA = {**VALUES["recipient"], "full_name": "Ana"}
NOTED = {**VALUES["new"], "note": "fragile", "shipped_at": "2026-06-02"}

CAUGHT = [
    ("{{ recipient.full_name | default('there') }}", "there", "Ana"),
    ("{{ recipient['full_name'] | default('there') }}", "there", "Ana"),
    ("{{ recipient.full_name | upper | default('there') }}", "there", "ANA"),
    ("{{ recipient.full_name or 'there' }}", "there", "Ana"),
    ("{{ recipient.full_name if recipient.full_name else 'there' }}", "there", "Ana"),
    ("{{ 'there' if recipient.full_name is none else recipient.full_name }}", "there", "Ana"),
    ("{% if recipient.full_name %}{{ recipient.full_name }}{% else %}there{% endif %}", "there", "Ana"),
    ("{% if not recipient.full_name %}there{% else %}{{ recipient.full_name }}{% endif %}", "there", "Ana"),
    ("{% if recipient.full_name is defined %}{{ recipient.full_name }}{% else %}there{% endif %}", "there", "Ana"),
    ("{% if recipient.full_name is not none %}{{ recipient.full_name }}{% else %}there{% endif %}", "there", "Ana"),
    ("{% if recipient.full_name != none %}{{ recipient.full_name }}{% else %}there{% endif %}", "there", "Ana"),
    ("{% if recipient.full_name == none %}there{% else %}{{ recipient.full_name }}{% endif %}", "there", "Ana"),
    ("{% if recipient.full_name == 'Ana' %}{{ recipient.full_name }}{% else %}there{% endif %}", "there", "Ana"),
    ("{% if recipient.full_name in ['Ana'] %}{{ recipient.full_name }}{% else %}there{% endif %}", "there", "Ana"),
    ("{% if recipient.full_name | trim %}{{ recipient.full_name }}{% else %}there{% endif %}", "there", "Ana"),
    ("{% if new.note and recipient.full_name %}{{ recipient.full_name }}{% else %}there{% endif %}", "there", "Ana"),
    ("{% if not recipient.full_name or not new.note %}there{% else %}{{ new.note }}{% endif %}", "there", "fragile"),
    ("{% if not recipient.full_name %}there{% elif new.id %}{{ recipient.full_name }}{% endif %}", "there", "Ana"),
    ("{% if recipient.full_name and recipient.full_name > 'A' %}Ana{% else %}there{% endif %}", "there", "Ana"),
    ("{{ new.shipped_at | date | default('soon') }}", "soon", "June 2, 2026"),
    ("{% if new.shipped_at %}{{ new.shipped_at | date(new.note) }}{% else %}soon{% endif %}", "soon", None),
    ("{{ (new.note | default('')) | length + 1 }}", "1", "8"),
]


@pytest.mark.parametrize(("source", "null", "known"), CAUGHT)
def test_a_null_that_is_caught_is_no_problem_and_prints_as_said(source: str, null: str, known: str | None) -> None:
    assert check_texts(send({"subject": source}), "", NAMES) == []
    assert null == rendered({"subject": source}).subject
    if known is not None:
        assert known == rendered({"subject": source}, recipient=ANA, new=NOTED).subject


FINE = [
    ("{{ new.title }} {{ new['title'] }}", "Mug Mug"),
    (
        "{{ lines[0].title }} {{ lines[-1].title }} {{ (lines | first).title }} {{ (lines | last).qty }}",
        "Mug Cap Mug 1",
    ),
    (
        "{% for line in lines %}{{ loop.index }}{{ line.title }}{% if not loop.last %}, {% endif %}{% endfor %}",
        "1Mug, 2Cap",
    ),
    ("{% for line in lines if line.note %}{{ line.note }}{% endfor %}", "blue"),
    ("{% for line in lines[:1] %}{{ line.title }}{% else %}none{% endfor %}", "Mug"),
    ("{% for line in lines | selectattr('qty', 'gt', 1) %}{{ line.title }}{% endfor %}", "Mug"),
    ("{% for line in lines | rejectattr('note') %}{{ line.title }}{% endfor %}", "Mug"),
    ("{% for line in lines | sort(attribute='title') %}{{ line.title }} {% endfor %}", "Cap Mug"),
    ("{{ lines | map(attribute='title') | sort | join(', ') }}", "Cap, Mug"),
    ("{{ lines | map(attribute='note') | join(', ') }}", "blue"),
    ("{{ lines | join(' and ', attribute='title') }}", "Mug and Cap"),
    ("{{ lines | sum(attribute='qty') }} in {{ lines | length }}", "3 in 2"),
    ("{{ lines | map(attribute='title') | map('upper') | join }}", "MUGCAP"),
    ("{{ ['b', 'a', 'b'] | unique | reverse | join }}", "ab"),
    ("{{ new.settings.theme | default('light') }}", "dark"),
    ("{{ new.settings.none.at.all | default('light') }}", "light"),
    ("{% for tag in new.settings.tags | default([]) %}{{ tag | default('') }}{% endfor %}", "ab"),
    ("{{ anything.goes | default('x') }}", "x"),
    ("{{ new.id + 1 }} {{ new.id * 2 }} {{ -new.id }} {{ new.id // 2 }} {{ new.id % 2 }}", "8 14 -7 3 1"),
    ("{{ 'one' if new.id is odd else 'two' }}", "one"),
    ("{{ new.title[:2] }}", "Mu"),
    ("{# nothing #}x{% raw %}{{ new.nothing }}{% endraw %}", "x{{ new.nothing }}"),
    ("{{ '{{' }}{{ '}}' }}", "{{}}"),
]


@pytest.mark.parametrize(("source", "expected"), FINE)
def test_rows_lists_and_loops_print_what_they_hold(source: str, expected: str) -> None:
    assert check_texts(send({"subject": source}), "", NAMES) == []
    assert expected == rendered({"subject": source}).subject


def test_a_column_may_be_called_like_a_method_of_python() -> None:
    values: dict[str, Any] = {"items": 3, "keys": 4, "get": 5, "title": "x"}
    source = "{{ anything.items | default(0) }} {{ anything.keys | default(0) }} {{ anything.copy | default('none') }}"
    assert rendered({"subject": source}, anything=values).subject == "3 4 none"


def test_items_of_a_block_know_their_rows_and_count_them() -> None:
    block = {
        "type": "items",
        "each": "lines | sort(attribute='qty')",
        "columns": [{"label": "Item", "value": "{{ row.title }}"}],
    }
    assert check_texts(send({"blocks": [block]}), "", NAMES) == []
    assert rendered({"blocks": [block]}).text == "Item:\n- Cap\n- Mug"
    assert rendered({"blocks": [block]}, lines=[]).text == "Item:\n- —"
    many = rendered({"blocks": [block]}, lines=[{"title": f"t{n}", "qty": n} for n in range(250)])
    assert "- t199\n- + 50" in many.text
    assert "t200" not in many.html
    assert "+ 50" in many.html
