-- name: park
-- Given back until a pause is over.
UPDATE tidings.work SET parked_for = %(pause)s, due_at = %(due_at)s, lease_until = NULL
WHERE project_id = %(project_id)s AND id = %(work_id)s AND attempts = %(attempts)s AND lease_until IS NOT NULL
RETURNING id

-- name: add_parked
-- One piece of work for each chunk of ids, which nobody looks at before its pause is over.
INSERT INTO tidings.work (project_id, kind, ids, due_at, parked_for)
SELECT %(project_id)s, %(kind)s, c.ids::int8[], %(due_at)s, c.pause
FROM unnest(%(chunks)s::text[], %(pauses)s::int8[]) WITH ORDINALITY AS c(ids, pause, number)
ORDER BY c.number

-- name: unpark
-- Work whose pause is gone, so much at a time, what began first coming first. Asked from the side of the pauses, so that it
-- costs nothing where much is parked and must stay.
UPDATE tidings.work w SET parked_for = NULL, due_at = %(now)s, nudged_at = clock_timestamp()
FROM (
    SELECT k.id
    FROM (
        SELECT p.id AS project_id, 0::int8 AS pause FROM tidings.project p
        WHERE p.id = %(project_id)s AND p.paused_at IS NULL
        UNION ALL
        SELECT p.id, f.id FROM tidings.project p
        JOIN tidings.workflow f ON f.project_id = p.id AND f.paused_at IS NULL
        WHERE p.id = %(project_id)s AND p.paused_at IS NULL
    ) gone
    CROSS JOIN LATERAL (
        SELECT k.id, k.kind, k.ids[1] AS first
        FROM tidings.work k
        WHERE k.project_id = gone.project_id AND k.parked_for = gone.pause
        ORDER BY k.kind DESC, k.ids[1], k.id
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) k
    ORDER BY k.kind DESC, k.first, k.id
    LIMIT %(limit)s
) due
WHERE w.project_id = %(project_id)s AND w.id = due.id
RETURNING w.id
