-- name: count_people
-- Adds people to the minute, and returns how many it makes within the hour. The row of the minute stays locked until the
-- transaction ends: who comes next for the same workflow counts on top of it.
WITH added AS (
    INSERT INTO tidings.brake_count AS c (project_id, workflow_id, place, minute, people)
    SELECT %(project_id)s, n.workflow_id, extract(minute FROM %(now)s::timestamptz), date_trunc('minute', %(now)s::timestamptz), n.people
    FROM unnest(%(workflow_ids)s::int8[], %(people)s::int8[]) AS n(workflow_id, people)
    ORDER BY n.workflow_id
    ON CONFLICT (project_id, workflow_id, place) DO UPDATE
    SET people = CASE WHEN c.minute = excluded.minute THEN c.people ELSE 0 END + excluded.people, minute = excluded.minute
    RETURNING workflow_id, minute, people
)
SELECT a.workflow_id, a.people + coalesce(sum(c.people), 0)::int8 AS people
FROM added a
LEFT JOIN tidings.brake_count c
    ON c.project_id = %(project_id)s AND c.workflow_id = a.workflow_id
    AND c.minute > %(now)s::timestamptz - interval '1 hour' AND c.minute < a.minute
GROUP BY a.workflow_id, a.people

-- name: brake
-- Workflows are paused, unless a person let them go since `now`: then it will be looked at afresh.
WITH braked AS (
    UPDATE tidings.workflow w
    SET paused_at = %(now)s, paused_by = 'Tidings', paused_why = b.why, paused_kind = 'burst'
    FROM unnest(%(workflow_ids)s::int8[], %(whys)s::text[]) AS b(id, why)
    WHERE w.project_id = %(project_id)s AND w.id = b.id AND w.paused_at IS NULL
      AND (w.brake_passed_at > %(now)s) IS NOT TRUE
    RETURNING w.id, w.paused_why, w.name
), logged AS (
    INSERT INTO tidings.pause_log (project_id, workflow_id, act, by, why, at)
    SELECT %(project_id)s, b.id, 'burst', 'Tidings', b.paused_why, %(now)s FROM braked b
)
SELECT name, paused_why FROM braked
