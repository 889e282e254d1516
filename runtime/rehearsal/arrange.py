"""Sets the stage for a change trigger: rows that start a run, as they are before and after, and all around them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from psycopg import Error

from runtime.rehearsal.chain import Told, who_is_told
from runtime.rehearsal.conditions import Bound, bound
from runtime.rehearsal.pairs import Pairs
from runtime.rehearsal.people import Served, serve
from runtime.rehearsal.row import Row, update_sql, value_sql
from runtime.rehearsal.rows import NoRow
from runtime.rehearsal.stage import Actor, Stage, pointing_at
from runtime.rehearsal.variations import variations
from runtime.rehearsal.workshop import Workshop
from runtime.spec.render import quoted


class Arrangement:
    """The work of setting one stage."""

    def __init__(self, shop: Workshop, pairs: Pairs) -> None:
        self._shop = shop
        self._pairs = pairs

    def stage(self, count: int) -> Stage:
        """Return a stage with up to `count` trigger rows; raises NoRow when there is not even one."""
        actors = [self._actor(())]
        with suppress(NoRow, Error):  # one row is enough for all scenarios but one, which says so
            actors += [self._actor(actors) for _ in range(count - 1)]
        own = [row for actor in actors for row in (actor.after, *actor.around)]
        others = tuple(row for row in self._shop.rows.log if row not in own)
        return Stage(tuple(actors), others)

    def _actor(self, others: Sequence[Actor]) -> Actor:
        """Make one trigger row with its surroundings; the next ones share the parents of the first where they can."""
        after, before = self._planned(others)
        self._shop.rows.add(after)
        served = self._surround(after, before)
        told = self._told(after, before)
        if not told.people:
            after, before = self._varied(after, before)
            told = self._told(after, before)
        why_not = "" if told.people else ": ".join([told.why_not, *list(served.reasons.values())[:1]])
        return Actor(after, before, pointing_at(after, self._shop.rows.log), why_not, tuple(served.unreachable))

    def _planned(self, others: Sequence[Actor]) -> tuple[Row, Row | None]:
        keys = {name for key in self._pairs.table.foreign_keys for name in key.columns}
        if others:
            with suppress(NoRow):  # perhaps no two rows may have the same parents
                return self._pairs.plan({name: others[0].after.values[name] for name in sorted(keys)})
        return self._pairs.plan({})

    def _surround(self, after: Row, before: Row | None) -> Served:
        """Make what the workflow reads beside the row."""
        environment: dict[str, Bound] = {"event": self._shop.event}
        if self._pairs.deletes:
            environment["old"] = bound(after)
        else:
            nothing = replace(bound(after), values=dict.fromkeys(after.values))
            environment |= {"new": bound(after), "live": bound(after), "old": bound(before) if before else nothing}
        return serve(self._shop.found, self._shop.witness(after), environment, self._shop.at)

    def _told(self, after: Row, before: Row | None) -> Told:
        current, earlier = self._json(after), self._json(before) if before else None
        new, old = (None, current) if self._pairs.deletes else (current, earlier)
        return who_is_told(
            self._shop.conn, self._shop.compiled, at=self._shop.at, zone=self._shop.found.catalog.zone, new=new, old=old
        )

    def _varied(self, after: Row, before: Row | None) -> tuple[Row, Row | None]:
        """Try other values of the trigger row in its place, until somebody would be told."""
        for changes in variations(self._shop.found, self._shop.rows, after):
            varied = after.changed(changes)
            if not self._would_do(after, varied, changes, before):
                continue
            earlier = self._pairs.before(varied) if before else None
            if before is None or earlier is not None:
                return self._shop.rows.put(after, changes), earlier
        return after, before

    def _would_do(self, after: Row, varied: Row, changes: dict[str, str | None], before: Row | None) -> bool:
        try:
            with self._shop.conn.transaction(force_rollback=True):
                self._shop.conn.execute(update_sql([after], changes))
                return self._pairs.holds(varied) and self._told(varied, before).people > 0
        except Error:
            return False

    def _json(self, row: Row) -> str:
        values = ", ".join(f"{value_sql(c, row.values[c.name])} AS {quoted(c.name)}" for c in row.table.columns)
        found = self._shop.conn.execute(f"SELECT to_jsonb(r)::text FROM (SELECT {values}) AS r").fetchone()
        return str(found[0]) if found else "{}"
