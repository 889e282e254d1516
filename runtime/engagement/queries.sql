-- name: secret
-- What signs the project's links.
SELECT secret FROM tidings.project WHERE id = %(project_id)s

-- name: is_unsubscribed
SELECT EXISTS (
    SELECT FROM tidings.suppression
    WHERE project_id = %(project_id)s AND address = %(address)s AND topic = %(topic)s AND reason = 'unsubscribed')

-- name: unsubscribe
-- Once: whoever is unsubscribed stays so since then. The newest message that carries this link is the one that said it.
WITH entry AS (
    INSERT INTO tidings.suppression (project_id, address, topic, reason, source, at)
    VALUES (%(project_id)s, %(address)s, %(topic)s, 'unsubscribed', 'link', %(now)s)
    ON CONFLICT DO NOTHING
    RETURNING project_id, address, topic
)
INSERT INTO tidings.delivery_event (project_id, message_id, kind, at, detail)
SELECT e.project_id, said.id, 'unsubscribed', %(now)s, jsonb_build_object('topic', e.topic)
FROM entry e
CROSS JOIN LATERAL (
    SELECT m.id FROM tidings.message m
    JOIN tidings.delivery_batch b ON b.project_id = m.project_id AND b.id = m.batch_id
    WHERE m.project_id = e.project_id AND lower(m.address) = e.address AND m.topic = e.topic
      AND strpos(coalesce(b.request #>> ARRAY['messages', m.position::text, 'headers', 'List-Unsubscribe'],
                          b.request #>> ARRAY['each', m.position::text, '1']), %(token)s) > 0
    ORDER BY m.id DESC LIMIT 1) said

-- name: find_reported
-- The message that a provider's id stands for, looked up by its recipient.
SELECT m.id, lower(m.address) AS address
FROM tidings.message m
JOIN tidings.delivery_batch b ON b.project_id = m.project_id AND b.id = m.batch_id
WHERE m.project_id = %(project_id)s AND lower(m.address) = ANY(%(addresses)s) AND b.provider = %(provider)s
  AND b.provider_ids[m.position + 1] = %(provider_id)s

-- name: is_under_way
-- Whether a message to one of these is being sent, or may have been, without its provider's id being known yet.
SELECT EXISTS (
    SELECT FROM tidings.message m
    JOIN tidings.delivery_batch b ON b.project_id = m.project_id AND b.id = m.batch_id
    WHERE m.project_id = %(project_id)s AND lower(m.address) = ANY(%(addresses)s) AND b.provider = %(provider)s
      AND b.finished_at IS NULL AND b.first_attempt_at IS NOT NULL)

-- name: record_event
-- Each report once, by its provider's id for it.
INSERT INTO tidings.delivery_event (project_id, message_id, kind, at, detail, provider_event_id)
VALUES (%(project_id)s, %(message_id)s, %(kind)s, %(at)s, %(detail)s, %(event_id)s)
ON CONFLICT (project_id, provider_event_id) DO NOTHING
RETURNING id

-- name: suppress
INSERT INTO tidings.suppression (project_id, address, topic, reason, source, at)
VALUES (%(project_id)s, %(address)s, '', %(reason)s, %(source)s, %(at)s)
ON CONFLICT DO NOTHING
