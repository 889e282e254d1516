"""What a hook writes: one event for each changed row that may match, with exactly the columns that are needed."""

from typing import Any

import psycopg
from psycopg import Connection

from runtime.capture.install import install_hook
from tests.hooks import events, hook, keys, table_of, watch

PRODUCT = "INSERT INTO shop.products VALUES (1, 'a', 'A', 5, 10, 100)"


def test_insert_update_and_delete_carry_the_columns_that_are_needed_and_the_key(app: Connection[Any]) -> None:
    hook(app, "shop.products", "stock", "title")
    app.execute(PRODUCT)
    app.execute("UPDATE shop.products SET stock = 4")
    app.execute("DELETE FROM shop.products")
    before, after = ({"id": 1, "title": "A", "stock": stock} for stock in (5, 4))
    assert events(app) == [
        ("i", {"id": 1}, before, None),
        ("u", {"id": 1}, after, before),
        ("d", {"id": 1}, None, after),
    ]


def test_only_what_passes_one_of_the_versions_prefilters_is_captured(app: Connection[Any]) -> None:
    table = table_of(app, "shop.products")
    low = watch(table, "stock", ops=("update",), prefilter='n."stock" < 3')
    dear = watch(table, "price_cents", ops=("update", "insert"), prefilter='n."price_cents" > 500')
    with app.transaction():
        install_hook(app, 1, table, [low, dear])
    app.execute("INSERT INTO shop.products SELECT i, i::text, 'x', i, 10, i * 100 FROM generate_series(1, 6) AS i")
    assert events(app) == [("i", {"id": 6}, {"id": 6, "stock": 6, "price_cents": 600}, None)]
    app.execute("UPDATE shop.products SET title = 'y'")
    assert [event[1] for event in events(app)] == [{"id": 1}, {"id": 2}, {"id": 6}]
    app.execute("DELETE FROM shop.products")
    assert events(app) == []


def test_a_prefilter_sees_the_row_before_and_after(app: Connection[Any]) -> None:
    hook(app, "shop.products", "stock", ops=("update",), prefilter='n."stock" IS DISTINCT FROM o."stock"')
    app.execute("INSERT INTO shop.products SELECT i, i::text, 'x', i, 10, 100 FROM generate_series(1, 4) AS i")
    app.execute("UPDATE shop.products SET stock = greatest(stock, 3)")
    assert [(old["stock"], new["stock"]) for _, _, new, old in events(app)] == [(1, 3), (2, 3)]
    app.execute("UPDATE shop.products SET stock = stock WHERE id = 1")
    app.execute("UPDATE shop.products SET stock = 9 WHERE id = 1")
    assert [(old["stock"], new["stock"]) for _, _, new, old in events(app)] == [(3, 9)]


def test_a_thousand_rows_pair_with_themselves_also_under_a_plan_made_for_one(app: Connection[Any]) -> None:
    hook(app, "shop.products", "stock", "price_cents")
    app.execute("INSERT INTO shop.products SELECT i, i::text, 'x', i, 10, i FROM generate_series(1, 1000) AS i")
    assert [event[1]["id"] for event in events(app)] == list(range(1, 1001))
    for bound in (1, 2, 1000):
        app.execute(f"UPDATE shop.products SET stock = stock + 1 WHERE id <= {bound}")
        found = events(app)
        assert len(found) == bound
        assert all(
            new["stock"] == old["stock"] + 1 and new["id"] == old["id"] == key["id"] for _, key, new, old in found
        )
    app.execute("DELETE FROM shop.products")
    assert len(events(app)) == 1000


def test_a_plan_made_for_two_rows_is_not_quadratic_for_many(app: Connection[Any]) -> None:
    hook(app, "shop.staff", "role", ops=("update",), prefilter="n.\"role\" = 'finance'")
    app.execute("INSERT INTO shop.staff SELECT i, i || '@x.test', 'support' FROM generate_series(1, 20000) AS i")
    app.execute("UPDATE shop.staff SET role = 'finance' WHERE id < 3")
    app.execute("SET statement_timeout = '5s'")
    app.execute("UPDATE shop.staff SET role = 'finance'")
    assert len(events(app)) == 20002


def test_pairs_survive_a_statement_that_changes_every_key(app: Connection[Any]) -> None:
    hook(app, "shop.staff", "email")
    app.execute("INSERT INTO shop.staff SELECT i, i || '@x.test', 'support' FROM generate_series(1, 50) AS i")
    events(app)
    app.execute("UPDATE shop.staff SET id = id + 1000")
    found = events(app)
    assert [(old["id"], new["id"]) for _, _, new, old in found] == [(i, i + 1000) for i in range(1, 51)]
    assert all(new["email"] == old["email"] and key == {"id": new["id"]} for _, key, new, old in found)


def test_an_upsert_is_an_insert_for_some_rows_and_an_update_for_others(app: Connection[Any]) -> None:
    app.execute(PRODUCT)
    hook(app, "shop.products", "stock")
    app.execute(
        "INSERT INTO shop.products VALUES (1, 'a', 'A', 7, 10, 100), (2, 'b', 'B', 8, 10, 100)"
        " ON CONFLICT (id) DO UPDATE SET stock = excluded.stock"
    )
    assert sorted(events(app), key=lambda event: event[0]) == [
        ("i", {"id": 2}, {"id": 2, "stock": 8}, None),
        ("u", {"id": 1}, {"id": 1, "stock": 7}, {"id": 1, "stock": 5}),
    ]
    app.execute("INSERT INTO shop.products VALUES (1, 'a', 'A', 7, 10, 100) ON CONFLICT DO NOTHING")
    assert events(app) == []


def test_a_merge_is_captured_by_what_it_does_to_each_row(app: Connection[Any]) -> None:
    app.execute("INSERT INTO shop.products SELECT i, i::text, 'x', i, 10, 100 FROM generate_series(1, 4) AS i")
    hook(app, "shop.products", "stock")
    app.execute(
        "MERGE INTO shop.products p USING generate_series(3, 7) AS s(id) ON p.id = s.id"
        " WHEN MATCHED AND s.id = 3 THEN DELETE"
        " WHEN MATCHED THEN UPDATE SET stock = 50"
        " WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'n' || s.id, 'n', s.id, 10, 100)"
    )
    assert sorted(events(app), key=lambda event: (event[0], event[1]["id"])) == [
        ("d", {"id": 3}, None, {"id": 3, "stock": 3}),
        *(("i", {"id": i}, {"id": i, "stock": i}, None) for i in (5, 6, 7)),
        ("u", {"id": 4}, {"id": 4, "stock": 50}, {"id": 4, "stock": 4}),
    ]


def test_copy_is_captured(app: Connection[Any]) -> None:
    hook(app, "shop.staff", "email")
    with app.cursor() as cursor, cursor.copy("COPY shop.staff FROM STDIN") as copy:
        for i in (1, 2, 3):
            copy.write_row((i, f"{i}@x.test", "support"))
    assert [event[2]["email"] for event in events(app)] == ["1@x.test", "2@x.test", "3@x.test"]


def test_what_a_foreign_key_does_to_rows_is_captured(app: Connection[Any]) -> None:
    app.execute(
        "CREATE TABLE shop.carts (id int PRIMARY KEY);"
        "CREATE TABLE shop.cart_lines (cart int REFERENCES shop.carts ON UPDATE CASCADE ON DELETE CASCADE, n int,"
        " PRIMARY KEY (cart, n));"
        "INSERT INTO shop.carts VALUES (1), (2), (3); INSERT INTO shop.cart_lines VALUES (1, 1), (1, 2), (2, 1), (3, 9)"
    )
    hook(app, "shop.cart_lines")
    app.execute("UPDATE shop.carts SET id = id + 10 WHERE id < 3")
    changed = [(old["cart"], new["cart"], new["n"], old["n"]) for _, _, new, old in events(app)]
    assert sorted(changed) == [(1, 11, 1, 1), (1, 11, 2, 2), (2, 12, 1, 1)]
    app.execute("DELETE FROM shop.carts")
    assert sorted((op, key["cart"], key["n"]) for op, key, _, _ in events(app)) == [
        *(("d", 3, 9), ("d", 11, 1), ("d", 11, 2), ("d", 12, 1)),
    ]


def test_what_is_rolled_back_was_never_there(app: Connection[Any]) -> None:
    hook(app, "shop.products")
    with app.transaction(force_rollback=True):
        app.execute(PRODUCT)
    with app.transaction():
        app.execute("INSERT INTO shop.products VALUES (2, 'b', 'B', 5, 10, 100)")
        with app.transaction(force_rollback=True):
            app.execute(PRODUCT)
    assert [event[1] for event in events(app)] == [{"id": 2}]


def test_a_statement_that_touches_no_row_leaves_nothing(app: Connection[Any]) -> None:
    hook(app, "shop.products")
    app.execute("UPDATE shop.products SET stock = 1; DELETE FROM shop.products")
    app.execute("INSERT INTO shop.products SELECT 1, '', '', 1, 1, 1 WHERE false")
    assert events(app) == []


def test_a_table_without_a_primary_key_is_captured_without_a_key(app: Connection[Any]) -> None:
    app.execute("CREATE TABLE shop.log (line text)")
    hook(app, "shop.log")
    app.execute("INSERT INTO shop.log VALUES ('a'), ('a')")
    app.execute("UPDATE shop.log SET line = 'b'")
    assert events(app) == [
        *[("i", None, {"line": "a"}, None)] * 2,
        *[("u", None, {"line": "b"}, {"line": "a"})] * 2,
    ]


def test_a_skipped_write_is_only_counted(app: Connection[Any]) -> None:
    installed = hook(app, "shop.products")
    with app.transaction():
        app.execute("SET LOCAL tidings.skip = on")
        app.execute("INSERT INTO shop.products SELECT i, i::text, 'x', i, 10, 100 FROM generate_series(1, 3) AS i")
    app.execute("UPDATE shop.products SET stock = 9 WHERE id = 1")
    assert [event[0] for event in events(app)] == ["u"]
    row = app.execute(f"SELECT last_value FROM tidings.skipped_{installed.hook_id}").fetchone()
    assert row == (3,)


def test_every_type_comes_back_as_the_same_value_whatever_the_session_says(app: Connection[Any], database: str) -> None:
    app.execute(
        "CREATE EXTENSION citext; CREATE DOMAIN shop.code AS text; CREATE DOMAIN shop.cents AS int;"
        "CREATE TYPE shop.pair AS (a int, b text); CREATE TYPE shop.span AS RANGE (subtype = float8);"
        "CREATE TABLE shop.zoo (id int PRIMARY KEY, e shop.plan, es shop.plan[], k shop.code, m shop.cents, x json,"
        " p shop.pair, s shop.span, r tstzrange, i interval, f float8, n numeric, t timestamptz, d date, b bytea,"
        " c citext, ts text[], pt point, u uuid, ch char(3), tw int GENERATED ALWAYS AS (id * 2) STORED, z text)"
    )
    hook(app, "shop.zoo")
    with psycopg.connect(database, autocommit=True) as strange:
        strange.execute(
            "SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'sql_standard'; SET extra_float_digits = -15;"
            "SET TimeZone = 'Asia/Kolkata'; SET bytea_output = 'escape'; SET standard_conforming_strings = off"
        )
        strange.execute(
            "INSERT INTO shop.zoo (id, e, es, k, m, x, p, s, r, i, f, n, t, d, b, c, ts, pt, u, ch)"
            " VALUES (1, 'pro', '{pro,free}', 'k', 5, '{\"a\": 1}', ROW(NULL, 'q\"'), '[0.1,0.30000000000000004)',"
            " '[2026-02-01 00:00Z,2026-03-04 05:06Z)', '-1 year 2 days -03:04:05', 0.30000000000000004, 'NaN',"
            " '2026-02-01 00:00Z', '2026-02-03', '\\\\x00ff', 'C', '{a,NULL}', '(0.1,2)',"
            " '11111111-1111-1111-1111-111111111111', 'ab')"
        )
        strange.execute("INSERT INTO shop.zoo (id) VALUES (2)")
        strange.execute("UPDATE shop.zoo SET z = 'w'")
    same = app.execute(
        "SELECT count(*) FROM tidings.outbox o JOIN shop.zoo z ON z.id = (o.key->>'id')::int,"
        " jsonb_populate_record(NULL::shop.zoo, o.new) AS r WHERE (r.*)::text = (CASE o.op WHEN 'u' THEN z.* ELSE"
        " jsonb_populate_record(z.*, '{\"z\": null}') END)::text"
    ).fetchone()
    assert same == (4,)
    (_, _, new, _), *_ = events(app)
    assert (new["e"], new["es"], new["m"], new["tw"], new["p"]) == ("pro", ["pro", "free"], 5, 2, '(,"q""")')


def test_a_prefilter_means_the_same_in_a_session_with_other_habits(app: Connection[Any]) -> None:
    hook(app, "shop.staff", "email", ops=("insert",), prefilter='n."email" = \'a\\b\' OR n."email" = NULL')
    app.execute("SET standard_conforming_strings = off; SET transform_null_equals = on; SET search_path = shop")
    app.execute("INSERT INTO shop.staff VALUES (1, E'a\\\\b', 'support'), (2, 'ab', 'support')")
    assert [key for _, key, _, _ in events(app)] == [{"id": 1}]
    app.execute("ALTER TABLE shop.staff ALTER email DROP NOT NULL; INSERT INTO shop.staff VALUES (3, NULL, 'support')")
    assert (events(app), keys(app)) == ([], [])


def test_code_of_a_types_owner_does_not_run_with_the_rights_of_the_hook(app: Connection[Any]) -> None:
    app.execute(
        "CREATE TYPE shop.mood AS ENUM ('low', 'high');"
        "CREATE TABLE shop.moods (id int PRIMARY KEY, m shop.mood, ms shop.mood[]);"
        "CREATE FUNCTION shop.spy(shop.mood) RETURNS json LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'the spy ran as %', current_user; END$$;"
        "CREATE CAST (shop.mood AS json) WITH FUNCTION shop.spy(shop.mood)"
    )
    hook(app, "shop.moods")
    app.execute("INSERT INTO shop.moods VALUES (1, 'low', '{high}')")
    assert events(app) == [("i", {"id": 1}, {"id": 1, "m": "low", "ms": ["high"]}, None)]
    assert app.execute("SELECT count(*) FROM tidings.outbox_key").fetchone() == (0,)


def test_more_columns_than_a_function_takes_arguments(app: Connection[Any]) -> None:
    names = [f"c{i}" for i in range(120)]
    app.execute(f"CREATE TABLE shop.wide (id int PRIMARY KEY, {', '.join(f'{name} int' for name in names)})")
    hook(app, "shop.wide")
    app.execute("INSERT INTO shop.wide (id, c0, c119) VALUES (1, 2, 3)")
    [(_, _, new, _)] = events(app)
    assert new == {"id": 1} | dict.fromkeys(names) | {"c0": 2, "c119": 3}


def test_names_that_need_quotes(app: Connection[Any]) -> None:
    name = """"Odd ""Shop"."50% off\\'s {0}\""""
    app.execute(
        f"""CREATE SCHEMA "Odd ""Shop"; CREATE TABLE {name} ("The Id" int PRIMARY KEY, "a%b" int, "q""q" text,
        "b\\s" int, "it's" int, problem int, changed int, n int, o int, new_rows int)"""
    )
    hook(app, "Odd \"Shop.50% off\\'s {0}", prefilter={"update": 'n."a%b" IS DISTINCT FROM o."a%b"'})
    app.execute(f"INSERT INTO {name} VALUES (1, 2, 'x', 3, 4, 5, 6, 7, 8, 9)")
    app.execute(f"""UPDATE {name} SET "a%b" = 3""")
    row = {"The Id": 1, "a%b": 2, 'q"q': "x", "b\\s": 3, "it's": 4}
    row |= {"problem": 5, "changed": 6, "n": 7, "o": 8, "new_rows": 9}
    assert events(app) == [("i", {"The Id": 1}, row, None), ("u", {"The Id": 1}, row | {"a%b": 3}, row)]
