-- name: flow
-- What is owed now. Each part reads the beginning of an index, or a table that stays small.
SELECT (SELECT count(*) FROM tidings.work w WHERE w.project_id = p.id AND w.due_at <= %(now)s) AS work_due,
       (SELECT count(*) FROM tidings.work w
        WHERE w.project_id = p.id AND w.due_at <= %(now)s - interval '1 minute'
          AND (w.lease_until IS NULL OR w.lease_until < clock_timestamp())) AS work_overdue,
       (SELECT count(*) FROM (SELECT FROM tidings.run_timer t
                              WHERE t.project_id = p.id AND t.due_at <= %(now)s LIMIT 10000) d) AS timers_due,
       (SELECT min(t.due_at) FROM tidings.run_timer t WHERE t.project_id = p.id) AS next_timer,
       (SELECT count(*) FROM tidings.dead_letter d WHERE d.project_id = p.id AND d.replayed_at IS NULL) AS dead_letters,
       EXISTS (SELECT FROM pg_locks l
               WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.objid = p.id
                 AND l.classid = (hashtext('tidings.leader')::int8 & 4294967295)::oid
                 AND l.database = (SELECT b.oid FROM pg_database b WHERE b.datname = current_database())) AS leader,
       (SELECT c.at FROM tidings.census_taken c WHERE c.project_id = p.id) AS census_at,
       clock_timestamp() - (SELECT c.at FROM tidings.census_taken c WHERE c.project_id = p.id) AS census_age
FROM tidings.project p
WHERE p.id = %(project_id)s

-- name: census
SELECT what, state, reason, number FROM tidings.census WHERE project_id = %(project_id)s ORDER BY what, state, reason

-- name: pauses
SELECT provider, until, reason, error FROM tidings.provider_pause
WHERE project_id = %(project_id)s AND until > %(now)s
ORDER BY provider

-- name: lately
-- What happened since the last full hour, and since the full hour a day ago.
SELECT t.fact, t.reason, sum(t.number) FILTER (WHERE t.hour >= %(hour)s)::int8 AS hour, sum(t.number)::int8 AS day
FROM tidings.tally t
WHERE t.project_id = %(project_id)s AND t.hour >= %(day)s AND t.hour < 'infinity'
GROUP BY t.fact, t.reason
ORDER BY 4 DESC, 1, 2

-- name: ever
-- Everything that was ever counted. Of more than two hundred workflows only the oldest are named, so that a label never
-- changes its meaning.
WITH named AS (
    SELECT w.id, CASE WHEN row_number() OVER (ORDER BY w.id) <= 200 THEN w.name ELSE 'other' END AS name
    FROM tidings.workflow w WHERE w.project_id = %(project_id)s
), judged AS (
    SELECT v.workflow_id, sum(c.seen) AS seen, sum(c.matched) AS matched
    FROM tidings.match_count c
    JOIN tidings.workflow_version v ON v.project_id = c.project_id AND v.id = c.version_id
    WHERE c.project_id = %(project_id)s
    GROUP BY v.workflow_id
), facts AS (
    SELECT t.workflow_id, t.fact, t.reason, t.number
    FROM tidings.tally t WHERE t.project_id = %(project_id)s AND t.hour = 'infinity'
    UNION ALL
    SELECT j.workflow_id, x.fact, '', x.number
    FROM judged j CROSS JOIN LATERAL (VALUES ('judged', j.seen), ('matched', j.matched)) AS x(fact, number)
)
SELECT coalesce(n.name, '') AS workflow, f.fact, f.reason, sum(f.number)::int8 AS number
FROM facts f
LEFT JOIN named n ON n.id = f.workflow_id
GROUP BY 1, 2, 3
ORDER BY 2, 1, 3
