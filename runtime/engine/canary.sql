-- name: switch_on
INSERT INTO tidings.watch AS w (project_id, canary_since, canary_hook_id) VALUES (%(project_id)s, clock_timestamp(), %(hook_id)s)
ON CONFLICT (project_id) DO UPDATE
SET canary_since = coalesce(w.canary_since, excluded.canary_since), canary_hook_id = excluded.canary_hook_id

-- name: switch_off
UPDATE tidings.watch SET canary_since = NULL WHERE project_id = %(project_id)s

-- name: reload
-- Claimers read anew which hook is the canary's.
UPDATE tidings.project SET live_generation = live_generation + 1 WHERE id = %(project_id)s

-- name: hook_of
SELECT canary_hook_id FROM tidings.watch WHERE project_id = %(project_id)s

-- name: write
-- One a minute; while none comes through, one in five: it may have been the canary that was lost.
INSERT INTO tidings.canary (project_id)
SELECT w.project_id
FROM tidings.watch w
LEFT JOIN LATERAL (
    SELECT c.written_at, c.performed_at FROM tidings.canary c WHERE c.project_id = w.project_id ORDER BY c.id DESC LIMIT 1
) last ON true
WHERE w.project_id = %(project_id)s AND w.canary_since IS NOT NULL
  AND (last.written_at IS NULL
       OR last.written_at < clock_timestamp() - CASE WHEN last.performed_at IS NULL THEN 5 ELSE 1 END * interval '1 minute')

-- name: forget
DELETE FROM tidings.canary WHERE project_id = %(project_id)s AND written_at < clock_timestamp() - interval '1 day'

-- name: claimed
-- By the keys in the changes that are being claimed.
UPDATE tidings.canary c SET claimed_at = clock_timestamp()
FROM tidings.outbox o
WHERE o.id = ANY(%(event_ids)s::int8[]) AND c.project_id = %(project_id)s AND c.id = (o.key->>'id')::int8
RETURNING c.id

-- name: performed
UPDATE tidings.canary SET performed_at = clock_timestamp()
WHERE project_id = %(project_id)s AND id = ANY(%(ids)s::int8[]) AND performed_at IS NULL
