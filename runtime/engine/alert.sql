-- name: alone
-- Whoever has this lock looks; the others leave it to them, this time.
SELECT pg_try_advisory_xact_lock(hashtext('tidings.watch'), %(project_id)s)

-- name: see
-- What is wrong now; what was wrong already keeps its beginning.
INSERT INTO tidings.alert AS a (project_id, code, subject, severity, sentence, seen_at, last_seen_at)
SELECT %(project_id)s, s.code, s.subject, s.severity, s.sentence, clock_timestamp(), clock_timestamp()
FROM jsonb_to_recordset(%(alarms)s::jsonb) AS s(code text, subject text, severity text, sentence text)
ON CONFLICT (project_id, code, subject) WHERE recovered_at IS NULL DO UPDATE
SET severity = excluded.severity, sentence = excluded.sentence, last_seen_at = excluded.last_seen_at

-- name: news
-- What lasts and was not told yet, and what was told and is over. A passing moment is forgotten.
WITH passed AS (
    DELETE FROM tidings.alert
    WHERE project_id = %(project_id)s AND recovered_at IS NULL AND told_at IS NULL
      AND last_seen_at < clock_timestamp() - %(patience)s
), told AS (
    UPDATE tidings.alert SET told_at = clock_timestamp()
    WHERE project_id = %(project_id)s AND recovered_at IS NULL AND told_at IS NULL
      AND last_seen_at > seen_at + %(patience)s
    RETURNING id, severity, sentence, false AS over
), over AS (
    UPDATE tidings.alert SET recovered_at = last_seen_at
    WHERE project_id = %(project_id)s AND recovered_at IS NULL AND told_at IS NOT NULL
      AND last_seen_at < clock_timestamp() - 3 * %(patience)s
    RETURNING id, severity, sentence, true AS over
)
SELECT * FROM told UNION ALL SELECT * FROM over ORDER BY over, id

-- name: contact
SELECT kind, address FROM tidings.contact WHERE project_id = %(project_id)s AND name = %(name)s

-- name: remember_work
INSERT INTO tidings.alert_work (project_id, work_id) SELECT %(project_id)s, unnest(%(work_ids)s::int8[])

-- name: owed_work
-- What of it is due and nobody holds; what is done is forgotten.
WITH done AS (
    DELETE FROM tidings.alert_work a
    WHERE a.project_id = %(project_id)s
      AND NOT EXISTS (SELECT FROM tidings.work w WHERE w.project_id = a.project_id AND w.id = a.work_id)
)
SELECT w.id
FROM tidings.alert_work a
JOIN tidings.work w ON w.project_id = a.project_id AND w.id = a.work_id
WHERE a.project_id = %(project_id)s AND w.due_at <= %(now)s AND (w.lease_until IS NULL OR w.lease_until < clock_timestamp())
ORDER BY w.id
