"""What a leader does beside its work: counting what is new, and letting go of what is old."""

from runtime.engine.engine import Engine, enter
from runtime.engine.retention import prune
from runtime.engine.tally import count_new, take_census
from runtime.ledger.settled import Settled


class Upkeep:
    """The upkeep of one project. Keep one for as long as the process leads; for one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._settled = Settled()
        providers = engine.delivery.providers
        self._windows = {
            name: p.idempotency_window for name, p in providers.items() if p.idempotency_window is not None
        }

    def turn(self, *, seconds: float = 0.25) -> bool:
        """Do a little of everything, each part for about that long at most; return whether there is more to do now.

        Nothing is removed while the project is held: a person has to decide first whether this ledger is the one.
        """
        ledger = self._engine.ledger
        looked = count_new(ledger, self._settled, self._windows, seconds=seconds)
        take_census(ledger)
        with ledger.transaction() as conn:
            moment = enter(self._engine, conn)
        gone = prune(ledger, now=moment.now, seconds=seconds) if moment else {}
        return bool(looked or gone)
