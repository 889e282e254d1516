"""Serves a server to judges over HTTP: `python -m tests.conformance.serve fixtures PORT`, or `product PORT HOME`.

Without a token, because the judges can't send one; the token's own tests are in tests/integration/test_tools_http.py.
"""

import signal
import sys
from pathlib import Path

import uvicorn

from runtime.settings import load_settings
from tests.conformance.asking import add_asking
from tests.conformance.content import add_content
from tools.server import build_server
from tools.services import open_services
from tools.strict import ScopedServer


def fixtures() -> ScopedServer:
    """Return a server of our class with the suite's own fixtures in place of the tools."""
    server = ScopedServer("conformance", version="1", needs={}, log_level="ERROR")
    add_content(server)
    add_asking(server)
    return server


def main(profile: str, port: str, home: str = "") -> None:
    """Serve until killed."""
    if profile == "fixtures":
        _run(fixtures(), int(port))
        return
    signal.signal(
        signal.SIGTERM, lambda *_: None
    )  # uvicorn raises it again once it has stopped; the services close then
    with open_services(load_settings(Path(home), environ={})) as services:
        _run(build_server(services), int(port))


def _run(server: ScopedServer, port: int) -> None:
    uvicorn.run(server.streamable_http_app(host="127.0.0.1"), host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    main(*sys.argv[1:])
