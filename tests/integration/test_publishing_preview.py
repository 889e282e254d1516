"""The preview: real rows and real people, read as they are; nothing is stored and nothing is sent."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.errors import Invalid, NotFound
from runtime.ledger.database import Ledger
from runtime.publishing.preview import Preview, preview_message
from runtime.source.reader import Source
from runtime.spec.yaml import parse_spec
from tests.publishing import SEND, spec

Show = Callable[..., Preview]
pytestmark = pytest.mark.usefixtures("approved")
TO = "SELECT c.id AS key, c.email, c.slack_handle AS slack, c.full_name, c.locale FROM shop.customers c"
DELETED = "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = old.customer_id"


@pytest.fixture
def show(source: Source, ledger: Ledger, app: Connection[Any], clock: VirtualClock) -> Show:
    """Preview a spec that is built of its parts, on a shop with five customers and three orders."""
    app.execute(
        "INSERT INTO shop.customers (id, email, full_name, locale)"
        " SELECT n, n || '@x.test', 'No ' || n, CASE n WHEN 2 THEN 'fr' ELSE 'en' END FROM generate_series(1, 5) n;"
        "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at) VALUES"
        " (1, 1, 'shipped', 100, '2026-05-01'), (2, 2, 'shipped', 1250, '2026-05-02'), (3, 3, 'paid', 5, '2026-05-03');"
        "INSERT INTO shop.products VALUES (1, 'MUG', 'Mug', 5, 10, 100), (2, 'CAP', 'Cap', 50, 10, 200);"
        "INSERT INTO shop.order_items VALUES (2, 1, 1), (2, 2, 3)"
    )

    def show(
        *, key: Any = None, row: Any = None, step: str | None = None, locale: str | None = None, **parts: Any
    ) -> Preview:
        workflow = parse_spec(spec(**parts))
        return preview_message(source, ledger, workflow, key=key, row=row, step=step, locale=locale, clock=clock)

    return show


def test_the_newest_row_that_matches_is_shown(show: Show) -> None:
    found = show()
    [message] = found.messages
    assert (found.row_key, found.notes) == ("id = 2", ())
    assert (message.channel, message.address, message.subject, message.step) == ("email", "2@x.test", "Order 2", "tell")
    assert "Hello, order 2 is shipped." in message.html
    assert "Hello, order 2 is shipped." in message.text
    assert message.rows["new"] == {"id": 2, "customer_id": 2, "status": "shipped"}
    assert message.rows["recipient"] == {"key": 2, "email": "2@x.test"}


def test_a_row_is_named_by_its_key_and_told_whether_it_matches(show: Show) -> None:
    assert show(key="1").messages[0].address == "1@x.test"
    assert show(key={"id": 1}).notes == ()
    found = show(key="3")
    assert found.messages[0].address == "3@x.test"
    assert found.notes == ("As the row stands now, it does not match the trigger: no run would start.",)
    for key, says in (("99", "no row with the key id = 99"), ("abc", "'abc' can't be a key of shop.orders")):
        with pytest.raises(NotFound, match=says):
            show(key=key)
    with pytest.raises(NotFound, match="The key has the columns id"):
        show(key={"nr": 1})


def test_a_composite_key_is_written_with_commas(show: Show) -> None:
    trigger = {"change": "shop.order_items", "ops": ["insert"]}
    text = {"subject": "{{ new.qty }}", "body": "x"}
    steps = [{**SEND, "to": f"{TO} WHERE c.id = new.order_id", "texts": [text]}]
    assert show(trigger=trigger, steps=steps, key="2, 2").messages[0].subject == "3"
    assert show(trigger=trigger, steps=steps, key={"product_id": 1, "order_id": 2}).messages[0].subject == "1"


def test_without_a_matching_row_the_newest_is_shown_and_without_any_row_it_says_so(
    show: Show, app: Connection[Any]
) -> None:
    app.execute("UPDATE shop.orders SET status = 'paid'")
    found = show()
    assert found.row_key == "id = 3"
    assert found.notes == ("No row was found that matches the trigger as it stands now: this is the newest row.",)
    app.execute("DELETE FROM shop.order_items; DELETE FROM shop.orders")
    with pytest.raises(NotFound, match=r"shop\.orders has no row yet"):
        show()


def test_a_made_up_row_will_do(show: Show) -> None:
    found = show(row={"id": 77, "customer_id": 4, "status": "shipped"})
    assert (found.messages[0].address, found.messages[0].subject) == ("4@x.test", "Order 77")
    assert (found.row_key, found.notes) == ("a made-up row", ("The row is made up.",))


def test_an_update_has_no_old_row_here_and_a_delete_no_new_one(show: Show) -> None:
    changed = {"change": "shop.orders", "columns": ["status"]}
    text = {"subject": "{{ old.status | default('?') }}", "body": "x"}
    found = show(trigger=changed, steps=[{**SEND, "texts": [text]}])
    assert found.messages[0].subject == "?"
    assert found.notes == ("What the row was before is not known here, so `old` is empty.",)
    deleted = {"change": "shop.orders", "ops": ["delete"], "when": "old.status = 'shipped'"}
    text = {"subject": "{{ old.id }}", "body": "x"}
    found = show(trigger=deleted, steps=[{**SEND, "to": DELETED, "texts": [text]}])
    assert (found.row_key, found.messages[0].subject) == ("id = 2", "2")
    assert found.notes == ("Shown as if this row had just been deleted.",)


def test_queries_are_run_and_their_rows_are_for_later_sql_and_texts(show: Show) -> None:
    items = (
        "SELECT p.title, i.qty FROM shop.order_items i JOIN shop.products p ON p.id = i.product_id"
        " WHERE i.order_id = new.id"
    )
    text = {
        "subject": "{{ most[0].n | default(0) }}",
        "body": "{% for i in items %}{{ i.qty }} {{ i.title }};{% endfor %}",
    }
    steps = [
        {"query": "items", "sql": f"{items} ORDER BY p.title"},
        {"query": "most", "sql": "SELECT max(x.qty) AS n FROM items x"},
        {**SEND, "texts": [text]},
    ]
    [message] = show(steps=steps).messages
    assert message.subject == "3"
    assert "3 Cap;1 Mug;" in message.text.replace("\n", "")


def test_the_live_row_and_the_clock_are_at_hand(show: Show, clock: VirtualClock) -> None:
    text = {"subject": "{{ live.total_cents }}", "body": "{{ then[0].day }}"}
    steps = [{"query": "then", "sql": "SELECT :now + interval '1 hour' AS day"}, {**SEND, "texts": [text]}]
    [message] = show(steps=steps, while_="live.status = 'shipped'").messages
    assert message.subject == "1250"
    assert (clock.now() + timedelta(hours=1)).isoformat() in message.text


def test_what_does_not_hold_is_noted_and_shown_all_the_same(show: Show) -> None:
    steps = [
        {"query": "big", "sql": "SELECT 1 AS n", "if": "new.total_cents > 9999"},
        {"wait": "a-day", "for": "1 day"},
        {**SEND, "if": "EXISTS (SELECT FROM big)"},
    ]
    found = show(if_="new.total_cents > 9999", while_="live.status = 'paid'", steps=steps)
    assert [message.address for message in found.messages] == ["2@x.test"]
    assert found.notes == (
        "The workflow's `if` does not hold: no message would be sent.",
        "`while` does not hold now: no message would be sent.",
        "`if` of 'big' does not hold now: it has no rows.",
        "Waits are passed over: rows and people are as they are now.",
        "`if` of 'tell' does not hold now: this message would not be sent.",
    )


def test_people_come_once_by_their_first_address_in_their_language(show: Show, app: Connection[Any]) -> None:
    app.execute("UPDATE shop.customers SET slack_handle = '@two' WHERE id = 2")
    texts = [{"subject": "Hi", "body": "{{ recipient.full_name | default('you') }}"}]
    texts += [{"locale": "fr", "subject": "Salut", "body": "Salut"}]
    twice = f"{TO} CROSS JOIN generate_series(1, 2) g ORDER BY c.id"
    step = {**SEND, "to": twice, "channels": ["slack", "email"], "texts": texts}
    found = show(steps=[step])
    assert [(m.channel, m.address, m.locale) for m in found.messages] == [
        ("email", "1@x.test", "en"),
        ("slack", "@two", "fr"),
        ("email", "3@x.test", "en"),
    ]
    assert found.messages[0].subject == "Hi"
    assert "Salut" in found.messages[1].text
    assert found.notes == ("'tell' goes to 5 people: 3 are shown.",)
    assert {message.subject for message in show(steps=[step], locale="fr").messages if message.channel == "email"} == {
        "Salut"
    }


def test_nobody_and_nowhere_are_told_apart(show: Show) -> None:
    nobody = {**SEND, "to": f"{TO} WHERE c.id = 99"}
    assert show(steps=[nobody]).notes == ("Nobody would get 'tell': `to` returns no row.",)
    nowhere = {**SEND, "to": f"{TO} WHERE c.id < 3", "channels": ["slack"]}
    assert show(steps=[nowhere]).notes == ("2 of 2 people have no address for 'tell'.",)


def test_one_send_of_several_can_be_shown(show: Show) -> None:
    steps = [SEND, {**SEND, "send": "again"}]
    assert [message.step for message in show(steps=steps).messages] == ["tell", "again"]
    assert [message.step for message in show(steps=steps, step="again").messages] == ["again"]
    with pytest.raises(NotFound, match=r"No send is called 'agian'\. Did you mean 'again'\?"):
        show(steps=steps, step="agian")


def test_a_schedule_is_shown_for_its_next_slot(show: Show) -> None:
    trigger = {"schedule": "0 9 * * 1", "zone": "America/New_York"}
    each = "SELECT c.id, c.email, event.at AS slot FROM shop.customers c ORDER BY c.id"
    text = {"subject": "{{ item.id }}", "body": "{{ item.slot }} {{ event.at }} {{ clock[0].now }}"}
    query = {"query": "clock", "sql": "SELECT :now AS now"}
    steps = [query, {**SEND, "to": "SELECT item.id AS key, item.email", "texts": [text]}]
    found = show(trigger={**trigger, "each": each, "key": ["id"]}, steps=steps)
    assert (found.row_key, found.messages[0].subject) == ("id = 1", "1")
    slot = datetime(2026, 6, 1, 13, tzinfo=UTC).isoformat()
    assert found.messages[0].text.count(slot) == 3
    assert found.notes == ("`each` returns 5 items for that slot: this is the first.",)
    assert show(trigger={**trigger, "each": each, "key": ["id"]}, steps=steps, key="4").messages[0].subject == "4"
    with pytest.raises(NotFound, match="no item with the key '9'"):
        show(trigger={**trigger, "each": each, "key": ["id"]}, steps=steps, key="9")
    staff = {**SEND, "to": f"{TO} WHERE c.id = 1", "texts": [{"subject": "x", "body": "y"}]}
    assert show(trigger=trigger, steps=[staff]).row_key == f"the slot of {slot}"


def test_a_workflow_with_problems_is_refused(show: Show) -> None:
    with pytest.raises(Invalid, match="unknown column"):
        show(if_="new.nosuch = 1")


def test_sql_that_fails_on_this_row_says_where_and_shows_no_value(show: Show, app: Connection[Any]) -> None:
    app.execute("UPDATE shop.customers SET full_name = 'secret'")
    steps = [{"query": "n", "sql": "SELECT CAST(c.full_name AS int) AS n FROM shop.customers c"}, SEND]
    with pytest.raises(Invalid, match="/steps/0/sql: Fails on this row: invalid text representation") as error:
        show(steps=steps)
    assert "secret" not in str(error.value)


def test_a_text_that_fails_is_noted_and_the_others_are_shown(show: Show, app: Connection[Any]) -> None:
    app.execute("UPDATE shop.customers SET tz = 'Nowhere/Land' WHERE id = 1")
    people = "SELECT c.id AS key, c.email, c.tz FROM shop.customers c WHERE c.id < 3 ORDER BY c.id"
    text = {"subject": "{{ new.placed_at | date(recipient.tz) }}", "body": "x"}
    found = show(steps=[{**SEND, "to": people, "texts": [text]}])
    assert [message.address for message in found.messages] == ["2@x.test"]
    assert found.notes[0].startswith("The text of 'tell' fails for one of the people: ")


def test_nothing_is_stored(show: Show, app: Connection[Any]) -> None:
    show()
    for table in ("run", "event", "message", "inbox", "work", "workflow", "draft", "outbox"):
        assert app.execute(f"SELECT count(*) FROM tidings.{table}".encode()).fetchone() == (0,)
