"""Which provider carries a message: outside production the local inbox, unless the address is on the allow-list."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from runtime.delivery.provider import INBOX, INBOX_BATCH, Delivery
from runtime.errors import NotFound
from runtime.ledger.project import Project
from runtime.ledger.queries import load_queries

_QUERIES = load_queries("runtime.delivery")
_CARRIERS = {"email": ("resend", "smtp"), "slack": ("slack",)}
"""In order of preference."""


@dataclass(frozen=True)
class Policy:
    """What holds for every message of a project at this moment."""

    mode: str
    """inbox or production."""
    allowed: frozenset[str]
    """Lower case; `@example.org` allows a domain."""
    configured: frozenset[str]
    """Names of the providers there are."""
    sender: str
    public_url: str
    secret: bytes = field(repr=False)
    project_id: int
    zone: str
    batch_sizes: Mapping[str, int] = field(default_factory=dict)
    """By provider; one message a request where nothing is said."""

    def provider_for(self, channel: str, address: str) -> str:
        """Return the name of the provider that carries a message to this address, or nothing when there is none."""
        carrier = self._carriers.get(channel, "")
        if self.mode == "production":
            return carrier
        return carrier if carrier and self.allows(address) else INBOX

    @cached_property
    def _carriers(self) -> Mapping[str, str]:
        """Return the configured provider of each channel that has one."""
        found = {channel: [name for name in names if name in self.configured] for channel, names in _CARRIERS.items()}
        return {channel: names[0] for channel, names in found.items() if names}

    def allows(self, address: str) -> bool:
        """Return whether the address is on the allow-list, itself or by its domain."""
        lowered = address.lower()
        _, at, domain = lowered.rpartition("@")
        return lowered in self.allowed or (bool(at and domain) and f"@{domain}" in self.allowed)

    def batch_size(self, provider: str) -> int:
        """Return the most messages that a request to the provider may hold."""
        return INBOX_BATCH if provider == INBOX else self.batch_sizes.get(provider, 1)


def load_policy(conn: Connection[Any], project: Project, delivery: Delivery) -> Policy:
    """Return what holds for the project's messages now: its mode and allow-list, and this process's providers."""
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_QUERIES["read_policy"], {"project_id": project.id}).fetchone()
    if found is None:
        raise NotFound(f"The ledger has no project {project.id}. Run `tidings init` again; it repairs what is missing.")
    return Policy(
        mode=found["mode"],
        allowed=frozenset(found["allowed"]),
        configured=frozenset(delivery.providers),
        sender=delivery.sender,
        public_url=delivery.public_url,
        secret=bytes(found["secret"]),
        project_id=project.id,
        zone=found["zone"],
        batch_sizes={name: provider.batch for name, provider in delivery.providers.items()},
    )
