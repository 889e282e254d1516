"""Messages of which nobody knows whether they were taken, looked up where the provider lists what it took."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from runtime.delivery.frozen import Expansion, Shared
from runtime.delivery.resend_listing import ListedMail, listed_since
from runtime.engine.seams import Window
from runtime.ledger.arrays import text_array
from runtime.ledger.database import Ledger
from runtime.ledger.queries import load_queries

MOST = 1_000
"""Messages that are looked up at once."""
_BEFORE = timedelta(minutes=2)
"""How far the provider's clock may be behind."""
_AFTER = timedelta(hours=24)
"""How long after our first attempt a mail may be the one; the last was within the provider's window."""
_QUERIES = load_queries("runtime.engine", "reconcile.sql")


@dataclass(frozen=True)
class LookedUp:
    """What the provider's list says of a message."""

    message_id: int
    address: str
    subject: str
    provider_id: str
    """Of a mail that fits and is no other message's; empty: none is listed."""

    def line(self) -> str:
        """Say it in one line."""
        if self.provider_id:
            return (
                f"message {self.message_id} to {self.address}: Resend took a mail that fits ({self.provider_id}), "
                "so it was sent as far as anybody can tell."
            )
        return (
            f"message {self.message_id} to {self.address}: Resend lists none that fits, so it was probably not taken."
        )


class _Asked(NamedTuple):
    id: int
    sender: str
    address: str
    subject: str
    begin: datetime
    end: datetime

    def is_met_by(self, mail: ListedMail) -> bool:
        """Return whether a listed mail may be this message."""
        same = (_bare(mail.sender), [_bare(to) for to in mail.to]) == (self.sender, [self.address])
        return same and mail.subject.strip() == self.subject and self.begin <= mail.at <= self.end


def ask_resend(ledger: Ledger, window: Window, *, api_key: str, url: str) -> tuple[LookedUp, ...]:
    """Look up the uncertain messages of a window, at most a thousand, in the order of their ids; changes nothing.

    A mail stands for one message. Raises as `listed_since`.
    """
    asked = list(_asked(ledger, window))
    if not asked:
        return ()
    since = min(message.begin for message in asked)
    by_address: defaultdict[str, list[ListedMail]] = defaultdict(list)
    wanted = {message.address for message in asked}
    for mail in listed_since(since, api_key=api_key, url=url):
        for to in map(_bare, mail.to):
            if to in wanted:
                by_address[to].append(mail)
    taken = _known(ledger, [mail.id for mails in by_address.values() for mail in mails])
    found = []
    for message in asked:
        free = (m for m in reversed(by_address[message.address]) if m.id not in taken and message.is_met_by(m))
        provider_id = next((mail.id for mail in free), "")
        taken.add(provider_id)
        found.append(LookedUp(message.id, message.address, message.subject, provider_id))
    return tuple(found)


def _asked(ledger: Ledger, window: Window) -> Iterator[_Asked]:
    values = {
        "project_id": ledger.project_id,
        "begin": window.begin,
        "end": window.end,
        "shift": window.shift,
        "limit": MOST,
    }
    with ledger.transaction() as conn, conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_QUERIES["uncertain"], values).fetchall()
    for row in rows:
        mail = _mail(row)
        yield _Asked(
            id=row["id"],
            sender=_bare(mail["from"]),
            address=_bare(row["address"]),
            subject=mail["subject"].strip(),
            begin=row["begin"] - _BEFORE,
            end=row["begin"] + _AFTER,
        )


def _mail(row: dict[str, Any]) -> dict[str, Any]:
    messages = row["request"].get("messages")
    if messages is None:
        messages = Expansion(Shared(row["shared"]), row["request"]).messages
    mail: dict[str, Any] = messages[row["position"]]
    return mail


def _known(ledger: Ledger, ids: list[str]) -> set[str]:
    values = {"project_id": ledger.project_id, "ids": text_array(ids)}
    with ledger.transaction() as conn:
        return {row[0] for row in conn.execute(_QUERIES["known_ids"], values)}


def _bare(address: str) -> str:
    return parseaddr(address)[1].lower()
