-- name: try_lead
-- One leader a project. The lock belongs to the session: it is free again when the leader, or its machine, is gone.
SELECT pg_try_advisory_lock(hashtext('tidings.leader'), %(project_id)s)
