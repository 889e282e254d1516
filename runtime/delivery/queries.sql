-- name: read_policy
-- What holds for a project's messages now.
SELECT p.mode, p.zone, p.secret,
       coalesce((SELECT array_agg(a.address) FROM tidings.allowed_address a WHERE a.project_id = p.id), '{}') AS allowed
FROM tidings.project p
WHERE p.id = %(project_id)s

-- name: read_suppressions
-- The entries for some lower-case addresses.
SELECT address, topic, reason
FROM tidings.suppression
WHERE project_id = %(project_id)s AND address = ANY(%(addresses)s)

-- name: store_batches
-- Frozen requests, in one statement; the key says which id is whose. They travel in binary: as text, every quote in
-- them would be escaped and read twice.
INSERT INTO tidings.delivery_batch (project_id, provider, idempotency_key, request, created_at)
SELECT %(project_id)s, b.provider, b.idempotency_key, b.request::jsonb, %(now)s
FROM unnest(%(providers)s::text[], %(keys)s::text[], %(requests)b::text[]) AS b(provider, idempotency_key, request)
RETURNING idempotency_key, id

-- name: store_messages
-- One row for each person, with their place in a batch or the reason why there is none. A second message for the same
-- (run, step, recipient) fails the whole: somebody else has stored this step, or is doing it.
INSERT INTO tidings.message (project_id, run_id, step, recipient_key, channel, address, locale, topic, batch_id, position,
                             outcome, reason, detail, created_at)
SELECT %(project_id)s, m.run_id, m.step, m.recipient_key, m.channel, m.address, m.locale, m.topic, m.batch_id, m.position,
       m.outcome, m.reason, m.detail, %(now)s
FROM unnest(%(run_id)s::int8[], %(step)s::int2[], %(recipient_key)s::text[], %(channel)s::text[], %(address)s::text[],
            %(locale)s::text[], %(topic)s::text[], %(batch_id)s::int8[], %(position)s::int2[], %(outcome)s::text[],
            %(reason)s::text[], %(detail)s::text[])
  AS m(run_id, step, recipient_key, channel, address, locale, topic, batch_id, position, outcome, reason, detail)

-- name: load_open_batches
-- What is not finished of some batches, the untried first, each with the pause of its provider.
SELECT b.id, b.provider, b.idempotency_key AS key, b.request, b.attempts, b.first_attempt_at, b.created_at,
       clock_timestamp() AS wall, p.until AS paused_until, p.reason AS pause_reason, p.error AS pause_error
FROM tidings.delivery_batch b
LEFT JOIN tidings.provider_pause p ON p.project_id = b.project_id AND p.provider = b.provider AND p.until > %(now)s
WHERE b.project_id = %(project_id)s AND b.id = ANY(%(batch_ids)s) AND b.finished_at IS NULL
ORDER BY b.attempts, b.id

-- name: begin_attempt
-- The last look before a request leaves the machine: not while the project is held, and outside production only to
-- addresses on the allow-list. No row means that it must not leave now.
UPDATE tidings.delivery_batch b
SET state = 'sending', attempts = b.attempts + 1, first_attempt_at = coalesce(b.first_attempt_at, clock_timestamp()),
    reason = '', error = ''
FROM tidings.project p
WHERE b.project_id = %(project_id)s AND b.id = %(batch_id)s AND p.id = b.project_id AND p.held_reason IS NULL
  AND (p.mode = 'production' OR NOT EXISTS (
      SELECT FROM tidings.message m
      WHERE m.project_id = b.project_id AND m.batch_id = b.id AND NOT EXISTS (
          SELECT FROM tidings.allowed_address a
          WHERE a.project_id = m.project_id
            AND a.address IN (lower(m.address), '@' || split_part(lower(m.address), '@', 2)))))
RETURNING b.id

-- name: write_results
-- What became of some batches. What was surely not taken leaves no trace in first_attempt_at, and what met a pause none
-- in attempts.
UPDATE tidings.delivery_batch b
SET state = r.state, reason = r.reason, error = r.error, attempts = b.attempts - r.uncounted::int,
    provider_ids = coalesce(r.provider_ids, b.provider_ids),
    first_attempt_at = CASE WHEN r.untouched THEN NULL ELSE b.first_attempt_at END,
    finished_at = CASE WHEN r.state IN ('sent', 'failed', 'uncertain') THEN %(now)s::timestamptz END
FROM jsonb_to_recordset(%(results)s::jsonb)
  AS r(batch_id int8, state text, reason text, error text, provider_ids text[], untouched bool, uncounted bool)
WHERE b.project_id = %(project_id)s AND b.id = r.batch_id

-- name: write_refusals
-- Single messages that a provider did not take with the rest of their batch.
INSERT INTO tidings.delivery_event (project_id, message_id, kind, at, detail)
SELECT m.project_id, m.id, 'failed', %(now)s, jsonb_build_object('reason', 'refused', 'message', r.message)
FROM jsonb_to_recordset(%(refusals)s::jsonb) AS r(batch_id int8, position int2, message text)
JOIN tidings.message m ON m.project_id = %(project_id)s AND m.batch_id = r.batch_id AND m.position = r.position

-- name: write_pause
-- A provider said when it takes something again; of two sayings the later moment counts.
INSERT INTO tidings.provider_pause AS p (project_id, provider, until, reason, error)
SELECT b.project_id, b.provider, %(until)s, %(reason)s, %(error)s
FROM tidings.delivery_batch b
WHERE b.project_id = %(project_id)s AND b.id = %(batch_id)s
ON CONFLICT (project_id, provider) DO UPDATE SET until = EXCLUDED.until, reason = EXCLUDED.reason, error = EXCLUDED.error
WHERE p.until < EXCLUDED.until

-- name: deliver_to_inbox
-- Delivered the moment the transaction commits, and once: what is finished is not delivered again.
WITH done AS (
    UPDATE tidings.delivery_batch b
    SET state = 'sent', attempts = b.attempts + 1, first_attempt_at = coalesce(b.first_attempt_at, clock_timestamp()),
        finished_at = %(now)s
    WHERE b.project_id = %(project_id)s AND b.id = ANY(%(batch_ids)s) AND b.provider = 'inbox' AND b.finished_at IS NULL
    RETURNING b.project_id, b.id, b.request
)
INSERT INTO tidings.inbox (project_id, message_id, channel, sender, recipient, subject, html, text, headers, delivered_at)
SELECT m.project_id, m.id, m.channel, coalesce(r.message->>'from', ''), m.address, coalesce(r.message->>'subject', ''),
       coalesce(r.message->>'html', ''), r.message->>'text', coalesce(r.message->'headers', '{}'), %(now)s
FROM done d
CROSS JOIN LATERAL jsonb_array_elements(d.request->'messages') WITH ORDINALITY AS r(message, number)
JOIN tidings.message m ON m.project_id = d.project_id AND m.batch_id = d.id AND m.position = r.number - 1
