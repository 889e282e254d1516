"""Where a request stands is in Postgres: tables as the library would make them, plain data only, one run at a time."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncConnection, Connection
from psycopg.rows import dict_row

from agent.threads import check_thread, new_thread, only_run, open_saver
from runtime.errors import Conflict, NotFound
from runtime.postgres.address import with_options, with_role

_SHAPE = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = %(schema)s::text::regnamespace AND c.relname LIKE 'checkpoint%%' AND c.relkind = 'r'
UNION ALL
SELECT tablename, indexname, replace(indexdef, %(schema)s::text || '.', ''), NULL, NULL
FROM pg_indexes WHERE schemaname = %(schema)s::text AND tablename LIKE 'checkpoint%%'
ORDER BY 1, 2
"""


made: list[str] = []


@dataclass
class Planted:
    """A type that LangGraph would import and make by default, because the checkpoint says so."""

    name: str

    def __post_init__(self) -> None:
        made.append(self.name)


def test_the_checkpoint_tables_are_what_the_library_would_create(database: str, app: Connection[Any]) -> None:
    async def set_up() -> None:
        url = with_options(database, search_path="theirs")
        connection = await AsyncConnection.connect(url, autocommit=True, row_factory=dict_row)
        async with connection:
            await AsyncPostgresSaver(connection).setup()

    app.execute("CREATE SCHEMA theirs")
    asyncio.run(set_up())
    ours, theirs = (app.execute(_SHAPE, {"schema": schema}).fetchall() for schema in ("tidings", "theirs"))
    assert len(theirs) > 25
    assert ours == theirs
    done = [
        app.execute(f"SELECT v FROM {name}.checkpoint_migrations ORDER BY v").fetchall()
        for name in ("tidings", "theirs")
    ]
    assert done[0] == done[1]


def test_the_ledger_role_keeps_checkpoints_and_needs_to_create_nothing(database: str, app: Connection[Any]) -> None:
    app.execute("CREATE ROLE threads_ledger; GRANT USAGE ON SCHEMA tidings TO threads_ledger")
    app.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tidings TO threads_ledger")

    async def keep() -> Any:
        async with open_saver(with_role(database, "threads_ledger")) as saver:
            config: Any = {"configurable": {"thread_id": "1-x", "checkpoint_ns": ""}}
            await saver.aput(config, empty_checkpoint(), {}, {})
            found = await saver.aget_tuple({"configurable": {"thread_id": "1-x"}})
            await saver.aprune(["1-x"], strategy="keep_latest")
            return found

    try:
        assert asyncio.run(keep()) is not None
    finally:
        app.execute("DROP OWNED BY threads_ledger; DROP ROLE threads_ledger")


def test_a_type_that_a_checkpoint_names_is_never_loaded(database: str) -> None:
    async def load() -> Any:
        async with open_saver(database) as saver:
            packed = saver.serde.dumps_typed({"spec": "x", "bad": Planted("y")})
            made.clear()
            return saver.serde.loads_typed(packed)

    loaded = asyncio.run(load())
    assert loaded["spec"] == "x"
    assert made == []
    assert not isinstance(loaded["bad"], Planted)


def test_a_thread_is_run_by_one_process_at_a_time(database: str) -> None:
    async def twice() -> None:
        async with only_run(database, "1-a"):
            async with only_run(database, "1-b"):
                pass
            with pytest.raises(Conflict, match="being worked on already"):
                async with only_run(database, "1-a"):
                    pass
        async with only_run(database, "1-a"):
            pass

    asyncio.run(twice())


def test_a_thread_of_another_project_is_no_thread_of_this_one() -> None:
    thread = new_thread(1)
    check_thread(thread, 1)
    assert thread != new_thread(1)
    for other in (new_thread(12), thread + "0", "", "1-", "x"):
        with pytest.raises(NotFound, match="no thread"):
            check_thread(other, 1)
