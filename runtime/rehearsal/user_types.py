"""Types and collations of a copy: the user's own are made again, those of extensions come with them, or text does."""

from collections.abc import Iterator

from runtime.rehearsal.clockwords import on_virtual_clock
from runtime.rehearsal.shape import FoundCollation, FoundColumn, FoundType, Shape
from runtime.spec.render import literal, qualified, quoted
from runtime.spec.vocabulary import words

HARMLESS = words(
    "btree_gin btree_gist citext cube earthdistance fuzzystrmatch hstore intarray ip4r isn lo ltree pg_trgm pg_uuidv7"
    " pgcrypto plpgsql postgis seg semver tablefunc unaccent uuid-ossp vector"
)
"""Extensions that bring types and functions of values alone: none reaches out of the database."""
_PROVIDERS = {"i": "icu", "c": "libc", "b": "builtin"}


class TypeNames:
    """How columns name their types in the copy."""

    def __init__(self, shape: Shape, available: frozenset[str]) -> None:
        self.extensions = frozenset(name for name in shape.extensions if name in available & HARMLESS)
        """Those that are installed in the copy."""
        self.stand_ins = tuple(found for found in shape.types if self._stands_in(found))
        """Types that can't be had here: text stands for them."""
        self.notes = [f"type {t.schema_name}.{t.name}: text stands for it" for t in self.stand_ins]
        missing = sorted(set(shape.extensions) - self.extensions - {"plpgsql"})
        self.notes += [f"extension {name}: this server does not have it, or it reaches outside" for name in missing]
        self._without_length = {found.oid for found in self.stand_ins}
        self._collations = {found.oid: found for found in shape.collations}

    def _stands_in(self, found: FoundType) -> bool:
        if found.extension:
            return found.extension not in self.extensions
        return found.kind == "b"  # written in C

    def of(self, column: FoundColumn) -> str:
        """Return the column's type as the copy's server understands it."""
        return column.plain if column.type_oid in self._without_length else column.type

    def collation(self, oid: int) -> str:
        """Return a collation's name, or nothing when it is not known."""
        found = self._collations.get(oid)
        return qualified(f"{found.schema_name}.{found.name}") if found else ""


def type_pieces(shape: Shape, names: TypeNames) -> Iterator[tuple[str, str]]:
    """Yield, in words and as a statement, every extension, collation and type, those inside others first."""
    for name in sorted(names.extensions - {"plpgsql"}):
        yield (
            f"extension {name}",
            f"CREATE EXTENSION IF NOT EXISTS {quoted(name)} SCHEMA {quoted(shape.extensions[name])}",
        )
    for found in names.stand_ins:
        yield f"type {found.schema_name}.{found.name}", f"CREATE DOMAIN {_name(found)} AS text"
    for collation in shape.collations:
        if collation.schema_name != "pg_catalog":
            yield f"collation {collation.schema_name}.{collation.name}", _collation(collation)
    for found in shape.types:
        if not found.extension and found not in names.stand_ins:
            yield from _type(found, names)


def _type(found: FoundType, names: TypeNames) -> Iterator[tuple[str, str]]:
    what, name = f"type {found.schema_name}.{found.name}", _name(found)
    match found.kind:
        case "e":
            yield what, f"CREATE TYPE {name} AS ENUM ({', '.join(map(literal, found.labels))})"
        case "c":
            yield what, f"CREATE TYPE {name} AS ({', '.join(found.attributes)})"
        case "r":
            yield what, f"CREATE TYPE {name} AS RANGE (subtype = {found.subtype})"
        case "d":
            collation = f" COLLATE {names.collation(found.collation)}" if found.collation else ""
            default = f" DEFAULT {on_virtual_clock(found.expression)}" if found.expression else ""
            yield what, f"CREATE DOMAIN {name} AS {found.base}{collation}{default}{' NOT NULL' * found.required}"
            for check in found.checks:
                yield f"{what}: {check}", f"ALTER DOMAIN {name} ADD {on_virtual_clock(check)}"
        case _:
            return


def _collation(found: FoundCollation) -> str:
    details = found.details
    locale = details.get("colliculocale") or details.get("colllocale")  # up to version 16, and since 17
    options = [f"provider = {_PROVIDERS.get(found.provider, 'libc')}"]
    if locale or details.get("collcollate") == details.get("collctype"):
        options.append(f"locale = {literal(str(locale or details.get('collcollate')))}")
    else:
        options += [f"lc_collate = {literal(details['collcollate'])}", f"lc_ctype = {literal(details['collctype'])}"]
    if not found.deterministic:
        options.append("deterministic = false")
    return f"CREATE COLLATION {qualified(f'{found.schema_name}.{found.name}')} ({', '.join(options)})"


def _name(found: FoundType) -> str:
    return qualified(f"{found.schema_name}.{found.name}")
