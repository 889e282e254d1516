-- name: try_thread
-- One run a thread: five at once would keep the changes of one.
SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended('tidings.agent/' || %(thread)s::text, 0))
