"""A run that dies anywhere goes on where it was: what is done is not done again, and the model is not asked again."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.errors import UnknownInterruptError
from langgraph.types import Interrupt
from psycopg import Connection

from agent.graph import build_graph, look, reply_to, run_graph
from agent.state import Live
from agent.threads import open_saver
from runtime.postgres.server import PostgresServer
from tests.desk import ENOUGH, ORDER_SHIPPED, asks, desk, writes
from tests.servers.anthropic import Says
from tools.drafter import DraftOutcome

pytestmark = pytest.mark.usefixtures("approved")
ROOT = Path(__file__).parents[2]
GOOD = Says(writes(ORDER_SHIPPED))
STOP = Says(ENOUGH)
LINES = [
    "Reading the schema",
    "Drafting",
    "Checking it against the schema",
    "Saving the draft order-shipped",
    "Rehearsing it on a copy of the schema",
    "Asking for approval",
]


def die(database: str, model_url: str, line: str) -> list[str]:
    """Run a drafter in a process of its own that dies at a line; return the lines it told."""
    command = [sys.executable, "-m", "tests.dying_drafter", database, model_url, line]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 9, done.stderr
    return done.stdout.splitlines()


def test_a_killed_run_goes_on_in_the_node_it_died_in(database: str, server: PostgresServer) -> None:
    line = "Rehearsing it on a copy of the schema"
    with desk(database, server, GOOD) as it:
        told = die(database, it.messages.url, line)
        assert told[1:] == LINES[: LINES.index(line) + 1]
        waiting = it.go_on(DraftOutcome("failed", thread=told[0].removeprefix("Thread ")))
        assert waiting.status == "needs_approval", waiting
        assert [said for said in it.lines if said in LINES] == LINES[LINES.index(line) :]
        assert len(it.messages.bodies) == 1


def test_a_run_killed_while_the_model_answers_asks_it_again(database: str, server: PostgresServer) -> None:
    long = Says(writes(ORDER_SHIPPED, about="At length. " * 200))
    with desk(database, server, long, STOP) as it:
        told = die(database, it.messages.url, "Drafting (2,0")
        assert it.go_on(DraftOutcome("failed", thread=told[0].removeprefix("Thread "))).status == "needs_input"
        assert it.lines == ["Drafting"]
        assert len(it.messages.bodies) == 2


def test_an_answer_to_an_earlier_question_is_not_taken_for_one_to_the_present_one(
    database: str, server: PostgresServer
) -> None:
    nobody: Any = None

    async def first_question(thread: str) -> Interrupt:
        async with open_saver(database) as saver:
            return (await look(build_graph(saver), thread)).interrupts[0]

    async def answer(thread: str, waiting: Interrupt) -> None:
        async with open_saver(database) as saver:
            given = reply_to(waiting, {"said": "too late"})
            live = Live(model=nobody, tools=nobody)
            async for _ in run_graph(build_graph(saver), given, thread=thread, live=live):
                pass

    with desk(database, server, Says(asks("First?")), Says(asks("Second?"))) as it:
        asked = it.draft()
        first = asyncio.run(first_question(asked.thread))
        assert it.go_on(asked, "x").questions == ["Second?"]
        with pytest.raises(UnknownInterruptError):
            asyncio.run(answer(asked.thread, first))
        assert it.go_on(asked).questions == ["Second?"]


def test_what_a_thread_keeps_is_plain_data_and_not_the_schema(
    database: str, server: PostgresServer, app: Connection[Any]
) -> None:
    with desk(database, server, Says(writes(ORDER_SHIPPED.replace("c.locale", "c.language"))), STOP) as it:
        it.draft()
    kinds = app.execute("SELECT DISTINCT type FROM tidings.checkpoint_blobs").fetchall()
    assert {kind for (kind,) in kinds} <= {"msgpack", "empty", "null"}
    texts = app.execute("SELECT checkpoint::text || metadata::text FROM tidings.checkpoints").fetchall()
    assert len(texts) == 1
    blobs = b"".join(row[0] or b"" for row in app.execute("SELECT blob FROM tidings.checkpoint_blobs"))
    assert b"shop.reviews" in blobs
    assert b"reorder_level" not in blobs
