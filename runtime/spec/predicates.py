"""Where SQL misleads: NULLs, casts that fail, the session's zone, clocks in disguise, labels that are none."""

import re
from collections.abc import Iterator

from sqlglot import exp

from runtime.errors import Problem
from runtime.spec.fragment import Fragment
from runtime.spec.nearest import did_you_mean
from runtime.spec.schema import Catalog
from runtime.spec.sqltypes import TEXTS, TIMES, TIMESTAMPTZ, cast_type, type_of

_CLOCK_WORD = re.compile(r"^\s*(now|today|tomorrow|yesterday)\b", re.IGNORECASE)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between, exp.NullSafeEQ, exp.NullSafeNEQ)
_UNSURE = (*_COMPARISONS[:8], exp.Like, exp.ILike, exp.RegexpLike, exp.RegexpILike, exp.SimilarTo)


def check_predicates(fragment: Fragment, catalog: Catalog) -> list[Problem]:
    """Return problems and warnings about a fragment's expressions."""
    enums = {c.type: c.labels for table in catalog.tables for c in table.columns if c.labels}
    problems = [
        *_clock_words(fragment),
        *_unknown_labels(fragment, enums),
        *_null_comparisons(fragment),
        *_casts(fragment),
        *_session_zone(fragment),
    ]
    return list(dict.fromkeys(problems))


def text(node: exp.Expr) -> str:
    """Return an expression as its author would write it, for messages."""
    written = node.sql("postgres", identify=False, comments=False, normalize_functions=False)
    return re.sub(r'"([a-z_][a-z0-9_]*)"', r"\1", written).replace("%(now)s", ":now")


def _clock_words(fragment: Fragment) -> Iterator[Problem]:
    """'today' read as a date is a clock in disguise."""
    for cast in fragment.tree.find_all(exp.Cast):
        words = "".join(str(literal.this) for literal in cast.this.find_all(exp.Literal) if literal.is_string)
        if cast_type(cast) in TIMES and _CLOCK_WORD.match(words):
            yield _clock_word(fragment, text(cast))
    for literal in fragment.tree.find_all(exp.Literal):
        if literal.is_string and _CLOCK_WORD.fullmatch(str(literal.this)) and not _is_plain_word(literal, fragment):
            yield _clock_word(fragment, text(literal))


def _is_plain_word(literal: exp.Literal, fragment: Fragment) -> bool:
    """Return whether it stays a word: compared with a text, or shown as a column of a result."""
    parent = literal.parent
    if isinstance(parent, exp.Cast):
        return True  # judged above
    if isinstance(parent, _COMPARISONS):
        others = [child for child in parent.iter_expressions() if isinstance(child, exp.Column)]
        return bool(others) and all(type_of(child, fragment.fields) in TEXTS for child in others)
    return isinstance(parent, exp.Alias) and isinstance(parent.parent, exp.Select)


def _clock_word(fragment: Fragment, written: str) -> Problem:
    fix = "Write :now, or local_date(:now, zone). If it is a plain word, cast it: 'today'::text."
    return Problem(fragment.path, "clock", f"{written} can read the machine's clock.", fix)


def _unknown_labels(fragment: Fragment, enums: dict[str, tuple[str, ...]]) -> Iterator[Problem]:
    """Postgres fails on a label that an enum does not have, whatever else the condition says."""
    for node in fragment.tree.find_all(*_COMPARISONS):
        for column in (child for child in node.iter_expressions() if isinstance(child, exp.Column)):
            field = fragment.fields.get(id(column))
            if field and field.column and field.column.labels:
                for literal in (child for child in node.iter_expressions() if isinstance(child, exp.Literal)):
                    yield from _label(fragment, literal, text(column), field.column.labels)
    for cast in fragment.tree.find_all(exp.Cast):
        name = cast.to.sql("postgres").replace('"', "")
        if name in enums and isinstance(cast.this, exp.Literal):
            yield from _label(fragment, cast.this, name, enums[name])


def _label(fragment: Fragment, literal: exp.Literal, name: str, labels: tuple[str, ...]) -> Iterator[Problem]:
    if str(literal.this) not in labels:
        message = f"{name} can never be {text(literal)}."
        fix = did_you_mean(str(literal.this), labels, otherwise=f"Its labels: {', '.join(labels)}.")
        yield Problem(fragment.path, "unknown-label", message, fix)


def _null_comparisons(fragment: Fragment) -> Iterator[Problem]:
    """`x <> 'a'` is not true where x is NULL, which is seldom what is meant."""
    guarded = {text(test.this) for test in fragment.tree.find_all(exp.Is) if test.args.get("negate")}
    for node in fragment.tree.find_all(exp.NEQ, exp.Not):
        inner = node.this.unnest() if isinstance(node, exp.Not) else node
        if not isinstance(inner, _UNSURE) and not (isinstance(inner, exp.Column) and inner is not node):
            continue
        for column in _compared(inner):
            field = fragment.fields.get(id(column))
            if field and field.nullable and text(column) not in guarded:
                yield _null_comparison(fragment, node, column)


def _compared(node: exp.Expr) -> list[exp.Expr]:
    """Return what a comparison compares; of a subquery after IN, the first column it returns."""
    if isinstance(node, exp.Column):
        return [node]
    query = node.args.get("query")
    rows = query.unnest() if isinstance(query, exp.Query) else None
    return [*node.iter_expressions(), *(rows.expressions[:1] if isinstance(rows, exp.Select) else [])]


def _null_comparison(fragment: Fragment, node: exp.Expr, column: exp.Expr) -> Problem:
    message = f"{text(node)} is not true where {text(column)} is NULL."
    if isinstance(node, exp.NEQ):
        fix = f"Write {text(node.this)} IS DISTINCT FROM {text(node.expression)} if NULL shall count too."
    else:
        fix = f"Write ({text(node.this.unnest())}) IS NOT TRUE if NULL shall count too."
    return Problem(fragment.path, "null-comparison", message, fix, warning=True)


def _casts(fragment: Fragment) -> Iterator[Problem]:
    """Warn of casts of text: a bad value raises, and then that one run fails."""
    for cast in fragment.tree.find_all(exp.Cast):
        source, target = type_of(cast.this, fragment.fields), cast_type(cast)
        if source in TEXTS | {"json", "jsonb"} and target not in TEXTS | {"json", "jsonb"}:
            message = f"{text(cast)} fails where the text is not such a value, and with it that run."
            fix = "Compare as text, or test the text in a CASE before the cast."
            yield Problem(fragment.path, "cast-can-fail", message, fix, warning=True)


def _session_zone(fragment: Fragment) -> Iterator[Problem]:
    """Warn of what depends on the session's zone: it is read in UTC, which is seldom the reader's."""
    for node in fragment.tree.find_all(exp.Cast, exp.Anonymous, exp.Extract):
        value = _zoned(node)
        if value is not None and type_of(value, fragment.fields) == TIMESTAMPTZ:
            message = f"{text(node)} is read in UTC."
            fix = f"If another zone is meant, write {text(value)} AT TIME ZONE 'Area/City', or local_date(…, zone)."
            yield Problem(fragment.path, "session-zone", message, fix, warning=True)


def _zoned(node: exp.Expr) -> exp.Expr | None:
    """Return the instant whose calendar or clock fields an expression asks for."""
    value: exp.Expr | None = None
    match node:
        case exp.Cast() if cast_type(node) in TIMES - {TIMESTAMPTZ}:
            value = node.this
        case exp.Extract() if node.name.lower() != "epoch":
            value = node.expression
        case exp.Anonymous(name="to_char", expressions=[first, _]):
            value = first
        case exp.Anonymous(name="date_trunc", expressions=[_, second]):
            value = second
        case exp.Anonymous(name="date_part", expressions=[part, second]) if str(part.this) != "epoch":
            value = second
    return value
