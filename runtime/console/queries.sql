-- name: open_questions
SELECT count(*) FROM tidings.approval WHERE project_id = %(project_id)s AND status = 'asked'

-- name: inbox
-- The newest messages of the local inbox below a number, with the workflow each came from; alerts come from none.
SELECT i.message_id, i.channel, i.recipient, i.subject,
       regexp_replace(left(split_part(i.text, E'\n-- \n', 1), 400), '\s+', ' ', 'g') AS excerpt,
       i.delivered_at, coalesce(w.name, 'Tidings') AS workflow
FROM tidings.inbox i
JOIN tidings.message m ON m.project_id = i.project_id AND m.id = i.message_id
LEFT JOIN tidings.run r ON r.project_id = m.project_id AND r.id = m.run_id
LEFT JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
LEFT JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
WHERE i.project_id = %(project_id)s AND (%(before)s::int8 IS NULL OR i.message_id < %(before)s)
ORDER BY i.message_id DESC
LIMIT %(limit)s

-- name: newest
-- What changes when a message arrives; asked every second by each page that is open.
SELECT coalesce(max(message_id), 0) AS newest FROM tidings.inbox WHERE project_id = %(project_id)s

-- name: message
SELECT i.message_id, i.channel, i.sender, i.recipient, i.subject, i.html, i.text, i.headers, i.delivered_at,
       m.run_id < 0 AS is_alert
FROM tidings.inbox i
JOIN tidings.message m ON m.project_id = i.project_id AND m.id = i.message_id
WHERE i.project_id = %(project_id)s AND i.message_id = %(message_id)s
