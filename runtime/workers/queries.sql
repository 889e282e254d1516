-- name: try_lead
-- One leader a project. The lock belongs to the session: it is free again when the leader, or its machine, is gone.
SELECT pg_try_advisory_lock(hashtext('tidings.leader'), %(project_id)s)

-- name: enqueue
-- Nudges, in their order; whoever sleeps is woken once.
WITH added AS (
    INSERT INTO tidings.dramatiq_queue (queue_name, message_id, state, message)
    SELECT n.queue_name, n.id, 'queued', n.message
    FROM unnest(%(queues)s::text[], %(ids)s::uuid[], %(messages)s::jsonb[]) WITH ORDINALITY AS n(queue_name, id, message, number)
    ORDER BY n.number
    RETURNING queue_name
)
SELECT pg_notify('dramatiq.' || a.queue_name || '.enqueue', '') FROM (SELECT DISTINCT queue_name FROM added) a

-- name: take
-- The oldest nudges of the last minute: from there on, because what was taken leaves dead entries in the index, which a
-- long snapshot elsewhere keeps for hours.
DELETE FROM tidings.dramatiq_queue
WHERE message_id = ANY(ARRAY(
    SELECT q.message_id
    FROM tidings.dramatiq_queue q
    WHERE q.queue_name = %(queue_name)s AND q.state = 'queued'
      AND q.available_at > now() - interval '1 minute' AND q.available_at <= now()
    ORDER BY q.available_at, q.position
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
))
RETURNING position, message::text

-- name: drop_stale
-- What nobody took: the sweeper has said it again since.
DELETE FROM tidings.dramatiq_queue WHERE queue_name = %(queue_name)s AND available_at < now() - interval '1 minute'
