"""The console in tests: its app over a shop with an engine, and a person's browser that knows the token."""

import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from typing import Any

import uvicorn
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from runtime.console.app import build_console
from runtime.console.desk import Desk
from tests.engine_runs import Shop

TOKEN = "the-token-of-this-console"
BASE = "http://127.0.0.1:8710"
PERSON = "bea"
_INLINE = re.compile(r"</?(?:b|code|q|bdi|time)\b[^>]*>")
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)


def desk_for(shop: Shop, **more: Any) -> Desk:
    """Return the desk of a console over a shop."""
    engine = shop.engine
    given: dict[str, Any] = {"installer_url": shop.url, "token": TOKEN, "person": PERSON, **more}
    return Desk(engine.ledger, engine.source, **given)


def stranger(desk: Desk, *, base: str = BASE, **more: Any) -> TestClient:
    """Return a browser that has not been here; it follows no redirects by itself."""
    return TestClient(build_console(desk), base_url=base, follow_redirects=False, **more)


def visitor(desk: Desk, *, base: str = BASE, **more: Any) -> TestClient:
    """Return a browser that came with the token, and sends its forms as browsers do."""
    client = stranger(desk, base=base, **more)
    assert client.get(f"/?token={desk.token}").status_code == 303
    client.headers["origin"] = base
    return client


def read(client: TestClient, path: str, *, status: int = 200) -> str:
    """Return what can be read on a page, as one line of words."""
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return words(answer.text)


def words(html: str) -> str:
    """Return what can be read in HTML, without its tags."""
    return " ".join(unescape(_TAGS.sub(" ", _INLINE.sub("", html))).split())


def question(html: str) -> dict[str, str]:
    """Return the hidden fields of the review page's form."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html))


def answer(client: TestClient, name: str, kind: str, form: Mapping[str, str] | None = None, **more: str) -> Any:
    """Open a workflow's page, answer its question, and return the response."""
    shown = question(client.get(f"/workflows/{name}").text) if form is None else form
    return client.post(f"/workflows/{name}/decision", data={**shown, "answer": kind, **more})


@contextmanager
def served(desk: Desk, heard: list[str]) -> Iterator[str]:
    """Serve the console on a port of this machine, and yield its address; every request is written into `heard`."""
    console = build_console(desk)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        heard.append(f"{scope['path']}?{scope['query_string'].decode()}".removesuffix("?"))
        await console(scope, receive, send)

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            deadline = time.monotonic() + 5
            while not server.started:
                assert time.monotonic() < deadline, "the console does not start"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
