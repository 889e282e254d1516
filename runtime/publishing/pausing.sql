-- name: pauses
-- What is paused now: everything first, then the workflows by name.
SELECT '' AS workflow, 'person' AS kind, p.paused_at AS at, coalesce(p.paused_by, '') AS by, p.paused_why AS why
FROM tidings.project p
WHERE p.id = %(project_id)s AND p.paused_at IS NOT NULL
UNION ALL
SELECT w.name, w.paused_kind, w.paused_at, coalesce(w.paused_by, ''), w.paused_why
FROM tidings.workflow w
WHERE w.project_id = %(project_id)s AND w.paused_at IS NOT NULL
ORDER BY 1

-- name: pause_workflow
-- The first pause stays. No row: it is paused already, or there is no such workflow.
UPDATE tidings.workflow SET paused_at = %(now)s, paused_by = %(by)s, paused_why = %(why)s, paused_kind = 'person'
WHERE project_id = %(project_id)s AND name = %(name)s AND paused_at IS NULL
RETURNING id

-- name: pause_everything
UPDATE tidings.project SET paused_at = %(now)s, paused_by = %(by)s, paused_why = %(why)s
WHERE id = %(project_id)s AND paused_at IS NULL
RETURNING NULL::int8 AS id

-- name: targets
-- The workflows that a resume is about: the one that is named, or all that are not paused by themselves.
SELECT w.id FROM tidings.workflow w
WHERE w.project_id = %(project_id)s
  AND CASE WHEN %(name)s::text IS NULL THEN w.paused_at IS NULL ELSE w.name = %(name)s END

-- name: lift_workflow
-- What happened until now goes on without being counted by the brake: a person let it go, unless they discarded it.
UPDATE tidings.workflow
SET paused_at = NULL, paused_by = NULL, paused_why = '', paused_kind = 'person',
    brake_passed_at = CASE WHEN %(discard)s THEN brake_passed_at ELSE %(now)s END
WHERE project_id = %(project_id)s AND name = %(name)s AND paused_at IS NOT NULL
RETURNING id

-- name: lift_everything
-- Workflows that are paused by themselves stay so.
WITH lifted AS (
    UPDATE tidings.project SET paused_at = NULL, paused_by = NULL, paused_why = ''
    WHERE id = %(project_id)s AND paused_at IS NOT NULL
    RETURNING id
), passed AS (
    UPDATE tidings.workflow w SET brake_passed_at = %(now)s
    FROM lifted l
    WHERE w.project_id = l.id AND w.paused_at IS NULL AND NOT %(discard)s
)
SELECT NULL::int8 AS id FROM lifted

-- name: count_anew
-- A person has looked: the hour of the brake begins again.
DELETE FROM tidings.brake_count WHERE project_id = %(project_id)s AND workflow_id = ANY(%(workflow_ids)s::int8[])

-- name: discard
-- Whatever happened until now and still waits shall tell nobody: who comes across it later ends it.
UPDATE tidings.workflow SET discarded_at = %(now)s, discarded_by = %(by)s
WHERE project_id = %(project_id)s AND id = ANY(%(workflow_ids)s::int8[])

-- name: log
INSERT INTO tidings.pause_log (project_id, workflow_id, act, by, why, detail, at)
VALUES (%(project_id)s, %(workflow_id)s, %(act)s, %(by)s, %(why)s, %(detail)s, %(now)s)

-- name: brakes
-- How many people each workflow may tell within an hour, and how many it told within the last one.
SELECT '' AS workflow, nullif(p.brake_per_hour, 0) AS per_hour, false AS own, NULL::int8 AS told
FROM tidings.project p
WHERE p.id = %(project_id)s
UNION ALL
SELECT w.name, nullif(coalesce(w.brake_per_hour, p.brake_per_hour), 0), w.brake_per_hour IS NOT NULL,
       (SELECT coalesce(sum(c.people), 0)::int8 FROM tidings.brake_count c
        WHERE c.project_id = w.project_id AND c.workflow_id = w.id AND c.minute > %(now)s::timestamptz - interval '1 hour')
FROM tidings.workflow w
JOIN tidings.project p ON p.id = w.project_id
WHERE w.project_id = %(project_id)s
ORDER BY 1

-- name: set_workflow_brake
UPDATE tidings.workflow SET brake_per_hour = %(per_hour)s WHERE project_id = %(project_id)s AND name = %(name)s RETURNING id

-- name: set_project_brake
UPDATE tidings.project SET brake_per_hour = %(per_hour)s WHERE id = %(project_id)s RETURNING NULL::int8 AS id
