"""What the pages need at hand."""

import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.requests import Request

from runtime.ledger.database import Ledger
from runtime.source.reader import Source


@dataclass(frozen=True)
class Desk:
    """One project's console: its ledger, its source, and who may look."""

    ledger: Ledger
    source: Source
    installer_url: str = field(repr=False)
    """Used only to publish what a person approved here."""
    token: str = field(repr=False)
    person: str
    """Who runs this console, as the operating system knows them: an approval given here is theirs."""
    host: str = "127.0.0.1"
    public_url: str = ""
    """Where recipients and providers reach their pages; empty: the console's own address."""
    report_secrets: tuple[str, ...] = field(default=(), repr=False)
    """What proves that a delivery report comes from Resend; none: reports are not taken."""

    @property
    def session(self) -> str:
        """Return the cookie's value: made from the token, which itself stands in no cookie."""
        return hmac.new(self.token.encode(), b"console session", hashlib.sha256).hexdigest()

    @property
    def public_host(self) -> str:
        """Return the name under which only the pages for recipients and providers are served; may be empty."""
        return urlsplit(self.public_url).hostname or ""

    def scrapes(self, request: Request) -> bool:
        """Return whether a request comes from a scraper that was given the metrics' own token."""
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(
            given.strip().encode(), metrics_token(self.token).encode()
        )

    def opens(self, token: str) -> bool:
        """Return whether a token is the right one, without telling by the time it takes."""
        return hmac.compare_digest(token.encode(), self.token.encode())


def metrics_token(token: str) -> str:
    """Return what a scraper of the metrics presents: made from the console's token, and good for nothing else."""
    return hmac.new(token.encode(), b"metrics", hashlib.sha256).hexdigest()


def desk_of(request: Request) -> Desk:
    """Return the desk of the console that a request came to."""
    desk: Desk = request.app.state.desk
    return desk
