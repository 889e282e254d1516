"""Alerts: an alarm that lasts is told once to a contact, and told again when it is over.

What tells must not need what may be broken: no hook, no leader, no broker, no worker. Whoever watches writes an
ordinary message, with its record, and delivers it in the same breath. Outside production it arrives in the local inbox.
"""

import json
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.rows import class_row

from runtime.capture.health import capture_health
from runtime.delivery.message import Send
from runtime.delivery.store import store
from runtime.engine.alarms import Alarm, alarms
from runtime.engine.engine import Engine, Moment
from runtime.engine.sending import outgoing
from runtime.ledger.queries import load_queries
from runtime.spec.compiled import CompiledText

PATIENCE = timedelta(seconds=20)
"""How long an alarm must last to be told; three times as long it must be gone to be over. By the server's clock."""
_TEXTS = (
    CompiledText(
        locale="",
        channel="email",
        subject="{{ headline }}",
        html="<html><body>{% for line in lines %}<p>{{ line }}</p>{% endfor %}</body></html>",
        text="{% for line in lines %}{{ line }}\n\n{% endfor %}",
    ),
    CompiledText(
        locale="", channel="slack", subject="", html="", text="{% for line in lines %}{{ line }}\n{% endfor %}"
    ),
)
_QUERIES = load_queries("runtime.engine", "alert.sql")
_log = logging.getLogger(__name__)


class News(NamedTuple):
    """An alarm that is to be told."""

    id: int
    severity: str
    sentence: str
    over: bool


def raise_alerts(engine: Engine, conn: Connection[Any], moment: Moment, contact: str) -> tuple[Alarm, ...]:
    """Compare the alarms of this moment, which are returned, with those known; log what is new and store a message.

    In the caller's transaction, by one caller at a time. `contact` is the name of a registered contact, or empty.
    """
    project_id = moment.project.id
    found = (*alarms(conn, project_id, moment.now), *_missed(conn, project_id))
    seen = [{name: getattr(alarm, name) for name in ("code", "subject", "severity", "sentence")} for alarm in found]
    conn.execute(_QUERIES["see"], {"project_id": project_id, "alarms": json.dumps(seen)})
    with conn.cursor(row_factory=class_row(News)) as cursor:
        news = cursor.execute(_QUERIES["news"], {"project_id": project_id, "patience": PATIENCE}).fetchall()
    for one in news:
        level = logging.INFO if one.over else logging.ERROR if one.severity == "red" else logging.WARNING
        _log.log(level, "alert.%s alert=%d %s", "over" if one.over else "raised", one.id, one.sentence)
    if news and contact:
        _write(engine, conn, moment, contact=contact, news=news)
    return found


def owed_alerts(conn: Connection[Any], moment: Moment) -> list[int]:
    """Return the work of delivering alerts that is due: it is to be performed when the transaction is over."""
    values = {"project_id": moment.project.id, "now": moment.now}
    return [row[0] for row in conn.execute(_QUERIES["owed_work"], values)]


def _missed(conn: Connection[Any], project_id: int) -> list[Alarm]:
    """Return what hooks missed, or would, as alarms."""
    reasons = capture_health(conn, project_id).reasons
    return [Alarm("missed", "red", " ".join(reasons))] if reasons else []


def _write(engine: Engine, conn: Connection[Any], moment: Moment, *, contact: str, news: Sequence[News]) -> None:
    """Store one message about all of it. Its run number is none of a run: minus the first alert's."""
    project_id = moment.project.id
    row = conn.execute(_QUERIES["contact"], {"project_id": project_id, "name": contact}).fetchone()
    if row is None:
        _log.error("alert.nobody contact=%s reason=no contact of this name is registered", contact)
        return
    kind, address = row
    lines = [f"{'Over' if one.over else 'Now'}: {one.sentence}" for one in news]
    headline = f"Tidings {moment.project.name}: {_summary(news)}"
    send = Send(
        run_id=-min(one.id for one in news),
        step=1 if all(one.over for one in news) else 0,
        workflow="",
        channels=(kind,),
        category="transactional",
        topic="",
        texts=_TEXTS,
        names={"headline": headline, "lines": [headline, *lines]},
        people=[{"key": " ".join(f"{one.id}{'-' if one.over else '+'}" for one in news), kind: address}],
    )
    for part in outgoing(conn, moment.project, engine.delivery, [send]):
        work_ids = store(conn, project_id, part.prepared(moment.now), now=moment.now)
        conn.execute(_QUERIES["remember_work"], {"project_id": project_id, "work_ids": work_ids})


def _summary(news: Sequence[News]) -> str:
    raised = sum(not one.over for one in news)
    parts = [f"{raised} alarm{'s' if raised > 1 else ''}" if raised else "", f"{len(news) - raised} over"]
    return ", ".join(part for part in parts if part and not part.startswith("0"))
