-- name: turns
-- Waits for every worker that is in a transaction with work of this kind: each begins by taking its row of work, so that
-- after this all of them have seen what was committed before.
SELECT id FROM tidings.work
WHERE project_id = %(project_id)s AND kind IN ('deliver', 'deliver_shared') AND lease_until > clock_timestamp()
ORDER BY id
FOR SHARE

-- name: patience
SELECT set_config('lock_timeout', %(milliseconds)s, true)

-- name: underway
-- Requests that were marked before they were stopped, in the hands of a worker that lives.
SELECT count(*)
FROM tidings.work k
CROSS JOIN LATERAL unnest(k.ids) AS i(id)
JOIN tidings.delivery_batch b ON b.project_id = k.project_id AND b.id = i.id AND b.state = 'sending'
CROSS JOIN LATERAL (
    SELECT FROM tidings.stopped_batch s WHERE s.project_id = b.project_id AND s.batch_id = b.id LIMIT 1
) s
WHERE k.project_id = %(project_id)s AND k.kind IN ('deliver', 'deliver_shared') AND k.lease_until > clock_timestamp()
