-- name: prepare_stages
INSERT INTO tidings.upkeep (project_id, stage)
SELECT %(project_id)s, s.stage FROM unnest(%(stages)s::text[]) AS s(stage)
ON CONFLICT DO NOTHING

-- name: reached
SELECT stage, reached FROM tidings.upkeep WHERE project_id = %(project_id)s AND stage = ANY(%(stages)s)

-- name: take_stage
-- Two leaders at once do not count twice: who comes second finds how far the first one came.
SELECT reached, set_config('enable_seqscan', 'off', true)  -- what follows goes from a few ids to their rows
FROM tidings.upkeep WHERE project_id = %(project_id)s AND stage = %(stage)s FOR UPDATE

-- name: leave_stage
UPDATE tidings.upkeep SET reached = %(upto)s, done = done + %(upto)s - reached
WHERE project_id = %(project_id)s AND stage = %(stage)s

-- name: count_message
-- Messages as they were made: what does not leave says why. Each number goes into its hour, and into the one for ever. Many
-- messages are of one run, so they are put together before it is looked up; LIMIT keeps that look-up one by its key.
INSERT INTO tidings.tally AS t (project_id, hour, workflow_id, fact, reason, number)
SELECT %(project_id)s, coalesce(n.hour, 'infinity'), n.workflow_id, n.fact, n.reason, sum(n.number)
FROM (
    SELECT m.hour, coalesce(w.workflow_id, 0) AS workflow_id, f.fact, f.reason, m.number
    FROM (
        SELECT date_trunc('hour', m.created_at, 'UTC') AS hour, m.run_id, m.channel, m.outcome, m.reason, count(*) AS number
        FROM tidings.message m
        WHERE m.project_id = %(project_id)s AND m.id > %(after)s AND m.id <= %(upto)s
        GROUP BY 1, 2, 3, 4, 5
    ) m
    LEFT JOIN LATERAL (
        SELECT v.workflow_id FROM tidings.run r
        JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
        WHERE r.project_id = %(project_id)s AND r.id = m.run_id LIMIT 1
    ) w ON true
    CROSS JOIN LATERAL (VALUES ('made', m.channel), (m.outcome, m.reason)) AS f(fact, reason)
    WHERE f.fact IS NOT NULL
) n
GROUP BY GROUPING SETS ((n.hour, n.workflow_id, n.fact, n.reason), (n.workflow_id, n.fact, n.reason))
ON CONFLICT (project_id, hour, workflow_id, fact, reason) DO UPDATE SET number = t.number + excluded.number

-- name: count_run
INSERT INTO tidings.tally AS t (project_id, hour, workflow_id, fact, reason, number)
SELECT %(project_id)s, coalesce(n.hour, 'infinity'), n.workflow_id, 'started', '', sum(n.number)
FROM (
    SELECT r.hour, coalesce(v.workflow_id, 0) AS workflow_id, r.number
    FROM (
        SELECT date_trunc('hour', r.created_at, 'UTC') AS hour, r.version_id, count(*) AS number
        FROM tidings.run r
        WHERE r.project_id = %(project_id)s AND r.id > %(after)s AND r.id <= %(upto)s
        GROUP BY 1, 2
    ) r
    LEFT JOIN tidings.workflow_version v ON v.project_id = %(project_id)s AND v.id = r.version_id
) n
GROUP BY GROUPING SETS ((n.hour, n.workflow_id), (n.workflow_id))
ON CONFLICT (project_id, hour, workflow_id, fact, reason) DO UPDATE SET number = t.number + excluded.number

-- name: count_dead_letter
INSERT INTO tidings.tally AS t (project_id, hour, workflow_id, fact, reason, number)
SELECT %(project_id)s, coalesce(n.hour, 'infinity'), n.workflow_id, 'dead', n.stage, count(*)
FROM (
    SELECT date_trunc('hour', d.at, 'UTC') AS hour, coalesce(v.workflow_id, 0) AS workflow_id, d.stage
    FROM tidings.dead_letter d
    LEFT JOIN tidings.workflow_version v ON v.project_id = d.project_id AND v.id = d.version_id
    WHERE d.project_id = %(project_id)s AND d.id > %(after)s AND d.id <= %(upto)s
) n
GROUP BY GROUPING SETS ((n.hour, n.workflow_id, n.stage), (n.workflow_id, n.stage))
ON CONFLICT (project_id, hour, workflow_id, fact, reason) DO UPDATE SET number = t.number + excluded.number

-- name: count_delivery_event
-- What providers said later. A message that is reported delivered for a second time has reached its reader twice.
INSERT INTO tidings.tally AS t (project_id, hour, workflow_id, fact, reason, number)
SELECT %(project_id)s, coalesce(n.hour, 'infinity'), n.workflow_id, n.fact, n.reason, sum(n.number)
FROM (
    SELECT e.hour, coalesce(w.workflow_id, 0) AS workflow_id, f.fact, f.reason, e.number
    FROM (
        SELECT date_trunc('hour', e.at, 'UTC') AS hour, m.run_id, e.kind, e.detail->>'reason' = 'refused' AS refused,
               e.kind = 'delivered' AND m.before AS again, count(*) AS number
        FROM tidings.delivery_event e
        LEFT JOIN LATERAL (
            SELECT m.run_id, EXISTS (SELECT FROM tidings.delivery_event o
                                     WHERE o.project_id = %(project_id)s AND o.message_id = m.id AND o.kind = 'delivered'
                                       AND o.id < e.id) AS before
            FROM tidings.message m
            WHERE m.project_id = %(project_id)s AND m.id = e.message_id LIMIT 1
        ) m ON true
        WHERE e.project_id = %(project_id)s AND e.id > %(after)s AND e.id <= %(upto)s
        GROUP BY 1, 2, 3, 4, 5
    ) e
    LEFT JOIN LATERAL (
        SELECT v.workflow_id FROM tidings.run r
        JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
        WHERE r.project_id = %(project_id)s AND r.id = e.run_id LIMIT 1
    ) w ON true
    CROSS JOIN LATERAL (VALUES
        (e.kind, CASE WHEN e.refused THEN 'refused' WHEN e.kind IN ('failed', 'suppressed') THEN 'provider' ELSE '' END),
        (CASE WHEN e.again THEN 'doubled' END, 'reported')
    ) AS f(fact, reason)
    WHERE f.fact IS NOT NULL
) n
GROUP BY GROUPING SETS ((n.hour, n.workflow_id, n.fact, n.reason), (n.workflow_id, n.fact, n.reason))
ON CONFLICT (project_id, hour, workflow_id, fact, reason) DO UPDATE SET number = t.number + excluded.number

-- name: count_delivery_batch
-- Requests come to be counted once they are finished.
INSERT INTO tidings.open_batch (project_id, batch_id)
SELECT b.project_id, b.id
FROM tidings.delivery_batch b
WHERE b.project_id = %(project_id)s AND b.id > %(after)s AND b.id <= %(upto)s
ON CONFLICT DO NOTHING

-- name: count_finished
-- Requests that are finished by now, by their messages. What a provider refused out of a request that it took is counted
-- with what it said. One that was taken long after the first attempt that may have been taken may have been sent twice.
WITH finished AS MATERIALIZED (
    SELECT b.id, b.state, b.finished_at, CASE WHEN b.state = 'sent' THEN b.provider ELSE b.reason END AS reason,
           b.state = 'sent' AND b.finished_at - p.clock_shift - b.first_attempt_at
               > coalesce((%(windows)s::jsonb->>b.provider)::interval, '1 minute') AS doubled
    FROM tidings.open_batch o
    JOIN tidings.delivery_batch b ON b.project_id = o.project_id AND b.id = o.batch_id
    JOIN tidings.project p ON p.id = o.project_id
    WHERE o.project_id = %(project_id)s AND b.finished_at IS NOT NULL
    ORDER BY o.batch_id
    LIMIT %(limit)s
    FOR UPDATE OF o SKIP LOCKED
), closed AS (
    DELETE FROM tidings.open_batch o USING finished f
    WHERE o.project_id = %(project_id)s AND o.batch_id = f.id
    RETURNING o.batch_id
), counted AS (
    INSERT INTO tidings.tally AS t (project_id, hour, workflow_id, fact, reason, number)
    SELECT %(project_id)s, coalesce(n.hour, 'infinity'), n.workflow_id, n.fact, n.reason, sum(n.messages)
    FROM (
        SELECT date_trunc('hour', f.finished_at, 'UTC') AS hour, coalesce(w.workflow_id, 0) AS workflow_id, x.fact, x.reason,
               m.messages
        FROM finished f
        CROSS JOIN LATERAL (
            SELECT m.run_id, count(*) AS messages
            FROM tidings.message m
            WHERE m.project_id = %(project_id)s AND m.batch_id = f.id AND (f.state <> 'sent' OR NOT EXISTS (
                SELECT FROM tidings.delivery_event e
                WHERE e.project_id = %(project_id)s AND e.message_id = m.id AND e.kind = 'failed'
                  AND e.detail->>'reason' = 'refused'))
            GROUP BY m.run_id
        ) m
        LEFT JOIN LATERAL (
            SELECT v.workflow_id FROM tidings.run r
            JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
            WHERE r.project_id = %(project_id)s AND r.id = m.run_id LIMIT 1
        ) w ON true
        CROSS JOIN LATERAL (VALUES (f.state, f.reason), (CASE WHEN f.doubled THEN 'doubled' END, 'late')) AS x(fact, reason)
        WHERE x.fact IS NOT NULL
    ) n
    GROUP BY GROUPING SETS ((n.hour, n.workflow_id, n.fact, n.reason), (n.workflow_id, n.fact, n.reason))
    ON CONFLICT (project_id, hour, workflow_id, fact, reason) DO UPDATE SET number = t.number + excluded.number
)
SELECT count(*) FROM closed

-- name: census_age
-- How long ago the last census was, and how long it took; by the wall clock. It reads whole tables, so it is planned for that.
SELECT clock_timestamp() - c.at AS age, c.took, set_config('enable_seqscan', 'on', true), set_config('enable_hashjoin', 'on', true)
FROM tidings.census_taken c WHERE c.project_id = %(project_id)s

-- name: take_census
WITH gone AS (
    DELETE FROM tidings.census WHERE project_id = %(project_id)s
), counted AS (
    SELECT 'runs' AS what, r.state, '' AS reason, count(*) AS number
    FROM tidings.run r
    WHERE r.project_id = %(project_id)s
    GROUP BY r.state
    UNION ALL
    SELECT 'messages', b.state, b.reason, sum(m.messages)
    FROM tidings.open_batch o
    JOIN tidings.delivery_batch b ON b.project_id = o.project_id AND b.id = o.batch_id AND b.finished_at IS NULL
    CROSS JOIN LATERAL (
        SELECT count(*) AS messages FROM tidings.message m WHERE m.project_id = b.project_id AND m.batch_id = b.id) m
    WHERE o.project_id = %(project_id)s
    GROUP BY b.state, b.reason
)
SELECT what, state, reason, number::int8 FROM counted

-- name: store_census
INSERT INTO tidings.census (project_id, what, state, reason, number)
SELECT %(project_id)s, c.what, c.state, c.reason, c.number
FROM unnest(%(whats)s::text[], %(states)s::text[], %(reasons)s::text[], %(numbers)s::int8[]) AS c(what, state, reason, number)
ON CONFLICT (project_id, what, state, reason) DO UPDATE SET number = excluded.number

-- name: note_census
INSERT INTO tidings.census_taken (project_id, at, took) VALUES (%(project_id)s, clock_timestamp(), %(took)s)
ON CONFLICT (project_id) DO UPDATE SET at = excluded.at, took = excluded.took
