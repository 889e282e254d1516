-- name: pulse
-- Who leads now, when a leader last came through its loop, and how the canary fares; times are the server's.
SELECT clock_timestamp() AS wall, p.held_reason, w.beat_at, w.leader_pid, w.canary_since,
       (SELECT l.pid FROM pg_locks l
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.objid = p.id
          AND l.classid = (hashtext('tidings.leader')::int8 & 4294967295)::oid
          AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
        LIMIT 1) AS leader,
       EXISTS (SELECT FROM tidings.workflow f WHERE f.project_id = p.id AND f.live_version_id IS NOT NULL) AS live,
       (SELECT max(c.performed_at) FROM tidings.canary c WHERE c.project_id = p.id) AS canary_at,
       (SELECT c.performed_at - c.written_at FROM tidings.canary c
        WHERE c.project_id = p.id AND c.performed_at IS NOT NULL ORDER BY c.id DESC LIMIT 1) AS canary_took,
       (SELECT c.claimed_at IS NOT NULL FROM tidings.canary c
        WHERE c.project_id = p.id ORDER BY c.id DESC LIMIT 1) AS canary_claimed
FROM tidings.project p
LEFT JOIN tidings.watch w ON w.project_id = p.id
WHERE p.id = %(project_id)s

-- name: flow
-- What has waited longest in each place: changes by the server's clock, the others on Tidings'.
SELECT (SELECT o.captured_at FROM tidings.outbox o
        JOIN tidings.hook h ON h.project_id = %(project_id)s AND h.id = o.hook_id
        ORDER BY o.id LIMIT 1) AS change,
       (SELECT min(t.due_at) FROM tidings.run_timer t WHERE t.project_id = %(project_id)s AND t.due_at <= %(now)s) AS timer,
       (SELECT w.due_at FROM tidings.work w
        WHERE w.project_id = %(project_id)s AND w.due_at <= %(now)s
          AND (w.lease_until IS NULL OR w.lease_until < clock_timestamp())
        ORDER BY w.due_at, w.id LIMIT 1) AS work,
       EXISTS (SELECT FROM tidings.work w
               WHERE w.project_id = %(project_id)s AND w.due_at <= %(now)s AND w.lease_until > clock_timestamp()) AS leased

-- name: missed_slots
-- Slots that came too late to be made up for.
SELECT w.name, max(s.at) AS at
FROM tidings.slot s
JOIN tidings.workflow w ON w.project_id = s.project_id AND w.id = s.workflow_id
WHERE s.project_id = %(project_id)s AND s.outcome = 'missed' AND s.at > %(since)s
GROUP BY w.name
ORDER BY w.name

-- name: observe
-- What was counted of each workflow's changes today and the day before and is in no hour yet, put into the present hour
-- (or that day's last). A paused workflow is noted with no events: a pause is no silence.
WITH counted AS (
    SELECT v.workflow_id, c.day, sum(c.matched)::int8 AS matched
    FROM tidings.match_count c
    JOIN tidings.workflow_version v ON v.project_id = c.project_id AND v.id = c.version_id
    WHERE c.project_id = %(project_id)s AND c.day BETWEEN %(today)s::date - 1 AND %(today)s
    GROUP BY v.workflow_id, c.day
), fresh AS (
    SELECT c.workflow_id, c.matched - coalesce(a.events, 0) AS events,
           least(%(now)s::timestamptz, (c.day + 1)::timestamp AT TIME ZONE 'UTC' - interval '1 microsecond') AS at
    FROM counted c
    LEFT JOIN LATERAL (
        SELECT sum(a.events) AS events FROM tidings.activity a
        WHERE a.project_id = %(project_id)s AND a.workflow_id = c.workflow_id
          AND a.hour >= c.day::timestamp AT TIME ZONE 'UTC' AND a.hour < (c.day + 1)::timestamp AT TIME ZONE 'UTC'
    ) a ON true
    WHERE c.matched > coalesce(a.events, 0)
    UNION ALL
    SELECT w.id, 0, %(now)s
    FROM tidings.workflow w
    JOIN tidings.project p ON p.id = w.project_id
    WHERE w.project_id = %(project_id)s AND w.live_version_id IS NOT NULL
      AND (w.paused_at IS NOT NULL OR p.paused_at IS NOT NULL)
), hours AS (
    SELECT f.workflow_id, date_trunc('hour', f.at, 'UTC') AS hour, sum(f.events)::int8 AS events, max(f.at) AS at
    FROM fresh f
    GROUP BY 1, 2
)
INSERT INTO tidings.activity AS a (project_id, workflow_id, hour, events, first_at, last_at)
SELECT %(project_id)s, h.workflow_id, h.hour, h.events, h.at, h.at
FROM hours h
ON CONFLICT (project_id, workflow_id, hour) DO UPDATE
SET events = a.events + excluded.events, last_at = greatest(a.last_at, excluded.last_at)

-- name: forget_hours
DELETE FROM tidings.activity WHERE project_id = %(project_id)s AND hour < %(before)s

-- name: silences
-- Live workflows that wait for changes, with how they used to have them: the longest time without one, and since when
-- there has been none.
SELECT w.name, a.events, a.first_at, a.last_at, a.longest, v.published_at
FROM tidings.workflow w
JOIN tidings.workflow_version v ON v.project_id = w.project_id AND v.id = w.live_version_id
JOIN LATERAL (
    SELECT sum(g.events)::int8 AS events, min(g.first_at) AS first_at, max(g.last_at) AS last_at, max(g.gap) AS longest
    FROM (
        SELECT h.events, h.first_at, h.last_at, h.first_at - lag(h.last_at) OVER (ORDER BY h.hour) AS gap
        FROM tidings.activity h
        WHERE h.project_id = w.project_id AND h.workflow_id = w.id AND h.hour >= %(since)s
    ) g
) a ON a.events > 0
JOIN tidings.project p ON p.id = w.project_id
WHERE w.project_id = %(project_id)s AND w.paused_at IS NULL AND p.paused_at IS NULL AND v.hook_id IS NOT NULL
ORDER BY w.name

-- name: beat
-- Noted with who leads: a leader of another kind, which does not note it, must not be taken for one that is stuck.
INSERT INTO tidings.watch AS w (project_id, beat_at, leader_pid)
SELECT %(project_id)s, clock_timestamp(), (
    SELECT l.pid FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.objid = %(project_id)s
      AND l.classid = (hashtext('tidings.leader')::int8 & 4294967295)::oid
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
    LIMIT 1)
ON CONFLICT (project_id) DO UPDATE SET beat_at = excluded.beat_at, leader_pid = excluded.leader_pid
