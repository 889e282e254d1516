-- name: newest_message
SELECT max(message_id) FROM tidings.inbox WHERE project_id = %(project_id)s HAVING max(message_id) IS NOT NULL

-- name: next_message
-- A workflow's first message after another one, and how long it took from the row's change.
SELECT i.message_id AS id, i.subject, i.recipient,
       greatest(0, extract(epoch FROM i.delivered_at - r.at) * 1000)::int AS milliseconds
FROM tidings.inbox i
JOIN tidings.message m ON m.project_id = i.project_id AND m.id = i.message_id
JOIN tidings.run r ON r.project_id = m.project_id AND r.id = m.run_id
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
WHERE i.project_id = %(project_id)s AND i.message_id > %(after)s AND w.name = %(workflow)s
ORDER BY i.message_id
LIMIT 1

-- name: newest_timer
SELECT due_at FROM tidings.run_timer WHERE project_id = %(project_id)s ORDER BY run_id DESC LIMIT 1
