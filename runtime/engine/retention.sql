-- Each stage looks at the next rows by their ids and does what may be done. It says how many it looked at and how many of
-- those were old enough, the last of them, the first that it had to leave, how many it did, and the last of those.

-- name: read_times
SELECT keep_payloads AS payloads, keep_messages AS messages, keep_counts AS counts
FROM tidings.project WHERE id = %(project_id)s

-- name: write_times
UPDATE tidings.project
SET keep_payloads = %(payloads)s, keep_messages = %(messages)s, keep_counts = %(counts)s
WHERE id = %(project_id)s
RETURNING id

-- name: begin_anew
UPDATE tidings.upkeep SET reached = 0, behind = NULL, rested_at = NULL
WHERE project_id = %(project_id)s AND stage = ANY(%(stages)s)

-- name: prepare_stages
INSERT INTO tidings.upkeep (project_id, stage)
SELECT %(project_id)s, s.stage FROM unnest(%(stages)s::text[]) AS s(stage)
ON CONFLICT DO NOTHING

-- name: open_stages
-- Those that have not come to their end, or did so a while ago.
SELECT stage FROM tidings.upkeep
WHERE project_id = %(project_id)s AND stage = ANY(%(stages)s)
  AND (rested_at IS NULL OR rested_at < clock_timestamp() - %(rest)s::interval)

-- name: take_stage
-- Waits for nobody: whoever holds it is doing it. What must not wait long for a lock is no reason to hold others up.
SELECT reached, behind, set_config('lock_timeout', '500ms', true), set_config('statement_timeout', '10s', true),
       set_config('enable_seqscan', 'off', true)  -- every statement goes from a few ids to their rows
FROM tidings.upkeep WHERE project_id = %(project_id)s AND stage = %(stage)s FOR UPDATE SKIP LOCKED

-- name: leave_stage
UPDATE tidings.upkeep
SET reached = %(reached)s, behind = %(behind)s, removed = greatest(removed, %(removed)s), done = done + %(done)s,
    horizon = CASE WHEN %(done)s > 0 THEN greatest(horizon, %(before)s) ELSE horizon END,
    rested_at = CASE WHEN %(rests)s THEN clock_timestamp() END
WHERE project_id = %(project_id)s AND stage = %(stage)s

-- name: blank_events
-- The rows of changes, when every run that they started is over and nobody can want to replay them.
WITH seen AS MATERIALIZED (
    SELECT e.id, e.at < %(before)s
                 AND NOT EXISTS (SELECT FROM tidings.run r
                                 WHERE r.project_id = e.project_id AND r.event_id = e.id AND r.finished_at IS NULL)
                 AND NOT EXISTS (SELECT FROM tidings.dead_letter d
                                 WHERE d.project_id = e.project_id AND d.event_id = e.id AND d.replayed_at IS NULL) AS ready
    FROM tidings.event e
    WHERE e.project_id = %(project_id)s AND e.id > %(after)s
    ORDER BY e.id LIMIT %(limit)s
), done AS (
    UPDATE tidings.event e SET new = NULL, old = NULL
    FROM seen s
    WHERE s.ready AND e.project_id = %(project_id)s AND e.id = s.id AND (e.new IS NOT NULL OR e.old IS NOT NULL)
    RETURNING e.id
)
SELECT count(*) AS seen, count(*) FILTER (WHERE ready) AS ready, max(id) AS last, min(id) FILTER (WHERE NOT ready) AS behind,
       (SELECT count(*) FROM done) AS done, (SELECT max(id) FROM done) AS removed
FROM seen

-- name: blank_runs
-- What queries gave to runs that are over, and of a schedule's item all but its key.
WITH seen AS MATERIALIZED (
    SELECT r.id, r.version_id, coalesce(r.finished_at < %(before)s, false) AS ready
    FROM tidings.run r
    WHERE r.project_id = %(project_id)s AND r.id > %(after)s
    ORDER BY r.id LIMIT %(limit)s
), keys AS (
    SELECT s.id, ARRAY(SELECT jsonb_array_elements_text(
                           CASE jsonb_typeof(v.spec->'trigger'->'key') WHEN 'array' THEN v.spec->'trigger'->'key' END)) AS names
    FROM seen s
    JOIN tidings.workflow_version v ON v.project_id = %(project_id)s AND v.id = s.version_id
    WHERE s.ready
), done AS (
    UPDATE tidings.run r
    SET context = '{}',
        item = (SELECT jsonb_object_agg(i.key, i.value) FROM jsonb_each(r.item) i WHERE i.key = ANY(k.names))
    FROM keys k
    WHERE r.project_id = %(project_id)s AND r.id = k.id
      AND (r.context <> '{}' OR EXISTS (SELECT FROM jsonb_each(r.item) i WHERE i.key <> ALL(k.names)))
    RETURNING r.id
)
SELECT count(*) AS seen, count(*) FILTER (WHERE ready) AS ready, max(id) AS last, min(id) FILTER (WHERE NOT ready) AS behind,
       (SELECT count(*) FROM done) AS done, (SELECT max(id) FROM done) AS removed
FROM seen

-- name: blank_requests
-- The texts of requests that are finished.
WITH seen AS MATERIALIZED (
    SELECT b.id, coalesce(b.finished_at < %(before)s, false) AS ready
    FROM tidings.delivery_batch b
    WHERE b.project_id = %(project_id)s AND b.id > %(after)s
    ORDER BY b.id LIMIT %(limit)s
), done AS (
    UPDATE tidings.delivery_batch b SET request = '{}', shared_id = NULL
    FROM seen s
    WHERE s.ready AND b.project_id = %(project_id)s AND b.id = s.id AND b.request <> '{}'
    RETURNING b.id
)
SELECT count(*) AS seen, count(*) FILTER (WHERE ready) AS ready, max(id) AS last, min(id) FILTER (WHERE NOT ready) AS behind,
       (SELECT count(*) FROM done) AS done, (SELECT max(id) FROM done) AS removed
FROM seen

-- name: drop_shared
-- The words that many requests had in common, when none has them any more.
WITH seen AS MATERIALIZED (
    SELECT w.id, w.created_at < %(before)s
                 AND NOT EXISTS (SELECT FROM tidings.delivery_batch b
                                 WHERE b.project_id = w.project_id AND b.shared_id = w.id) AS ready
    FROM tidings.shared_words w
    WHERE w.project_id = %(project_id)s AND w.id > %(after)s
    ORDER BY w.id LIMIT %(limit)s
), done AS (
    DELETE FROM tidings.shared_words w USING seen s
    WHERE s.ready AND w.project_id = %(project_id)s AND w.id = s.id
    RETURNING w.id
)
SELECT count(*) AS seen, count(*) FILTER (WHERE ready) AS ready, max(id) AS last, min(id) FILTER (WHERE NOT ready) AS behind,
       (SELECT count(*) FROM done) AS done, (SELECT max(id) FROM done) AS removed
FROM seen

-- name: drop_inbox
WITH seen AS MATERIALIZED (
    SELECT i.message_id AS id, i.delivered_at < %(before)s AS ready
    FROM tidings.inbox i
    WHERE i.project_id = %(project_id)s AND i.message_id > %(after)s
    ORDER BY i.message_id LIMIT %(limit)s
), done AS (
    DELETE FROM tidings.inbox i USING seen s
    WHERE s.ready AND i.project_id = %(project_id)s AND i.message_id = s.id
    RETURNING i.message_id AS id
)
SELECT count(*) AS seen, count(*) FILTER (WHERE ready) AS ready, max(id) AS last, min(id) FILTER (WHERE NOT ready) AS behind,
       (SELECT count(*) FROM done) AS done, (SELECT max(id) FROM done) AS removed
FROM seen

-- name: blank_dead_letters
-- Those that were replayed. The others keep their change for as long as messages are kept.
WITH seen AS MATERIALIZED (
    SELECT d.id, d.at < %(before)s AND d.replayed_at IS NOT NULL AS ready
    FROM tidings.dead_letter d
    WHERE d.project_id = %(project_id)s AND d.id > %(after)s
    ORDER BY d.id LIMIT %(limit)s
), done AS (
    UPDATE tidings.dead_letter d SET payload = d.payload - '{new,old}'::text[]
    FROM seen s
    WHERE s.ready AND d.project_id = %(project_id)s AND d.id = s.id AND d.payload ?| '{new,old}'
    RETURNING d.id
)
SELECT count(*) AS seen, count(*) FILTER (WHERE ready) AS ready, max(id) AS last, min(id) FILTER (WHERE NOT ready) AS behind,
       (SELECT count(*) FROM done) AS done, (SELECT max(id) FROM done) AS removed
FROM seen

-- name: drop_messages
-- Messages with what providers said of them; not those of a run or of a request that is under way, and none that is not
-- counted yet.
WITH counted AS MATERIALIZED (
    SELECT coalesce(max(u.reached) FILTER (WHERE u.stage = 'count_message'), 0) AS messages,
           coalesce(max(u.reached) FILTER (WHERE u.stage = 'count_delivery_batch'), 0) AS batches,
           coalesce(max(u.reached) FILTER (WHERE u.stage = 'count_delivery_event'), 0) AS events
    FROM tidings.upkeep u WHERE u.project_id = %(project_id)s
), seen AS MATERIALIZED (
    SELECT m.id, m.created_at < %(before)s AND m.id <= c.messages
                 AND (m.batch_id IS NULL OR m.batch_id <= c.batches)
                 AND NOT EXISTS (SELECT FROM tidings.open_batch o WHERE o.project_id = m.project_id AND o.batch_id = m.batch_id)
                 AND NOT EXISTS (SELECT FROM tidings.run r
                                 WHERE r.project_id = m.project_id AND r.id = m.run_id AND r.finished_at IS NULL)
                 AND NOT EXISTS (SELECT FROM tidings.delivery_event e
                                 WHERE e.project_id = m.project_id AND e.message_id = m.id AND e.id > c.events) AS ready
    FROM tidings.message m, counted c
    WHERE m.project_id = %(project_id)s AND m.id > %(after)s
    ORDER BY m.id LIMIT %(limit)s
), done AS (
    DELETE FROM tidings.message m USING seen s
    WHERE s.ready AND m.project_id = %(project_id)s AND m.id = s.id
    RETURNING m.id
), events AS (
    DELETE FROM tidings.delivery_event e USING seen s WHERE s.ready AND e.project_id = %(project_id)s AND e.message_id = s.id
), texts AS (
    DELETE FROM tidings.inbox i USING seen s WHERE s.ready AND i.project_id = %(project_id)s AND i.message_id = s.id
)
SELECT count(*) AS seen, count(*) FILTER (WHERE ready) AS ready, max(id) AS last, min(id) FILTER (WHERE NOT ready) AS behind,
       (SELECT count(*) FROM done) AS done, (SELECT max(id) FROM done) AS removed
FROM seen

-- name: drop_requests
WITH seen AS MATERIALIZED (
    SELECT b.id, coalesce(b.finished_at < %(before)s, false)
                 AND b.id <= coalesce((SELECT u.reached FROM tidings.upkeep u
                                       WHERE u.project_id = b.project_id AND u.stage = 'count_delivery_batch'), 0)
                 AND NOT EXISTS (SELECT FROM tidings.open_batch o WHERE o.project_id = b.project_id AND o.batch_id = b.id)
                 AND NOT EXISTS (SELECT FROM tidings.message m WHERE m.project_id = b.project_id AND m.batch_id = b.id) AS ready
    FROM tidings.delivery_batch b
    WHERE b.project_id = %(project_id)s AND b.id > %(after)s
    ORDER BY b.id LIMIT %(limit)s
), done AS (
    DELETE FROM tidings.delivery_batch b USING seen s
    WHERE s.ready AND b.project_id = %(project_id)s AND b.id = s.id
    RETURNING b.id
)
SELECT count(*) AS seen, count(*) FILTER (WHERE ready) AS ready, max(id) AS last, min(id) FILTER (WHERE NOT ready) AS behind,
       (SELECT count(*) FROM done) AS done, (SELECT max(id) FROM done) AS removed
FROM seen

-- name: drop_runs
-- Runs that are over and have no message any more, with what their steps did.
WITH seen AS MATERIALIZED (
    SELECT r.id, coalesce(r.finished_at < %(before)s, false)
                 AND r.id <= coalesce((SELECT u.reached FROM tidings.upkeep u
                                       WHERE u.project_id = r.project_id AND u.stage = 'count_run'), 0)
                 AND NOT EXISTS (SELECT FROM tidings.message m WHERE m.project_id = r.project_id AND m.run_id = r.id) AS ready
    FROM tidings.run r
    WHERE r.project_id = %(project_id)s AND r.id > %(after)s
    ORDER BY r.id LIMIT %(limit)s
), done AS (
    DELETE FROM tidings.run r USING seen s
    WHERE s.ready AND r.project_id = %(project_id)s AND r.id = s.id
    RETURNING r.id
), steps AS (
    DELETE FROM tidings.step_result t USING seen s WHERE s.ready AND t.project_id = %(project_id)s AND t.run_id = s.id
)
SELECT count(*) AS seen, count(*) FILTER (WHERE ready) AS ready, max(id) AS last, min(id) FILTER (WHERE NOT ready) AS behind,
       (SELECT count(*) FROM done) AS done, (SELECT max(id) FROM done) AS removed
FROM seen

-- name: drop_dead_letters
WITH seen AS MATERIALIZED (
    SELECT d.id, d.at < %(before)s
                 AND d.id <= coalesce((SELECT u.reached FROM tidings.upkeep u
                                       WHERE u.project_id = d.project_id AND u.stage = 'count_dead_letter'), 0) AS ready
    FROM tidings.dead_letter d
    WHERE d.project_id = %(project_id)s AND d.id > %(after)s
    ORDER BY d.id LIMIT %(limit)s
), done AS (
    DELETE FROM tidings.dead_letter d USING seen s
    WHERE s.ready AND d.project_id = %(project_id)s AND d.id = s.id
    RETURNING d.id
)
SELECT count(*) AS seen, count(*) FILTER (WHERE ready) AS ready, max(id) AS last, min(id) FILTER (WHERE NOT ready) AS behind,
       (SELECT count(*) FROM done) AS done, (SELECT max(id) FROM done) AS removed
FROM seen

-- name: drop_events
-- Changes whose runs are gone.
WITH seen AS MATERIALIZED (
    SELECT e.id, e.at < %(before)s
                 AND NOT EXISTS (SELECT FROM tidings.run r WHERE r.project_id = e.project_id AND r.event_id = e.id)
                 AND NOT EXISTS (SELECT FROM tidings.dead_letter d
                                 WHERE d.project_id = e.project_id AND d.event_id = e.id AND d.replayed_at IS NULL) AS ready
    FROM tidings.event e
    WHERE e.project_id = %(project_id)s AND e.id > %(after)s
    ORDER BY e.id LIMIT %(limit)s
), done AS (
    DELETE FROM tidings.event e USING seen s
    WHERE s.ready AND e.project_id = %(project_id)s AND e.id = s.id
    RETURNING e.id
)
SELECT count(*) AS seen, count(*) FILTER (WHERE ready) AS ready, max(id) AS last, min(id) FILTER (WHERE NOT ready) AS behind,
       (SELECT count(*) FROM done) AS done, (SELECT max(id) FROM done) AS removed
FROM seen

-- name: drop_keys
-- Changes known by key only that were made up for, or that a person has seen.
WITH seen AS MATERIALIZED (
    SELECT k.id, k.captured_at < %(before)s AND (k.handled_at IS NOT NULL OR k.acknowledged_at IS NOT NULL) AS ready
    FROM tidings.outbox_key k
    JOIN tidings.hook h ON h.project_id = %(project_id)s AND h.id = k.hook_id
    WHERE k.id > %(after)s
    ORDER BY k.id LIMIT %(limit)s
), done AS (
    DELETE FROM tidings.outbox_key k USING seen s WHERE s.ready AND k.id = s.id RETURNING k.id
)
SELECT count(*) AS seen, count(*) FILTER (WHERE ready) AS ready, max(id) AS last, min(id) FILTER (WHERE NOT ready) AS behind,
       (SELECT count(*) FROM done) AS done, (SELECT max(id) FROM done) AS removed
FROM seen

-- name: drop_reports
-- Reports of rehearsals, but for those that say why something was published, or may be.
WITH seen AS MATERIALIZED (
    SELECT p.id, p.at < %(before)s
                 AND NOT EXISTS (SELECT FROM tidings.workflow_version v WHERE v.project_id = p.project_id AND v.digest = p.digest)
                 AND NOT EXISTS (SELECT FROM tidings.approval a WHERE a.project_id = p.project_id AND a.digest = p.digest
                                 AND a.status IN ('asked', 'approved')) AS ready
    FROM tidings.rehearsal_report p
    WHERE p.project_id = %(project_id)s AND p.id > %(after)s
    ORDER BY p.id LIMIT %(limit)s
), done AS (
    DELETE FROM tidings.rehearsal_report p USING seen s
    WHERE s.ready AND p.project_id = %(project_id)s AND p.id = s.id
    RETURNING p.id
)
SELECT count(*) AS seen, count(*) FILTER (WHERE ready) AS ready, max(id) AS last, min(id) FILTER (WHERE NOT ready) AS behind,
       (SELECT count(*) FROM done) AS done, (SELECT max(id) FROM done) AS removed
FROM seen

-- name: drop_match_counts
-- Days that are too old become part of the number for ever, so that totals never fall.
WITH done AS (
    DELETE FROM tidings.match_count c
    WHERE c.project_id = %(project_id)s AND c.day < %(before)s::date
    RETURNING c.version_id, c.seen, c.matched
), kept AS (
    INSERT INTO tidings.tally AS t (project_id, hour, workflow_id, fact, reason, number)
    SELECT %(project_id)s, 'infinity'::timestamptz, coalesce(v.workflow_id, 0), x.fact, '', sum(x.number)
    FROM done d
    LEFT JOIN tidings.workflow_version v ON v.project_id = %(project_id)s AND v.id = d.version_id
    CROSS JOIN LATERAL (VALUES ('judged', d.seen), ('matched', d.matched)) AS x(fact, number)
    GROUP BY 3, 4
    ON CONFLICT (project_id, hour, workflow_id, fact, reason) DO UPDATE SET number = t.number + excluded.number
)
SELECT 0 AS seen, 0 AS ready, 0 AS last, NULL AS behind, count(*) AS done, 0 AS removed FROM done

-- name: drop_tallies
-- The numbers for ever stay: they stand beside the hours.
WITH done AS (
    DELETE FROM tidings.tally t WHERE t.project_id = %(project_id)s AND t.hour < %(before)s RETURNING t.fact
)
SELECT 0 AS seen, 0 AS ready, 0 AS last, NULL AS behind, count(*) AS done, 0 AS removed FROM done

-- name: removed_up_to
SELECT removed FROM tidings.upkeep WHERE project_id = %(project_id)s AND stage = %(stage)s
