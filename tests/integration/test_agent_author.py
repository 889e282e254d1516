"""An author that spoils a good spec and repairs it only if the problem names the right thing: what messages are worth.

No model is asked how good it is. What is measured is whether a reader who knows nothing but the problem could repair.
"""

import json
from typing import Any

import pytest

from runtime.postgres.server import PostgresServer
from tests.desk import ENOUGH, EXAMPLES, ORDER_SHIPPED, desk, writes
from tests.servers.anthropic import Says, Turn

pytestmark = pytest.mark.usefixtures("approved")
REVIEW = (EXAMPLES / "review-request.yaml").read_text(encoding="utf-8")

FAULTS = {
    "a column misspelt in SQL": (ORDER_SHIPPED, "c.full_name,", "c.fulname,", ["/steps/0/to", "full_name"]),
    "a table misspelt in SQL": (ORDER_SHIPPED, "FROM shop.customers", "FROM shop.costumers", ["shop.customers"]),
    "a table misspelt in the trigger": (ORDER_SHIPPED, "change: shop.orders", "change: shop.order", ["shop.orders"]),
    "a status that is none": (ORDER_SHIPPED, "status = 'shipped'", "status = 'shipd'", ["/trigger/becomes", "shipped"]),
    "a column misspelt on the row": (ORDER_SHIPPED, "becomes: status", "becomes: statuss", ["'status'"]),
    "a column misspelt in a text": (ORDER_SHIPPED, "new.total_cents |", "new.total_cent |", ["total_cents"]),
    "no address": (ORDER_SHIPPED, "c.id AS key, c.email,", "c.id AS key,", ["/steps/0/to", "email"]),
    "an address under another name": (ORDER_SHIPPED, "c.email,", "c.email AS mail,", ["mail AS email"]),
    "an address that is written": (ORDER_SHIPPED, "c.email,", "'x@y.test' AS email,", ["shop.customers.email"]),
    "a value that may be NULL": (ORDER_SHIPPED, " | default('there')", "", ["full_name", "default"]),
    "a subject that is missing": (
        ORDER_SHIPPED,
        "subject: Order {{ new.id }} is on its way",
        "subject: ''",
        ["subject"],
    ),
    "a clock": (REVIEW, "c.marketing_opt_in", "c.marketing_opt_in AND c.created_at < now()", [":now"]),
    "a row that is not there": (REVIEW, "while: live.status", "while: item.status", ["/while", "item"]),
    "a duration in words": (REVIEW, "for: 3 days", "for: three days", ["/steps/0/for", "3 days"]),
    "no topic": (REVIEW, "topic: review-requests", "topic: ''", ["/steps/2/topic", "topic: review-requests"]),
    "a query under another name": (REVIEW, "SELECT FROM unreviewed", "SELECT FROM unreviwed", ["'unreviewed'"]),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_reader_of_the_problem_alone_can_repair(
    database: str, server: PostgresServer, fault: tuple[str, str, str, list[str]]
) -> None:
    gold, right, wrong, needs = fault
    spoiled = gold.replace(right, wrong, 1)
    assert spoiled != gold

    def author(body: dict[str, Any]) -> Turn:
        told = body["messages"][-1]["content"]
        known = len(body["messages"]) > 1 and all(json.dumps(word)[1:-1] in told for word in needs)
        return Says(ENOUGH if known else writes(spoiled))

    with desk(database, server, *[author] * 2) as it:
        assert it.draft().status == "needs_input", it.messages.prompt()
