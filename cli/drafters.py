"""Our own agent for a project: there is one where a model's key is set."""

from agent.drafter import GraphDrafter
from tools.server import build_server
from tools.services import Services


def drafter_for(services: Services) -> GraphDrafter | None:
    """Return the drafter, or None without a key. It works through a server of its own, which has no drafter."""
    if not services.settings.anthropic_api_key:
        return None
    return GraphDrafter(build_server(services), settings=services.settings)
