"""Requests that share their words hold the same mails as requests that hold each in full."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime.delivery.frozen import Expansion, Shared, as_json
from runtime.delivery.message import NewMessage, Prepared, Send
from runtime.delivery.policy import Policy
from runtime.delivery.prepare import prepare, prepare_slice
from runtime.delivery.recipients import Audience
from runtime.delivery.suppression import NOBODY, Suppressions
from runtime.spec.compiled import CompiledText
from tests.outgoing import CHAT, MAIL, NOW, PUBLIC, a_policy, a_send, crowd

_FOOTER = '{% if _footer.address %}<a href="{{ _footer.address }}">{{ _footer.label }}</a>{% endif %}'
FIXED = MAIL.model_copy(
    update={"subject": "Order {{ new.id }}", "html": f"<p>It left — today, “{{{{ new.id }}}}”.</p>{_FOOTER}"}
)
PERSONAL = CompiledText(
    locale="",
    channel="",
    subject="For {{ recipient.name }}",
    html="<p>Good morning, {{ recipient.name }}!</p>{% if recipient.key == 1 %}<b>You are the first.</b>{% endif %}"
    f"<p>Your order {{{{ new.id }}}} has left us.</p>{_FOOTER}",
    text="Good morning, {{ recipient.name }}!  \n\n\n{% if recipient.key == 1 %}Ahead!{% endif %}\n{{ new.id }}",
)
FRENCH = FIXED.model_copy(update={"locale": "fr", "subject": "Commande {{ new.id }}"})
_NAMES = [
    "Ada",
    "O'Neil & <b>",
    'a "quoted" \\ name',
    "zwei\nZeilen",
    "\0x\ud83d",
    "=?utf-8?q?x?=",
    "日本",
    "\x7f",
    None,
]
_ADDRESSES = ["ada@mail.test", " Ada@MAIL.test ", "bob@bücher.test", "eve@x.test", "no address", "", None, "1@2.3"]
_PEOPLE = st.lists(
    st.fixed_dictionaries(
        {"key": st.sampled_from([None, "", 1, "1", 2, 3, "b\0"]), "email": st.sampled_from(_ADDRESSES)},
        optional={
            "slack": st.sampled_from(["#ops", "@eve", "!", None]),
            "name": st.sampled_from(_NAMES),
            "locale": st.sampled_from(["fr", "", None, "de\0"]),
            "zone": st.sampled_from(["Asia/Tokyo", "Mars/Olympus", None]),
        },
    ),
    max_size=12,
)

_TWO = [{"key": 1, "email": "ada@mail.test"}, {"key": 2, "email": "eve@mail.test"}]
_ODD = {"mode": "production", "configured": frozenset({"smtp"}), "public_url": 'https://x.test/?a=1&"'}
"""HTML writes such links in another way than the header."""


def _expanded(found: Prepared) -> list[Any]:
    """Return each batch's messages as they are after having been stored."""
    assert found.shared is not None
    shared = Shared(json.loads(json.dumps(found.shared)))
    return [Expansion(shared, json.loads(json.dumps(batch.request))) for batch in found.batches]


def _sent(messages: Sequence[NewMessage], found: Prepared, requests: Sequence[Any]) -> dict[str, tuple[Any, ...]]:
    """Return what becomes of each person, but for the Message-ID, which says nothing."""
    fates = {}
    for message in messages:
        sent: Any = None
        if message.batch is not None and message.position is not None:
            sent = json.loads(json.dumps(requests[message.batch]["messages"][message.position]))
            if "headers" in sent:
                assert sent["headers"].pop("Message-ID").endswith("@shop.test>")
            sent = (found.batches[message.batch].provider, sent)
        fates[message.recipient_key] = (message._replace(batch=None, position=None), sent)
    return fates


def _in_slices(send: Send, policy: Policy, suppressed: Suppressions, size: int) -> dict[str, tuple[Any, ...]]:
    audience, people = Audience(send.channels), list(send.people)
    slices = [audience.of(people[start : start + size]) for start in range(0, len(people), size)]
    fates: dict[str, tuple[Any, ...]] = {}
    for part in (*slices, audience.without_address()):
        found = prepare_slice(send, part, policy, suppressed, now=NOW)
        made = _sent(found.messages, found, _expanded(found))
        assert not set(made) & set(fates)
        fates |= made
    return fates


@settings(max_examples=150, deadline=None)
@given(
    people=_PEOPLE,
    texts=st.sampled_from([(MAIL, CHAT), (FIXED, CHAT), (FRENCH, FIXED, CHAT), (PERSONAL,)]),
    category=st.sampled_from(["transactional", "marketing"]),
    policy=st.sampled_from(
        [
            {"mode": "production"},
            {"mode": "inbox", "allowed": frozenset({"@mail.test"}), "configured": frozenset({"smtp"})},
            _ODD,
        ]
    ),
    size=st.integers(1, 12),
)
@example(people=_TWO, texts=(FIXED, CHAT), category="marketing", policy=_ODD, size=2)
def test_the_same_people_get_the_same_messages(
    people: list[dict[str, Any]], texts: tuple[CompiledText, ...], category: str, policy: dict[str, Any], size: int
) -> None:
    send = a_send(people, texts=texts, category=category, topic="news")
    suppressed = Suppressions({"eve@x.test": [("news", "unsubscribed")]})
    whole = prepare([send], a_policy(**policy), suppressed, now=NOW)
    expected = _sent(whole.messages, whole, [batch.request for batch in whole.batches])
    assert _in_slices(send, a_policy(**policy), suppressed, size) == expected


@pytest.mark.parametrize("text", [FIXED, PERSONAL])
@pytest.mark.parametrize("category", ["transactional", "product"])
def test_what_travels_is_the_json_of_the_mails(text: CompiledText, category: str) -> None:
    people = [person | {"name": name or "x"} for person, name in zip(crowd(9), _NAMES, strict=True)]
    send = a_send(people, texts=(text,), category=category, channels=("email",))
    found = prepare_slice(send, Audience(("email",)).of(people), a_policy(mode="production"), NOBODY, now=NOW)
    (expansion,) = _expanded(found)
    assert expansion.json() == as_json(expansion.messages)
    assert [mail["to"][0] for mail in json.loads(expansion.json())] == [f"person{n}@mail.test" for n in range(9)]
    assert len({mail["headers"]["Message-ID"] for mail in expansion.messages}) == expansion.size == 9
    assert found.shared is not None
    assert not [piece for piece in found.shared["pieces"] if "Ada" in piece]


def test_words_that_all_have_are_kept_once_and_a_link_where_it_is_a_persons() -> None:
    send = a_send(crowd(200), texts=(FIXED,), category="product", channels=("email",))
    found = prepare_slice(send, Audience(("email",)).of(send.people), a_policy(mode="production"), NOBODY, now=NOW)
    assert [batch.size for batch in found.batches] == [100, 100]
    assert found.shared is not None
    assert len(found.shared["pieces"]) == 4
    link = f"{PUBLIC}/unsubscribe/"
    for batch in found.batches:
        written = json.dumps(batch.request)
        assert "today" not in written
        assert written.count(link) == batch.size


def test_stored_requests_mean_for_ever_what_they_mean_today() -> None:
    shared = Shared(
        {
            "from": "Shop <a@shop.test>",
            "pieces": ["Hi", "<p>“ü”</p>", "words\n\n-- \n"],
            "layouts": [[1, -1, -2], [2, -1], [2, -3, -2, -3]],
        }
    )
    each = [["a@mail.test", "https://x.test/u/1", 0, [0, "<own>"], [1]], ["b@mail.test", "", "Own", 1, "own"]]
    request = {"id": "0f", "domain": "shop.test", "date": "Mon, 01 Jun 2026 12:00:00 +0000", "each": each}
    body = Expansion(shared, request).json()
    common = (
        '"Date":"Mon, 01 Jun 2026 12:00:00 +0000","Message-ID":"<0f.{}@shop.test>","Auto-Submitted":"auto-generated"'
    )
    ways_out = ',"List-Unsubscribe":"<https://x.test/u/1>","List-Unsubscribe-Post":"List-Unsubscribe=One-Click"'
    first = r'"html":"<p>“ü”</p>https://x.test/u/1<own>","text":"words\n\n-- \nhttps://x.test/u/1"'
    assert body.decode() == (
        f'[{{"to":["a@mail.test"],"from":"Shop <a@shop.test>",{first},'
        f'"headers":{{{common.format(0)}{ways_out}}},"subject":"Hi"}}'
        f',{{"to":["b@mail.test"],"from":"Shop <a@shop.test>","html":"<p>“ü”</p>","text":"own",'
        f'"headers":{{{common.format(1)}}},"subject":"Own"}}]'
    )
    assert Expansion(shared, {"each": [["#ops", [2, "!", "?"]]]}).messages == [
        {"text": "words\n\n-- \n?!?", "channel": "#ops"}
    ]
