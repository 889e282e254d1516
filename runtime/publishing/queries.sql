-- name: claim_workflow
-- The workflow's row, made on the first save; locked, so that saves and questions about one workflow come one by one.
INSERT INTO tidings.workflow (project_id, name) VALUES (%(project_id)s, %(name)s)
ON CONFLICT (project_id, name) DO UPDATE SET name = excluded.name
RETURNING id

-- name: lock_workflow
-- What stands of a workflow, locked until the end of the transaction.
SELECT w.id, w.live_version_id
FROM tidings.workflow w
WHERE w.project_id = %(project_id)s AND w.name = %(name)s
FOR NO KEY UPDATE

-- name: workflow_names
SELECT name FROM tidings.workflow WHERE project_id = %(project_id)s ORDER BY name

-- name: load_draft
SELECT d.workflow_id, w.name, d.revision, d.source, d.spec, d.author, d.saved_at
FROM tidings.workflow w
JOIN tidings.draft d ON d.project_id = w.project_id AND d.workflow_id = w.id
WHERE w.project_id = %(project_id)s AND w.name = %(name)s

-- name: save_draft
INSERT INTO tidings.draft (project_id, workflow_id, revision, source, spec, author)
VALUES (%(project_id)s, %(workflow_id)s, 1, %(source)s, %(spec)s, %(author)s)
ON CONFLICT (project_id, workflow_id) DO UPDATE
SET revision = draft.revision + 1, source = excluded.source, spec = excluded.spec, author = excluded.author,
    saved_at = clock_timestamp()

-- name: withdraw_questions
-- Nobody needs to answer about a draft that moved on.
UPDATE tidings.approval SET status = 'withdrawn'
WHERE project_id = %(project_id)s AND workflow_id = %(workflow_id)s AND status = 'asked' AND digest <> %(digest)s

-- name: record_report
INSERT INTO tidings.rehearsal_report (project_id, digest, passed, report)
VALUES (%(project_id)s, %(digest)s, %(passed)s, %(report)s)
RETURNING id

-- name: latest_report
-- A later test of the same digest overrules an earlier one.
SELECT id, digest, passed, report, at
FROM tidings.rehearsal_report
WHERE project_id = %(project_id)s AND digest = %(digest)s
ORDER BY id DESC
LIMIT 1

-- name: ask
INSERT INTO tidings.approval (project_id, workflow_id, digest, summary, requested_by)
VALUES (%(project_id)s, %(workflow_id)s, %(digest)s, %(summary)s, %(requested_by)s)

-- name: approvals
-- Of one workflow's digest, the last answer counts.
SELECT a.id, a.workflow_id, w.name, a.digest, a.summary, a.requested_by, a.requested_at, a.status, a.decided_by,
       a.decided_via, a.decided_at, a.note
FROM tidings.approval a
JOIN tidings.workflow w ON w.project_id = a.project_id AND w.id = a.workflow_id
WHERE a.project_id = %(project_id)s
  AND (%(approval_id)s::bigint IS NULL OR a.id = %(approval_id)s)
  AND (%(workflow_id)s::bigint IS NULL OR a.workflow_id = %(workflow_id)s)
  AND (%(digest)s::text IS NULL OR a.digest = %(digest)s)
  AND (%(status)s::text IS NULL OR a.status = %(status)s)
ORDER BY a.id

-- name: decide
-- Only a question that is open can be answered.
UPDATE tidings.approval
SET status = %(status)s, decided_by = %(by)s, decided_via = %(via)s, decided_at = clock_timestamp(), note = %(note)s
WHERE project_id = %(project_id)s AND id = %(approval_id)s AND status = 'asked'
RETURNING id

-- name: lock_project
-- Publishers of a project go one by one: a hook speaks for all live versions on its table.
SELECT held_reason, mode FROM tidings.project WHERE id = %(project_id)s FOR NO KEY UPDATE

-- name: redeem
-- An approval is good for one publish, and only as long as it is the last answer for its digest.
UPDATE tidings.approval a SET status = 'redeemed'
WHERE a.project_id = %(project_id)s AND a.status = 'approved'
  AND a.id = (SELECT max(b.id) FROM tidings.approval b
              WHERE b.project_id = a.project_id AND b.workflow_id = %(workflow_id)s AND b.digest = %(digest)s)
RETURNING a.id

-- name: versions
-- Retired versions count for hooks: a transaction that was open while a hook was replaced commits events of before.
SELECT v.id, v.workflow_id, w.name, v.number, v.digest, v.compiled, v.hook_id, v.from_generation, v.until_generation,
       v.published_at, v.retired_at, v.source, v.fingerprint
FROM tidings.workflow_version v
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
WHERE v.project_id = %(project_id)s
  AND (%(version_id)s::bigint IS NULL OR v.id = %(version_id)s)
  AND (%(name)s::text IS NULL OR w.name = %(name)s)
  AND (NOT %(live)s OR v.id = w.live_version_id)
  AND (NOT %(hooked)s OR v.hook_id IS NOT NULL)
ORDER BY v.id

-- name: insert_version
INSERT INTO tidings.workflow_version
    (project_id, workflow_id, number, digest, spec, source, compiled, fingerprint, hook_id, from_generation, approval_id,
     published_at)
SELECT %(project_id)s, %(workflow_id)s, coalesce(max(v.number), 0) + 1, %(digest)s, %(spec)s, %(source)s, %(compiled)s,
       %(fingerprint)s, %(hook_id)s, %(generation)s, %(approval_id)s, %(now)s
FROM tidings.workflow_version v
WHERE v.project_id = %(project_id)s AND v.workflow_id = %(workflow_id)s
RETURNING id, number

-- name: retire_version
-- Events of earlier generations still belong to it; a version without a hook just ends.
UPDATE tidings.workflow_version SET until_generation = %(generation)s, retired_at = %(now)s
WHERE project_id = %(project_id)s AND id = %(version_id)s

-- name: set_live
UPDATE tidings.workflow SET live_version_id = %(version_id)s WHERE project_id = %(project_id)s AND id = %(workflow_id)s

-- name: next_generation
-- What is live has changed: every process reads it again.
UPDATE tidings.project SET live_generation = live_generation + 1 WHERE id = %(project_id)s

-- name: hook_generation
SELECT generation FROM tidings.hook WHERE project_id = %(project_id)s AND id = %(hook_id)s

-- name: list_workflows
SELECT w.name, v.number, v.published_at, v.spec AS live_spec,
       d.spec AS draft_spec, d.revision, d.saved_at
FROM tidings.workflow w
JOIN tidings.draft d ON d.project_id = w.project_id AND d.workflow_id = w.id
LEFT JOIN tidings.workflow_version v ON v.project_id = w.project_id AND v.id = w.live_version_id
WHERE w.project_id = %(project_id)s
ORDER BY w.name

-- name: contacts
SELECT c.name, c.kind, c.address, c.registered_at,
       coalesce((SELECT array_agg(DISTINCT w.name ORDER BY w.name)
                 FROM tidings.workflow w
                 LEFT JOIN tidings.draft d ON d.project_id = w.project_id AND d.workflow_id = w.id
                 LEFT JOIN tidings.workflow_version v ON v.project_id = w.project_id AND v.id = w.live_version_id
                 WHERE w.project_id = c.project_id
                   AND concat(d.spec::text, v.spec::text) ~ format('contact\(\s*''%%s''', c.name)), '{}') AS used_by
FROM tidings.contact c
WHERE c.project_id = %(project_id)s
ORDER BY c.name

-- name: add_contact
INSERT INTO tidings.contact (project_id, name, kind, address) VALUES (%(project_id)s, %(name)s, %(kind)s, %(address)s)
ON CONFLICT (project_id, name) DO UPDATE
SET kind = excluded.kind, address = excluded.address, registered_at = clock_timestamp()

-- name: remove_contact
DELETE FROM tidings.contact WHERE project_id = %(project_id)s AND name = %(name)s RETURNING name

-- name: allowed
SELECT address FROM tidings.allowed_address WHERE project_id = %(project_id)s ORDER BY address

-- name: allow
INSERT INTO tidings.allowed_address (project_id, address) VALUES (%(project_id)s, %(address)s) ON CONFLICT DO NOTHING

-- name: disallow
DELETE FROM tidings.allowed_address WHERE project_id = %(project_id)s AND address = %(address)s RETURNING address

-- name: set_mode
UPDATE tidings.project SET mode = %(mode)s WHERE id = %(project_id)s
