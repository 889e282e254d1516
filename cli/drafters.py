"""Our own agent for a project: there is one where a model's key is set."""

from collections.abc import Iterator
from contextlib import contextmanager

from agent.drafter import NO_KEY, GraphDrafter
from runtime.errors import NotAllowed, Temporary
from runtime.settings import Settings
from tools.server import build_server
from tools.services import Services, open_services


def drafter_for(services: Services) -> GraphDrafter | None:
    """Return the drafter, or None without a key. It works through a server of its own, which has no drafter."""
    if not services.settings.anthropic_api_key:
        return None
    return GraphDrafter(build_server(services), settings=services.settings)


@contextmanager
def open_drafter(settings: Settings) -> Iterator[GraphDrafter]:
    """Yield the project's drafter; says at once when there is no key, or when Tidings' own Postgres is not running."""
    with open_services(settings) as services:
        drafter = drafter_for(services)
        if drafter is None:
            raise NotAllowed(NO_KEY)
        if services.obstacle():
            raise Temporary("Tidings' own Postgres is not running. `tidings up` starts it.")
        yield drafter
