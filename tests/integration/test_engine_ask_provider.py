"""Uncertain messages are looked up in the provider's own list, which says whether a mail fits, and no more."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from runtime.clock import VirtualClock
from runtime.delivery.resend_listing import listed_since
from runtime.delivery.resend_provider import ResendProvider
from runtime.engine.ask_provider import LookedUp, ask_resend
from runtime.engine.engine import Engine
from runtime.engine.reconcile import reconcile, set_scene
from runtime.errors import Permanent, Temporary
from runtime.ledger.database import Ledger
from runtime.source.reader import Source
from tests.engine_runs import Shop
from tests.outgoing import SENDER, a_delivery
from tests.publishing import spec
from tests.servers.far_end import Answer, Fault, close, html
from tests.servers.resend import ResendServer, rate_limited

pytestmark = pytest.mark.usefixtures("approved")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def far_end() -> Iterator[ResendServer]:
    with ResendServer() as far_end:
        yield far_end


@pytest.fixture
def shop(shop_parts: Shop, far_end: ResendServer) -> Iterator[Shop]:
    """A shop in production whose workflow is live."""
    parts = shop_parts
    provider = ResendProvider(far_end.api_key, url=far_end.url, timeout=timedelta(seconds=5))
    engine = Engine(parts.engine.ledger, parts.engine.source, a_delivery(provider), clock=parts.clock)
    shop = Shop(parts.app, engine, parts.clock, parts.url)
    shop.app.execute("UPDATE tidings.project SET mode = 'production'")
    shop.publish(spec())
    yield shop
    provider.close()


@pytest.fixture
def shop_parts(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


def ask(shop: Shop, far_end: ResendServer) -> tuple[LookedUp, ...]:
    shop.clock.advance_to(shop.clock.now() + timedelta(seconds=1))
    begin = shop.clock.now() - timedelta(days=1)
    scene = set_scene(shop.engine.ledger, shop.engine.source, begin=begin, clock=shop.clock)
    assert sum(seam.missing for seam in reconcile(scene).seams) == 2
    return ask_resend(shop.engine.ledger, scene.window, api_key=far_end.api_key, url=far_end.url)


def test_a_mail_whose_answer_was_lost_is_found_and_one_that_never_arrived_is_not(
    shop: Shop, far_end: ResendServer
) -> None:
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 3")
    for order, lost in ((1, close(takes=True)), (2, close())):
        far_end.misbehave(lost)
        shop.write(f"UPDATE shop.orders SET status = 'shipped' WHERE id = {order}")
    assert [mail["to"] for mail in far_end.mails] == [["3@x.test"], ["1@x.test"]]
    shop.app.execute(
        "UPDATE tidings.delivery_batch SET state = 'uncertain', finished_at = created_at WHERE state <> 'sent'"
    )
    found = ask(shop, far_end)
    assert [(one.address, one.subject, one.provider_id) for one in found] == [
        ("1@x.test", "Order 1", "mail-1"),
        ("2@x.test", "Order 2", ""),
    ]
    assert "Resend took a mail that fits (mail-1)" in found[0].line()
    assert "Resend lists none that fits, so it was probably not taken." in found[1].line()
    shop.app.execute("UPDATE tidings.delivery_batch SET provider_ids = '{mail-1}' WHERE state = 'sent'")
    assert [one.provider_id for one in ask(shop, far_end)] == ["", ""]


def fill(far_end: ResendServer, count: int) -> None:
    """Let Resend take mails."""
    provider = ResendProvider(far_end.api_key, url=far_end.url)
    for start in range(0, count, 100):
        mails = [
            {"from": SENDER, "to": [f"{n}@x.test"], "subject": str(n), "text": "x"}
            for n in range(start, min(count, start + 100))
        ]
        provider.send({"messages": mails}, key=f"k{start}")
    provider.close()


def listed(far_end: ResendServer, since: datetime = LONG_AGO, key: str = "") -> list[str]:
    naps: list[float] = []
    found = listed_since(since, api_key=key or far_end.api_key, url=far_end.url, sleep=naps.append)
    return [mail.subject for mail in found]


def test_the_list_is_read_page_by_page_and_no_further_than_needed(far_end: ResendServer) -> None:
    fill(far_end, 250)
    far_end.misbehave(rate_limited())
    assert listed(far_end) == [str(n) for n in reversed(range(250))]
    assert len([request for request in far_end.requests if request.method == "GET"]) == 4
    assert listed(far_end, datetime.now(UTC) + timedelta(minutes=1)) == []
    assert len([request for request in far_end.requests if request.method == "GET"]) == 5


@pytest.mark.parametrize(
    "fault",
    [html(), close(), Fault(Answer(200, b"[]", {})), Fault(Answer(200, b'{"data": [{}], "has_more": false}', {}))],
)
def test_an_answer_that_is_none_is_tried_again_by_the_person(far_end: ResendServer, fault: Fault) -> None:
    far_end.misbehave(fault)
    with pytest.raises(Temporary):
        listed(far_end)


def test_a_key_that_may_only_send_is_refused(far_end: ResendServer) -> None:
    with pytest.raises(Permanent, match="Its key needs full access"):
        listed(far_end, key="another")
    for _ in range(20):
        far_end.misbehave(rate_limited())
    with pytest.raises(Temporary, match="limits requests"):
        listed(far_end)
