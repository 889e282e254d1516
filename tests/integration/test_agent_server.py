"""The agent behind its own tool, as a client of our server: whose rights it has, what it is shown, who hears of it."""

import asyncio
from typing import Any

import pytest
from langchain_core.tracers.langchain import wait_for_all_tracers
from langsmith.utils import get_env_var
from mcp import Client
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from psycopg import Connection

from runtime.postgres.server import PostgresServer
from tests.desk import ENOUGH, ORDER_SHIPPED, REQUEST, Desk, asks, desk, writes
from tests.servers.anthropic import Says, messages_server
from tools.drafter import DraftOutcome
from tools.server import build_server

pytestmark = pytest.mark.usefixtures("approved")
STOP = Says(ENOUGH)


async def call(it: Desk, **arguments: str) -> dict[str, Any]:
    """Call create_or_update_workflow over MCP."""

    async def hear(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001  # MCP's form
        await it.tell(message or "")

    async with Client(build_server(it.services, drafter=it.drafter)) as client:
        result = await client.call_tool("create_or_update_workflow", arguments, progress_callback=hear)
    return result.structured_content or {}


def test_the_tool_runs_the_graph_and_goes_on_with_its_thread(database: str, server: PostgresServer) -> None:
    with desk(database, server, Says(asks("Which orders?")), STOP) as it:
        asked = asyncio.run(call(it, request=REQUEST))
        assert (asked["status"], asked["questions"]) == ("needs_input", ["Which orders?"])
        assert it.lines == [f"Thread {asked['thread']}", "Reading the schema", "Drafting"]
        again = asyncio.run(call(it, thread=asked["thread"], answer="All."))
        assert again["questions"] == ENOUGH["questions"]


def test_the_agent_may_do_no_more_than_whoever_called_it(database: str, server: PostgresServer) -> None:
    async def with_scopes(it: Desk, *scopes: str) -> DraftOutcome:
        token = AccessToken(token="t", client_id="c", scopes=list(scopes))
        auth_context_var.set(AuthenticatedUser(token))
        return await it.drafter.draft(REQUEST, progress=it.tell)

    with desk(database, server, Says(writes(ORDER_SHIPPED))) as it:
        end = asyncio.run(with_scopes(it, "workflows:read"))
        assert end.status == "failed"
        assert "save_workflow needs the scope 'workflows:write'" in end.message


def test_nothing_is_traced_to_anybody_whatever_the_environment_says(
    database: str, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with messages_server() as elsewhere, desk(database, server, STOP) as it:
        for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
            monkeypatch.setenv(name, "true")
        monkeypatch.setenv("LANGSMITH_ENDPOINT", elsewhere.url)
        monkeypatch.setenv("LANGSMITH_API_KEY", "k")
        get_env_var.cache_clear()  # type: ignore[attr-defined]
        assert it.draft().status == "needs_input"
        wait_for_all_tracers()
        get_env_var.cache_clear()  # type: ignore[attr-defined]
        assert elsewhere.paths == []


def test_of_many_tables_the_model_is_shown_those_that_the_request_is_about(
    database: str, server: PostgresServer, app: Connection[Any]
) -> None:
    for number in range(60):
        app.execute(f"CREATE TABLE shop.ledger_{number:02} (id int PRIMARY KEY, amount int, hush_{number:02} text)")
    app.execute(
        "INSERT INTO tidings.approved_table SELECT 1, 'shop.' || relname FROM pg_class WHERE relname ~ '^ledger_'"
    )
    with desk(database, server, STOP, Says(asks() | {"look_at": ["shop.ledger_07"]}), STOP) as it:
        it.draft("Tell support about reviews with one star.")
        shown = it.messages.system()
        assert "shop.ledger_59: " in shown
        assert '"stars integer' in shown
        assert '"title text' in shown
        assert "hush_07" not in shown
        it.draft("Tell ops about the ledger.")
        assert "hush_07" in it.messages.system()
