-- name: runs
-- The newest runs, of one workflow or all, in one state or any, below a run id; with their messages by status.
WITH versions AS (
    SELECT v.id, v.number, w.name, v.spec->'trigger'->'key' AS item_key
    FROM tidings.workflow_version v
    JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
    WHERE v.project_id = %(project_id)s AND (%(workflow)s = '' OR w.name = %(workflow)s)
), chosen AS (
    SELECT r.id, v.name, v.number, v.item_key, r.state, coalesce(r.reason, '') AS reason, r.at, r.finished_at, r.event_id,
           r.slot, r.item,
           (SELECT min(t.due_at) FROM tidings.run_timer t WHERE t.project_id = r.project_id AND t.run_id = r.id) AS waits_until
    FROM tidings.run r
    JOIN versions v ON v.id = r.version_id
    WHERE r.project_id = %(project_id)s AND (%(state)s = '' OR r.state = %(state)s)
      AND (%(before)s::bigint IS NULL OR r.id < %(before)s)
    ORDER BY r.id DESC
    LIMIT %(limit)s
)
SELECT c.id, c.name AS workflow, c.number AS version, c.state, c.reason, c.at, c.finished_at, c.waits_until, c.slot,
       coalesce(h.relation, '') AS relation, e.key, c.item, c.item_key,
       CASE e.op WHEN 'i' THEN 'insert' WHEN 'u' THEN 'update' WHEN 'd' THEN 'delete' ELSE '' END AS op,
       coalesce((SELECT jsonb_object_agg(s.status, s.messages)
                 FROM (SELECT m.status, count(*) AS messages FROM tidings.message_status m
                       WHERE m.project_id = %(project_id)s AND m.run_id = c.id GROUP BY m.status) s), '{}') AS messages
FROM chosen c
LEFT JOIN tidings.event e ON e.project_id = %(project_id)s AND e.id = c.event_id
LEFT JOIN tidings.hook h ON h.project_id = e.project_id AND h.id = e.hook_id
ORDER BY c.id DESC
