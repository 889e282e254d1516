-- name: runs
-- Runs that somebody owes a look: they would go on if they might.
SELECT count(*) AS runs, min(r.at) AS oldest
FROM tidings.work k
CROSS JOIN LATERAL unnest(k.ids) AS i(id)
JOIN tidings.run r ON r.project_id = k.project_id AND r.id = i.id AND r.finished_at IS NULL
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
WHERE k.project_id = %(project_id)s AND k.kind = 'advance' AND v.workflow_id = ANY(%(workflow_ids)s::int8[])

-- name: due
-- Runs whose wait is over, and that no tick has released.
SELECT count(*) AS runs, min(r.at) AS oldest
FROM tidings.run_timer t
JOIN tidings.run r ON r.project_id = t.project_id AND r.id = t.run_id
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
WHERE t.project_id = %(project_id)s AND t.due_at <= %(now)s AND v.workflow_id = ANY(%(workflow_ids)s::int8[])

-- name: messages
-- Messages that are written and have not left, and how many different people they are for.
SELECT count(*) AS messages, count(DISTINCT lower(m.address)) AS people, min(m.created_at) AS oldest
FROM tidings.work k
CROSS JOIN LATERAL unnest(k.ids) AS i(id)
JOIN tidings.delivery_batch b ON b.project_id = k.project_id AND b.id = i.id AND b.finished_at IS NULL
JOIN tidings.message m ON m.project_id = b.project_id AND m.batch_id = b.id
JOIN tidings.run r ON r.project_id = m.project_id AND r.id = m.run_id
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
WHERE k.project_id = %(project_id)s AND k.kind IN ('deliver', 'deliver_shared') AND v.workflow_id = ANY(%(workflow_ids)s::int8[])

-- name: changes
-- Changes that were captured for a watched table and have not been matched.
SELECT count(*) AS changes
FROM tidings.outbox o
WHERE o.hook_id IN (
    SELECT v.hook_id FROM tidings.workflow_version v
    WHERE v.project_id = %(project_id)s AND v.workflow_id = ANY(%(workflow_ids)s::int8[]) AND v.hook_id IS NOT NULL)

-- name: slots
-- Slots that passed by in the pause.
SELECT count(*) AS slots
FROM tidings.slot s
WHERE s.project_id = %(project_id)s AND s.workflow_id = ANY(%(workflow_ids)s::int8[]) AND s.outcome = 'paused' AND s.at >= %(since)s

-- name: end_runs
-- Some work further, in the order of its ids: the runs in it end. A worker that has one of them in a transaction comes first.
WITH chosen AS (
    SELECT k.id, k.ids FROM tidings.work k
    WHERE k.project_id = %(project_id)s AND k.kind = 'advance' AND k.id > %(after)s
    ORDER BY k.id
    LIMIT %(limit)s
    FOR UPDATE
), ended AS (
    UPDATE tidings.run r SET state = 'ended', reason = 'discarded', finished_at = %(now)s
    FROM chosen c CROSS JOIN LATERAL unnest(c.ids) AS i(id), tidings.workflow_version v
    WHERE r.project_id = %(project_id)s AND r.id = i.id AND r.finished_at IS NULL
      AND v.project_id = %(project_id)s AND v.id = r.version_id AND v.workflow_id = ANY(%(workflow_ids)s::int8[])
    RETURNING r.id, r.step, v.compiled->'steps'->r.step->>'name' AS name
), noted AS (
    INSERT INTO tidings.step_result (project_id, run_id, step, name, status, reason, detail, at)
    SELECT %(project_id)s, e.id, e.step, CASE WHEN e.step < 0 THEN 'if' ELSE coalesce(e.name, '') END, 'ended', 'discarded',
           %(detail)s::jsonb, %(now)s
    FROM ended e
    ON CONFLICT (project_id, run_id, step) DO UPDATE
    SET status = excluded.status, reason = excluded.reason, detail = excluded.detail, at = excluded.at
)
SELECT (SELECT max(c.id) FROM chosen c) AS reached, (SELECT count(*) FROM ended) AS number

-- name: end_timers
-- The same for runs whose wait is over and that no tick has released.
WITH chosen AS (
    SELECT t.due_at, t.run_id, r.step, v.compiled->'steps'->r.step->>'name' AS name
    FROM tidings.run_timer t
    JOIN tidings.run r ON r.project_id = t.project_id AND r.id = t.run_id
    JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
    WHERE t.project_id = %(project_id)s AND t.due_at <= %(now)s AND v.workflow_id = ANY(%(workflow_ids)s::int8[])
    ORDER BY t.due_at, t.run_id
    LIMIT %(limit)s
    FOR UPDATE OF t SKIP LOCKED
), gone AS (
    DELETE FROM tidings.run_timer t USING chosen c
    WHERE t.project_id = %(project_id)s AND t.due_at = c.due_at AND t.run_id = c.run_id
), ended AS (
    UPDATE tidings.run r SET state = 'ended', reason = 'discarded', finished_at = %(now)s
    FROM chosen c
    WHERE r.project_id = %(project_id)s AND r.id = c.run_id
), noted AS (
    INSERT INTO tidings.step_result (project_id, run_id, step, name, status, reason, detail, at)
    SELECT %(project_id)s, c.run_id, c.step, coalesce(c.name, ''), 'ended', 'discarded', %(detail)s::jsonb, %(now)s FROM chosen c
    ON CONFLICT (project_id, run_id, step) DO UPDATE
    SET status = excluded.status, reason = excluded.reason, detail = excluded.detail, at = excluded.at
)
SELECT count(*) AS number FROM chosen

-- name: discard_messages
-- Some work further: requests that have not left are not sent. What an attempt may have brought out already is uncertain; what
-- a living worker has given to its provider is left to it.
WITH chosen AS (
    SELECT k.id, k.ids, k.lease_until > clock_timestamp() AS leased FROM tidings.work k
    WHERE k.project_id = %(project_id)s AND k.kind IN ('deliver', 'deliver_shared') AND k.id > %(after)s
    ORDER BY k.id
    LIMIT %(limit)s
    FOR UPDATE
), discarded AS (
    UPDATE tidings.delivery_batch b
    SET state = CASE WHEN b.first_attempt_at IS NULL THEN 'suppressed' ELSE 'uncertain' END, reason = 'discarded',
        error = CASE WHEN b.first_attempt_at IS NULL THEN %(words)s
                     ELSE %(words)s || ' An attempt before then may have been taken.' END,
        finished_at = %(now)s
    FROM chosen c CROSS JOIN LATERAL unnest(c.ids) AS i(id)
    WHERE b.project_id = %(project_id)s AND b.id = i.id AND b.finished_at IS NULL
      AND (b.state <> 'sending' OR c.leased IS NOT TRUE)
      AND (SELECT s.workflow_id FROM tidings.stopped_batch s
           WHERE s.project_id = b.project_id AND s.batch_id = b.id LIMIT 1) = ANY(%(workflow_ids)s::int8[])
    RETURNING b.id
)
SELECT (SELECT max(c.id) FROM chosen c) AS reached,
       (SELECT count(*) FROM discarded d JOIN tidings.message m ON m.project_id = %(project_id)s AND m.batch_id = d.id) AS number
