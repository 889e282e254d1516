"""Threads: where each request stands, in Postgres, one run at a time.

The checkpointer's tables are a migration of the ledger (0003_checkpoints.sql): the ledger role may not create any, so
the library's own setup is never called. A thread's name begins with the project's id.
"""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from runtime.errors import Conflict, NotFound
from runtime.ledger.queries import load_queries
from runtime.postgres.address import with_options

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

_QUERIES = load_queries("agent")
_SETTINGS = {"search_path": "tidings", "timezone": "UTC", "statement_timeout": "60s"}


def new_thread(project_id: int) -> str:
    """Return a name for a new thread; nobody can guess it."""
    return f"{project_id}-{secrets.token_hex(12)}"


def check_thread(thread: str, project_id: int) -> None:
    """Raise NotFound for what can be no thread of this project."""
    if not re.fullmatch(rf"{project_id}-[0-9a-f]{{24}}", thread):
        raise NotFound(f"There is no thread {thread!r}. Begin a new request, without a thread.")


@asynccontextmanager
async def open_saver(ledger_url: str) -> AsyncIterator["BaseCheckpointSaver[str]"]:
    """Yield the checkpointer. Of a checkpoint only plain data is read back, never a type that it names."""
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver  # noqa: PLC0415  # heavy, see agent/graph.py
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer  # noqa: PLC0415

    pool: AsyncConnectionPool[AsyncConnection[dict[str, Any]]] = AsyncConnectionPool(
        with_options(ledger_url, application_name="tidings", **_SETTINGS),
        min_size=0,
        max_size=2,
        open=False,
        timeout=30,
        kwargs={"autocommit": True, "row_factory": dict_row, "prepare_threshold": 0},
    )
    async with pool:
        yield AsyncPostgresSaver(pool, serde=JsonPlusSerializer(allowed_msgpack_modules=None))


@asynccontextmanager
async def only_run(ledger_url: str, thread: str) -> AsyncIterator[None]:
    """Hold the thread for one run; raises Conflict while another process or task runs it.

    The lock lives with a session of its own, so Postgres frees it when this process dies.
    """
    url = with_options(ledger_url, application_name="tidings", **_SETTINGS)
    async with await AsyncConnection.connect(url, autocommit=True) as conn:
        row = await (await conn.execute(_QUERIES["try_thread"], {"thread": thread})).fetchone()
        if not (row and row[0]):
            raise Conflict(f"The request {thread!r} is being worked on already. Wait until that is done.")
        yield
