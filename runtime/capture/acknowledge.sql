-- name: unseen
-- What was missed of each table, or is known by key only, and that nobody has acknowledged.
SELECT h.id AS hook_id, h.relation, greatest(m.missed - coalesce(a.missed, 0), 0)::int8 AS missed, coalesce(k.ids, '{}') AS key_ids
FROM tidings.hook h
CROSS JOIN LATERAL (
    SELECT coalesce(pg_sequence_last_value(to_regclass('tidings.missed_' || h.id)), 0)::int8 AS missed) m
LEFT JOIN LATERAL (
    SELECT sum(c.missed) AS missed FROM tidings.acknowledgement c WHERE c.project_id = h.project_id AND c.hook_id = h.id) a ON true
LEFT JOIN LATERAL (
    SELECT array_agg(o.id ORDER BY o.id) AS ids FROM tidings.outbox_key o
    WHERE o.hook_id = h.id AND o.handled_at IS NULL AND o.acknowledged_at IS NULL) k ON true
WHERE h.project_id = %(project_id)s AND (%(relation)s::text IS NULL OR h.relation = %(relation)s)
  AND (m.missed > coalesce(a.missed, 0) OR k.ids IS NOT NULL)
ORDER BY h.relation

-- name: hooks
SELECT relation FROM tidings.hook WHERE project_id = %(project_id)s ORDER BY relation

-- name: one_at_a_time
-- Two people at once must not acknowledge a miss twice: the next one would go unseen.
SELECT id FROM tidings.hook WHERE project_id = %(project_id)s ORDER BY id FOR NO KEY UPDATE

-- name: acknowledge
-- Exactly what was shown: what is missed meanwhile stays unseen.
WITH keys AS (
    UPDATE tidings.outbox_key o SET acknowledged_at = clock_timestamp()
    WHERE o.hook_id = %(hook_id)s AND o.id = ANY(%(key_ids)s::int8[]) AND o.acknowledged_at IS NULL
    RETURNING o.id
)
INSERT INTO tidings.acknowledgement (project_id, hook_id, missed, keys_only, seen_by, at, note)
VALUES (%(project_id)s, %(hook_id)s, %(missed)s, (SELECT count(*) FROM keys), %(by)s, %(now)s, %(note)s)

-- name: list
-- What was acknowledged, the newest first.
SELECT h.relation, a.missed, a.keys_only, a.seen_by AS by, a.at, a.note
FROM tidings.acknowledgement a
JOIN tidings.hook h ON h.project_id = a.project_id AND h.id = a.hook_id
WHERE a.project_id = %(project_id)s
ORDER BY a.id DESC
LIMIT %(limit)s
