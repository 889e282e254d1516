-- name: patience
-- From here on a condition that takes too long is cancelled and counts as failed; waiting for a lock is no fault of a
-- condition, so that ends earlier and breaks off the claim.
set_config('statement_timeout', '5s', true) || set_config('lock_timeout', '1s', true)

-- name: hooks_at_hand
-- Whose the hooks are, and how the rows of their tables look now.
SELECT h.id, h.project_id,
       coalesce((SELECT jsonb_agg(jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum)
                 FROM pg_namespace n
                 JOIN pg_class c ON c.relnamespace = n.oid
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                 WHERE n.nspname || '.' || c.relname = h.relation AND n.nspname = split_part(h.relation, '.', 1)),
                '[]') AS columns
FROM tidings.hook h
WHERE h.id = ANY(%(hook_ids)s)

-- name: match
-- One version and its events, in one go: a run for each that matches, in capture order, which keeps its event; the work of
-- taking them further; and for the others the clause that failed first, counted. Nothing here goes by the size of a table:
-- every row is fetched by its key, whatever the planner believes of how many there are.
WITH "judged" AS MATERIALIZED (
    SELECT "event"."id", "event"."at", CASE {arms} ELSE 0 END AS "unmet"
    FROM (
        SELECT c.id, c.at, o.new AS new_data, o.old AS old_data,
               CASE o.op WHEN 'i' THEN 'insert' WHEN 'u' THEN 'update' ELSE 'delete' END AS op
        FROM unnest(%(ids)s::int8[], %(ats)s::timestamptz[]) AS c(id, at)
        CROSS JOIN LATERAL (SELECT b.op, b.new, b.old FROM tidings.outbox b WHERE b.id = c.id LIMIT 1) o
    ) AS "event"
    CROSS JOIN LATERAL jsonb_to_record("event".new_data) AS "new"({columns})
    CROSS JOIN LATERAL jsonb_to_record("event".old_data) AS "old"({columns})
), started AS (
    INSERT INTO tidings.run (project_id, version_id, event_id, at, step, step_at, created_at, state)
    SELECT %(project_id)s, %(version_id)s, j.id, j.at, %(step)s, j.at, %(now)s, {state}
    FROM "judged" j
    WHERE j.unmet = 0
    ORDER BY j.id
    RETURNING id, event_id, at, state
), kept AS (
    INSERT INTO tidings.event (project_id, id, hook_id, generation, op, key, new, old, at)
    SELECT %(project_id)s, s.event_id, o.hook_id, o.generation, o.op, o.key, o.new, o.old, s.at
    FROM started s
    CROSS JOIN LATERAL (SELECT * FROM tidings.outbox b WHERE b.id = s.event_id LIMIT 1) o
    ON CONFLICT DO NOTHING
), {rest} owed AS (
    INSERT INTO tidings.work (project_id, kind, ids, due_at, nudged_at)
    SELECT %(project_id)s, 'advance', c.ids, %(now)s, clock_timestamp()
    FROM (
        SELECT array_agg(n.id ORDER BY n.id) AS ids
        FROM (
            SELECT s.id, (row_number() OVER (ORDER BY s.id) - 1) / %(chunk)s AS number
            FROM started s
            WHERE s.state = 'active'
        ) n
        GROUP BY n.number
    ) c
    ORDER BY c.ids[1]
    RETURNING id
), counted AS (
    INSERT INTO tidings.match_count AS m (project_id, version_id, day, seen, matched, not_op, not_becomes, not_before,
                                          not_columns, not_when, failed)
    SELECT %(project_id)s, %(version_id)s, %(day)s, count(*), {counts}, 0
    FROM "judged" j
    HAVING count(*) > 0
    ON CONFLICT (project_id, version_id, day) DO UPDATE
    SET seen = m.seen + excluded.seen, matched = m.matched + excluded.matched, not_op = m.not_op + excluded.not_op,
        not_becomes = m.not_becomes + excluded.not_becomes, not_before = m.not_before + excluded.not_before,
        not_columns = m.not_columns + excluded.not_columns, not_when = m.not_when + excluded.not_when
)
SELECT (SELECT count(*) FROM started), (SELECT coalesce(array_agg(o.id ORDER BY o.id), '{{}}') FROM owed o)

-- name: wait_begins
-- The state of a run whose first step is to wait for a time that is known, unless it is over, or a pause makes it rest.
CASE WHEN j.at + %(wait)s::interval > %(now)s AND NOT EXISTS (
    SELECT FROM tidings.workflow w JOIN tidings.project p ON p.id = w.project_id
    WHERE w.project_id = %(project_id)s AND w.id = %(workflow_id)s AND coalesce(w.paused_at, p.paused_at) IS NOT NULL
) THEN 'waiting' ELSE 'active' END

-- name: wait_goes_on
-- Such a run waits at once: nobody need take it up before it is time.
timers AS (
    INSERT INTO tidings.run_timer (project_id, due_at, run_id)
    SELECT %(project_id)s, s.at + %(wait)s::interval, s.id FROM started s WHERE s.state = 'waiting'
), waits AS (
    INSERT INTO tidings.step_result (project_id, run_id, step, name, status, detail, at)
    SELECT %(project_id)s, s.id, 0, %(wait_name)s, 'waiting',
           jsonb_build_object('until', s.at + %(wait)s::interval), %(now)s
    FROM started s
    WHERE s.state = 'waiting'
),

-- name: keep_unmatched
-- Changes of which nobody knows whether they match: kept for a person, and for a replay.
INSERT INTO tidings.dead_letter (project_id, version_id, event_id, stage, error, payload)
SELECT %(project_id)s, %(version_id)s, o.id, 'match', d.error,
       jsonb_build_object('hook_id', o.hook_id, 'generation', o.generation, 'op', o.op, 'key', o.key, 'new', o.new,
                          'old', o.old, 'at', d.at)
FROM unnest(%(ids)s::int8[], %(ats)s::timestamptz[], %(errors)s::text[]) AS d(id, at, error)
CROSS JOIN LATERAL (SELECT * FROM tidings.outbox b WHERE b.id = d.id LIMIT 1) o

-- name: count_failed
INSERT INTO tidings.match_count AS m (project_id, version_id, day, seen, matched, not_op, not_becomes, not_before, not_columns,
                                      not_when, failed)
VALUES (%(project_id)s, %(version_id)s, %(day)s, %(failed)s, 0, 0, 0, 0, 0, 0, %(failed)s)
ON CONFLICT (project_id, version_id, day) DO UPDATE
SET seen = m.seen + excluded.seen, failed = m.failed + excluded.failed

-- name: load_runs
-- Runs that are under way, with the change that started each; texts stay texts, for the reader's statements. What a
-- person let through or discarded is what had happened until then, whether a run of it was there already or not; but not
-- what a person brought back, nor waits that were not over.
SELECT r.id, r.version_id, r.state, r.step, r.step_at, r.at, e.new::text AS new, e.old::text AS old, r.item::text AS item,
       r.context::text AS context, w.id AS workflow_id,
       CASE WHEN p.paused_at IS NOT NULL THEN 0 WHEN w.paused_at IS NOT NULL THEN w.id END AS paused_for,
       CASE WHEN (r.at > w.brake_passed_at) IS NOT FALSE THEN nullif(coalesce(w.brake_per_hour, p.brake_per_hour), 0) END AS brake,
       CASE WHEN greatest(r.at, r.step_at) <= w.discarded_at AND (r.state = 'active' OR r.created_at >= w.discarded_at)
             AND NOT EXISTS (SELECT FROM tidings.recovered c WHERE c.project_id = r.project_id AND c.event_id = r.event_id)
            THEN w.discarded_by END AS discarded_by
FROM unnest(%(ids)s::int8[]) AS i(id)
CROSS JOIN LATERAL (
    SELECT * FROM tidings.run x WHERE x.project_id = %(project_id)s AND x.id = i.id AND x.finished_at IS NULL LIMIT 1
) r
JOIN tidings.project p ON p.id = r.project_id
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
LEFT JOIN LATERAL (
    SELECT x.new, x.old FROM tidings.event x WHERE x.project_id = r.project_id AND x.id = r.event_id LIMIT 1
) e ON true
ORDER BY r.id

-- name: runs_of_work
-- In place of the ids: those of a piece of work.
(SELECT w.ids FROM tidings.work w WHERE w.project_id = %(project_id)s AND w.id = %(work_id)s AND w.kind = 'advance')

-- name: store_runs
-- Where runs stand now that all came to the same: found by their keys, whatever the planner believes of the table. A
-- context is written where it grew.
UPDATE tidings.run r
SET state = %(state)s, reason = %(reason)s, step = %(step)s, step_at = coalesce(%(step_at)s::timestamptz, r.step_at),
    context = coalesce(%(contexts)s::jsonb -> r.id::text, r.context),
    finished_at = CASE WHEN %(state)s IN ('completed', 'ended', 'failed') THEN %(now)s::timestamptz END
WHERE r.project_id = %(project_id)s AND r.id = ANY(%(ids)s::int8[])

-- name: store_results
-- What steps did, or why they did not; a wait that goes on overwrites what it said.
INSERT INTO tidings.step_result (project_id, run_id, step, name, status, reason, detail, at)
SELECT %(project_id)s, d.run_id, d.step, d.name, d.status, d.reason, d.detail::jsonb, %(now)s
FROM unnest(%(run_id)s::int8[], %(step)s::int2[], %(name)s::text[], %(status)s::text[], %(reason)s::text[],
            %(detail)s::text[]) AS d(run_id, step, name, status, reason, detail)
ON CONFLICT (project_id, run_id, step) DO UPDATE
SET status = excluded.status, reason = excluded.reason, detail = excluded.detail, at = excluded.at

-- name: store_timers
INSERT INTO tidings.run_timer (project_id, due_at, run_id)
SELECT %(project_id)s, t.due_at, t.run_id
FROM unnest(%(due_at)s::timestamptz[], %(run_id)s::int8[]) AS t(due_at, run_id)

-- name: store_failures
-- Runs that can't go on; they keep their change, so that they can be replayed.
INSERT INTO tidings.dead_letter (project_id, version_id, event_id, run_id, stage, error)
SELECT r.project_id, r.version_id, r.event_id, r.id, 'advance', f.error
FROM unnest(%(run_id)s::int8[], %(error)s::text[]) AS f(run_id, error)
CROSS JOIN LATERAL (SELECT * FROM tidings.run x WHERE x.project_id = %(project_id)s AND x.id = f.run_id LIMIT 1) r

-- name: start_items
-- The runs of a slot, in the order of its items.
INSERT INTO tidings.run (project_id, version_id, slot, item, at, step, step_at, created_at)
SELECT %(project_id)s, %(version_id)s, %(slot)s, i.item::jsonb, %(slot)s, %(step)s, %(slot)s, %(now)s
FROM unnest(%(items)s::text[]) WITH ORDINALITY AS i(item, number)
ORDER BY i.number
RETURNING id

-- name: keep_unexpanded
INSERT INTO tidings.dead_letter (project_id, version_id, stage, error, payload)
VALUES (%(project_id)s, %(version_id)s, 'expand', %(error)s, %(slot)s::jsonb)

-- name: release_timers
-- Who has waited long enough goes on, together with others of the same version. Below the floor there is nobody: what was
-- released leaves dead entries in the index, which a long snapshot elsewhere keeps for hours.
WITH due AS (
    DELETE FROM tidings.run_timer t
    WHERE t.ctid = ANY(ARRAY(
        SELECT d.ctid
        FROM tidings.run_timer d
        WHERE d.project_id = %(project_id)s AND d.due_at > %(floor)s::timestamptz AND d.due_at <= %(now)s
        ORDER BY d.due_at, d.run_id
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING t.run_id
), chunks AS (
    SELECT array_agg(n.run_id ORDER BY n.number) AS ids
    FROM (
        SELECT due.run_id, row_number() OVER (ORDER BY r.version_id, due.run_id) - 1 AS number
        FROM due
        CROSS JOIN LATERAL (
            SELECT x.version_id FROM tidings.run x WHERE x.project_id = %(project_id)s AND x.id = due.run_id LIMIT 1
        ) r
    ) n
    GROUP BY n.number / %(chunk)s
)
INSERT INTO tidings.work (project_id, kind, ids, due_at, nudged_at)
SELECT %(project_id)s, 'advance', c.ids, %(now)s, clock_timestamp()
FROM chunks c
RETURNING id, cardinality(ids)

-- name: next_timer
SELECT min(due_at) FROM tidings.run_timer WHERE project_id = %(project_id)s AND due_at > %(now)s

-- name: schedules
-- The versions whose slots count: those live now, and those that a live one followed without a gap.
WITH RECURSIVE lives AS (
    SELECT v.workflow_id, v.id, v.published_at
    FROM tidings.workflow w
    JOIN tidings.workflow_version v ON v.project_id = w.project_id AND v.id = w.live_version_id
    WHERE w.project_id = %(project_id)s AND v.spec->'trigger' ? 'schedule'
    UNION
    SELECT v.workflow_id, v.id, v.published_at
    FROM lives l
    JOIN tidings.workflow_version v
        ON v.project_id = %(project_id)s AND v.workflow_id = l.workflow_id AND v.id < l.id AND v.retired_at = l.published_at
    WHERE v.spec->'trigger' ? 'schedule'
)
SELECT v.id AS version_id, v.workflow_id, w.name, v.spec->'trigger' AS trigger, v.published_at, v.retired_at,
       coalesce(jsonb_typeof(v.compiled->'condition') = 'object', false) AS has_if
FROM lives l
JOIN tidings.workflow_version v ON v.project_id = %(project_id)s AND v.id = l.id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
ORDER BY v.id

-- name: handled_slots
-- How far each workflow's schedule has come.
SELECT w.id, l.at, coalesce(w.paused_at, p.paused_at) IS NOT NULL AS paused
FROM tidings.workflow w
JOIN tidings.project p ON p.id = w.project_id
LEFT JOIN LATERAL (
    SELECT max(s.at) AS at FROM tidings.slot s WHERE s.project_id = w.project_id AND s.workflow_id = w.id
) l ON true
WHERE w.project_id = %(project_id)s AND w.id = ANY(%(workflow_ids)s::int8[])

-- name: take_slots
-- A slot is handled once per workflow; who comes second gets no row.
INSERT INTO tidings.slot (project_id, workflow_id, at, outcome, since)
SELECT %(project_id)s, s.workflow_id, s.at, s.outcome, s.since
FROM unnest(%(workflow_id)s::int8[], %(at)s::timestamptz[], %(outcome)s::text[], %(since)s::timestamptz[])
  AS s(workflow_id, at, outcome, since)
ORDER BY s.workflow_id, s.at
ON CONFLICT DO NOTHING
RETURNING workflow_id, at

-- name: start_slots
-- Schedules without items: one run for each slot.
INSERT INTO tidings.run (project_id, version_id, slot, at, step, step_at, created_at)
SELECT %(project_id)s, s.version_id, s.at, s.at, s.step, s.at, %(now)s
FROM unnest(%(version_id)s::int8[], %(at)s::timestamptz[], %(step)s::int2[]) AS s(version_id, at, step)
ORDER BY s.at
RETURNING id
