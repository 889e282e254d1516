-- name: load_project
-- The project's row; everything a process must know before it acts.
SELECT id, name, environment, mode, zone, clock_shift, held_reason, live_generation, system_identifier, database_name,
       clock_timestamp() AS read_at
FROM tidings.project
WHERE id = %(project_id)s

-- name: advance_clock
-- Outside production only: the table's own check refuses a shift there as well.
UPDATE tidings.project SET clock_shift = clock_shift + %(by)s
WHERE id = %(project_id)s AND mode <> 'production'
RETURNING id

-- name: read_binding
-- Where this ledger lives now, beside what it was bound to. A restored dump has another table OID.
SELECT c.system_identifier::text AS cluster, p.system_identifier AS bound_cluster,
       current_database()::text AS database, p.database_name::text AS bound_database,
       'tidings.project'::regclass::oid AS table_oid, p.table_oid AS bound_table_oid
FROM tidings.project p, pg_control_system() c
WHERE p.id = %(project_id)s

-- name: hold
-- The first reason stays: it is the one a person has to decide about.
UPDATE tidings.project SET held_reason = coalesce(held_reason, %(reason)s)
WHERE id = %(project_id)s
RETURNING id

-- name: release
-- A person decided: bind the state to where it lives now and let it go on.
UPDATE tidings.project p
SET held_reason = NULL, system_identifier = c.system_identifier::text, database_name = current_database(),
    table_oid = 'tidings.project'::regclass::oid, environment = coalesce(%(environment)s, p.environment)
FROM pg_control_system() c
WHERE p.id = %(project_id)s
RETURNING p.id
