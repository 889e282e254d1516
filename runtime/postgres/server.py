"""A Postgres of our own: for the demo, for `tidings up` without a URL, for rehearsals and tests.

Durable (fsync stays on unless `scratch`), reachable on loopback only, safe to start as root, one folder, nothing else.
"""

import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from runtime.errors import NotFound, TidingsError
from runtime.postgres.account import Account, unprivileged
from runtime.postgres.binaries import find_binaries
from runtime.postgres.folder import exclusive, postmaster_pid, usable_port, write_private

SUPERUSER = "postgres"  # not tidings: a role of that name would create its unqualified tables in schema tidings
_START_TRIES = 4


def _silent(_: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class PostgresServer:
    """A server whose whole state is one folder: `data`, `port`, `password`, `log`."""

    home: Path
    scratch: bool = False
    """A scratch server trades durability for speed: rehearsals and tests."""
    binaries: Path | None = None

    @property
    def url(self) -> str:
        """Return the superuser's URL of the database `postgres`; the server must have been set up."""
        return self.database_url("postgres")

    def database_url(self, database: str) -> str:
        """Return the superuser's URL of a database."""
        password = quote((self.home / "password").read_text().strip())
        port = (self.home / "port").read_text().strip()
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{port}/{quote(database, safe='')}"

    def start(self, progress: Callable[[str], None] = _silent) -> str:
        """Set up on first use, start if not running, and return the superuser's URL.

        Idempotent, also when several processes start at once. The port stays what it was unless somebody else took it.
        """
        account = unprivileged()
        self.home.mkdir(parents=True, exist_ok=True)
        with exclusive(self.home / "lock"):
            if not self._made():
                progress(f"Creating a Postgres server in {self.home}")
                self._create(account)
            if not self.running():
                progress("Starting Postgres")
                self._launch(account)
        return self.url

    def running(self) -> bool:
        """Return whether this very server, and not another one on its port, answers."""
        if postmaster_pid(self.home / "data") is None or not (self.home / "port").exists():
            return False
        try:
            with psycopg.connect(self.url, connect_timeout=2, application_name="tidings"):
                return True
        except psycopg.OperationalError:
            return False

    def stop(self) -> None:
        """Stop the server, rolling back open transactions, and wait until it is gone; does nothing when none runs."""
        if postmaster_pid(self.home / "data") is None:
            return
        arguments = ["-D", "data", "-w", "-t", "20", "-m"]
        if self._command(unprivileged(), "pg_ctl", [*arguments, "fast", "stop"], check=False):
            return
        self._command(unprivileged(), "pg_ctl", [*arguments, "immediate", "stop"], check=False)
        if postmaster_pid(self.home / "data") is not None:
            raise TidingsError(f"Postgres in {self.home} does not stop. Look into {self.home / 'log'}.")

    def _made(self) -> bool:
        """Return whether there is a set-up that can be started; scratch of a version that is gone is made anew."""
        if not self._version() or (self.home / "unfinished").exists():
            return False
        try:
            self._folder()
        except NotFound:
            if self.scratch:
                return False
            raise
        return True

    def _version(self) -> str:
        """Return which major version made the data, empty when none did."""
        file = self.home / "data" / "PG_VERSION"
        return file.read_text().strip() if file.exists() else ""

    def _folder(self) -> Path:
        return self.binaries or find_binaries(major=self._version())

    def _create(self, account: Account) -> None:
        """Run initdb; `unfinished` stands until it is done, so that an interrupted one starts over."""
        (self.home / "unfinished").touch()
        for leftover in (self.home / "data", self.home / "sockets"):
            shutil.rmtree(leftover, ignore_errors=True)
        write_private(self.home / "password", secrets.token_urlsafe(24))
        if os.geteuid() == 0:
            for path in (self.home, self.home / "password"):
                os.chown(path, account.uid, account.gid)
        self.home.chmod(0o700)
        locale = "C.UTF-8" if sys.platform == "linux" else "C"
        arguments = ["-D", "data", "-U", SUPERUSER, "-E", "UTF8", f"--locale={locale}"]
        if self.scratch:
            arguments.append("--no-sync")
        self._command(account, "initdb", [*arguments, "--auth=scram-sha-256", "--pwfile=password"])
        (self.home / "unfinished").unlink()

    def _launch(self, account: Account) -> None:
        """Start the server; again if the port was taken meanwhile, or a killed server's processes are still going."""
        for attempt in range(1, _START_TRIES + 1):
            port = usable_port(self.home / "port")
            options = " ".join(f"-c {name}={value}" for name, value in self._settings(port).items())
            last = attempt == _START_TRIES
            if self._command(
                account, "pg_ctl", ["-D", "data", "-l", "log", "-w", "-t", "60", "-o", options, "start"], check=last
            ):
                return
            time.sleep(0.5 * attempt)

    def _settings(self, port: int) -> dict[str, str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "timezone": "UTC",
            "max_connections": "200",
        }
        if self.scratch:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return settings

    def _command(self, account: Account, name: str, arguments: Sequence[str], *, check: bool = True) -> bool:
        done = account.run([str(self._folder() / name), *arguments], cwd=self.home)
        if check and done.returncode != 0:
            log = self.home / "log"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else ""
            raise TidingsError(
                f"{name} failed in {self.home} as user {account.name}: {(done.stderr or done.stdout).strip()}\n{tail}\n"
                "Give DATABASE_URL a Postgres that runs already, or set TIDINGS_HOME to a folder that user can enter."
            )
        return done.returncode == 0
