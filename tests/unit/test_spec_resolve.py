"""What names in a query mean, what it returns, and where its addresses come from."""

import pytest

from runtime.spec.fragment import Analysis, Kind, analyse
from runtime.spec.lineage import check_addresses
from runtime.spec.model import ChannelName
from runtime.spec.scope import Field, Surroundings, event_relation, relation_of, row_relation
from tests.spec_catalog import shop

CATALOG = shop()
ORDERS = next(table for table in CATALOG.tables if table.name == "orders")
AROUND = Surroundings(
    rows={"new": row_relation("new", ORDERS, absent=False), "event": event_relation()},
    missing={"old": "there is none"},
    queries={"tier": relation_of([Field("pct")]), "people": relation_of([Field("mail", origins=None)])},
    later=frozenset({"soon"}),
)


def read(sql: str) -> Analysis:
    """Analyse a query in the surroundings of a step."""
    return analyse(sql, "/to", Kind.QUERY, AROUND, CATALOG)


def outputs(sql: str) -> list[str]:
    """Return a right query's columns; `?` marks those that may be NULL."""
    analysis = read(sql)
    assert analysis.problems == ()
    assert analysis.fragment is not None
    return [f.name + "?" * f.nullable for f in analysis.fragment.outputs]


OUTPUTS = [
    ("SELECT c.id AS key, c.email, full_name FROM shop.customers c", "key email full_name?"),
    ("SELECT o.* FROM shop.order_items o", "order_id product_id qty"),
    (
        "SELECT * FROM shop.order_items i JOIN shop.products p ON p.id = i.product_id",
        "order_id product_id qty id sku title",
    ),
    ("SELECT x.b, x.qty FROM shop.order_items AS x(a, b)", "b qty"),
    ("SELECT p.title FROM shop.orders o LEFT JOIN shop.products p ON p.id = o.id", "title?"),
    ("SELECT o.id, p.title FROM shop.orders o RIGHT JOIN shop.products p ON p.id = o.id", "id? title"),
    ("SELECT o.id, p.title FROM shop.orders o FULL JOIN shop.products p ON p.id = o.id", "id? title?"),
    ("SELECT id FROM shop.orders o LEFT JOIN shop.products p USING (id)", "id?"),
    ("SELECT count(*), max(o.id) AS m, lower(o.status) AS s, 1 AS one FROM shop.orders o", "count m? s one"),
    ("SELECT o.status::text, coalesce(c.full_name, 'x') AS n FROM shop.orders o, shop.customers c", "status n"),
    (
        "SELECT CASE WHEN s.id = 1 THEN 'a' END AS a, CASE WHEN s.id = 1 THEN 'a' ELSE '' END AS b FROM shop.staff s",
        "a? b",
    ),
    ("SELECT d.days, g FROM unnest(ARRAY[7, 3]) AS d(days), generate_series(1, 3) g", "days? g?"),
    ("SELECT e.v, e.n FROM unnest(ARRAY['a']) WITH ORDINALITY AS e(v, n)", "v? n?"),
    ("SELECT key, value FROM jsonb_each('{}')", "key? value?"),
    ("SELECT r.a FROM jsonb_to_recordset('[]') AS r(a int, b text)", "a?"),
    ("SELECT v.x FROM (VALUES (1, 2)) AS v(x, y)", "x?"),
    ("WITH a AS (SELECT id, email FROM shop.customers), b(k) AS (SELECT email FROM a) SELECT k FROM b", "k"),
    ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT n FROM t", "n?"),
    (
        "SELECT l.email FROM shop.orders o, LATERAL (SELECT c.email FROM shop.customers c WHERE c.id = o.id) l",
        "email",
    ),
    ("SELECT email FROM shop.customers UNION SELECT s.email FROM shop.staff s ORDER BY email LIMIT 3", "email"),
    ("SELECT status AS s, count(*) AS n FROM shop.orders GROUP BY s HAVING count(*) > 1 ORDER BY n DESC, s", "s n"),
    (
        "SELECT DISTINCT ON (o.customer_id) o.customer_id AS who FROM shop.orders o ORDER BY o.customer_id, o.id",
        "who",
    ),
    ("SELECT sum(o.id) OVER w AS s FROM shop.orders o WINDOW w AS (PARTITION BY o.status ORDER BY o.id)", "s?"),
    ("SELECT new.id AS key, event.at, t.pct FROM tier t", "key at pct?"),
    (
        "SELECT p.title FROM (shop.order_items i JOIN shop.products p ON p.id = i.qty) WHERE i.order_id = new.id",
        "title",
    ),
    ("SELECT shop.orders.id FROM shop.orders WHERE orders.id = 1", "id"),
    (
        "SELECT (SELECT max(r.stars) FROM shop.reviews r WHERE r.customer_id = c.id) AS best FROM shop.customers c",
        "best?",
    ),
]


@pytest.mark.parametrize(("sql", "columns"), OUTPUTS)
def test_a_query_returns_these_columns(sql: str, columns: str) -> None:
    assert outputs(sql)[: len(columns.split())] == columns.split()


WRONG = [
    ("SELECT email FROM shop.customers WHERE id = customer_id", "unknown-column", "Did you mean 'new.customer_id'?"),
    ("SELECT c.emial FROM shop.customers c", "unknown-column", "Did you mean 'email'?"),
    ("SELECT id FROM shop.orders o JOIN shop.products p ON p.id = o.id", "ambiguous-column", "in more than one table"),
    ("SELECT x.id FROM shop.orders o", "unknown-alias", "Known here: event, new, o."),
    ("SELECT shop.orders.id FROM shop.orders o", "unknown-alias", "'orders'"),
    ("SELECT 1 AS x FROM shop.custmers", "unknown-table", "Did you mean 'shop.customers'?"),
    ("SELECT 1 AS x FROM staff", "unknown-table", "Did you mean 'shop.staff'?"),
    ("SELECT pct FROM soon", "used-too-early", "Move that step"),
    ("SELECT 1 AS x FROM new", "not-a-table", "without FROM"),
    ("SELECT old.id", "not-here", "there is none"),
    ("SELECT now", "unknown-column", ":now"),
    ("SELECT o.ctid FROM shop.orders o", "unknown-column", "ctid"),
    ("SELECT q.id FROM shop.orders o, (SELECT p.id FROM shop.products p WHERE p.id = o.id) q", "unknown-alias", "'o'"),
    ("SELECT o.id + 1 FROM shop.orders o", "unnamed-column", "AS"),
    ("SELECT t.share FROM tier t", "unknown-column", "There is pct."),
    ("SELECT (c).is_evil FROM shop.customers c", "unknown-column", "in shop.customers"),
    ("SELECT (new).is_evil", "unknown-column", "in new"),
    ("SELECT (lower('a')).is_evil", "not-allowed", "can't be told"),
    ("SELECT (c.email).is_evil FROM shop.customers c", "not-allowed", "can't be told"),
    ("SELECT x.is_evil FROM jsonb_to_recordset('[]') AS x(a int)", "unknown-column", "There is a."),
    ("SELECT x.a FROM jsonb_to_recordset('[]') AS x", "unnamed-columns", "x(first, second)"),
    ('SELECT extract("x; drop table y" from new.placed_at) AS x', "not-allowed", "no word of SQL"),
    ('SELECT make_interval("days => 1) --" => 3) AS x', "not-allowed", "no word of SQL"),
]


@pytest.mark.parametrize(("sql", "code", "says"), WRONG)
def test_a_name_that_means_nothing_is_told_with_what_was_meant(sql: str, code: str, says: str) -> None:
    problems = read(sql).problems
    assert [problem.code for problem in problems] == [code]
    assert says in str(problems[0])


def test_uses_name_every_table_column_and_row() -> None:
    sql = "SELECT c.email, to_char(new.placed_at, 'YYYY') AS y FROM shop.customers c WHERE c.id = new.customer_id"
    fragment = read(f"{sql} AND c.created_at < :now AND EXISTS (SELECT FROM tier)").fragment
    assert fragment is not None
    assert fragment.uses.tables == {"shop.customers"}
    assert fragment.uses.columns == {"shop.customers.email", "shop.customers.id", "shop.customers.created_at"}
    assert fragment.uses.rows == {"new": {"placed_at", "customer_id"}}
    assert fragment.uses.queries == {"tier"}
    assert fragment.uses.now


def test_a_whole_row_uses_all_its_columns() -> None:
    for sql in (
        "SELECT new AS x",
        "SELECT new.*",
        "SELECT jsonb_build_object('a', new) AS x",
    ):
        fragment = read(sql).fragment
        assert fragment is not None
        assert fragment.uses.rows["new"] == set(row_relation("new", ORDERS, absent=False).fields)


GOOD_ADDRESSES = [
    "SELECT c.email FROM shop.customers c",
    "SELECT email FROM shop.customers",
    "SELECT lower(trim(c.email)) AS email FROM shop.customers c",
    "SELECT CASE WHEN c.marketing_opt_in THEN c.email END AS email FROM shop.customers c",
    "SELECT coalesce(nullif(s.email, ''), c.email) AS email FROM shop.customers c, shop.staff s",
    "SELECT contact('ops') AS email",
    "SELECT coalesce(c.email, contact('ops')) AS email FROM shop.customers c",
    "WITH p AS (SELECT email AS e FROM shop.staff) SELECT e AS email FROM p",
    "SELECT q.x AS email FROM (SELECT email FROM shop.staff UNION ALL SELECT email FROM shop.customers) AS q(x)",
    "SELECT (SELECT s.email FROM shop.staff s LIMIT 1) AS email",
    "SELECT (c.email) AS email FROM shop.customers c",
    "SELECT * FROM shop.staff",
    "SELECT email FROM shop.staff s JOIN shop.customers c USING (email)",
]
BAD_ADDRESSES = [
    "SELECT 'a@b.c' AS email",
    "SELECT c.email || '' AS email FROM shop.customers c",
    "SELECT concat(c.email, '') AS email FROM shop.customers c",
    "SELECT replace(c.email, 'a', 'b') AS email FROM shop.customers c",
    "SELECT c.email::varchar(3) AS email FROM shop.customers c",
    "SELECT trim(both 'x' from c.email) AS email FROM shop.customers c",
    "SELECT btrim(c.email, 'x') AS email FROM shop.customers c",
    "SELECT min(c.email) AS email FROM shop.customers c",
    "SELECT c.full_name AS email FROM shop.customers c",
    "SELECT c.slack_handle AS email FROM shop.customers c",
    "SELECT coalesce(c.email, 'a@b.c') AS email FROM shop.customers c",
    "SELECT CASE WHEN true THEN 'a@b.c' ELSE c.email END AS email FROM shop.customers c",
    "SELECT contact('alerts') AS email",
    "SELECT NULL AS email",
    "SELECT p.mail AS email FROM people p",
    "SELECT v.e AS email FROM (VALUES ('a@b.c')) AS v(e)",
    "SELECT e AS email FROM unnest(ARRAY['a@b.c']) AS t(e)",
    "SELECT s.email FROM shop.staff s UNION SELECT 'a@b.c'",
    "SELECT s.email FROM shop.staff s UNION SELECT c.full_name FROM shop.customers c",
    "WITH RECURSIVE t(email, f) AS (SELECT email, role FROM shop.staff UNION SELECT f, email FROM t) SELECT * FROM t",
    "SELECT email FROM shop.staff s RIGHT JOIN (SELECT c.full_name AS email FROM shop.customers c) q USING (email)",
    "SELECT * FROM shop.staff s FULL JOIN (SELECT 'a@b.c' AS email) q USING (email)",
    "WITH staff AS (SELECT 'a@b.c' AS email) SELECT email FROM staff",
    "SELECT (c).email FROM shop.customers c",
    "SELECT x.email FROM jsonb_to_recordset('[]') AS x(email text)",
    "SELECT (ARRAY[c.email, 'a@b.c'])[2] AS email FROM shop.customers c",
    "SELECT x.email FROM shop.customers AS x(id, name, email)",
]


@pytest.mark.parametrize("sql", GOOD_ADDRESSES)
def test_an_address_that_traces_to_what_was_approved_is_accepted(sql: str) -> None:
    analysis = read(sql)
    assert [p.code for p in analysis.problems] == []
    assert analysis.fragment is not None
    assert list(check_addresses(analysis.fragment, [ChannelName.EMAIL], CATALOG)) == []


@pytest.mark.parametrize("sql", BAD_ADDRESSES)
def test_an_address_that_could_be_made_up_is_refused(sql: str) -> None:
    analysis = read(sql)
    assert [p.code for p in analysis.problems] == []
    assert analysis.fragment is not None
    codes = {p.code for p in check_addresses(analysis.fragment, [ChannelName.EMAIL], CATALOG)}
    assert codes
    assert codes <= {"address-lineage", "address-not-approved"}
