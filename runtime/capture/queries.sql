-- name: watched
-- The table, its partitions at every level (rows written to one directly fire only that one's triggers), and foreign
-- tables below it. What we may do there, and the triggers of ours that are there already.
WITH RECURSIVE below AS (
    SELECT c.oid, true AS root
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = %(name)s
    UNION
    SELECT i.inhrelid, false FROM below b JOIN pg_inherits i ON i.inhparent = b.oid
)
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, b.root,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'TRIGGER') AS allowed,
       coalesce((SELECT array_agg(t.tgname::text) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal), '{}')
           AS triggers,
       coalesce((SELECT array_agg(a.attname::text) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated = 'v'), '{}')
           AS virtual
FROM below b
JOIN pg_class c ON c.oid = b.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE b.root OR c.relispartition OR c.relkind = 'f'
ORDER BY b.root DESC, n.nspname, c.relname

-- name: next_generation
-- The row is locked until the caller commits: two publishes of one table follow each other.
INSERT INTO tidings.hook (project_id, relation, key_columns, generation)
VALUES (%(project_id)s, %(relation)s, %(key_columns)s, 1)
ON CONFLICT (project_id, relation) DO UPDATE
SET generation = tidings.hook.generation + 1, key_columns = excluded.key_columns
RETURNING id, generation, installed_ops

-- name: record_hook
UPDATE tidings.hook SET installed_ops = %(ops)s, definition = %(definition)s
WHERE project_id = %(project_id)s AND id = %(id)s

-- name: create_counter
CREATE SEQUENCE IF NOT EXISTS {counter}

-- name: close_function
-- Nobody needs EXECUTE for a trigger to fire, and nobody else shall hang our functions on a table of theirs.
REVOKE ALL ON FUNCTION {function}() FROM PUBLIC

-- name: lock_batch
-- Rows that another claimer holds are its own; those at or below the low-water mark are known to be gone.
SELECT id, hook_id, generation, captured_at
FROM tidings.outbox
WHERE id > %(low_water)s
ORDER BY id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED

-- name: remove
DELETE FROM tidings.outbox WHERE id = ANY(%(ids)s::bigint[])

-- name: allotted
-- The newest id that any transaction has drawn, and whether this transaction still has no id of its own.
SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END, pg_current_xact_id_if_assigned() IS NULL
FROM tidings.outbox_id_seq s

-- name: own_transaction
SELECT pg_current_xact_id()::text::int8

-- name: oldest_transaction
-- Every transaction with a lower id has ended.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8

-- name: lowest_left
SELECT min(id) FROM tidings.outbox WHERE id > %(mark)s AND id <= %(settled)s

-- name: fall_asleep
-- Granted only when no transaction that found the dispatcher awake is still open.
SELECT pg_try_advisory_lock(%(space)s, %(project_id)s)

-- name: wake_up
SELECT pg_advisory_unlock(%(space)s, %(project_id)s)

-- name: bell_works
-- Where two-phase commit is used no hook rings, because NOTIFY would break it.
SELECT current_setting('max_prepared_transactions') = '0'

-- name: newest
SELECT max(id) FROM tidings.outbox

-- name: counts
-- What was missed, kept by key only, and skipped, for each hook of the project.
SELECT h.relation, to_regclass('tidings.missed_' || h.id) IS NOT NULL AS counted,
       coalesce(pg_sequence_last_value(to_regclass('tidings.missed_' || h.id)), 0)::int8 AS missed,
       coalesce(pg_sequence_last_value(to_regclass('tidings.skipped_' || h.id)), 0)::int8 AS skipped,
       coalesce(k.kept, 0) AS keys_only, coalesce(k.error, '') AS error
FROM tidings.hook h
LEFT JOIN LATERAL (
    SELECT count(*) AS kept, (array_agg(o.error ORDER BY o.id DESC))[1] AS error
    FROM tidings.outbox_key o WHERE o.hook_id = h.id AND o.handled_at IS NULL
) k ON true
WHERE h.project_id = %(project_id)s
ORDER BY h.relation

-- name: waiting
SELECT count(*) AS waiting, clock_timestamp() - min(o.captured_at) AS oldest
FROM tidings.outbox o
JOIN tidings.hook h ON h.project_id = %(project_id)s AND h.id = o.hook_id

-- name: blind_spots
-- Where a live hook captures nothing, or less than it should: a sentence's parts each.
WITH RECURSIVE live AS (
    SELECT h.id, h.relation, h.definition, c.oid
    FROM tidings.hook h
    LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
        ON n.nspname || '.' || c.relname = h.relation AND c.relkind IN ('r', 'p')
    WHERE h.project_id = %(project_id)s AND h.definition->'prefilters' <> '{}'
), below AS (
    SELECT l.id, l.definition, l.oid FROM live l WHERE l.oid IS NOT NULL
    UNION
    SELECT b.id, b.definition, i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.oid
), watched AS (
    SELECT b.id, b.definition, c.oid, n.nspname || '.' || c.relname AS relation, c.relkind
    FROM below b
    JOIN pg_class c ON c.oid = b.oid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relispartition OR c.relkind = 'f' OR EXISTS (SELECT 1 FROM live l WHERE l.oid = c.oid)
)
SELECT 'gone' AS fault, l.relation, '' AS what FROM live l WHERE l.oid IS NULL
UNION ALL
SELECT 'foreign', w.relation, '' FROM watched w WHERE w.relkind = 'f'
UNION ALL
SELECT 'column', l.relation, column_name
FROM live l
CROSS JOIN LATERAL jsonb_array_elements_text(l.definition->'columns') column_name
WHERE l.oid IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = l.oid AND a.attname = column_name AND NOT a.attisdropped)
UNION ALL
SELECT CASE WHEN t.oid IS NULL THEN 'missing' ELSE 'disabled' END, w.relation, op
FROM watched w
CROSS JOIN LATERAL jsonb_object_keys(w.definition->'prefilters') op
LEFT JOIN pg_trigger t ON t.tgrelid = w.oid AND t.tgname = 'tidings_capture_' || w.id || '_' || left(op, 1)
WHERE w.relkind <> 'f' AND (t.oid IS NULL OR t.tgenabled IN ('D', 'R'))
ORDER BY 1, 2, 3
