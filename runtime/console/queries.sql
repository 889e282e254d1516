-- name: inbox
-- The newest messages of the local inbox, with the workflow each came from.
SELECT i.message_id, i.channel, i.recipient, i.subject, left(i.text, 160) AS excerpt, i.delivered_at, w.name AS workflow
FROM tidings.inbox i
JOIN tidings.message m ON m.project_id = i.project_id AND m.id = i.message_id
JOIN tidings.run r ON r.project_id = m.project_id AND r.id = m.run_id
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
WHERE i.project_id = %(project_id)s
ORDER BY i.message_id DESC
LIMIT %(limit)s

-- name: inbox_state
-- What changes when a message arrives.
SELECT coalesce(max(message_id), 0) AS newest, count(*) AS messages
FROM tidings.inbox
WHERE project_id = %(project_id)s

-- name: inbox_message
SELECT i.message_id, i.channel, i.sender, i.recipient, i.subject, i.html, i.text, i.headers, i.delivered_at
FROM tidings.inbox i
WHERE i.project_id = %(project_id)s AND i.message_id = %(message_id)s

-- name: runs
-- The newest runs, with what each is doing or how it ended.
SELECT r.id, w.name AS workflow, v.number AS version, r.state, r.reason, r.at, r.step, r.finished_at, t.due_at,
       e.op::text AS op, e.key, h.relation,
       (SELECT count(*) FROM tidings.message m WHERE m.project_id = r.project_id AND m.run_id = r.id) AS messages
FROM tidings.run r
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
LEFT JOIN tidings.run_timer t ON t.project_id = r.project_id AND t.run_id = r.id
LEFT JOIN tidings.event e ON e.project_id = r.project_id AND e.id = r.event_id
LEFT JOIN tidings.hook h ON h.project_id = e.project_id AND h.id = e.hook_id
WHERE r.project_id = %(project_id)s AND (%(workflow)s::text IS NULL OR w.name = %(workflow)s)
ORDER BY r.id DESC
LIMIT %(limit)s
