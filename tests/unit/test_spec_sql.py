"""The parser never falls over, never lets through what it can't read, and never changes its mind about a text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import Problem
from runtime.spec.fragment import Kind, analyse
from runtime.spec.render import render
from runtime.spec.scope import Surroundings, event_relation, row_relation
from runtime.spec.sql import NotSql, parse_expression, parse_query
from runtime.spec.vocabulary import words
from tests.spec_catalog import shop

CATALOG = shop()
ORDERS = next(table for table in CATALOG.tables if table.name == "orders")
AROUND = Surroundings(rows={"new": row_relation("new", ORDERS, absent=False), "event": event_relation()})
WORDS = sorted(
    words(
        """
        SELECT FROM WHERE shop.orders AS o ( ) , ; . * = <> < > + - / % || :: :now $1 ? [ ] 'x' 'now' 1 NULL TRUE AND
        OR NOT IN IS BETWEEN LIKE CASE WHEN THEN ELSE END EXISTS WITH x JOIN LATERAL ON USING GROUP BY ORDER LIMIT UNION
        ALL INTO FOR UPDATE DELETE RETURNING VALUES TABLE new.id event.at status "a" " -- /* */ $$ E' int interval
        lower( count( -> ->> OVER FILTER PARTITION ARRAY ROW ANY COLLATE AT TIME ZONE CAST EXTRACT ~ @> => `
        """
    )
)
SOUP = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(text=SOUP | st.text(max_size=40), kind=st.sampled_from(list(Kind)))
def test_any_text_is_read_or_told_what_is_wrong(text: str, kind: Kind) -> None:
    analysis = analyse(text, "/if", kind, AROUND, CATALOG)
    assert analysis.fragment is not None or analysis.problems
    assert all(isinstance(problem, Problem) for problem in analysis.problems)


@settings(max_examples=300, deadline=None)
@given(text=SOUP)
def test_what_is_accepted_reads_the_same_again(text: str) -> None:
    analysis = analyse(text, "/if", Kind.CONDITION, AROUND, CATALOG)
    if analysis.fragment is None or analysis.problems:
        return
    once = render(analysis.fragment.tree, {}).replace("CAST(%(now)s AS timestamptz)", ":now").replace("%%", "%")
    assert render(parse_expression(once, ""), {}) == render(analysis.fragment.tree, {})


HIDDEN = [
    'extract("x; drop table y" from new.placed_at)',
    'make_interval("days => 1) --" => 3)',
    "1 /* */ ; SELECT 2",
    "(SELECT 1) FOR UPDATE",
    "EXISTS (SELECT 1 FROM shop.orders o, LATERAL (SELECT 1 INTO x) l)",
    "'x'::regclass IS NULL",
    "'x'::pg_catalog.\"regclass\" IS NULL",
    "EXISTS (WITH a AS (UPDATE shop.orders SET id = 1 RETURNING id) SELECT id FROM a)",
    "EXISTS (SELECT 1 FROM ROWS FROM (generate_series(1, 2)) x)",
    "@@session.x = 1",
    "1 OPERATOR(public.+) 1 = 2",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_what_hides_in_a_name_or_a_corner_is_refused(text: str) -> None:
    with pytest.raises(NotSql):
        parse_expression(text, "/if")


def test_comments_do_not_travel() -> None:
    tree = parse_query("SELECT 1 AS a /* %(ids)s */ -- ; DROP", "/to")
    assert render(tree, {}) == 'SELECT 1 AS "a"'


def test_what_stands_behind_parentheses_is_kept() -> None:
    tree = parse_query("((SELECT o.id FROM shop.orders o) ORDER BY 1 LIMIT 3)", "/to")
    assert render(tree, {}) == '(SELECT "o"."id" FROM "shop"."orders" AS "o") ORDER BY 1 LIMIT 3'


def test_functions_are_called_by_their_full_names() -> None:
    tree = parse_expression("lower(x) = pg_catalog.upper(y) AND coalesce(a, substring(b from 1)) = row(1)", "/if")
    assert render(tree, {}) == (
        'pg_catalog.lower("x") = pg_catalog.upper("y") AND COALESCE("a", SUBSTRING("b" FROM 1)) = row(1)'
    )
