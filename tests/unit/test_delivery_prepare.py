from datetime import timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from runtime.delivery.address import BadAddress
from runtime.delivery.headers import header_value
from runtime.delivery.message import NewMessage, Prepared
from runtime.delivery.prepare import prepare
from runtime.delivery.requests import WholeRequests
from runtime.delivery.suppression import NOBODY, Suppressions
from runtime.delivery.unsubscribe_token import Subscription, read_unsubscribe
from runtime.delivery.wording import Said, _slack
from runtime.templates.rendering import Pieces
from tests.outgoing import CHAT, MAIL, NOW, PUBLIC, a_policy, a_send, crowd, prepared

_ADA: dict[str, Any] = {"key": 1, "email": "Ada@Mail.test", "slack": "@ada", "name": "Ada"}


def _fate(message: NewMessage) -> tuple[str, str | None, str]:
    return message.recipient_key, message.outcome, message.reason


def _requests(found: Prepared) -> list[dict[str, Any]]:
    return [message for batch in found.batches for message in batch.request["messages"]]


def test_a_person_gets_one_mail_with_everything_that_is_sent() -> None:
    found = prepared(a_send([_ADA]), mode="production")
    (message,), (batch,) = found.messages, found.batches
    assert (message.channel, message.address, message.batch, message.position) == ("email", "Ada@mail.test", 0, 0)
    (mail,) = batch.request["messages"]
    identity = mail["headers"].pop("Message-ID")
    assert identity.endswith("@shop.test>")
    assert mail.pop("html").startswith("<p>Order 7 for Ada</p>")
    assert mail.pop("text").startswith("Order 7")
    assert mail == {
        "from": "Shop <hello@shop.test>",
        "to": ["Ada@mail.test"],
        "subject": "Hello Ada",
        "headers": {"Auto-Submitted": "auto-generated"},
    }
    assert batch.provider == "resend"
    assert len(batch.idempotency_key) <= 256


def test_the_first_channel_with_an_address_is_taken() -> None:
    people: list[dict[str, Any]] = [
        _ADA,
        {"key": 2, "email": None, "slack": "#ops"},
        {"key": 3, "email": " ", "slack": "U0123456789"},
    ]
    found = prepared(a_send(people), mode="production")
    assert [(m.channel, m.address) for m in found.messages] == [
        ("email", "Ada@mail.test"),
        ("slack", "#ops"),
        ("slack", "U0123456789"),
    ]
    found = prepared(a_send([_ADA], channels=("slack", "email")), mode="production")
    assert found.messages[0].address == "@ada"
    assert _requests(found) == [{"channel": "@ada", "text": "Order 7"}]


def test_one_message_for_each_key_and_the_address_is_the_key_where_there_is_none() -> None:
    people: list[dict[str, Any]] = [
        {"key": 1, "email": None},
        {"key": "1", "email": "ada@mail.test"},
        {"key": Decimal(1), "email": "other@mail.test"},
        {"email": "Bob@mail.test"},
        {"key": "", "email": "bob@MAIL.test"},
        {"email": None},
        {"key": None, "email": ""},
    ]
    found = prepared(a_send(people))
    assert [(m.recipient_key, m.address, m.reason) for m in found.messages] == [
        ("1", "ada@mail.test", ""),
        ("bob@mail.test", "Bob@mail.test", ""),
        ("row 6", None, "no_address"),
        ("row 7", None, "no_address"),
    ]


def test_whoever_can_not_be_reached_has_a_row_that_says_why() -> None:
    people: list[dict[str, Any]] = [{"key": 1}, {"key": 2, "email": "nobody"}, {"key": 3, "email": "ada@mail.test"}]
    found = prepared(a_send(people), mode="production", configured=frozenset({"slack"}))
    assert [_fate(m) for m in found.messages] == [
        ("1", "failed", "no_address"),
        ("2", "failed", "bad_address"),
        ("3", "failed", "no_provider"),
    ]
    assert "'nobody'" in found.messages[1].detail
    assert found.batches == ()


def test_a_text_that_fails_for_one_person_is_that_persons_matter() -> None:
    strict = MAIL.model_copy(update={"subject": "Hello {{ recipient.name }}"})
    found = prepared(a_send([{"key": 1, "email": "a@mail.test"}, _ADA | {"key": 2}], texts=(strict, CHAT)))
    assert [_fate(m) for m in found.messages] == [("1", "failed", "render_failed"), ("2", None, "")]
    assert "name" in found.messages[0].detail
    assert [mail["subject"] for mail in _requests(found)] == ["Hello Ada"]


@pytest.mark.parametrize(
    ("entry", "category", "topic", "fate"),
    [
        (("", "bounced"), "transactional", "", ("suppressed", "suppressed")),
        (("", "manual"), "transactional", "news", ("suppressed", "suppressed")),
        (("", "complained"), "transactional", "", (None, "")),
        (("", "complained"), "marketing", "news", ("suppressed", "suppressed")),
        (("", "unsubscribed"), "product", "", ("suppressed", "unsubscribed")),
        (("", "unsubscribed"), "transactional", "", (None, "")),
        (("news", "unsubscribed"), "marketing", "news", ("suppressed", "unsubscribed")),
        (("news", "unsubscribed"), "marketing", "offers", (None, "")),
        (("news", "unsubscribed"), "marketing", "", (None, "")),
    ],
)
def test_the_suppression_list_is_obeyed(
    entry: tuple[str, str], category: str, topic: str, fate: tuple[str | None, str]
) -> None:
    suppressed = Suppressions({"ada@mail.test": [entry]})
    send = a_send([_ADA], category=category, topic=topic)
    (message,) = prepare([send], a_policy(), suppressed, now=NOW).messages
    assert (message.outcome, message.reason) == fate
    assert message.detail == (f"The address is on the suppression list: {entry[1]}." if fate[0] else "")


def test_outside_production_only_allowed_addresses_leave_the_machine() -> None:
    people: list[dict[str, Any]] = [
        {"email": address} for address in ("a@mail.test", "b@MAIL.test", "c@us.test", "d@sub.us.test")
    ]
    people.append({"email": None, "slack": "#alerts"})
    allowed = frozenset({"b@mail.test", "@us.test", "#alerts"})

    def providers(**changes: Any) -> list[str]:
        found = prepared(a_send(people), **changes)
        return [found.batches[message.batch or 0].provider for message in found.messages]

    assert providers(allowed=allowed) == ["inbox", "resend", "resend", "inbox", "slack"]
    assert providers() == ["inbox"] * 5
    assert providers(mode="staging") == ["inbox"] * 5
    assert providers(allowed=allowed, configured=frozenset()) == ["inbox"] * 5
    assert providers(mode="production") == ["resend"] * 4 + ["slack"]
    assert providers(mode="production", configured=frozenset({"smtp", "slack"})) == ["smtp"] * 4 + ["slack"]


def test_requests_hold_as_many_messages_as_the_provider_takes() -> None:
    sends = [a_send(crowd(150), run_id=1), a_send(crowd(100), run_id=2)]
    found = prepared(*sends, mode="production")
    assert [len(batch.request["messages"]) for batch in found.batches] == [100, 100, 50]
    for message in found.messages:
        assert message.batch is not None
        assert message.position is not None
        mail = found.batches[message.batch].request["messages"][message.position]
        assert mail["to"] == [message.address]
    assert (found.messages[150].run_id, found.messages[150].batch, found.messages[150].position) == (2, 1, 50)
    alone = prepared(*sends, mode="production", configured=frozenset({"smtp"}))
    assert [len(batch.request["messages"]) for batch in alone.batches] == [1] * 250


def test_keys_and_message_ids_are_the_same_each_time_and_nobody_elses() -> None:
    send = a_send(crowd(3))
    found = prepared(send, mode="production", configured=frozenset({"smtp"}))
    assert prepared(send, mode="production", configured=frozenset({"smtp"})) == found
    others = [
        prepared(send, mode="production", configured=frozenset({"smtp"}), **changes)
        for changes in ({"secret": b"another"}, {"project_id": 2})
    ]
    others += [
        prepared(a_send(crowd(3), **changes), mode="production", configured=frozenset({"smtp"}))
        for changes in ({"run_id": 2}, {"step": 1})
    ]
    keys = [batch.idempotency_key for one in (found, *others) for batch in one.batches]
    ids = [mail["headers"]["Message-ID"] for one in (found, *others) for mail in _requests(one)]
    assert len(set(keys)) == len(set(ids)) == 15
    later = prepare([send], a_policy(mode="production"), NOBODY, now=NOW + timedelta(days=1))
    first = prepared(send, mode="production")
    assert later.batches[0].idempotency_key != first.batches[0].idempotency_key  # a restored ledger counts again


@pytest.mark.parametrize("category", ["product", "marketing"])
def test_what_is_not_transactional_can_be_ended_with_one_click(category: str) -> None:
    (mail,) = _requests(prepared(a_send([_ADA], category=category, topic="news")))
    headers = mail["headers"]
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = headers["List-Unsubscribe"].removeprefix("<").removesuffix(">")
    assert link.startswith(f"{PUBLIC}/unsubscribe/")
    token = link.rpartition("/")[2]
    assert read_unsubscribe(b"secret", token) == Subscription(1, "ada@mail.test", "news")
    assert link in mail["text"]


def test_a_slack_channel_is_not_one_person_who_could_unsubscribe() -> None:
    send = a_send([{"slack": "#ops"}], category="marketing", topic="news")
    assert _requests(prepared(send)) == [{"channel": "#ops", "text": "Order 7"}]


def test_only_smtp_needs_our_date() -> None:
    (mail,) = _requests(prepared(a_send([_ADA]), mode="production", configured=frozenset({"smtp"})))
    assert parsedate_to_datetime(mail["headers"]["Date"]) == NOW
    (mail,) = _requests(prepared(a_send([_ADA]), mode="production"))
    assert "Date" not in mail["headers"]


@pytest.mark.parametrize("value", ["a\r\nBcc: all@mail.test", "=?utf-8?q?Hi=0ABcc:_evil?=", "a\u2028Bcc: x\x00y\x85z"])
def test_a_value_can_not_become_a_header(value: str) -> None:
    (mail,) = _requests(prepared(a_send([_ADA | {"name": value}])))
    assert "\n" not in mail["subject"]
    assert "=?" not in mail["subject"]
    assert mail["subject"].isprintable()


def test_the_guard_stands_even_where_a_rendered_subject_is_not_safe() -> None:
    requests = WholeRequests(a_policy(), NOW)
    words, _ = requests.freeze(Said(Pieces("a\r\nBcc: =?x?=", "", "x"), "", frozenset(), is_fixed=False))
    mail = requests.mail("resend", (1, 0, "1"), "ada@mail.test", words, link="")
    assert mail["subject"] == "a Bcc: = ?x?="
    assert len(header_value("ü" * 2_000)) == 900


def test_what_postgres_can_not_store_is_left_out() -> None:
    person = {"key": "a\0b", "email": "a@mail.test", "name": "half \ud83d pair and \0", "locale": "e\0n"}
    found = prepared(a_send([person]))
    assert (found.messages[0].recipient_key, found.messages[0].locale) == ("ab", "en")
    (mail,) = _requests(found)
    assert "half ? pair and" in mail["html"]
    assert "\0" not in f"{mail}"


@pytest.mark.parametrize("call", ["<!channel>", "<!here|x>", "<!subteam^S1>", "<@U0123456789>", "<#C0123456789>"])
def test_only_the_author_can_call_everybody(call: str) -> None:
    send = a_send([{"slack": "#ops"}], names={"new": {"id": call}})
    (message,) = _requests(prepared(send))
    assert call not in message["text"]
    shown = call.replace("<", "&lt;").replace(">", "&gt;")
    assert _slack(Pieces("", (), (f"Order {call}",)), CHAT) == Pieces("", (), (f"Order {shown}",))
    authors = CHAT.model_copy(update={"text": f"{call} order {{{{ new.id }}}}"})
    (message,) = _requests(prepared(a_send([{"slack": "#ops"}], texts=(authors,))))
    assert message["text"] == f"{call} order 7"


def test_the_language_and_zone_are_the_persons() -> None:
    french = MAIL.model_copy(update={"locale": "fr", "subject": "Bonjour"})
    texts = [text.model_copy(update={"text": "{{ new.at | time }}"}) for text in (MAIL, french)]
    people: list[dict[str, Any]] = [
        {"key": 1, "email": "a@mail.test", "locale": "fr-CA", "zone": "Asia/Tokyo"},
        {"key": 2, "email": "b@mail.test"},
        {"key": 3, "email": "c@mail.test", "zone": "Mars/Olympus"},
    ]
    send = a_send(people, texts=tuple(texts), names={"new": {"id": 7, "at": NOW}}, channels=("email",))
    found = prepared(send, zone="America/New_York")
    assert [message.locale for message in found.messages] == ["fr-CA", "", ""]
    japan, america = _requests(found)
    assert (japan["subject"], america["subject"]) == ("Bonjour", "Hello you")
    assert "21" in japan["text"]
    assert "8:00" in america["text"]
    assert _fate(found.messages[2]) == ("3", "failed", "render_failed")


def test_people_who_read_the_same_words_get_their_own_mail_of_them() -> None:
    plain = MAIL.model_copy(update={"subject": "Order {{ new.id }}", "html": "<p>{{ new.at | date }}</p>"})
    french = plain.model_copy(update={"locale": "fr", "subject": "Commande {{ new.id }}"})
    people: list[dict[str, Any]] = [
        {"email": "a@mail.test"},
        {"email": "b@mail.test"},
        {"email": "c@mail.test", "locale": "fr"},
        {"email": "d@mail.test", "zone": "Pacific/Kiritimati"},
    ]
    names = {"new": {"id": 7, "at": NOW}}
    sends = [a_send(people, texts=(plain, french), channels=("email",), names=names)]
    sends.append(a_send(people[:1], texts=(plain,), channels=("email",), names={"new": {"id": 8, "at": NOW}}, run_id=2))
    mails = _requests(prepared(*sends))
    assert [mail["subject"] for mail in mails] == ["Order 7", "Order 7", "Commande 7", "Order 7", "Order 8"]
    assert len({mail["html"] for mail in mails}) == 3
    assert len({mail["to"][0] for mail in mails}) == 4
    assert len({mail["headers"]["Message-ID"] for mail in mails}) == 5
    marketing = _requests(
        prepared(a_send(people[:2], texts=(plain,), channels=("email",), names=names, category="product"))
    )
    assert len({mail["text"] for mail in marketing}) == 2


def test_a_sender_that_can_not_be_used_stops_everything_and_is_named() -> None:
    with pytest.raises(BadAddress, match="TIDINGS_SENDER can't be used"):
        prepared(a_send([_ADA]), sender="Shop <nobody>")
