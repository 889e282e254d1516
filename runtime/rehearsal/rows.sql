-- name: rules
-- What every row of a table must satisfy, as expressions over its bare columns: checks, and the bounds of partitions.
SELECT c.conrelid::int8 AS relation, pg_get_expr(c.conbin, c.conrelid) AS expression,
       coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
                 WHERE a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)), '{}') AS columns
FROM pg_constraint c
WHERE c.conrelid = ANY(%(oids)s::oid[]) AND c.contype = 'c'
UNION ALL
SELECT p.root, string_agg('(' || pg_get_partition_constraintdef(p.leaf) || ')', ' OR ' ORDER BY p.leaf), NULL
FROM (
    WITH RECURSIVE below AS (
        SELECT r AS root, r AS leaf FROM unnest(%(oids)s::oid[]) r
        UNION ALL
        SELECT b.root, i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.leaf
        JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition
    )
    SELECT b.root::int8 AS root, b.leaf FROM below b JOIN pg_class c ON c.oid = b.leaf AND c.relkind <> 'p'
    WHERE b.root <> b.leaf AND pg_get_partition_constraintdef(b.leaf) IS NOT NULL
) p
GROUP BY p.root
ORDER BY 1, 2

-- name: generated
-- What generated columns compute, over the bare columns.
SELECT d.adrelid::int8 AS relation, a.attname::text AS name, pg_get_expr(d.adbin, d.adrelid) AS expression
FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE d.adrelid = ANY(%(oids)s::oid[]) AND a.attgenerated <> ''
ORDER BY 1, a.attnum

-- name: keys
-- What no two rows may share: unique keys and indexes, and exclusions with their operators. A key that only a partition
-- has counts for the whole table.
SELECT coalesce(pg_partition_root(i.indrelid), i.indrelid)::int8 AS relation,
       (SELECT array_agg(pg_get_indexdef(i.indexrelid, k, false) ORDER BY k) FROM generate_series(1, i.indnkeyatts) k)
           AS expressions,
       coalesce((SELECT array_agg(format('OPERATOR(%%I.%%s)', n.nspname, o.oprname) ORDER BY e.place)
                 FROM pg_constraint x CROSS JOIN unnest(x.conexclop) WITH ORDINALITY AS e(operator, place)
                 JOIN pg_operator o ON o.oid = e.operator JOIN pg_namespace n ON n.oid = o.oprnamespace
                 WHERE x.conindid = i.indexrelid AND x.contype = 'x'), '{}') AS operators,
       pg_get_expr(i.indpred, i.indrelid) AS predicate,
       pg_get_indexdef(i.indexrelid) LIKE '%%NULLS NOT DISTINCT%%' AS nulls_alike
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE coalesce(pg_partition_root(i.indrelid), i.indrelid) = ANY(%(oids)s::oid[]) AND NOT c.relispartition
  AND (i.indisunique OR i.indisexclusion)
ORDER BY 1, i.indisprimary DESC, i.indexrelid

-- name: partition_parents
-- Foreign keys that only partitions have, as those of the whole table.
SELECT DISTINCT pg_partition_root(c.conrelid)::int8 AS relation, n.nspname || '.' || t.relname AS target,
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.conkey) WITH ORDINALITY AS k(number, place)
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number) AS columns,
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.confkey) WITH ORDINALITY AS k(number, place)
        JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number) AS target_columns
FROM pg_constraint c JOIN pg_class t ON t.oid = c.confrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE c.contype = 'f' AND c.conparentid = 0 AND pg_partition_root(c.conrelid) = ANY(%(oids)s::oid[])
  AND pg_partition_root(c.conrelid) <> c.conrelid
ORDER BY 1, 2, 3

-- name: shapes
-- For each column's type: the rules of the domains it is, the types a composite is made of, what an array or range holds.
WITH RECURSIVE under(type, base) AS (
    SELECT DISTINCT a.atttypid, a.atttypid FROM pg_attribute a WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0
    UNION
    SELECT u.type, t.typbasetype FROM under u JOIN pg_type t ON t.oid = u.base AND t.typtype = 'd'
)
SELECT DISTINCT a.attrelid::int8 AS relation, a.attname::text AS name,
       coalesce((SELECT string_agg(pg_get_expr(c.conbin, 0), ' AND ') FROM under u JOIN pg_constraint c ON c.contypid = u.base
                 WHERE u.type = a.atttypid AND c.contype = 'c'), '') AS domain_rules,
       coalesce((SELECT array_agg(format_type(m.atttypid, m.atttypmod) ORDER BY m.attnum)
                 FROM under u JOIN pg_type t ON t.oid = u.base JOIN pg_attribute m ON m.attrelid = t.typrelid
                 WHERE u.type = a.atttypid AND t.typtype = 'c' AND m.attnum > 0 AND NOT m.attisdropped), '{}') AS members,
       coalesce((SELECT coalesce(r.rngsubtype, e.rngsubtype)::regtype::text
                 FROM under u LEFT JOIN pg_range r ON r.rngtypid = u.base LEFT JOIN pg_range e ON e.rngmultitypid = u.base
                 WHERE u.type = a.atttypid AND coalesce(r.rngsubtype, e.rngsubtype) IS NOT NULL), '') AS holds,
       coalesce((SELECT array_agg(l.enumlabel::text ORDER BY l.enumsortorder)
                 FROM under u JOIN pg_type t ON t.oid = u.base JOIN pg_enum l ON l.enumtypid IN (t.oid, t.typelem)
                 WHERE u.type = a.atttypid), '{}') AS labels
FROM pg_attribute a JOIN under n ON n.type = a.atttypid
WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped

-- name: oids
-- Relations by name.
SELECT c.oid::int8 AS oid, n.nspname || '.' || c.relname AS relation
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY(%(relations)s)

-- name: views
-- What the clone's views select.
SELECT n.nspname || '.' || c.relname AS relation, pg_get_viewdef(c.oid) AS definition
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'tidings')

-- name: castable
-- Those texts, in their order, that the type reads.
SELECT v.value FROM unnest(%(values)s::text[]) WITH ORDINALITY AS v(value, place)
WHERE tidings.castable(v.value, %(type)s) ORDER BY v.place

-- name: shifted
-- Instants before and after one, by those texts that are intervals.
SELECT (%(at)s::timestamptz + s.sign * v.value::interval + s.step)::text
FROM unnest(%(values)s::text[]) WITH ORDINALITY AS v(value, place)
CROSS JOIN (VALUES (1, 1, '1 second'::interval), (2, 1, '0'), (3, 1, '-1 second'),
                   (4, -1, '1 second'), (5, -1, '0'), (6, -1, '-1 second')) AS s(place, sign, step)
WHERE tidings.castable(v.value, 'interval') ORDER BY v.place, s.place
