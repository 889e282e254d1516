"""Postgres is the solver: candidates become VALUES lists, rules the WHERE, and the first row that meets all is taken.

Columns that share no rule are solved apart, so that the product stays small. Nothing found is no proof that nothing
exists: only these candidates were tried.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.errors import DataError

from runtime.rehearsal.facts import Rule, TableFacts
from runtime.spec.render import literal, quoted

_DEEPER = (4, 12, 40)
"""How many candidates a column may have, tried one after the other: most rows are found among the first few."""
_PRODUCT = 60_000
_SINGLY = 80
"""How many combinations are tried one by one where a condition raises on some values."""

Choices = Mapping[str, Sequence[str | None]]
"""Column → values to try, as texts, the likeliest first."""
Lists = Sequence[Sequence[str | None]]


@dataclass(frozen=True)
class _Part:
    """Columns that rules tie together, and those rules."""

    columns: tuple[str, ...]
    rules: tuple[Rule, ...]


def solve(
    conn: Connection[Any], facts: TableFacts, choices: Choices, rules: Sequence[Rule], *, fewest: bool = False
) -> dict[str, str | None] | None:
    """Return a value for every column of `choices` so that all rules hold, or None when none of them was found.

    Of several solutions it is the one with the likeliest values; with `fewest`, the one with the fewest columns that do
    not have their first choice. The rules must name no other columns but generated
    ones, which are computed. Runs inside the caller's transaction and leaves it usable.
    """
    found: dict[str, str | None] = {}
    for part in _parts(facts, choices, rules):
        values = _solve_part(conn, facts, part, choices, fewest=fewest)
        if values is None:
            return None
        found |= values
    return found


def columns_of(facts: TableFacts, rule: Rule) -> frozenset[str]:
    """Return the columns a rule depends on: for a generated one, those it is computed from."""
    found = set(rule.columns)
    for name in rule.columns & facts.generated.keys():
        found.remove(name)
        found |= {c.name for c in facts.table.columns if c.name in facts.generated[name] and not c.generated}
    return frozenset(found)


def _parts(facts: TableFacts, choices: Choices, rules: Sequence[Rule]) -> list[_Part]:
    groups: list[tuple[set[str], list[Rule]]] = []
    for rule in rules:
        columns, own = set(columns_of(facts, rule)), [rule]
        for group in [group for group in groups if group[0] & columns]:
            groups.remove(group)
            columns |= group[0]
            own = group[1] + own
        groups.append((columns, own))
    tied = set().union(*(columns for columns, _ in groups))
    alone = [_Part((name,), ()) for name in choices if name not in tied]
    return [_Part(tuple(name for name in choices if name in columns), tuple(own)) for columns, own in groups] + alone


def _solve_part(
    conn: Connection[Any], facts: TableFacts, part: _Part, choices: Choices, *, fewest: bool
) -> dict[str, str | None] | None:
    if not part.rules:
        return {name: choices[name][0] for name in part.columns} if all(map(choices.get, part.columns)) else None
    tried: list[int] = []
    for most in _DEEPER[-1:] if fewest else _DEEPER:
        lists = [choices[name][: _limit(most, len(part.columns))] for name in part.columns]
        sizes = [len(values) for values in lists]
        if sizes == tried or not all(sizes):
            continue
        tried = sizes
        try:
            found = _query(conn, facts, part, lists, fewest=fewest)
        except DataError:  # a condition raises on some candidate: those that it reads are tried one by one
            found = next(_singly(conn, facts, part, lists), None)
        if found is not None:
            return dict(zip(part.columns, found, strict=True))
    return None


def _limit(most: int, columns: int) -> int:
    return max(2, min(most, math.floor(_PRODUCT ** (1 / columns)))) if columns else most


def _query(
    conn: Connection[Any], facts: TableFacts, part: _Part, lists: Lists, *, fewest: bool = False
) -> tuple[str | None, ...] | None:
    with conn.transaction():
        return conn.execute(_statement(facts, part, lists, fewest=fewest)).fetchone()


def _singly(conn: Connection[Any], facts: TableFacts, part: _Part, lists: Lists) -> Iterator[tuple[str | None, ...]]:
    places = itertools.product(*(range(len(values)) for values in lists))
    for chosen in sorted(itertools.islice(places, _PRODUCT), key=lambda at: (sum(at), at))[:_SINGLY]:
        try:
            found = _query(conn, facts, part, [[values[at]] for values, at in zip(lists, chosen, strict=True)])
        except DataError:
            continue
        if found is not None:
            yield found


def _statement(facts: TableFacts, part: _Part, lists: Lists, *, fewest: bool) -> str:
    """Write the SELECT: the candidates crossed, generated columns computed, rules asked, the likeliest first."""
    types = {column.name: column.type for column in facts.table.columns}
    sources = [
        f"(VALUES {', '.join(_value(value, types[name], place) for place, value in enumerate(values))})"
        f' AS "v{number}"({quoted(name)}, "#{number}")'
        for number, (name, values) in enumerate(zip(part.columns, lists, strict=True))
    ]
    named = frozenset().union(*(rule.columns for rule in part.rules)) & facts.generated.keys()
    computed = "".join(f", ({facts.generated[name]}) AS {quoted(name)}" for name in sorted(named))
    crossed = f"SELECT *{computed} FROM {' CROSS JOIN '.join(sources)}" if sources else "SELECT"
    where = " AND ".join(f"({rule.text})" for rule in part.rules)
    texts = ", ".join(f"{quoted(name)}::text" for name in part.columns)
    places = [f'"#{number}"' for number in range(len(part.columns))]
    order = [" + ".join(f"({place} > 0)::int" for place in places)] if fewest and places else []
    order += [" + ".join(places), *places] if places else []
    by = f" ORDER BY {', '.join(order)}" if order else ""
    return f"SELECT {texts} FROM ({crossed}) AS candidate WHERE {where}{by} LIMIT 1"


def _value(value: str | None, type_name: str, place: int) -> str:
    written = "NULL" if value is None else literal(value)
    return f"(CAST({written} AS {type_name}), {place})"
