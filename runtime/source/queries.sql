-- name: relations
-- Every table, view and materialised view of the user that this role may read at least one column of, or all of them.
-- Leaf partitions are named by their root; what an extension brought is not the user's; and a schema with a dot in its
-- name can't be named as schema.table.
SELECT c.oid::int8 AS oid, n.nspname::text AS schema_name, c.relname::text AS name,
       CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'v' THEN 'view' ELSE 'materialized' END AS kind,
       coalesce(obj_description(c.oid, 'pg_class'), '') AS comment,
       c.relrowsecurity AS row_security,
       greatest(c.reltuples, 0)::int8 AS estimated_rows
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname NOT IN ('information_schema', 'tidings')
  AND strpos(n.nspname, '.') = 0
  AND (%(everything)s OR has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT'))
  AND NOT EXISTS (SELECT 1 FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname

-- name: columns
-- The columns this role may read, in order. `base` is the built-in type under domains; an enum's is text.
WITH RECURSIVE used AS (
    SELECT DISTINCT a.atttypid AS type FROM pg_attribute a WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0
), under AS (
    SELECT u.type, u.type AS base, NULL::int AS typmod FROM used u
    UNION ALL
    SELECT u.type, t.typbasetype, t.typtypmod FROM under u JOIN pg_type t ON t.oid = u.base WHERE t.typtype = 'd'
), base AS (
    SELECT u.type, u.base, u.typmod, t.typtype, t.typname, t.typcategory, e.typtype AS item, n.nspname
    FROM under u JOIN pg_type t ON t.oid = u.base JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
    WHERE t.typtype <> 'd'
)
SELECT a.attrelid::int8 AS oid, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       NOT (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)) AS nullable,
       CASE WHEN b.typtype = 'e' OR (b.typname = 'citext' AND b.typtype = 'b') THEN 'text'
            WHEN b.item = 'e' THEN 'text[]'
            WHEN b.nspname = 'pg_catalog' THEN format_type(b.base, coalesce(nullif(b.typmod, -1), a.atttypmod))
            ELSE '' END AS base,
       CASE WHEN b.typtype = 'e' THEN b.base::int8 END AS enum,
       coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS "default",
       a.attgenerated <> '' AS generated, a.attidentity <> '' AS identity,
       coalesce(col_description(a.attrelid, a.attnum), '') AS comment
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
JOIN base b ON b.type = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  AND (%(everything)s OR has_column_privilege(a.attrelid, a.attnum, 'SELECT'))
ORDER BY a.attrelid, a.attnum

-- name: enum_labels
-- The labels of every enum, in their own order.
SELECT e.enumtypid::int8 AS enum, array_agg(e.enumlabel::text ORDER BY e.enumsortorder) AS labels
FROM pg_enum e
GROUP BY e.enumtypid

-- name: constraints
-- Primary keys, unique constraints, foreign keys and checks, with column names in their order.
SELECT c.conrelid::int8 AS oid, c.contype::text AS kind,
       coalesce((SELECT array_agg(a.attname::text ORDER BY k.position)
                 FROM unnest(c.conkey) WITH ORDINALITY AS k(number, position)
                 JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number), '{}') AS columns,
       CASE WHEN c.contype = 'f' THEN fn.nspname || '.' || fc.relname END AS target,
       coalesce((SELECT array_agg(a.attname::text ORDER BY k.position)
                 FROM unnest(c.confkey) WITH ORDINALITY AS k(number, position)
                 JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number), '{}') AS target_columns,
       CASE WHEN c.contype = 'c' THEN pg_get_constraintdef(c.oid) END AS definition
FROM pg_constraint c
LEFT JOIN pg_class fc ON fc.oid = c.confrelid
LEFT JOIN pg_namespace fn ON fn.oid = fc.relnamespace
WHERE c.conrelid = ANY(%(oids)s::oid[]) AND c.contype IN ('p', 'f', 'c')
ORDER BY c.conrelid, c.contype, c.conname

-- name: unique_keys
-- Unique over plain columns and all rows; primary keys have their own place.
SELECT i.indrelid::int8 AS oid,
       (SELECT array_agg(a.attname::text ORDER BY k.position)
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, position)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
        WHERE k.position <= i.indnkeyatts) AS columns
FROM pg_index i
WHERE i.indrelid = ANY(%(oids)s::oid[]) AND i.indisunique AND NOT i.indisprimary AND i.indisvalid
  AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY i.indrelid, i.indexrelid

-- name: partitions
-- What is below each partitioned table, however deep; only leaves have rows of their own.
WITH RECURSIVE below AS (
    SELECT inhparent AS root, inhrelid AS relation FROM pg_inherits WHERE inhparent = ANY(%(oids)s::oid[])
    UNION ALL
    SELECT b.root, i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.relation
)
SELECT b.root::int8 AS oid, n.nspname || '.' || c.relname AS leaf,
       CASE c.relkind WHEN 'r' THEN greatest(c.reltuples, 0)::int8 ELSE 0 END AS estimated_rows
FROM below b
JOIN pg_class c ON c.oid = b.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relispartition AND c.relkind IN ('r', 'p')
ORDER BY b.root, n.nspname, c.relname

-- name: safe_functions
-- Of the names on our list, those that this server has built in and of which no meaning is volatile. Statements are
-- written with pg_catalog before every call (see runtime/spec), so a name means these functions and no others.
SELECT p.proname::text AS name
FROM pg_proc p
WHERE p.proname = ANY(%(names)s) AND p.pronamespace = 'pg_catalog'::regnamespace
GROUP BY p.proname
HAVING bool_and(p.provolatile IN ('i', 's') AND p.prokind IN ('f', 'a', 'w'))

-- name: approved_tables
-- What a person approved for reading.
SELECT relation FROM tidings.approved_table WHERE project_id = %(project_id)s

-- name: approved_addresses
-- Which columns hold addresses, as a person approved.
SELECT relation || '.' || column_name AS path, kind FROM tidings.address_column WHERE project_id = %(project_id)s

-- name: contacts
-- Fixed addresses that a person registered.
SELECT name, kind, address FROM tidings.contact WHERE project_id = %(project_id)s

-- name: zone
-- The zone that dates are read in.
SELECT zone FROM tidings.project WHERE id = %(project_id)s

-- name: result_types
-- The names of a result's types: as Postgres writes them, and the built-in one underneath.
WITH RECURSIVE wanted AS (
    SELECT w.position, w.type::oid AS type, w.typmod
    FROM unnest(%(types)s::int8[], %(typmods)s::int4[]) WITH ORDINALITY AS w(type, typmod, position)
), under AS (
    SELECT w.position, w.type AS base, w.typmod FROM wanted w
    UNION ALL
    SELECT u.position, t.typbasetype, t.typtypmod FROM under u JOIN pg_type t ON t.oid = u.base WHERE t.typtype = 'd'
)
SELECT format_type(w.type, w.typmod) AS type,
       CASE WHEN t.typtype = 'e' OR (t.typname = 'citext' AND t.typtype = 'b') THEN 'text'
            WHEN e.typtype = 'e' THEN 'text[]'
            WHEN n.nspname = 'pg_catalog' THEN format_type(u.base, u.typmod)
            ELSE '' END AS base,
       coalesce((SELECT array_agg(l.enumlabel::text ORDER BY l.enumsortorder) FROM pg_enum l
                 WHERE l.enumtypid = u.base), '{}') AS labels
FROM wanted w
JOIN under u ON u.position = w.position
JOIN pg_type t ON t.oid = u.base AND t.typtype <> 'd'
JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
ORDER BY w.position
