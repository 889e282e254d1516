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
WHERE project_id = %(project_id)s AND address = ANY(%(addresses)s::text[])

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

-- name: store_slice
-- Some people of one send, whose requests share their words, with the work of delivering them: one statement, so that
-- nobody waits for an id.
WITH shared AS (
    INSERT INTO tidings.shared_words (project_id, content, created_at)
    VALUES (%(project_id)s, %(shared)s::jsonb, %(now)s)
    RETURNING id
), batches AS (
    INSERT INTO tidings.delivery_batch (project_id, provider, idempotency_key, request, shared_id, created_at)
    SELECT %(project_id)s, b.provider, b.idempotency_key, b.request::jsonb, s.id, %(now)s
    FROM shared s
    CROSS JOIN unnest(%(providers)s::text[], %(keys)s::text[], %(requests)b::text[]) AS b(provider, idempotency_key, request)
    RETURNING idempotency_key, id
), numbered AS (
    SELECT k.number, k.chunk, b.id
    FROM unnest(%(keys)s::text[], %(chunks)s::int4[]) WITH ORDINALITY AS k(key, chunk, number)
    JOIN batches b ON b.idempotency_key = k.key
), told AS (
    INSERT INTO tidings.message (project_id, run_id, step, recipient_key, channel, address, locale, topic, batch_id,
                                 position, created_at)
    SELECT %(project_id)s, %(run_id)s, %(step)s, m.recipient_key, m.channel, m.address, m.locale, %(topic)s,
           (SELECT array_agg(n.id ORDER BY n.number) FROM numbered n)[m.batch + 1], m.position, %(now)s
    FROM unnest(%(recipient_key)s::text[], %(channel)s::text[], %(address)s::text[], %(locale)s::text[],
                %(batch)s::int4[], %(position)s::int2[])
      AS m(recipient_key, channel, address, locale, batch, position)
)
INSERT INTO tidings.work (project_id, kind, ids, due_at, nudged_at)
SELECT %(project_id)s, 'deliver_shared', array_agg(n.id ORDER BY n.number), %(now)s, clock_timestamp()
FROM numbered n
GROUP BY n.chunk
ORDER BY n.chunk
RETURNING id

-- name: load_open_batches
-- What is not finished of some batches, the untried first, each with the pause of its provider.
SELECT b.id, b.provider, b.idempotency_key AS key, b.request, b.shared_id, b.attempts, b.first_attempt_at, b.created_at,
       clock_timestamp() AS wall, p.until AS paused_until, p.reason AS pause_reason, p.error AS pause_error,
       s.paused_for, s.discarded_by
FROM tidings.delivery_batch b
LEFT JOIN tidings.provider_pause p ON p.project_id = b.project_id AND p.provider = b.provider AND p.until > %(now)s
LEFT JOIN LATERAL (
    SELECT s.paused_for, s.discarded_by FROM tidings.stopped_batch s
    WHERE s.project_id = b.project_id AND s.batch_id = b.id LIMIT 1
) s ON true
WHERE b.project_id = %(project_id)s AND b.id = ANY(%(batch_ids)s) AND b.finished_at IS NULL
ORDER BY b.attempts, b.id

-- name: begin_attempts
-- The last look before requests leave the machine: not while the project is held or something is paused, and outside
-- production only to addresses on the allow-list. Without a row a request must not leave now.
UPDATE tidings.delivery_batch b
SET state = 'sending', attempts = b.attempts + 1, first_attempt_at = coalesce(b.first_attempt_at, clock_timestamp()),
    reason = '', error = ''
FROM tidings.project p
WHERE b.project_id = %(project_id)s AND b.id = ANY(%(batch_ids)s) AND p.id = b.project_id AND p.held_reason IS NULL
  AND (SELECT s.batch_id FROM tidings.stopped_batch s WHERE s.project_id = b.project_id AND s.batch_id = b.id) IS NULL
  AND (p.mode = 'production' OR NOT EXISTS (
      SELECT FROM tidings.message m
      WHERE m.project_id = b.project_id AND m.batch_id = b.id AND NOT EXISTS (
          SELECT FROM tidings.allowed_address a
          WHERE a.project_id = m.project_id
            AND a.address IN (lower(m.address), '@' || split_part(lower(m.address), '@', 2)))))
RETURNING b.id

-- name: any_stopped
-- Whether one of some requests has been paused or discarded since it was marked.
SELECT 1 FROM unnest(%(batch_ids)s::int8[]) AS i(id)
CROSS JOIN LATERAL (
    SELECT FROM tidings.stopped_batch s WHERE s.project_id = %(project_id)s AND s.batch_id = i.id LIMIT 1
) s
LIMIT 1

-- name: write_results
-- What became of some batches. What was surely not taken leaves no trace in first_attempt_at, and what met a pause none
-- in attempts.
UPDATE tidings.delivery_batch b
SET state = r.state, reason = r.reason, error = r.error, attempts = b.attempts - r.uncounted::int,
    provider_ids = coalesce(r.provider_ids, b.provider_ids),
    first_attempt_at = CASE WHEN r.untouched THEN NULL ELSE b.first_attempt_at END,
    finished_at = CASE WHEN r.state IN ('sent', 'failed', 'uncertain', 'suppressed') THEN %(now)s::timestamptz END
FROM jsonb_to_recordset(%(results)s::jsonb)
  AS r(batch_id int8, state text, reason text, error text, provider_ids text[], untouched bool, uncounted bool)
WHERE b.project_id = %(project_id)s AND b.id = r.batch_id AND b.finished_at IS NULL  -- a person may have discarded it

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
-- Delivered the moment the transaction commits, and once: what is finished is not delivered again, what is paused not now.
WITH done AS (
    UPDATE tidings.delivery_batch b
    SET state = 'sent', attempts = b.attempts + 1, first_attempt_at = coalesce(b.first_attempt_at, clock_timestamp()),
        finished_at = %(now)s, reason = '', error = ''
    WHERE b.project_id = %(project_id)s AND b.id = ANY(%(batch_ids)s) AND b.provider = 'inbox' AND b.finished_at IS NULL
      AND b.shared_id IS NULL
      AND (SELECT s.batch_id FROM tidings.stopped_batch s WHERE s.project_id = b.project_id AND s.batch_id = b.id) IS NULL
    RETURNING b.project_id, b.id, b.request
)
INSERT INTO tidings.inbox (project_id, message_id, channel, sender, recipient, subject, html, text, headers, delivered_at)
SELECT m.project_id, m.id, m.channel, coalesce(r.message->>'from', ''), m.address, coalesce(r.message->>'subject', ''),
       coalesce(r.message->>'html', ''), r.message->>'text', coalesce(r.message->'headers', '{}'), %(now)s
FROM done d
CROSS JOIN LATERAL jsonb_array_elements(d.request->'messages') WITH ORDINALITY AS r(message, number)
JOIN tidings.message m ON m.project_id = d.project_id AND m.batch_id = d.id AND m.position = r.number - 1

-- name: take_for_inbox
-- The same for requests that share their words; the caller puts them together.
UPDATE tidings.delivery_batch b
SET state = 'sent', attempts = b.attempts + 1, first_attempt_at = coalesce(b.first_attempt_at, clock_timestamp()),
    finished_at = %(now)s, reason = '', error = ''
WHERE b.project_id = %(project_id)s AND b.id = ANY(%(batch_ids)s) AND b.provider = 'inbox' AND b.finished_at IS NULL
  AND b.shared_id IS NOT NULL
  AND (SELECT s.batch_id FROM tidings.stopped_batch s WHERE s.project_id = b.project_id AND s.batch_id = b.id) IS NULL
RETURNING b.id, b.request, b.shared_id

-- name: load_shared
-- What requests have in common.
SELECT id, content FROM tidings.shared_words WHERE project_id = %(project_id)s AND id = ANY(%(ids)s)

-- name: fill_inbox
-- The messages of one request, by their position in it.
INSERT INTO tidings.inbox (project_id, message_id, channel, sender, recipient, subject, html, text, headers, delivered_at)
SELECT m.project_id, m.id, m.channel, r.sender, m.address, r.subject, r.html, r.text, r.headers::jsonb, %(now)s
FROM unnest(%(senders)s::text[], %(subjects)s::text[], %(htmls)s::text[], %(texts)s::text[], %(headers)s::text[])
  WITH ORDINALITY AS r(sender, subject, html, text, headers, number)
JOIN tidings.message m ON m.project_id = %(project_id)s AND m.batch_id = %(batch_id)s AND m.position = r.number - 1

-- name: take_turns
-- In how many seconds the next turn of a provider is, and whether turns from then on were taken: not when it is too late.
INSERT INTO tidings.provider_pace AS p (project_id, provider, turn_at, taken, next_at)
SELECT %(project_id)s, %(provider)s, c.now, true, c.now + %(takes)s * interval '1 second' FROM (SELECT clock_timestamp()) c(now)
ON CONFLICT (project_id, provider) DO UPDATE
SET turn_at = greatest(p.next_at, EXCLUDED.turn_at),
    taken = p.next_at <= EXCLUDED.turn_at + %(patience)s * interval '1 second',
    next_at = CASE WHEN p.next_at <= EXCLUDED.turn_at + %(patience)s * interval '1 second'
                   THEN greatest(p.next_at, EXCLUDED.turn_at) + %(takes)s * interval '1 second' ELSE p.next_at END
RETURNING greatest(extract(epoch FROM p.turn_at - clock_timestamp()), 0)::float8 AS first, p.taken
