-- name: template
-- What a scratch database has besides schema tidings: the rehearsal's clock, and a cast that answers instead of raising.
CREATE TABLE tidings.virtual_clock (at timestamptz NOT NULL);
INSERT INTO tidings.virtual_clock VALUES ('2026-06-01 12:00+00');
CREATE FUNCTION tidings.virtual_now() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT at FROM tidings.virtual_clock';
CREATE FUNCTION tidings.castable(value text, type text) RETURNS boolean LANGUAGE plpgsql AS '
BEGIN
    EXECUTE pg_catalog.format(''SELECT CAST(%L AS %s)'', value, type);
    RETURN true;
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END';

-- name: set_clock
-- Column defaults read it.
UPDATE tidings.virtual_clock SET at = %(at)s

-- name: template_exists
-- Whether the template of this version of Tidings stands.
SELECT EXISTS (SELECT FROM pg_database WHERE datname = %(name)s) AS found

-- name: own
-- Held as long as the database is in use; the server lets go of it when the process dies.
SELECT pg_advisory_lock(hashtextextended(%(name)s, 0))

-- name: disown
SELECT pg_advisory_unlock(hashtextextended(%(name)s, 0))

-- name: abandoned
-- Databases of rehearsals whose process is gone, each locked for us to drop.
SELECT d.datname::text AS name FROM pg_database d
WHERE d.datname LIKE 'tidings\_world\_%%' AND pg_try_advisory_lock(hashtextextended(d.datname, 0))

-- name: project
-- The project of a scratch database: everything goes to its own inbox, nothing brakes, and it is bound to where it lives now.
INSERT INTO tidings.project (id, name, system_identifier, database_name, table_oid, environment, mode, zone, secret,
                             brake_per_hour)
SELECT 1, 'rehearsal', c.system_identifier::text, current_database(), 'tidings.project'::regclass::oid, %(environment)s,
       'inbox', %(zone)s, '\x00', 0
FROM pg_control_system() c
ON CONFLICT (id) DO UPDATE SET database_name = EXCLUDED.database_name, table_oid = EXCLUDED.table_oid

-- name: approve_tables
-- What was cloned may be read.
INSERT INTO tidings.approved_table (project_id, relation) SELECT 1, r FROM unnest(%(relations)s::text[]) r

-- name: approve_addresses
-- As a person approved them in the real project.
INSERT INTO tidings.address_column (project_id, relation, column_name, kind)
SELECT 1, a.relation, a.name, a.kind
FROM unnest(%(relations)s::text[], %(names)s::text[], %(kinds)s::text[]) AS a(relation, name, kind)

-- name: register_contacts
-- As a person registered them in the real project.
INSERT INTO tidings.contact (project_id, name, kind, address)
SELECT 1, c.name, c.kind, c.address
FROM unnest(%(names)s::text[], %(kinds)s::text[], %(addresses)s::text[]) AS c(name, kind, address)

-- name: forget_changes
-- What was written before a scenario begins is its past, not its business.
DELETE FROM tidings.outbox

-- name: empty
-- Every row of the user's tables and everything the engine remembers; what is published and approved stays. Neither hooks
-- nor foreign keys act meanwhile.
DO $$
DECLARE relation regclass;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR relation IN
        SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
          AND (n.nspname <> 'tidings' OR c.relname NOT IN (
              'migration', 'project', 'approved_table', 'declined_table', 'address_column', 'contact', 'allowed_address',
              'hook', 'workflow', 'draft', 'rehearsal_report', 'approval', 'workflow_version', 'virtual_clock'))
    LOOP
        EXECUTE format('DELETE FROM %s', relation);
    END LOOP;
END $$

-- name: duration_end
-- Months are the calendar's in a zone, with its daylight saving; seconds are exact.
SELECT CASE WHEN %(months)s = 0 THEN %(since)s::timestamptz
            ELSE (%(since)s::timestamptz AT TIME ZONE %(zone)s + make_interval(months => %(months)s)) AT TIME ZONE %(zone)s
       END + make_interval(secs => %(seconds)s)

-- name: sent
-- What is in the inbox, in the order in which it arrived.
SELECT i.message_id AS id, i.channel, i.recipient AS address, i.delivered_at AS at, i.subject, i.text, i.html,
       m.locale, m.recipient_key AS key, m.run_id, w.name AS workflow, v.compiled->'steps'->m.step->>'name' AS step
FROM tidings.inbox i
JOIN tidings.message m ON m.project_id = i.project_id AND m.id = i.message_id
JOIN tidings.run r ON r.project_id = m.project_id AND r.id = m.run_id
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
WHERE i.project_id = 1
ORDER BY i.delivered_at, i.message_id

-- name: unsent
-- Everything that did not become a message: people without one, runs that ended or failed, steps that did nothing.
SELECT 'message' AS what, m.run_id, v.compiled->'steps'->m.step->>'name' AS step, coalesce(m.address, '') AS address,
       m.status AS outcome, m.reason, m.detail, m.created_at AS at
FROM tidings.message_status m
JOIN tidings.run r ON r.project_id = m.project_id AND r.id = m.run_id
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
WHERE m.project_id = 1
  AND NOT EXISTS (SELECT FROM tidings.inbox i WHERE i.project_id = m.project_id AND i.message_id = m.id)
UNION ALL
SELECT 'run', r.id, '', '', r.state, coalesce(r.reason, ''), '', coalesce(r.finished_at, r.created_at)
FROM tidings.run r WHERE r.project_id = 1 AND r.state IN ('ended', 'failed')
UNION ALL
SELECT 'step', s.run_id, s.name, '', s.status, s.reason, '', s.at
FROM tidings.step_result s WHERE s.project_id = 1 AND s.status IN ('skipped', 'ended', 'failed')
   OR s.project_id = 1 AND s.reason <> '' AND s.status = 'done'
UNION ALL
SELECT 'error', coalesce(d.run_id, 0), d.stage, '', 'failed', '', d.error, d.at FROM tidings.dead_letter d
WHERE d.project_id = 1
ORDER BY 8, 2

-- name: runs
-- Every run, in the order in which they started.
SELECT r.id, w.name AS workflow, r.state, coalesce(r.reason, '') AS reason, r.at,
       v.compiled->'steps'->r.step->>'name' AS step, t.due_at
FROM tidings.run r
JOIN tidings.workflow_version v ON v.project_id = r.project_id AND v.id = r.version_id
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
LEFT JOIN tidings.run_timer t ON t.project_id = r.project_id AND t.run_id = r.id
WHERE r.project_id = 1
ORDER BY r.id
