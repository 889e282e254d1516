"""Where an address comes from: approved columns and registered contacts, through nothing that could make one up."""

from collections.abc import Iterator

from runtime.errors import Problem
from runtime.spec.fragment import Fragment
from runtime.spec.model import ChannelName
from runtime.spec.nearest import listed, nearest
from runtime.spec.schema import AddressKind, Catalog
from runtime.spec.scope import Field

_THROUGH = "COALESCE, CASE, NULLIF, lower and trim"


def check_addresses(to: Fragment, channels: list[ChannelName], catalog: Catalog) -> Iterator[Problem]:
    """Yield a problem for each channel whose address column is missing or does not trace to what a person approved."""
    for channel in dict.fromkeys(channels):
        kind = AddressKind(channel.value)
        field = to.output(kind.value)
        if field is not None:
            yield from _untraced(to.path, field, kind, catalog)
        elif not to.is_open:
            yield _missing(to, kind, catalog)


def _missing(to: Fragment, kind: AddressKind, catalog: Catalog) -> Problem:
    approved = _approved(kind, catalog)
    message = f"Returns no column {kind.value!r}, which the channel {kind.value} needs."
    named = nearest(kind.value, [f.name for f in to.outputs])
    passed = next((f.name for f in to.outputs if f.origins and f.origins <= set(approved)), named)
    fix = f"Write {passed} AS {kind.value}." if passed else _choose(kind, approved)
    return Problem(to.path, "missing-address", message, fix)


def _untraced(path: str, field: Field, kind: AddressKind, catalog: Catalog) -> Iterator[Problem]:
    approved = _approved(kind, catalog)
    if field.origins is None:
        message = f"The column {kind.value!r} is made up, not passed on from an approved column."
        fix = f"Only {_THROUGH} may stand between. {_choose(kind, approved)}"
        yield Problem(path, "address-lineage", message, fix)
    elif not field.origins:
        yield Problem(path, "address-lineage", f"The column {kind.value!r} is always NULL.", _choose(kind, approved))
    for origin in sorted((field.origins or frozenset()) - set(approved)):
        yield _unapproved(path, origin, kind, approved)


def _unapproved(path: str, origin: str, kind: AddressKind, approved: list[str]) -> Problem:
    if origin.startswith("contact:"):
        message = f"The contact {origin.removeprefix('contact:')!r} is no address for {kind.value}."
    else:
        message = f"{origin} is not approved as an address for {kind.value}."
    fix = f"{_choose(kind, approved)} A person approves columns and contacts, see `tidings init`."
    return Problem(path, "address-not-approved", message, fix)


def _approved(kind: AddressKind, catalog: Catalog) -> list[str]:
    columns = [path for path, of_kind in catalog.address_columns.items() if of_kind == kind]
    contacts = [f"contact:{name}" for name, contact in catalog.contacts.items() if contact.get("kind") == kind.value]
    return sorted(columns) + sorted(contacts)


def _choose(kind: AddressKind, approved: list[str]) -> str:
    if not approved:
        return f"Nothing is approved as an address for {kind.value} yet."
    written = [
        f"contact('{name.removeprefix('contact:')}')" if name.startswith("contact:") else name for name in approved
    ]
    return f"Approved for {kind.value}: {listed(written)}."
