"""Up to which id a table is complete: whoever reads a table by its ids must not overtake a commit that is late.

Ids are drawn before the commit. But whoever draws one has locked the table before, for writing and until its
transaction ends. So the newest id is read first, then who holds such a lock; once all of those have ended, nothing can
appear any more at or below that id. Transactions that write other tables, however long they last, hold nothing up.
"""

from typing import Any

from psycopg import Connection

from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.ledger", "settled.sql")


class Settled:
    """Knows of each table how far it is complete. Keep one for a process's lifetime; for one thread at a time."""

    def __init__(self) -> None:
        self._complete: dict[str, int] = {}
        self._samples: dict[str, tuple[int, frozenset[str]]] = {}
        """The newest id at one moment, and the transactions that could write right after."""

    def up_to(self, conn: Connection[Any], table: str) -> int:
        """Return an id of a ledger's table up to which a statement that begins from now on sees every row.

        The answer grows from call to call; the first one is 0 while somebody writes the table.
        """
        newest = self._ask(conn, "newest", table)
        writers = frozenset(self._ask(conn, "writers", table))
        if newest < self._complete.get(table, 0):  # another server took over, and counts on from an older id
            self._complete.pop(table)
            self._samples.pop(table, None)
        sample = self._samples.get(table)
        if sample is None or not writers & sample[1]:
            if sample is not None:
                self._complete[table] = sample[0]
            self._samples[table] = (newest, writers)
        if not writers:
            self._complete[table] = newest
            self._samples.pop(table)
        return self._complete.get(table, 0)

    @staticmethod
    def _ask(conn: Connection[Any], query: str, table: str) -> Any:
        return conn.execute(_QUERIES[query], {"table": table}).fetchall()[0][0]
