-- name: is_workflow
SELECT id FROM tidings.workflow WHERE project_id = %(project_id)s AND name = %(workflow)s

-- name: runs_of_message
SELECT run_id FROM tidings.message WHERE project_id = %(project_id)s AND id = %(message_id)s

-- name: runs_with_message
-- The newest runs that made a message for an address.
SELECT m.run_id
FROM tidings.message m
JOIN tidings.run r ON r.project_id = m.project_id AND r.id = m.run_id
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
WHERE m.project_id = %(project_id)s AND lower(m.address) = lower(%(address)s)
  AND (%(workflow)s::text IS NULL OR w.name = %(workflow)s)
GROUP BY m.run_id
ORDER BY m.run_id DESC
LIMIT %(limit)s

-- name: runs_without_message
-- The newest runs, without those that made a message for the address.
SELECT r.id
FROM tidings.run r
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
WHERE r.project_id = %(project_id)s AND (%(workflow)s::text IS NULL OR w.name = %(workflow)s)
  AND NOT EXISTS (
      SELECT FROM tidings.message m
      WHERE m.project_id = r.project_id AND m.run_id = r.id AND lower(m.address) = lower(%(address)s))
ORDER BY r.id DESC
LIMIT %(limit)s

-- name: runs_of_row
-- The newest runs that changes of one row started.
SELECT r.id
FROM tidings.event e
JOIN tidings.hook h ON h.project_id = e.project_id AND h.id = e.hook_id
JOIN tidings.run r ON r.project_id = e.project_id AND r.event_id = e.id
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
WHERE e.project_id = %(project_id)s AND h.relation = %(relation)s AND e.key::text = %(key)s::jsonb::text
  AND (%(workflow)s::text IS NULL OR w.name = %(workflow)s)
ORDER BY r.id DESC
LIMIT %(limit)s

-- name: runs
-- What started each run, and where it stands.
SELECT r.id, w.name AS workflow, v.number AS version, r.state, coalesce(r.reason, '') AS reason, r.at,
       coalesce(h.relation, '') AS relation, e.id AS event_id,
       CASE e.op WHEN 'i' THEN 'insert' WHEN 'u' THEN 'update' WHEN 'd' THEN 'delete' ELSE '' END AS op, e.key, r.slot, r.item,
       v.spec->'trigger'->'key' AS item_key, r.finished_at, t.due_at AS waits_until,
       coalesce(w.paused_at, p.paused_at) IS NOT NULL AS paused,
       CASE WHEN r.finished_at IS NULL AND r.step >= 0 THEN v.compiled->'steps'->r.step->>'name' ELSE '' END AS stands_at
FROM tidings.run r
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
JOIN tidings.project p ON p.id = r.project_id
LEFT JOIN tidings.event e ON e.project_id = r.project_id AND e.id = r.event_id
LEFT JOIN tidings.hook h ON h.project_id = e.project_id AND h.id = e.hook_id
LEFT JOIN tidings.run_timer t ON t.project_id = r.project_id AND t.run_id = r.id
WHERE r.project_id = %(project_id)s AND r.id = ANY(%(ids)s::int8[])

-- name: steps
SELECT s.run_id, s.step, s.name, s.status, s.reason, s.detail, s.at
FROM tidings.step_result s
WHERE s.project_id = %(project_id)s AND s.run_id = ANY(%(ids)s::int8[])
ORDER BY s.run_id, s.step

-- name: messages
-- The messages that were asked about; of a run that told very many people only the first.
SELECT m.run_id, m.id, m.step, v.compiled->'steps'->m.step->>'name' AS step_name, m.recipient_key, m.channel,
       coalesce(m.address, '') AS address, m.status, m.reason, m.detail, coalesce(m.provider, '') AS provider,
       coalesce(m.provider_id, '') AS provider_id, m.created_at, b.finished_at AS sent_at
FROM (
    SELECT s.*, row_number() OVER (PARTITION BY s.run_id ORDER BY s.id) AS place
    FROM tidings.message_status s
    WHERE s.project_id = %(project_id)s AND s.run_id = ANY(%(ids)s::int8[])
      AND (%(address)s::text IS NULL OR lower(s.address) = lower(%(address)s))
      AND (%(message_id)s::int8 IS NULL OR s.id = %(message_id)s)
) m
JOIN tidings.run r ON r.project_id = m.project_id AND r.id = m.run_id
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
LEFT JOIN tidings.delivery_batch b ON b.project_id = m.project_id AND b.id = m.batch_id
WHERE m.place <= %(most)s
ORDER BY m.run_id, m.step, m.id

-- name: tallies
-- All messages of some runs, by what became of them.
SELECT s.run_id, s.status || CASE WHEN s.reason = '' THEN '' ELSE ' (' || s.reason || ')' END AS status, count(*) AS messages
FROM tidings.message_status s
WHERE s.project_id = %(project_id)s AND s.run_id = ANY(%(ids)s::int8[])
GROUP BY 1, 2
ORDER BY 1, 3 DESC, 2

-- name: failures
-- What failed before there was a run: changes of which nobody knows whether they match, and slots without items.
SELECT d.id, w.name AS workflow, v.number AS version, d.stage, d.error, d.at, d.event_id, d.payload->'key' AS key,
       coalesce(h.relation, '') AS relation, d.payload->>'slot' AS slot
FROM tidings.dead_letter d
JOIN tidings.workflow_version v ON v.project_id = d.project_id AND v.id = d.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
LEFT JOIN tidings.hook h ON h.project_id = d.project_id AND h.id = (d.payload->>'hook_id')::int
WHERE d.project_id = %(project_id)s AND d.run_id IS NULL AND d.replayed_at IS NULL
  AND (%(workflow)s::text IS NULL OR w.name = %(workflow)s)
  AND (%(relation)s::text IS NULL OR (h.relation = %(relation)s AND (d.payload->'key')::text = %(key)s::jsonb::text))
ORDER BY d.id DESC
LIMIT %(limit)s

-- name: counts
-- What reached some versions since when, and where it failed.
SELECT c.version_id, min(c.day) AS since, sum(c.seen)::int8 AS seen, sum(c.matched)::int8 AS matched,
       sum(c.not_op)::int8 AS op, sum(c.not_becomes)::int8 AS becomes, sum(c.not_before)::int8 AS before,
       sum(c.not_columns)::int8 AS columns, sum(c.not_when)::int8 AS "when", sum(c.failed)::int8 AS failed
FROM tidings.match_count c
WHERE c.project_id = %(project_id)s AND c.version_id = ANY(%(version_ids)s::int8[])
GROUP BY c.version_id
ORDER BY c.version_id

-- name: suppressions
SELECT topic, reason, at FROM tidings.suppression
WHERE project_id = %(project_id)s AND address = lower(%(address)s)
ORDER BY at

-- name: skipped_slots
-- Slots that started nothing.
SELECT w.name AS workflow, s.at, s.outcome, s.since
FROM tidings.slot s
JOIN tidings.workflow w ON w.project_id = s.project_id AND w.id = s.workflow_id
WHERE s.project_id = %(project_id)s AND s.outcome <> 'started' AND (%(workflow)s::text IS NULL OR w.name = %(workflow)s)
ORDER BY s.at DESC
LIMIT %(limit)s
