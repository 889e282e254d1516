-- name: lease
-- Take work that nobody holds; a lease that ran out is nobody's. Counting attempts up shuts out whoever held it before.
-- A lease of advancing runs need not survive a crash of the server: whatever its holder writes, they write in the one
-- transaction that removes the work, so that of two holders one writes nothing. A delivery leaves the machine.
-- A lease that ran out was neither finished nor given back: whoever had it died.
WITH leased AS (
    UPDATE tidings.work
    SET lease_until = clock_timestamp() + %(lease)s, attempts = attempts + 1, deaths = deaths + (lease_until IS NOT NULL)::int
    WHERE project_id = %(project_id)s AND id = %(work_id)s
      AND (lease_until IS NULL OR lease_until < clock_timestamp())
      AND (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s::text[]))
    RETURNING id, kind, ids, slot, attempts, deaths
)
SELECT * FROM leased WHERE kind <> 'advance' OR set_config('synchronous_commit', 'off', true) = 'off'

-- name: give_back
-- The lease is given back as if it had never been taken.
UPDATE tidings.work SET lease_until = NULL, attempts = attempts - 1
WHERE project_id = %(project_id)s AND id = %(work_id)s AND attempts = %(attempts)s
RETURNING id

-- name: keep
-- The fence and a longer lease in one.
UPDATE tidings.work SET lease_until = greatest(lease_until, clock_timestamp() + %(lease)s)
WHERE project_id = %(project_id)s AND id = %(work_id)s AND attempts = %(attempts)s AND lease_until IS NOT NULL
RETURNING id

-- name: finish
-- Done.
DELETE FROM tidings.work
WHERE project_id = %(project_id)s AND id = %(work_id)s AND attempts = %(attempts)s AND lease_until IS NOT NULL
RETURNING id

-- name: postpone
-- Given back until it is due; the sweeper may nudge it then.
UPDATE tidings.work SET due_at = %(due_at)s, lease_until = NULL, nudged_at = NULL
WHERE project_id = %(project_id)s AND id = %(work_id)s AND attempts = %(attempts)s AND lease_until IS NOT NULL
RETURNING id

-- name: add
-- One piece of work for each chunk of ids, numbered in their order. Who adds it nudges: the sweeper need not, for a while.
INSERT INTO tidings.work (project_id, kind, ids, due_at, slot, nudged_at)
SELECT %(project_id)s, %(kind)s, c.ids::int8[], %(due_at)s, %(slot)s, clock_timestamp()
FROM unnest(%(chunks)s::text[]) WITH ORDINALITY AS c(ids, number)
ORDER BY c.number
RETURNING id

-- name: due
-- What is owed and nobody holds.
SELECT id
FROM tidings.work
WHERE project_id = %(project_id)s AND due_at <= %(now)s AND (lease_until IS NULL OR lease_until < clock_timestamp())
ORDER BY due_at, id
LIMIT %(limit)s

-- name: nudge
-- The same, but not what was nudged just before: its nudge may still wait for a worker. Below the floor there is nothing:
-- work that was done leaves dead entries in the index, which a long snapshot elsewhere keeps for hours.
UPDATE tidings.work w SET nudged_at = clock_timestamp()
WHERE w.project_id = %(project_id)s AND w.id = ANY(ARRAY(
    SELECT id
    FROM tidings.work
    WHERE project_id = %(project_id)s AND due_at > %(floor)s::timestamptz AND due_at <= %(now)s
      AND (lease_until IS NULL OR lease_until < clock_timestamp())
      AND (nudged_at IS NULL OR nudged_at < clock_timestamp() - %(patience)s)
    ORDER BY due_at, id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
))
RETURNING w.id

-- name: longest_owed
SELECT min(due_at) FROM tidings.work WHERE project_id = %(project_id)s AND due_at <= %(now)s

-- name: next_due
SELECT min(due_at) FROM tidings.work WHERE project_id = %(project_id)s AND due_at > %(now)s
