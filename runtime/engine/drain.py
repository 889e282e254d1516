"""Draining: everything that is due at the present instant is done, in this thread. For rehearsals, tests and evals."""

from collections import Counter

from runtime.engine.claim import claim
from runtime.engine.engine import Engine, enter
from runtime.engine.perform import perform
from runtime.engine.tick import tick
from runtime.errors import Permanent
from runtime.ledger.work import due

_BATCH = 1_000
_MOST_ROUNDS = 10_000
_MOST_TURNS = 20
"""Of one piece of work."""


def drain(engine: Engine) -> int:
    """Claim, tick and perform until nothing is due any more; return how many pieces of work were done.

    Raises Permanent when it does not come to rest, and whatever performing raises.
    """
    turns: Counter[int] = Counter()
    for _ in range(_MOST_ROUNDS):
        claimed = claim(engine, limit=_BATCH)
        work = [*claimed.work, *tick(engine)] or _owed(engine)
        if not claimed.events and not work:
            return turns.total()
        while work:
            current = work.pop(0)
            turns[current] += 1
            if turns[current] > _MOST_TURNS:
                raise Permanent(f"Work {current} is due again and again at the same instant. This is a bug.")
            work += perform(engine, current)
    raise Permanent(f"After {_MOST_ROUNDS:,} rounds there is still something due at the same instant. This is a bug.")


def _owed(engine: Engine) -> list[int]:
    with engine.ledger.transaction() as conn:
        moment = enter(engine, conn)
        return due(conn, moment.project.id, now=moment.now, limit=_BATCH) if moment else []
