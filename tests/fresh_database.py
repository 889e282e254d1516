"""Databases that have never seen Tidings, and snapshots that show whether it left anything behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection, sql

from runtime.postgres.address import with_login
from runtime.postgres.server import PostgresServer

SHOP = Path(__file__).parents[1] / "examples" / "shop.sql"

_SNAPSHOT = """
SELECT 'role' AS kind, rolname::text AS name, concat_ws(' ', rolcanlogin, rolcreaterole, rolinherit, rolsuper) AS what
FROM pg_roles
UNION ALL
SELECT 'member', m.member::regrole::text, m.roleid::regrole::text FROM pg_auth_members m
UNION ALL
SELECT 'setting', s.setrole::regrole::text, s.setconfig::text FROM pg_db_role_setting s
UNION ALL
SELECT 'database', datname::text, (coalesce(datacl, acldefault('d', datdba)))::text
FROM pg_database WHERE datname = current_database()
UNION ALL
SELECT 'schema', nspname::text, concat_ws(' ', nspowner::regrole, coalesce(nspacl, acldefault('n', nspowner)))
FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_toast%' AND nspname NOT LIKE 'pg\\_temp%'
UNION ALL
SELECT 'relation', oid::regclass::text,
       concat_ws(' ', relkind, relowner::regrole, coalesce(relacl, acldefault('r', relowner)), relrowsecurity)
FROM pg_class WHERE relnamespace >= 16384 AND relkind <> 'S' OR relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'column', attrelid::regclass || '.' || attname, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL
UNION ALL
SELECT 'policy', polname || ' ' || polrelid::regclass, polroles::regrole[]::text FROM pg_policy
UNION ALL
SELECT 'trigger', tgname || ' ' || tgrelid::regclass, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'function', oid::regprocedure::text, concat_ws(' ', proowner::regrole, proacl)
FROM pg_proc WHERE pronamespace >= 16384
UNION ALL
SELECT 'type', oid::regtype::text, concat_ws(' ', typowner::regrole, typacl) FROM pg_type WHERE typnamespace >= 16384
UNION ALL
SELECT 'default', defaclrole::regrole::text, defaclacl::text FROM pg_default_acl
ORDER BY 1, 2, 3
"""


@contextmanager
def fresh_database(server: PostgresServer, name: str, *, owner: str = "", extra: str = "") -> Iterator[str]:
    """Yield the URL of a database with the shop, as its owner, and drop it and every role made since at the end.

    With `owner`, a role of that name is created with those `extra` rights, such as CREATEROLE; its password is its
    name.
    """
    quoted = sql.Identifier(name)
    with psycopg.connect(server.url, autocommit=True) as admin:
        before = _roles(admin)
        if owner:
            rights = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} " + extra)
            admin.execute(rights.format(sql.Identifier(owner), sql.Literal(owner)))
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(quoted))
        whose = sql.SQL(" OWNER {}").format(sql.Identifier(owner)) if owner else sql.SQL("")
        admin.execute(sql.SQL("CREATE DATABASE {}{}").format(quoted, whose))
    url = server.database_url(name)
    mine = with_login(url, owner, owner) if owner else url
    with psycopg.connect(mine, autocommit=True) as conn:
        conn.execute(SHOP.read_bytes())
    try:
        yield mine
    finally:
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(quoted))
            for role in _roles(admin) - before:
                admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def snapshot(url: str) -> list[tuple[Any, ...]]:
    """Return everything in a database that Tidings could have touched: objects, owners, rights, roles."""
    with psycopg.connect(url) as conn:
        return conn.execute(_SNAPSHOT).fetchall()


def _roles(admin: Connection[Any]) -> set[str]:
    return {row[0] for row in admin.execute("SELECT rolname FROM pg_roles")}
