-- name: alone
-- Two persons who repair at the same time do so one after the other.
SELECT pg_advisory_xact_lock(hashtext('tidings.reconcile'), %(project_id)s)

-- name: put_back
-- Changes as hooks would have captured them; they leave the outbox in the same transaction, with their runs.
INSERT INTO tidings.outbox (hook_id, generation, op, key, new, captured_at)
SELECT %(hook_id)s, c.generation, c.op::"char", c.key::jsonb, c.new::jsonb, clock_timestamp()
FROM unnest(%(generations)s::int4[], %(ops)s::text[], %(keys)s::text[], %(news)s::text[])
  WITH ORDINALITY AS c(generation, op, key, new, number)
ORDER BY c.number
RETURNING id

-- name: remember
-- Those that started a run.
INSERT INTO tidings.recovered (project_id, event_id, how, by, at)
SELECT e.project_id, e.id, %(how)s, %(by)s, %(now)s
FROM unnest(%(event_ids)s::int8[]) AS c(id)
JOIN tidings.event e ON e.project_id = %(project_id)s AND e.id = c.id

-- name: ask_for_nudges
-- Nobody here can nudge: the sweeper shall do so at its next round.
UPDATE tidings.work SET nudged_at = NULL WHERE project_id = %(project_id)s AND id = ANY(%(work_ids)s::int8[])

-- name: lock_keys
-- Those that nobody has made up for meanwhile.
SELECT k.id FROM tidings.outbox_key k WHERE k.id = ANY(%(ids)s::int8[]) AND k.handled_at IS NULL ORDER BY k.id FOR UPDATE

-- name: handle_keys
UPDATE tidings.outbox_key SET handled_at = clock_timestamp() WHERE id = ANY(%(ids)s::int8[])

-- name: return_events
-- Changes whose runs are gone are captured again: what matched then is matched anew, by the versions of that time.
WITH lost AS (
    SELECT e.id
    FROM tidings.event e
    WHERE e.project_id = %(project_id)s AND e.at >= %(begin)s AND e.at < %(end)s
      AND NOT EXISTS (SELECT FROM tidings.run r WHERE r.project_id = e.project_id AND r.event_id = e.id)
    ORDER BY e.id
    LIMIT %(limit)s
    FOR UPDATE
), gone AS (
    DELETE FROM tidings.event e USING lost l WHERE e.project_id = %(project_id)s AND e.id = l.id
    RETURNING e.*
), back AS (
    INSERT INTO tidings.outbox (hook_id, generation, op, key, new, old, captured_at)
    SELECT g.hook_id, g.generation, g.op, g.key, g.new, g.old, g.at - %(shift)s FROM gone g ORDER BY g.id
    RETURNING id
)
INSERT INTO tidings.recovered (project_id, event_id, how, by, at)
SELECT %(project_id)s, b.id, 'event', %(by)s, %(now)s FROM back b
RETURNING event_id

-- name: revive_runs
-- Runs under way that have neither work nor timer get work; who waits is asked again until when.
WITH stuck AS (
    SELECT r.id, row_number() OVER (ORDER BY r.version_id, r.id) - 1 AS number
    FROM tidings.run r
    JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
    JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
    LEFT JOIN (
        SELECT DISTINCT unnest(k.ids) AS run_id FROM tidings.work k WHERE k.project_id = %(project_id)s AND k.kind = 'advance'
    ) o ON o.run_id = r.id
    LEFT JOIN tidings.run_timer t ON t.project_id = r.project_id AND t.run_id = r.id
    WHERE r.project_id = %(project_id)s AND r.created_at >= %(begin)s AND r.created_at < %(end)s
      AND r.finished_at IS NULL AND o.run_id IS NULL AND t.run_id IS NULL
      AND (%(workflow)s::text IS NULL OR w.name = %(workflow)s)
)
INSERT INTO tidings.work (project_id, kind, ids, due_at)
SELECT %(project_id)s, 'advance', array_agg(s.id ORDER BY s.number), %(now)s FROM stuck s GROUP BY s.number / %(chunk)s
RETURNING cardinality(ids)

-- name: revive_batches
-- Requests that are not finished and have no work get work; one in doubt is sent again only where the provider is sure to
-- take it once.
WITH stranded AS (
    SELECT b.id, CASE WHEN b.shared_id IS NULL THEN 'deliver' ELSE 'deliver_shared' END AS kind, b.provider,
           row_number() OVER (PARTITION BY b.shared_id IS NULL, b.provider ORDER BY b.id) - 1 AS number
    FROM tidings.delivery_batch b
    LEFT JOIN (
        SELECT DISTINCT unnest(k.ids) AS batch_id FROM tidings.work k
        WHERE k.project_id = %(project_id)s AND k.kind LIKE 'deliver%%'
    ) o ON o.batch_id = b.id
    WHERE b.project_id = %(project_id)s AND b.created_at >= %(begin)s AND b.created_at < %(end)s
      AND b.finished_at IS NULL AND o.batch_id IS NULL
)
INSERT INTO tidings.work (project_id, kind, ids, due_at)
SELECT %(project_id)s, s.kind, array_agg(s.id ORDER BY s.number), %(now)s
FROM stranded s
GROUP BY s.kind, s.provider, s.number / %(chunk)s
RETURNING cardinality(ids)
