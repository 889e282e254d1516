-- name: newest
-- The newest id that any transaction has drawn.
SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('tidings.' || %(table)s, 'id')::regclass), 0)

-- name: writers
-- Every transaction that may insert into the table: it holds this lock from before it draws an id until it ends.
SELECT coalesce(array_agg(DISTINCT l.virtualtransaction), '{}')
FROM pg_locks l
WHERE l.locktype = 'relation' AND l.relation = to_regclass('tidings.' || %(table)s)
  AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  AND l.mode = 'RowExclusiveLock'
