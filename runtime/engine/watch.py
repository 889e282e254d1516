"""The watch: every few seconds somebody looks whether all is well, whichever process of ours is alive."""

from runtime.engine.alarms import Alarm
from runtime.engine.alert import owed_alerts, raise_alerts
from runtime.engine.canary import write_canary
from runtime.engine.engine import Engine, enter
from runtime.engine.perform import perform
from runtime.engine.silence import observe
from runtime.ledger.queries import load_queries

_ALERTS = load_queries("runtime.engine", "alert.sql")
_ALARMS = load_queries("runtime.engine", "alarms.sql")


def look(engine: Engine, *, contact: str = "") -> tuple[Alarm, ...]:
    """Write a canary if it is time, note what happened, raise alerts and deliver them; return the alarms.

    Several may call it at once: one of them looks, the others do nothing. Nothing happens while the project is held, so
    a copied database tells nobody. `contact` names who is told.
    """
    with engine.ledger.transaction() as conn:
        moment = enter(engine, conn)
        alone = conn.execute(_ALERTS["alone"], {"project_id": engine.ledger.project_id}).fetchone()
        if moment is None or alone != (True,):
            return ()
        observe(conn, moment.project.id, moment.now)
        found = raise_alerts(engine, conn, moment, contact)
        owed = owed_alerts(conn, moment)
    write_canary(engine.ledger)
    for work_id in owed:
        perform(engine, work_id)
    return found


def beat(engine: Engine) -> None:
    """Note that the leader came through its loop; every few seconds, by the leader, in a transaction of its own."""
    with engine.ledger.connection() as conn:
        conn.execute(_ALARMS["beat"], {"project_id": engine.ledger.project_id})
