-- name: hooks_at_hand
-- What is live now, and how the rows of the hooks at hand look. Read after the events were locked: whoever sees an event
-- sees the publish that made its hook, too. From here on a condition that takes too long is cancelled and counts as failed;
-- waiting for a lock is no fault of a condition, so that ends earlier and breaks off the claim.
SELECT h.id, h.project_id, p.live_generation,
       set_config('statement_timeout', '5s', true) || set_config('lock_timeout', '1s', true) AS patience,
       coalesce((SELECT jsonb_agg(jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum)
                 FROM pg_namespace n
                 JOIN pg_class c ON c.relnamespace = n.oid
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                 WHERE n.nspname || '.' || c.relname = h.relation AND n.nspname = split_part(h.relation, '.', 1)),
                '[]') AS columns
FROM tidings.hook h
JOIN tidings.project p ON p.id = %(project_id)s
WHERE h.id = ANY(%(hook_ids)s)

-- name: match
-- One version and its events: runs for those that match, in capture order, and for the others the clause that failed first.
WITH "judged" AS (
    SELECT "event"."id", "event"."at", CASE {arms} ELSE 0 END AS "unmet"
    FROM (
        SELECT c.id, c.at, o.new AS new_data, o.old AS old_data,
               CASE o.op WHEN 'i' THEN 'insert' WHEN 'u' THEN 'update' ELSE 'delete' END AS op
        FROM unnest(%(ids)s::int8[], %(ats)s::timestamptz[]) AS c(id, at)
        JOIN tidings.outbox o ON o.id = c.id
    ) AS "event"
    CROSS JOIN LATERAL jsonb_to_record("event".new_data) AS "new"({columns})
    CROSS JOIN LATERAL jsonb_to_record("event".old_data) AS "old"({columns})
), started AS (
    INSERT INTO tidings.run (project_id, version_id, event_id, at, step, step_at, created_at)
    SELECT %(project_id)s, %(version_id)s, j.id, j.at, %(step)s, j.at, %(now)s
    FROM "judged" j
    WHERE j.unmet = 0
    ORDER BY j.id
    RETURNING id, event_id
)
SELECT 0 AS unmet, s.event_id AS event_id, s.id AS run_id, 1 AS events FROM started s
UNION ALL
SELECT j.unmet, NULL, NULL, count(*) FROM "judged" j WHERE j.unmet > 0 GROUP BY j.unmet

-- name: keep_events
-- Changes that started a run stay with it.
INSERT INTO tidings.event (project_id, id, hook_id, generation, op, key, new, old, at)
SELECT %(project_id)s, o.id, o.hook_id, o.generation, o.op, o.key, o.new, o.old, c.at
FROM unnest(%(ids)s::int8[], %(ats)s::timestamptz[]) AS c(id, at)
JOIN tidings.outbox o ON o.id = c.id

-- name: keep_unmatched
-- Changes of which nobody knows whether they match: kept for a person, and for a replay.
INSERT INTO tidings.dead_letter (project_id, version_id, event_id, stage, error, payload)
SELECT %(project_id)s, d.version_id, o.id, 'match', d.error,
       jsonb_build_object('hook_id', o.hook_id, 'generation', o.generation, 'op', o.op, 'key', o.key, 'new', o.new,
                          'old', o.old, 'at', d.at)
FROM unnest(%(version_ids)s::int8[], %(ids)s::int8[], %(ats)s::timestamptz[], %(errors)s::text[])
  AS d(version_id, id, at, error)
JOIN tidings.outbox o ON o.id = d.id

-- name: count_matches
-- What reached each version today, and what became of it.
INSERT INTO tidings.match_count AS m (project_id, version_id, day, seen, matched, not_op, not_becomes, not_before, not_columns,
                                      not_when, failed)
SELECT %(project_id)s, c.version_id, %(day)s, c.seen, c.matched, c.op, c.becomes, c.before, c.columns, c."when", c.failed
FROM jsonb_to_recordset(%(counts)s::jsonb)
  AS c(version_id int8, seen int8, matched int8, op int8, becomes int8, before int8, columns int8, "when" int8, failed int8)
ON CONFLICT (project_id, version_id, day) DO UPDATE
SET seen = m.seen + excluded.seen, matched = m.matched + excluded.matched, not_op = m.not_op + excluded.not_op,
    not_becomes = m.not_becomes + excluded.not_becomes, not_before = m.not_before + excluded.not_before,
    not_columns = m.not_columns + excluded.not_columns, not_when = m.not_when + excluded.not_when,
    failed = m.failed + excluded.failed

-- name: load_runs
-- Runs that are under way, with the change that started each; texts stay texts, for the reader's statements.
SELECT r.id, r.version_id, r.state, r.step, r.step_at, r.at, e.new::text AS new, e.old::text AS old, r.item::text AS item,
       r.context::text AS context, w.paused_at IS NOT NULL AS paused
FROM tidings.run r
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
LEFT JOIN tidings.event e ON e.project_id = r.project_id AND e.id = r.event_id
WHERE r.project_id = %(project_id)s AND r.id = ANY(%(ids)s::int8[]) AND r.finished_at IS NULL
ORDER BY r.id

-- name: store_runs
-- Where runs stand now. The context is written where it grew.
UPDATE tidings.run r
SET state = d.state, reason = d.reason, step = d.step, step_at = d.step_at, context = coalesce(d.context::jsonb, r.context),
    finished_at = CASE WHEN d.state IN ('completed', 'ended', 'failed') THEN %(now)s::timestamptz END
FROM unnest(%(id)s::int8[], %(state)s::text[], %(reason)s::text[], %(step)s::int2[], %(step_at)s::timestamptz[],
            %(context)s::text[]) AS d(id, state, reason, step, step_at, context)
WHERE r.project_id = %(project_id)s AND r.id = d.id

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
JOIN tidings.run r ON r.project_id = %(project_id)s AND r.id = f.run_id

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
-- Who has waited long enough goes on, together with others of the same version.
WITH due AS (
    DELETE FROM tidings.run_timer t
    USING (
        SELECT d.due_at, d.run_id
        FROM tidings.run_timer d
        WHERE d.project_id = %(project_id)s AND d.due_at <= %(now)s
        ORDER BY d.due_at, d.run_id
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) d
    WHERE t.project_id = %(project_id)s AND t.due_at = d.due_at AND t.run_id = d.run_id
    RETURNING t.run_id
), chunks AS (
    SELECT array_agg(n.run_id ORDER BY n.number) AS ids
    FROM (
        SELECT due.run_id, row_number() OVER (ORDER BY r.version_id, due.run_id) - 1 AS number
        FROM due
        JOIN tidings.run r ON r.project_id = %(project_id)s AND r.id = due.run_id
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
SELECT w.id, l.at, w.paused_at IS NOT NULL AS paused
FROM tidings.workflow w
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
