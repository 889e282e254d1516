"""What an author writes and what is rendered from its syntax tree answer the same, on a real Postgres."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from runtime.source.catalog import safe_functions
from runtime.spec.fragment import Kind, analyse
from runtime.spec.render import render
from runtime.spec.schema import Catalog
from runtime.spec.scope import Surroundings
from tests.spec_catalog import shop

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)

EXPRESSIONS = [
    "substr('abcdef', 2, 3)",
    "substring('abcdef' from 2 for 3)",
    "substring('abcdef' from 'c.*')",
    "overlay('abcdef' placing 'X' from 2)",
    "trim(both 'x' from 'xxaxx')",
    "trim('  a ')",
    "position('c' in 'abc') + strpos('abc', 'b')",
    "char_length('é') + length('abc')",
    "5 / 2",
    "5 % 3",
    "-5 % 3",
    "2 ^ 3",
    "2 ^ 3 ^ 2",
    "-2 ^ 2",
    "10 - 3 - 2",
    "mod(7, 4)",
    "round(2.567, 2)",
    "ceil(1.2) + floor(1.8)",
    "1e3 + .5",
    "'it''s' || ' ' || E'a\\nb' || $$d'd$$ || U&'\\00e9'",
    "'back\\slash'",
    "'100%' LIKE '%0\\%'",
    "'abc' ILIKE 'A%' ESCAPE '!'",
    "'abc' ~ '^a' AND 'abc' !~* 'B$'",
    "'abc' SIMILAR TO 'a(b|c)%'",
    "'abc' NOT LIKE 'x%'",
    "1 NOT IN (2, 3) AND NOT (1 BETWEEN SYMMETRIC 5 AND 2)",
    "NULL IS UNKNOWN",
    "(1 = 1) IS NOT TRUE",
    "(NULL::int) IS NOT DISTINCT FROM NULL",
    "NOT NULL::boolean IS NULL",
    "true AND NOT false OR false",
    "1 < 2 AND NOT (2 < 1) = true",
    "(1, 2) < (1, 3)",
    "row(1, 'a') = row(1, 'a')",
    "(1, 2) IN ((1, 2), (3, 4))",
    "CASE 2 WHEN 1 THEN 'a' WHEN 2 THEN 'b' END",
    "CASE WHEN 1 > 2 THEN 'a' ELSE 'c' END",
    "coalesce(NULL, nullif('a', 'a'), 'z') || greatest('a', 'b') || least('a', 'b')",
    "extract(isodow from date '2026-06-01')",
    "extract(epoch from timestamptz '2026-06-01T00:00:00Z')",
    "date_part('hour', timestamp '2026-06-01 07:30')",
    "date_trunc('month', timestamptz '2026-06-15T00:00:00Z', 'Europe/Paris')",
    "date_bin('15 minutes', timestamp '2026-06-01 07:37', timestamp '2001-01-01')",
    "timestamptz '2026-06-01T00:00:00Z' AT TIME ZONE 'Asia/Tokyo'",
    "timestamp '2026-06-01 00:00' + interval '1 day 2 hours' - interval '3' hour",
    "7 * interval '24 hours'",
    "make_interval(days => 3, hours => 2)",
    "age(timestamp '2026-06-01', timestamp '2025-05-01')",
    "to_char(date '2026-06-01', 'YYYY-MM-DD \"of\" FMMonth')",
    "date '2026-03-31' - date '2026-03-01'",
    "'2026-02-28'::date + 1",
    "cast('3.14159' as numeric(4,2))",
    "'abc'::char(2) || 'x'::varchar(1)",
    "'pro'::shop.plan > 'free'::shop.plan",
    "3::int8::text",
    "'{1,2,3}'::int[]",
    "(ARRAY[[1,2],[3,4]])[2][1]",
    "(ARRAY[1,2,3])[2:3]",
    "ARRAY[1,2] && ARRAY[2,3]",
    "ARRAY[1,2] || 3",
    "2 = ANY(ARRAY[1,2]) AND 3 <> ALL(ARRAY[1,2])",
    "array(SELECT g FROM generate_series(1, 3) AS g ORDER BY g DESC)",
    "'{\"a\": {\"b\": [1, 2]}}'::jsonb -> 'a' -> 'b' ->> 1",
    "'{\"a\": {\"b\": 1}}'::jsonb #>> '{a,b}'",
    "'{\"a\": 1}'::jsonb @> '{\"a\": 1}' AND '{\"a\": 1}'::jsonb ? 'a'",
    "'{\"a\": 1, \"b\": 2}'::jsonb - 'a'",
    "jsonb_build_object('a', 1, 'b', ARRAY[1,2])",
    "format('%s and %I', 'x', 'y z')",
    "concat_ws('/', 'a', NULL, 'b')",
    "(SELECT string_agg(x, ', ' ORDER BY x DESC) FROM unnest(ARRAY['a','b']) AS t(x))",
    "(SELECT array_agg(DISTINCT x ORDER BY x) FROM unnest(ARRAY[2,1,2]) AS t(x))",
    "(SELECT count(*) FILTER (WHERE x > 1) FROM unnest(ARRAY[1,2,3]) AS t(x))",
    "(SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM unnest(ARRAY[1,2,4]) AS t(x))",
    "(SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY x DESC) AS n FROM unnest(ARRAY[1,2]) AS t(x)) q)",
    "(SELECT sum(s) FROM (SELECT sum(x) OVER w AS s FROM unnest(ARRAY[1,2]) AS t(x) WINDOW w AS (ORDER BY x)) q)",
    "(WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 4) SELECT sum(n) FROM t)",
    '(SELECT e.v FROM jsonb_array_elements_text(\'["x","y"]\') WITH ORDINALITY AS e(v, n) WHERE n = 2)',
    '(SELECT t.b FROM jsonb_to_recordset(\'[{"a": 1, "b": "z"}]\') AS t(a int, b text))',
    "(SELECT DISTINCT ON (a) b FROM (VALUES (1, 2), (1, 3)) AS v(a, b) ORDER BY a, b DESC NULLS LAST)",
    "(SELECT 1 UNION ALL SELECT 2 ORDER BY 1 DESC LIMIT 1 OFFSET 1)",
    "(SELECT 3 EXCEPT SELECT 4)",
    "(SELECT max(x) FROM (SELECT 1 AS x UNION SELECT 2 INTERSECT SELECT 2) q)",
    "(SELECT sum(x) FROM unnest(ARRAY[1,2]) AS t(x) GROUP BY ROLLUP (x) ORDER BY 1 DESC LIMIT 1)",
    "EXISTS (SELECT FROM shop.staff) OR NOT EXISTS (SELECT FROM shop.orders o WHERE o.id IS NULL)",
    "(SELECT count(*) FROM shop.orders o NATURAL JOIN shop.orders p)",
    "(SELECT count(*) FROM shop.orders o JOIN (shop.order_items i JOIN shop.products p ON p.id = 1) ON true)",
    "(DATE '2026-01-01', DATE '2026-02-01') OVERLAPS (DATE '2026-01-15', DATE '2026-03-01')",
    "'a' COLLATE \"C\" < 'B'",
    "B'101' | B'010'",
    "'{\"b.c\": {\"$.x\": 1}}'::jsonb -> 'b.c' ->> '$.x'",
    "'{\"it''s\": [5, 6]}'::jsonb -> 'it''s' -> -1",
    "'[1, 2]'::jsonb @? '$[*] ? (@ > 1)' AND '{\"a\": 2}'::jsonb @@ '$.a > 1'",
    "- -1 - -1 + -(-2)",
    "E'\\\\' || E'a\\\\''b' || E'\\047' || 'back\\' || $a$ $b$ \\ $a$",
    "2 IN (VALUES (1), (2))",
    "(WITH x AS MATERIALIZED (SELECT 1 AS a) SELECT a FROM x FETCH FIRST 1 ROW ONLY)",
    "timestamp '2026-06-01' AT TIME ZONE 'Asia/Tokyo' AT TIME ZONE 'UTC'",
    "timestamptz '2026-06-01 10:00:00.6Z'::timestamptz(0)",
    "'abc' LIKE ANY(ARRAY['x%', 'a%']) AND NOT 'abc' LIKE ALL(ARRAY['x%'])",
    "~5 & 7 | 8 # 1 << 2",
    "starts_with('abc', 'ab') AND left('abc', 2) = 'ab' AND right('abc', 1) = 'c'",
    "'1 year'::interval > interval '11 months'",
    "date_trunc('hour', :now) - interval '90 minutes'",
    "extract(hour from :now AT TIME ZONE 'America/New_York')",
]


@pytest.fixture
def catalog(app: Connection[Any]) -> Catalog:
    """The shop with the functions that this server really has."""
    return shop().model_copy(update={"functions": safe_functions(app)})


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_rendered_expression_answers_as_it_was_written(
    app: Connection[Any], catalog: Catalog, expression: str
) -> None:
    app.execute("SET timezone TO 'UTC'; SET search_path TO pg_catalog, public")
    analysis = analyse(expression, "/if", Kind.CONDITION, Surroundings(), catalog)
    assert analysis.problems == ()
    assert analysis.fragment is not None
    rendered = render(analysis.fragment.tree, {})
    written = expression.replace("%", "%%").replace(":now", "%(now)s::timestamptz")
    with psycopg.ClientCursor(app) as cursor:
        expected = cursor.execute(f"SELECT ({written}), ({written})::text", {"now": NOW}).fetchone()
    assert app.execute(f"SELECT ({rendered}), ({rendered})::text", {"now": NOW}).fetchone() == expected


HELPERS = [
    ("at_local(date '2026-03-29', '02:30', 'Europe/Paris')", "timestamptz '2026-03-29T01:30:00Z'"),
    ("at_local('2026-06-01'::date, '09:00', 'UTC')", "timestamptz '2026-06-01T09:00:00Z'"),
    ("local_date(timestamptz '2026-06-01T23:00:00Z', 'Asia/Tokyo')", "date '2026-06-02'"),
    ("local_date(:now, 'UTC')", "date '2026-06-01'"),
    ("month_day(date '2026-02-10', 31)", "date '2026-02-28'"),
    ("month_day(local_date(:now, 'UTC'), 5)", "date '2026-06-05'"),
    ("at_local(month_day(date '2024-02-01', 30), '10:00', 'UTC')", "timestamptz '2024-02-29T10:00:00Z'"),
    ("contact('ops')", "'ops@x.test'"),
]


@pytest.mark.parametrize(("helper", "meaning"), HELPERS)
def test_a_helper_is_written_out_as_plain_sql(
    app: Connection[Any], catalog: Catalog, helper: str, meaning: str
) -> None:
    app.execute("SET timezone TO 'UTC'; SET search_path TO pg_catalog, public")
    analysis = analyse(helper, "/if", Kind.CONDITION, Surroundings(), catalog)
    assert analysis.fragment is not None
    rendered = render(analysis.fragment.tree, {})
    assert app.execute(f"SELECT ({rendered}) = {meaning}", {"now": NOW}).fetchone() == (True,)
