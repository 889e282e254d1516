-- name: server
-- Who we are, where, and what we may do here.
SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_name,
       current_database()::text AS database, current_user::text AS "user",
       r.rolsuper AS superuser, r.rolcreaterole OR r.rolsuper AS may_create_roles,
       has_database_privilege(current_database(), 'CREATE') AS may_create_schema,
       has_database_privilege('public', current_database(), 'CONNECT') AS anybody_may_connect,
       pg_is_in_recovery() AS replica
FROM pg_roles r
WHERE r.rolname = current_user

-- name: rights
-- For each table: its leaves, who owns it, and whether we may hand on what Tidings needs. Superusers may do everything.
SELECT n.nspname || '.' || c.relname AS relation, pg_get_userbyid(c.relowner)::text AS owner,
       pg_has_role(c.relowner, 'USAGE') AS owned,
       pg_has_role(c.relowner, 'USAGE') OR has_table_privilege(c.oid, 'SELECT WITH GRANT OPTION') AS may_grant_select,
       pg_has_role(c.relowner, 'USAGE') OR has_table_privilege(c.oid, 'TRIGGER WITH GRANT OPTION') AS may_grant_trigger,
       pg_has_role(n.nspowner, 'USAGE') OR has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION')
           OR has_schema_privilege('public', n.oid, 'USAGE') AS may_grant_schema,
       c.relrowsecurity AS row_security,
       EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND NOT p.polpermissive AND p.polcmd IN ('r', '*')) AS restrictive
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm')
  AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname NOT IN ('information_schema', 'tidings')

-- name: roles
-- Which of our roles exist, and whether we may become them or manage them. Since 16 a membership may be without SET.
SELECT r.rolname::text AS name, r.rolcanlogin AS may_login,
       pg_has_role(r.oid, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END) AS member,
       s.rolsuper OR (s.rolcreaterole AND current_setting('server_version_num')::int < 160000)
           OR pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION') AS managed
FROM pg_roles r, pg_roles s
WHERE r.rolname = ANY(%(names)s) AND s.rolname = current_user
ORDER BY 1

-- name: granted
-- What our roles were granted on the user's objects, one row per privilege.
WITH role AS (SELECT oid, rolname FROM pg_roles WHERE rolname = ANY(%(names)s))
SELECT r.rolname::text AS role, 'table' AS kind, n.nspname || '.' || c.relname AS object, '' AS "column", a.privilege_type AS privilege
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL aclexplode(c.relacl) a
JOIN role r ON r.oid = a.grantee
WHERE n.nspname <> 'tidings' AND c.relkind IN ('r', 'p', 'v', 'm')
UNION ALL
SELECT r.rolname::text, 'column', n.nspname || '.' || c.relname, t.attname::text, a.privilege_type
FROM pg_attribute t
JOIN pg_class c ON c.oid = t.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL aclexplode(t.attacl) a
JOIN role r ON r.oid = a.grantee
WHERE n.nspname <> 'tidings' AND NOT t.attisdropped AND t.attacl IS NOT NULL
UNION ALL
SELECT r.rolname::text, 'schema', n.nspname::text, '', a.privilege_type
FROM pg_namespace n
CROSS JOIN LATERAL aclexplode(n.nspacl) a
JOIN role r ON r.oid = a.grantee
WHERE n.nspname <> 'tidings'
UNION ALL
SELECT r.rolname::text, 'database', d.datname::text, '', a.privilege_type
FROM pg_database d
CROSS JOIN LATERAL aclexplode(d.datacl) a
JOIN role r ON r.oid = a.grantee
WHERE d.datname = current_database()

-- name: policies
-- The policies by which our reader sees rows.
SELECT n.nspname || '.' || c.relname AS relation
FROM pg_policy p
JOIN pg_class c ON c.oid = p.polrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.polname = %(policy)s

-- name: schema
-- Whether schema tidings exists and has a ledger in it, and who owns it.
SELECT pg_get_userbyid(n.nspowner)::text AS owner, has_schema_privilege(n.oid, 'USAGE') AS usable,
       EXISTS (SELECT 1 FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'declined_table') AS has_ledger
FROM pg_namespace n
WHERE n.nspname = 'tidings'

-- name: hooks
-- Every trigger on a table of the user that calls a function of ours.
SELECT n.nspname || '.' || c.relname AS relation, t.tgname::text AS trigger, p.oid::regprocedure::text AS function,
       t.tgenabled::text AS enabled
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid
JOIN pg_namespace f ON f.oid = p.pronamespace
WHERE f.nspname = 'tidings' AND n.nspname <> 'tidings'
ORDER BY 1, 2

-- name: hook_functions
-- The functions of ours that triggers call: dropping one with CASCADE takes its triggers along, without owning the table.
SELECT p.oid::regprocedure::text AS function
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'tidings' AND p.prorettype = 'trigger'::regtype AND p.proname LIKE 'hook\_%%'
ORDER BY 1

-- name: sessions
-- Who is connected as one of our roles, or as us under another login.
SELECT count(*) AS sessions
FROM pg_stat_activity
WHERE (usename = ANY(%(names)s) OR application_name = 'tidings') AND datname = current_database() AND pid <> pg_backend_pid()

-- name: owned_elsewhere
-- What our roles own outside schema tidings: it would be dropped with them, and is none of ours.
SELECT r.rolname::text AS role, o.identity AS object
FROM pg_shdepend s
JOIN pg_roles r ON r.oid = s.refobjid AND r.rolname = ANY(%(names)s)
JOIN pg_database d ON d.oid = s.dbid AND d.datname = current_database()
CROSS JOIN LATERAL pg_identify_object(s.classid, s.objid, s.objsubid) o
WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o' AND o.type <> 'default acl'
  AND o.schema IS DISTINCT FROM 'tidings' AND NOT (o.type = 'schema' AND o.name = 'tidings')
ORDER BY 1, 2

-- name: readable_choices
-- One row if the ledger is there and may be read.
SELECT 1 AS readable
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'tidings' AND c.relname = 'declined_table'
  AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')

-- name: choices
-- What a person chose earlier.
SELECT 'approved' AS choice, relation, '' AS "column", '' AS kind FROM tidings.approved_table WHERE project_id = %(project_id)s
UNION ALL
SELECT 'declined', relation, '', '' FROM tidings.declined_table WHERE project_id = %(project_id)s
UNION ALL
SELECT 'address', relation, column_name, kind FROM tidings.address_column WHERE project_id = %(project_id)s

-- name: approve
INSERT INTO tidings.approved_table (project_id, relation) SELECT %(project_id)s, unnest(%(relations)s::text[])
ON CONFLICT DO NOTHING

-- name: withdraw
DELETE FROM tidings.approved_table WHERE project_id = %(project_id)s AND relation = ANY(%(relations)s::text[])

-- name: forget_declined
DELETE FROM tidings.declined_table WHERE project_id = %(project_id)s

-- name: decline
INSERT INTO tidings.declined_table (project_id, relation) SELECT %(project_id)s, unnest(%(relations)s::text[])
ON CONFLICT DO NOTHING

-- name: withdraw_addresses
DELETE FROM tidings.address_column a
USING unnest(%(relations)s::text[], %(columns)s::text[]) AS w(relation, column_name)
WHERE a.project_id = %(project_id)s AND a.relation = w.relation AND a.column_name = w.column_name

-- name: approve_addresses
INSERT INTO tidings.address_column (project_id, relation, column_name, kind)
SELECT %(project_id)s, a.relation, a.column_name, a.kind
FROM unnest(%(relations)s::text[], %(columns)s::text[], %(kinds)s::text[]) AS a(relation, column_name, kind)
ON CONFLICT (project_id, relation, column_name) DO UPDATE SET kind = excluded.kind

-- name: create_project
-- The binding is read where the ledger lives. What exists stays: its binding is a person's to change.
INSERT INTO tidings.project (id, name, system_identifier, database_name, table_oid, environment, secret)
SELECT %(project_id)s, %(name)s, c.system_identifier::text, current_database(), 'tidings.project'::regclass::oid,
       %(environment)s, %(secret)s
FROM pg_control_system() c
ON CONFLICT (id) DO NOTHING

-- name: ledger_grants
-- What the ledger role may do in schema tidings; applied each time, so that later migrations are covered.
SELECT format('GRANT USAGE ON SCHEMA tidings TO %%I', %(ledger)s::text) AS statement
UNION ALL
SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tidings TO %%I', %(ledger)s::text)
UNION ALL
SELECT format('GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA tidings TO %%I', %(ledger)s::text)
UNION ALL
SELECT format('ALTER DEFAULT PRIVILEGES IN SCHEMA tidings GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %%I', %(ledger)s::text)
UNION ALL
SELECT format('ALTER DEFAULT PRIVILEGES IN SCHEMA tidings GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO %%I', %(ledger)s::text)

-- name: counts
-- The state of the project in numbers.
SELECT p.name, p.environment, p.mode, p.zone, p.clock_shift, p.held_reason,
       (SELECT count(*) FROM tidings.workflow w WHERE w.project_id = p.id AND w.live_version_id IS NOT NULL AND w.paused_at IS NULL) AS live,
       (SELECT count(*) FROM tidings.workflow w WHERE w.project_id = p.id AND w.paused_at IS NOT NULL) AS paused,
       (SELECT count(*) FROM tidings.draft d WHERE d.project_id = p.id) AS drafts,
       (SELECT count(*) FROM tidings.approval a WHERE a.project_id = p.id AND a.status = 'asked') AS approvals_asked,
       (SELECT count(*) FROM tidings.run r WHERE r.project_id = p.id AND r.finished_at IS NULL) AS runs_open,
       (SELECT count(*) FROM tidings.run r WHERE r.project_id = p.id AND r.state = 'failed') AS runs_failed,
       (SELECT count(*) FROM tidings.dead_letter d WHERE d.project_id = p.id AND d.replayed_at IS NULL) AS dead_letters,
       (SELECT count(*) FROM tidings.outbox) AS outbox
FROM tidings.project p
WHERE p.id = %(project_id)s

-- name: messages
SELECT status, count(*) AS messages
FROM tidings.message_status
WHERE project_id = %(project_id)s
GROUP BY status
ORDER BY status

-- name: overreach
-- What a role of ours may do that it should not: see the ledger, or write tables of the user.
SELECT coalesce((SELECT has_schema_privilege(n.oid, 'USAGE') FROM pg_namespace n WHERE n.nspname = 'tidings'), false) AS tidings,
       (SELECT coalesce(array_agg(n.nspname || '.' || c.relname ORDER BY 1), '{}')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname NOT IN ('information_schema', 'tidings')
          AND has_schema_privilege(n.oid, 'USAGE')
          AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')) AS writes
