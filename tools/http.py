"""The server over Streamable HTTP, on this machine only, for clients that hold a token of ours.

A client's token says which scopes it has and for which address it was made, and is signed with the project's own
secret. That secret also opens the console, where a person approves, so no client is ever given it.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl
from starlette.applications import Starlette

from runtime.errors import NotAllowed
from tools.scopes import SCOPES
from tools.strict import StrictServer

PATH = "/mcp"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def http_app(server: StrictServer, *, token: str, host: str, port: int) -> Starlette:
    """Return an app that serves MCP at /mcp; its lifespan must run, also where it is mounted into another app.

    `token` is the project's secret (the console's token): clients present a `client_token` made from it. Requests with
    another Host or Origin than this address are refused, which keeps web pages from reaching it by DNS rebinding.
    """
    address = resource_url(host, port)
    names = sorted({f"{_bracketed(name)}:{port}" for name in (host, *_LOOPBACK)})
    return server.authorized_app(
        verifier=_Verifier(secret=token, resource=address),
        auth=AuthSettings(
            issuer_url=AnyHttpUrl(address.removesuffix(PATH)),
            resource_server_url=AnyHttpUrl(address),
            validate_token_resource=True,
        ),
        security=TransportSecuritySettings(allowed_hosts=names, allowed_origins=[f"http://{name}" for name in names]),
        host=host,
    )


def resource_url(host: str, port: int) -> str:
    """Return the server's address, or raise NotAllowed for one that other machines could reach."""
    if host not in _LOOPBACK:
        raise NotAllowed(
            f"MCP over HTTP listens on this machine only, not on {host!r}. Set TIDINGS_CONSOLE_HOST to 127.0.0.1 and "
            "let other machines in through an SSH tunnel, or use `tidings mcp` there."
        )
    return f"http://{_bracketed(host)}:{port}{PATH}"


def client_token(secret: str, resource: str, scopes: Sequence[str] = SCOPES) -> str:
    """Return the bearer token for a client: good for these scopes at this address, until the secret changes."""
    said = base64.urlsafe_b64encode(" ".join(scopes).encode()).decode().rstrip("=")
    return f"{said}.{_signature(secret, resource, said)}"


@dataclass(frozen=True)
class _Verifier:
    """Knows a token of ours for one address."""

    secret: str
    resource: str

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return what a token allows; None for one that is not ours, or is for another address."""
        said, _, signature = token.partition(".")
        right = _signature(self.secret, self.resource, said)
        if not hmac.compare_digest(signature.encode(), right.encode()):
            return None
        scopes = base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)).decode().split()
        return AccessToken(token=token, client_id="local", scopes=scopes, resource=self.resource)


def _signature(secret: str, resource: str, said: str) -> str:
    text = f"mcp client token\n{resource}\n{said}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
