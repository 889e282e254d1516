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

-- name: find_hook
SELECT id, installed_ops FROM tidings.hook WHERE project_id = %(project_id)s AND relation = %(relation)s

-- name: claim_hook
-- The row, which stays as it is, locked until the caller commits; made where it is missing, for triggers that do nothing yet.
INSERT INTO tidings.hook (project_id, relation, key_columns)
VALUES (%(project_id)s, %(relation)s, %(key_columns)s)
ON CONFLICT (project_id, relation) DO UPDATE SET relation = excluded.relation
RETURNING id, installed_ops

-- name: find_function
SELECT p.oid
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'tidings' AND p.proname = %(function)s

-- name: who_holds
-- Who keeps a table from being locked for its triggers, the longest first.
SELECT l.pid, coalesce(a.application_name, '') AS application, coalesce(a.usename::text, '') AS "user",
       coalesce(a.backend_type = 'autovacuum worker', false) AS vacuum,
       to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS transaction_began,
       to_char(a.query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS query_began
FROM pg_locks l
JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
  AND n.nspname || '.' || c.relname = %(relation)s AND l.pid IS DISTINCT FROM pg_backend_pid()
ORDER BY a.xact_start NULLS FIRST, l.pid
LIMIT 3

-- name: record_hook
UPDATE tidings.hook SET installed_ops = %(ops)s, definition = %(definition)s
WHERE project_id = %(project_id)s AND id = %(id)s

-- name: create_counter
CREATE SEQUENCE IF NOT EXISTS {counter}

-- name: open_room
-- A bound that was never set bounds nothing.
SELECT setval(to_regclass('tidings.bound_' || p.id), coalesce(pg_sequence_last_value('tidings.outbox_id_seq'), 0) + p.outbox_limit)
FROM tidings.project p
WHERE p.id = %(project_id)s AND p.outbox_limit IS NOT NULL
  AND pg_sequence_last_value(to_regclass('tidings.bound_' || p.id)) IS NULL

-- name: room
SELECT p.outbox_limit, coalesce(pg_sequence_last_value('tidings.outbox_id_seq'), 0),
       pg_sequence_last_value(to_regclass('tidings.bound_' || p.id))
FROM tidings.project p
WHERE p.id = %(project_id)s AND to_regclass('tidings.bound_' || p.id) IS NOT NULL

-- name: count_waiting
SELECT count(*) FROM tidings.outbox WHERE id > %(mark)s

-- name: set_bound
SELECT setval(to_regclass('tidings.bound_' || %(project_id)s::text), %(bound)s)

-- name: close_function
-- Nobody needs EXECUTE for a trigger to fire, and nobody else shall hang our functions on a table of theirs.
REVOKE ALL ON FUNCTION {function}() FROM PUBLIC

-- name: lock_batch
-- Rows behind the bound are known to be gone. Whether a straggler has ended is said by the very snapshot by which its rows are
-- seen. One claims at a time, whoever leads: two could take two changes of one row at once and start their runs the wrong way
-- round. Who comes second gets nothing, and does not wait.
SELECT id, hook_id, generation, captured_at
FROM tidings.outbox
WHERE id > (SELECT least(%(low_water)s, min(s.floor)) FROM unnest(%(xids)s::xid8[], %(floors)s::int8[]) AS s(xid, floor)
            WHERE pg_visible_in_snapshot(s.xid, pg_current_snapshot()))
  AND (SELECT pg_try_advisory_xact_lock(hashtext('tidings.claim')))
ORDER BY id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED

-- name: remove
DELETE FROM tidings.outbox WHERE id = ANY(%(ids)s::bigint[])

-- name: standing
-- Whether this transaction has written nothing and sees what is committed meanwhile; and which of some are still open.
SELECT pg_current_xact_id_if_assigned() IS NULL AND current_setting('transaction_isolation') = 'read committed',
       ARRAY(SELECT x.xid::text::int8 FROM unnest(%(xids)s::xid8[]) AS x(xid)
             WHERE NOT pg_visible_in_snapshot(x.xid, pg_current_snapshot()))

-- name: allotted
-- The newest id that any transaction has drawn.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tidings.outbox_id_seq

-- name: holders
-- The transactions that may write the outbox at this moment, in one reading of all locks; null for one without an id. Of a
-- transaction and its savepoints the first id is its own. Ids are completed to 64 bits by their distance to the newest.
WITH held AS MATERIALIZED (
    SELECT l.locktype, l.database, l.relation, l.virtualtransaction, l.mode, l.pid, l.granted,
           s.next + (l.transactionid::text::int8 - s.next %% 4294967296 + 6442450944) %% 4294967296 - 2147483648 AS xid
    FROM pg_locks l
    CROSS JOIN (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8 AS next) s
    WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock'
       OR l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.relation = 'tidings.outbox'::regclass
), writer AS (
    SELECT w.virtualtransaction
    FROM held w
    JOIN pg_database d ON d.oid = w.database AND d.datname = current_database()
    WHERE w.locktype = 'relation' AND w.granted AND w.pid IS DISTINCT FROM pg_backend_pid()
)
SELECT coalesce(array_agg(x.xid), '{}')
FROM (
    SELECT min(t.xid) AS xid
    FROM writer w
    LEFT JOIN held t ON t.virtualtransaction = w.virtualtransaction AND t.locktype = 'transactionid' AND t.granted
    GROUP BY w.virtualtransaction
) x

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
-- Bounded from below, so that it need not walk over all that was claimed while nothing is there.
SELECT max(id) FROM tidings.outbox
WHERE id > (SELECT least(%(low_water)s, min(s.floor)) FROM unnest(%(xids)s::xid8[], %(floors)s::int8[]) AS s(xid, floor)
            WHERE pg_visible_in_snapshot(s.xid, pg_current_snapshot()))

-- name: counts
-- What was missed, kept by key only, and skipped, for each hook of the project; and how much of that nobody has seen yet.
SELECT h.relation, to_regclass('tidings.missed_' || h.id) IS NOT NULL AS counted, m.missed,
       coalesce(pg_sequence_last_value(to_regclass('tidings.skipped_' || h.id)), 0)::int8 AS skipped,
       coalesce(k.kept, 0) AS keys_only, coalesce(k.error, '') AS error,
       greatest(m.missed - coalesce(a.missed, 0), 0)::int8 AS new_missed, coalesce(k.new, 0) AS new_keys
FROM tidings.hook h
CROSS JOIN LATERAL (
    SELECT coalesce(pg_sequence_last_value(to_regclass('tidings.missed_' || h.id)), 0)::int8 AS missed) m
LEFT JOIN LATERAL (
    SELECT sum(c.missed) AS missed FROM tidings.acknowledgement c WHERE c.project_id = h.project_id AND c.hook_id = h.id) a ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS kept, count(*) FILTER (WHERE o.acknowledged_at IS NULL) AS new,
           (array_agg(o.error ORDER BY o.id DESC))[1] AS error
    FROM tidings.outbox_key o WHERE o.hook_id = h.id AND o.handled_at IS NULL
) k ON true
WHERE h.project_id = %(project_id)s
ORDER BY h.relation

-- name: waiting
-- What waits: counted as long as that is quick, then as the distance between the oldest and the newest id.
SELECT CASE WHEN c.counted < 200000 THEN c.counted ELSE greatest(c.counted, b.newest - f.id) END AS waiting,
       clock_timestamp() - f.captured_at AS oldest, p.held_reason IS NOT NULL AS held, p.outbox_limit AS most,
       coalesce(b.newest >= b.bound, false) AS full, pg_total_relation_size('tidings.outbox') AS bytes
FROM tidings.project p
CROSS JOIN LATERAL (
    SELECT coalesce(pg_sequence_last_value('tidings.outbox_id_seq'), 0) AS newest,
           pg_sequence_last_value(to_regclass('tidings.bound_' || p.id)) AS bound
) b
CROSS JOIN LATERAL (
    SELECT count(*) AS counted
    FROM (SELECT FROM tidings.outbox o JOIN tidings.hook h ON h.project_id = p.id AND h.id = o.hook_id LIMIT 200000) AS first
) c
LEFT JOIN LATERAL (
    SELECT o.id, o.captured_at FROM tidings.outbox o JOIN tidings.hook h ON h.project_id = p.id AND h.id = o.hook_id
    ORDER BY o.id LIMIT 1
) f ON true
WHERE p.id = %(project_id)s

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
UNION ALL
SELECT 'subscribed', w.relation, '' FROM watched w WHERE EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = w.oid)
UNION ALL
SELECT 'replica', coalesce(r.rolname::text, 'everybody'), coalesce('database ' || d.datname, 'every database')
FROM pg_db_role_setting s
LEFT JOIN pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_database d ON d.oid = s.setdatabase
WHERE 'session_replication_role=replica' = ANY(s.setconfig) AND (d.oid IS NULL OR d.datname = current_database())
  AND EXISTS (SELECT FROM live)
UNION ALL
SELECT 'moves', l.relation, ''
FROM live l
JOIN pg_class c ON c.oid = l.oid AND c.relkind = 'p'
WHERE l.definition->'prefilters' ? 'update' AND current_setting('server_version_num')::int >= 150000
ORDER BY 1, 2, 3
