"""A drafter at work in a test: the real graph, the real tools, a real Postgres, and a model that plays a script."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.drafter import GraphDrafter
from agent.state import Budget
from runtime.ledger.database import Ledger
from runtime.postgres.server import PostgresServer
from runtime.settings import Settings
from runtime.source.reader import Source
from runtime.spec.yaml import load_spec
from tests.servers.anthropic import KEY, MessagesServer, Script, messages_server
from tools.drafter import DraftOutcome
from tools.server import build_server
from tools.services import Services

EXAMPLES = Path(__file__).parents[1] / "examples"
ORDER_SHIPPED = (EXAMPLES / "order-shipped.yaml").read_text(encoding="utf-8")
REQUEST = "E-mail the customer when their order is shipped."


@dataclass
class Desk:
    """One project with a drafter."""

    services: Services
    messages: MessagesServer
    drafter: GraphDrafter
    lines: list[str] = field(default_factory=list)
    """What was told while it worked."""

    def draft(self, request: str = REQUEST, **more: str) -> DraftOutcome:
        """Begin a request."""
        return asyncio.run(self.drafter.draft(request, progress=self.tell, **more))

    def go_on(self, outcome: DraftOutcome, answer: str = "") -> DraftOutcome:
        """Go on with a request."""
        return asyncio.run(self.drafter.draft("", thread=outcome.thread, answer=answer, progress=self.tell))

    async def tell(self, line: str) -> None:
        """Take a line of progress down."""
        self.lines.append(line)


@contextmanager
def desk(
    database: str, server: PostgresServer, *script: Script, budget: Budget | None = None, key: str = KEY
) -> Iterator[Desk]:
    """Yield a desk; at its end the model was asked nothing that the API would refuse."""
    with (
        messages_server(*script) as messages,
        Ledger(database) as ledger,
        Source(database) as source,
    ):
        settings = settings_for(database, messages.url, key=key)
        services = Services(settings, ledger, source, server, "http://127.0.0.1:8710")
        drafter = GraphDrafter(build_server(services), settings=settings, budget=budget)
        yield Desk(services, messages, drafter)
    assert messages.refused == []


def settings_for(database: str, model_url: str, *, key: str = KEY) -> Settings:
    """Return settings under which every role is the test's superuser."""
    return Settings(
        home=Path("nowhere"),
        project="test",
        project_id=1,
        environment="development",
        installer_url=database,
        ledger_url=database,
        reader_url=database,
        console_token="x" * 32,
        anthropic_api_key=key,
        anthropic_base_url=model_url,
    )


def writes(spec: str, **changes: Any) -> dict[str, Any]:
    """Return the answer of a model that writes this spec: every key there, in the form that its schema asks for."""
    return {"questions": [], "impossible": "", "look_at": [], "workflow": model_form(spec) | changes}


def asks(*questions: str) -> dict[str, Any]:
    """Return the answer of a model that asks."""
    return {"questions": list(questions), "impossible": "", "look_at": [], "workflow": None}


ENOUGH = asks("Is that enough?")
"""The answer of a model that stops the graph here, where a test has seen what it wanted to see."""


def model_form(spec: str) -> dict[str, Any]:
    """Return a spec with every key written out, empty where it is absent."""
    return load_spec(spec).model_dump(mode="json")


def changed(data: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return data with the value at a JSON pointer replaced."""
    key, _, rest = path.removeprefix("/").partition("/")
    copy: Any = [*data] if isinstance(data, list) else {**data}
    place: Any = int(key) if isinstance(data, list) else key
    copy[place] = changed(copy[place], rest, value) if rest else value
    return copy  # type: ignore[no-any-return]
