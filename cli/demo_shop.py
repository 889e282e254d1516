"""The demo's stage: a Postgres of its own with a small shop in it, and the shop's application as another process."""

import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from cli.examples import examples_folder
from runtime.errors import TidingsError
from runtime.postgres.address import with_login
from runtime.setup.embedded import start_embedded
from runtime.setup.prepare import apply, prepare

_ROLE = "shop_app"


@dataclass(frozen=True)
class Shop:
    """The application: it logs in as the owner of its tables and knows nothing of Tidings."""

    url: str = field(repr=False)

    def do(self, *action: str) -> str:
        """Let the application do one thing in a process of its own, and return what it printed."""
        command = [sys.executable, str(examples_folder() / "shop_app.py"), self.url, *action]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603  # our own
        if done.returncode:
            raise TidingsError(f"The shop could not {' '.join(action)}: {done.stderr.strip()[-300:]}")
        return done.stdout.strip()


def set_up_shop(home: Path, tell: Callable[[str], None]) -> Shop:
    """Start the server, open the shop in it, and set Tidings up beside it. Idempotent."""
    url = start_embedded(home, tell)
    password = secrets.token_urlsafe(16)
    with psycopg.connect(url, autocommit=True) as admin:
        exists = admin.execute("SELECT FROM pg_roles WHERE rolname = %s", (_ROLE,)).fetchone() is not None
        login = sql.SQL("{} ROLE {} LOGIN PASSWORD {}")
        admin.execute(login.format(sql.SQL("ALTER" if exists else "CREATE"), sql.Identifier(_ROLE), password))
        admin.execute(sql.SQL("GRANT CREATE ON DATABASE app TO {}").format(sql.Identifier(_ROLE)))
    shop = Shop(with_login(url, _ROLE, password))
    with psycopg.connect(shop.url) as application:
        if application.execute("SELECT to_regnamespace('shop')").fetchone() == (None,):
            tell("Opening a small shop in it: six tables, a few rows")
            application.execute((examples_folder() / "shop.sql").read_bytes())
            application.execute((examples_folder() / "shop_data.sql").read_bytes())
    preparation = prepare(home, url)
    if not preparation.nothing_to_do:
        tell("Setting Tidings up beside it: a schema, three roles")
        apply(preparation, name="demo")
    return shop
