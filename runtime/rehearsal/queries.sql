-- name: closure
-- The relations that are named, and all they need: parents of foreign keys, partitions, what views read, row types.
WITH RECURSIVE needed(oid) AS (
    SELECT c.oid
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = ANY(%(relations)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION
    SELECT e.oid FROM needed w CROSS JOIN LATERAL (
        SELECT f.confrelid AS oid FROM pg_constraint f WHERE f.conrelid = w.oid AND f.contype = 'f'
        UNION ALL
        SELECT i.inhrelid FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid
        WHERE i.inhparent = w.oid AND p.relispartition
        UNION ALL
        SELECT i.inhparent FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid
        WHERE i.inhrelid = w.oid AND p.relispartition
        UNION ALL
        SELECT d.refobjid FROM pg_rewrite r
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
        WHERE r.ev_class = w.oid AND r.rulename = '_RETURN'
        UNION ALL
        SELECT t.typrelid FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid AND t.typrelid <> 0
        WHERE a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) e
)
SELECT c.oid::int8 AS oid
FROM needed w JOIN pg_class c ON c.oid = w.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'

-- name: relations
-- Tables before what depends on them: by depth below a partitioned table, then by OID, as they were created.
WITH RECURSIVE depth(oid, depth) AS (
    SELECT c.oid, 0 FROM pg_class c WHERE c.oid = ANY(%(oids)s::oid[]) AND NOT c.relispartition
    UNION ALL
    SELECT i.inhrelid, d.depth + 1
    FROM depth d JOIN pg_inherits i ON i.inhparent = d.oid JOIN pg_class p ON p.oid = i.inhrelid AND p.relispartition
)
SELECT c.oid::int8 AS oid, n.nspname::text AS schema_name, c.relname::text AS name, c.relkind::text AS kind,
       CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS partition_key,
       CASE WHEN c.relispartition THEN (SELECT i.inhparent::int8 FROM pg_inherits i WHERE i.inhrelid = c.oid) END AS parent,
       CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END AS bound,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END AS definition,
       EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
               WHERE t.typrelid = c.oid AND a.attrelid = ANY(%(oids)s::oid[]) AND NOT a.attisdropped) AS is_row_type
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN depth d ON d.oid = c.oid
WHERE c.oid = ANY(%(oids)s::oid[])
ORDER BY coalesce(d.depth, 0), c.oid

-- name: columns
-- In order. `plain` is the type without its length; `collation` is set where it is not the type's own.
SELECT a.attrelid::int8 AS relation, a.attname::text AS name, a.atttypid::int8 AS type_oid,
       format_type(a.atttypid, a.atttypmod) AS type, format_type(a.atttypid, NULL) AS plain,
       a.attnotnull AS required, a.attgenerated::text AS generated, a.attidentity::text AS identity,
       d.oid::int8 AS default_oid, pg_get_expr(d.adbin, d.adrelid) AS expression,
       CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN a.attcollation::int8 END AS collation,
       (SELECT s.objid::int8 FROM pg_depend s
        WHERE a.attidentity <> '' AND s.classid = 'pg_class'::regclass AND s.refclassid = 'pg_class'::regclass
          AND s.refobjid = a.attrelid AND s.refobjsubid = a.attnum AND s.deptype = 'i') AS sequence
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum

-- name: types
-- Every type of the user's that the columns are made of, those inside other types first.
WITH RECURSIVE used(oid, depth) AS (
    SELECT a.atttypid, 0 FROM pg_attribute a
    WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT x.oid, u.depth + 1 FROM used u JOIN pg_type t ON t.oid = u.oid CROSS JOIN LATERAL (
        SELECT t.typelem AS oid WHERE t.typelem <> 0
        UNION ALL SELECT t.typbasetype WHERE t.typbasetype <> 0
        UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
        UNION ALL SELECT r.rngtypid FROM pg_range r WHERE t.oid = r.rngmultitypid
        UNION ALL
        SELECT a.atttypid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'c'
        WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) x
    WHERE u.depth < 20
)
SELECT t.oid::int8 AS oid, n.nspname::text AS schema_name, t.typname::text AS name, t.typtype::text AS kind,
       t.typnotnull AS required, pg_get_expr(t.typdefaultbin, 0) AS expression,
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END AS base,
       CASE WHEN t.typtype = 'd' AND t.typcollation NOT IN (0, b.typcollation) THEN t.typcollation::int8 END AS collation,
       (SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE r.rngtypid = t.oid) AS subtype,
       coalesce((SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
                '{}') AS labels,
       coalesce((SELECT array_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
                 FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND NOT a.attisdropped), '{}')
           AS attributes,
       coalesce((SELECT array_agg(pg_get_constraintdef(c.oid) ORDER BY c.conname)
                 FROM pg_constraint c WHERE c.contypid = t.oid AND c.contype = 'c'), '{}') AS checks,
       (SELECT x.extname::text FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
        WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e') AS extension
FROM (SELECT u.oid, max(u.depth) AS depth FROM used u GROUP BY u.oid) u
JOIN pg_type t ON t.oid = u.oid
JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_type b ON b.oid = t.typbasetype
LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND t.typcategory <> 'A' AND t.typtype <> 'm' AND (t.typtype <> 'c' OR c.relkind = 'c')
ORDER BY u.depth DESC, t.oid

-- name: collations
-- Collations of the user's, by OID; the built-in ones need only their names.
SELECT c.oid::int8 AS oid, n.nspname::text AS schema_name, c.collname::text AS name, c.collprovider::text AS provider,
       c.collisdeterministic AS deterministic, to_jsonb(c) AS details
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE c.oid = ANY(%(oids)s::oid[])

-- name: sequences
-- The sequences that defaults draw from, and those of identity columns.
SELECT c.oid::int8 AS oid, n.nspname::text AS schema_name, c.relname::text AS name,
       format_type(s.seqtypid, NULL) AS type, s.seqstart AS start, s.seqincrement AS step, s.seqmin AS lowest,
       s.seqmax AS highest, s.seqcycle AS cycles
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY(%(identities)s::oid[]) OR c.oid IN (
    SELECT d.refobjid FROM pg_attrdef a
    JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid AND d.refclassid = 'pg_class'::regclass
    WHERE a.adrelid = ANY(%(oids)s::oid[]))
ORDER BY c.oid

-- name: constraints
-- Keys and checks of the tables themselves; a partition's own copies come with it.
SELECT c.oid::int8 AS oid, c.conrelid::int8 AS relation, c.conname::text AS name, c.contype::text AS kind,
       pg_get_constraintdef(c.oid) AS definition
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
WHERE c.conrelid = ANY(%(oids)s::oid[]) AND c.contype IN ('p', 'u', 'x', 'c', 'f') AND c.conparentid = 0
  AND (c.contype <> 'c' OR c.conislocal)
ORDER BY position(c.contype::text IN 'puxcf'), c.conrelid, c.conname

-- name: unique_indexes
-- Unique indexes that no constraint stands for.
SELECT i.indexrelid::int8 AS oid, i.indrelid::int8 AS relation, c.relname::text AS name,
       pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY(%(oids)s::oid[]) AND i.indisunique AND i.indisvalid AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY i.indrelid, i.indexrelid

-- name: calls
-- Functions of the user's that defaults, checks, indexes and views call: by the object that calls.
SELECT d.objid::int8 AS oid, array_agg(DISTINCT p.oid::regprocedure::text ORDER BY p.oid::regprocedure::text) AS functions
FROM pg_depend d JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
WHERE (d.classid = 'pg_attrdef'::regclass AND d.objid IN (SELECT a.oid FROM pg_attrdef a WHERE a.adrelid = ANY(%(oids)s::oid[]))
       OR d.classid = 'pg_constraint'::regclass
          AND d.objid IN (SELECT k.oid FROM pg_constraint k WHERE k.conrelid = ANY(%(oids)s::oid[]))
       OR d.classid = 'pg_class'::regclass
          AND d.objid IN (SELECT i.indexrelid FROM pg_index i WHERE i.indrelid = ANY(%(oids)s::oid[])))
  AND p.pronamespace <> 'pg_catalog'::regnamespace
  AND NOT EXISTS (SELECT FROM pg_depend e
                  WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
GROUP BY d.objid

-- name: extensions
-- The extensions whose operators, functions and operator classes the tables use, with the schema each lives in.
WITH used(class, oid) AS (
    SELECT 'pg_class'::regclass, o FROM unnest(%(oids)s::oid[]) o
    UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i WHERE i.indrelid = ANY(%(oids)s::oid[])
    UNION ALL SELECT 'pg_attrdef'::regclass, a.oid FROM pg_attrdef a WHERE a.adrelid = ANY(%(oids)s::oid[])
    UNION ALL SELECT 'pg_constraint'::regclass, c.oid FROM pg_constraint c WHERE c.conrelid = ANY(%(oids)s::oid[])
    UNION ALL SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite r WHERE r.ev_class = ANY(%(oids)s::oid[])
    UNION ALL SELECT 'pg_type'::regclass, t FROM unnest(%(types)s::oid[]) t
)
SELECT DISTINCT x.extname::text AS name, n.nspname::text AS schema_name
FROM used u
JOIN pg_depend d ON d.classid = u.class AND d.objid = u.oid
JOIN pg_depend e ON e.deptype = 'e' AND (e.classid, e.objid) IN ((d.refclassid, d.refobjid), (u.class, u.oid))
JOIN pg_extension x ON x.oid = e.refobjid
JOIN pg_namespace n ON n.oid = x.extnamespace
ORDER BY 1

-- name: left_out
-- What acts on the tables and is not taken along: triggers, rules, row security, other servers, inheritance.
SELECT n.nspname || '.' || c.relname AS relation, w.what
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT 'trigger ' || t.tgname AS what FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND p.pronamespace::regnamespace::text <> 'tidings'
      AND NOT c.relispartition
    UNION ALL
    SELECT 'rule ' || r.rulename FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'
    UNION ALL
    SELECT 'row security' WHERE c.relrowsecurity
    UNION ALL
    SELECT 'connection to another server' WHERE c.relkind = 'f'
    UNION ALL
    SELECT 'inheritance from ' || i.inhparent::regclass FROM pg_inherits i WHERE i.inhrelid = c.oid AND NOT c.relispartition
) w
WHERE c.oid = ANY(%(oids)s::oid[])
ORDER BY 1, 2

-- name: available_extensions
-- What this server could install.
SELECT name::text AS name FROM pg_available_extensions
