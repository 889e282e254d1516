-- Each statement sees one moment, and whatever moves on does so in one transaction: so nothing that is only on its way is
-- taken for lost. Windows are on Tidings' clock; `shift` is how far it is ahead of the server's.

-- name: bounds
-- How far back the ledger remembers, and how far its clock is ahead.
SELECT p.keep_messages AS memory, p.clock_shift AS shift,
       (SELECT max(u.horizon) FROM tidings.upkeep u
        WHERE u.project_id = p.id AND u.stage IN ('drop_events', 'drop_runs', 'drop_messages')) AS gone_before
FROM tidings.project p WHERE p.id = %(project_id)s

-- name: patience
SELECT set_config('statement_timeout', '10min', true)

-- name: workflows
SELECT w.name FROM tidings.workflow w WHERE w.project_id = %(project_id)s ORDER BY w.name

-- name: events
-- Changes that started something when they were claimed: each has a run.
SELECT h.relation AS subject, count(*) AS seen, count(*) FILTER (WHERE r.event_id IS NULL) AS missing,
       (array_agg('change ' || e.id ORDER BY e.id) FILTER (WHERE r.event_id IS NULL))[1:5] AS examples
FROM tidings.event e
JOIN tidings.hook h ON h.project_id = e.project_id AND h.id = e.hook_id
LEFT JOIN (
    SELECT DISTINCT r.event_id FROM tidings.run r
    WHERE r.project_id = %(project_id)s AND r.event_id IS NOT NULL AND r.at >= %(begin)s AND r.at < %(end)s
) r ON r.event_id = e.id
WHERE e.project_id = %(project_id)s AND e.at >= %(begin)s AND e.at < %(end)s
GROUP BY h.relation
ORDER BY h.relation

-- name: runs
-- A run that is under way has work, or a timer.
SELECT w.name AS subject, count(*) AS seen, count(*) FILTER (WHERE r.finished_at IS NOT NULL) AS through,
       count(*) FILTER (WHERE r.finished_at IS NULL AND o.run_id IS NULL AND t.run_id IS NULL) AS missing,
       (array_agg('run ' || r.id ORDER BY r.id)
        FILTER (WHERE r.finished_at IS NULL AND o.run_id IS NULL AND t.run_id IS NULL))[1:5] AS examples
FROM tidings.run r
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
LEFT JOIN (
    SELECT DISTINCT unnest(k.ids) AS run_id FROM tidings.work k WHERE k.project_id = %(project_id)s AND k.kind = 'advance'
) o ON o.run_id = r.id
LEFT JOIN (SELECT DISTINCT t.run_id FROM tidings.run_timer t WHERE t.project_id = %(project_id)s) t ON t.run_id = r.id
WHERE r.project_id = %(project_id)s AND r.created_at >= %(begin)s AND r.created_at < %(end)s
  AND (%(workflow)s::text IS NULL OR w.name = %(workflow)s)
GROUP BY w.name
ORDER BY w.name

-- name: sends
-- A send step that found people wrote a message for each, with what it did.
SELECT w.name AS subject, count(*) AS seen, count(*) FILTER (WHERE NOT f.told) AS missing,
       (array_agg('run ' || r.id || ' step ' || s.name ORDER BY r.id) FILTER (WHERE NOT f.told))[1:5] AS examples
FROM tidings.step_result s
JOIN tidings.run r ON r.project_id = s.project_id AND r.id = s.run_id
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM tidings.message m WHERE m.project_id = s.project_id AND m.run_id = s.run_id AND m.step = s.step)
           AS told
) f
WHERE s.project_id = %(project_id)s AND s.at >= %(begin)s AND s.at < %(end)s AND s.status = 'done'
  AND (s.detail->>'people')::int8 > 0 AND (%(workflow)s::text IS NULL OR w.name = %(workflow)s)
GROUP BY w.name
ORDER BY w.name

-- name: messages
-- Every message has a reason why it stayed, or a request; the request has work, or an end; the end has the provider's id.
SELECT w.name AS subject, count(*) AS seen,
       count(*) FILTER (WHERE f.fate = '') AS through,
       count(*) FILTER (WHERE f.fate = 'orphaned') AS orphaned, count(*) FILTER (WHERE f.fate = 'stranded') AS stranded,
       count(*) FILTER (WHERE f.fate = 'uncertain') AS uncertain, count(*) FILTER (WHERE f.fate = 'nameless') AS nameless,
       (array_agg('message ' || m.id ORDER BY m.id) FILTER (WHERE f.fate IN ('orphaned', 'stranded', 'uncertain', 'nameless')))[1:5]
           AS examples
FROM tidings.message m
JOIN tidings.run r ON r.project_id = m.project_id AND r.id = m.run_id
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
LEFT JOIN tidings.delivery_batch b ON b.project_id = m.project_id AND b.id = m.batch_id
LEFT JOIN (
    SELECT DISTINCT unnest(k.ids) AS batch_id FROM tidings.work k
    WHERE k.project_id = %(project_id)s AND k.kind LIKE 'deliver%%'
) o ON o.batch_id = m.batch_id
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN m.batch_id IS NULL THEN ''
        WHEN b.id IS NULL THEN 'orphaned'
        WHEN b.finished_at IS NULL AND o.batch_id IS NULL THEN 'stranded'
        WHEN b.finished_at IS NULL THEN 'under way'
        WHEN b.state = 'uncertain' THEN 'uncertain'
        WHEN b.state = 'sent' AND b.provider <> 'inbox' AND b.provider_ids[m.position + 1] IS NULL THEN 'nameless'
        ELSE '' END AS fate
) f
WHERE m.project_id = %(project_id)s AND m.created_at >= %(begin)s AND m.created_at < %(end)s
  AND (%(workflow)s::text IS NULL OR w.name = %(workflow)s)
GROUP BY w.name
ORDER BY w.name

-- name: dead
SELECT coalesce(w.name, '') AS subject, count(*) AS seen, count(*) FILTER (WHERE d.replayed_at IS NULL) AS missing,
       (array_agg(d.stage || ': ' || d.error ORDER BY d.id DESC) FILTER (WHERE d.replayed_at IS NULL))[1:2] AS examples
FROM tidings.dead_letter d
LEFT JOIN tidings.workflow_version v ON v.project_id = d.project_id AND v.id = d.version_id
LEFT JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
WHERE d.project_id = %(project_id)s AND d.at + %(shift)s >= %(begin)s AND d.at + %(shift)s < %(end)s
  AND (%(workflow)s::text IS NULL OR w.name = %(workflow)s)
GROUP BY 1
ORDER BY 1

-- name: slots
SELECT w.name AS subject, count(*) AS seen, count(*) FILTER (WHERE s.outcome = 'missed') AS missing,
       (array_agg('up to ' || s.at ORDER BY s.at DESC) FILTER (WHERE s.outcome = 'missed'))[1:5] AS examples
FROM tidings.slot s
JOIN tidings.workflow w ON w.project_id = s.project_id AND w.id = s.workflow_id
WHERE s.project_id = %(project_id)s AND s.at >= %(begin)s AND s.at < %(end)s
  AND (%(workflow)s::text IS NULL OR w.name = %(workflow)s)
GROUP BY w.name
ORDER BY w.name

-- name: open_keys
-- Changes known by key only that were not made up for, after a number, in capture order.
SELECT k.id, k.hook_id, h.relation, k.generation, k.op::text AS op, k.key::text AS key, k.captured_at + %(shift)s AS at,
       k.acknowledged_at IS NOT NULL AS acknowledged
FROM tidings.outbox_key k
JOIN tidings.hook h ON h.project_id = %(project_id)s AND h.id = k.hook_id
WHERE k.id > %(after)s AND k.handled_at IS NULL
  AND k.captured_at + %(shift)s >= %(begin)s AND k.captured_at + %(shift)s < %(end)s
ORDER BY k.id
LIMIT %(limit)s

-- name: handled_keys
SELECT h.relation AS subject, count(*) AS handled
FROM tidings.outbox_key k
JOIN tidings.hook h ON h.project_id = %(project_id)s AND h.id = k.hook_id
WHERE k.handled_at IS NOT NULL AND k.captured_at + %(shift)s >= %(begin)s AND k.captured_at + %(shift)s < %(end)s
GROUP BY h.relation

-- name: told_keys
-- Of some keys, those for which a workflow has a run, with when the last change was that started one; what a person brought
-- back tells of the row as it was then.
SELECT k.key, max(coalesce(c.at, e.at)) AS at
FROM unnest(%(keys)s::text[]) AS k(key)
JOIN tidings.event e ON e.project_id = %(project_id)s AND e.hook_id = %(hook_id)s AND e.key::text = k.key
JOIN tidings.run r ON r.project_id = e.project_id AND r.event_id = e.id
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id AND v.workflow_id = %(workflow_id)s
LEFT JOIN tidings.recovered c ON c.project_id = e.project_id AND c.event_id = e.id
GROUP BY k.key

-- name: known_keys
-- The same, and those of which something is known: a change on its way, one whose runs are gone, one by key only, one that
-- could not be matched.
SELECT k.key
FROM unnest(%(keys)s::text[]) AS k(key)
WHERE EXISTS (
        SELECT FROM tidings.event e
        JOIN tidings.run r ON r.project_id = e.project_id AND r.event_id = e.id
        JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id AND v.workflow_id = %(workflow_id)s
        WHERE e.project_id = %(project_id)s AND e.hook_id = %(hook_id)s AND e.key::text = k.key)
   OR EXISTS (
        SELECT FROM tidings.event e
        WHERE e.project_id = %(project_id)s AND e.hook_id = %(hook_id)s AND e.key::text = k.key
          AND NOT EXISTS (SELECT FROM tidings.run r WHERE r.project_id = e.project_id AND r.event_id = e.id))
   OR k.key IN (SELECT o.key::text FROM tidings.outbox o WHERE o.hook_id = %(hook_id)s AND o.key IS NOT NULL)
   OR k.key IN (SELECT o.key::text FROM tidings.outbox_key o WHERE o.hook_id = %(hook_id)s AND o.key IS NOT NULL)
   OR k.key IN (SELECT (d.payload->'key')::text
                FROM tidings.dead_letter d
                JOIN tidings.workflow_version v ON v.project_id = d.project_id AND v.id = d.version_id
                WHERE d.project_id = %(project_id)s AND v.workflow_id = %(workflow_id)s AND d.payload->'key' IS NOT NULL)

-- name: uncertain
-- Mails given to Resend of which nobody knows whether they were taken.
SELECT m.id, m.address, m.position, b.request, s.content AS shared, b.first_attempt_at AS begin
FROM tidings.message m
JOIN tidings.delivery_batch b ON b.project_id = m.project_id AND b.id = m.batch_id
LEFT JOIN tidings.shared_words s ON s.project_id = b.project_id AND s.id = b.shared_id
WHERE m.project_id = %(project_id)s AND m.created_at >= %(begin)s AND m.created_at < %(end)s
  AND b.state = 'uncertain' AND b.provider = 'resend' AND b.first_attempt_at IS NOT NULL
ORDER BY m.id
LIMIT %(limit)s

-- name: known_ids
-- Of some ids of a provider, those that are somebody's already.
SELECT DISTINCT k.id
FROM unnest(%(ids)s::text[]) AS k(id)
JOIN (
    SELECT unnest(b.provider_ids) AS id FROM tidings.delivery_batch b
    WHERE b.project_id = %(project_id)s AND b.provider = 'resend'
) b ON b.id = k.id
