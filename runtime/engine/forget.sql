-- name: scan
-- The next rows of one table: which of them name the address and may be erased now, and how many something under way needs.
-- Addresses are ASCII, so collation C will do, which is many times faster.
WITH page AS MATERIALIZED (
    SELECT t.{id} AS id, {own} AS own, lower(({said}) COLLATE "C") AS said
    FROM tidings.{table} t
    WHERE t.project_id = %(project_id)s AND t.{id} > %(after)s
    ORDER BY t.{id} FETCH FIRST %(limit)s ROWS WITH TIES
), hit AS MATERIALIZED (
    SELECT DISTINCT p.id
    FROM page p
    WHERE p.own OR EXISTS (SELECT FROM unnest(%(forms)s::text[]) f(form) WHERE strpos(p.said, f.form) > 0) AND p.said ~ %(pattern)s
), judged AS (
    SELECT t.{id} AS id, bool_and({ready}) AS ready
    FROM hit h
    JOIN tidings.{table} t ON t.project_id = %(project_id)s AND t.{id} = h.id
    GROUP BY t.{id}
)
SELECT (SELECT count(*) FROM page) AS seen, (SELECT max(id) FROM page) AS last,
       coalesce(array_agg(j.id) FILTER (WHERE j.ready), '{{}}') AS ids, count(*) FILTER (WHERE NOT j.ready) AS kept
FROM judged j

-- name: own
-- What is the address' own: its messages, their requests, and the runs that told nobody else, with their changes.
WITH mine AS MATERIALIZED (
    SELECT m.id, m.batch_id, m.run_id FROM tidings.message m
    WHERE m.project_id = %(project_id)s AND lower(m.address) = %(address)s
), alone AS MATERIALIZED (
    SELECT r.id, r.event_id
    FROM (SELECT DISTINCT run_id FROM mine) t
    JOIN tidings.run r ON r.project_id = %(project_id)s AND r.id = t.run_id
    WHERE NOT EXISTS (SELECT FROM tidings.message o WHERE o.project_id = r.project_id AND o.run_id = r.id
                      AND lower(o.address) IS DISTINCT FROM %(address)s)
)
SELECT ARRAY(SELECT id FROM mine) AS messages, ARRAY(SELECT DISTINCT batch_id FROM mine WHERE batch_id IS NOT NULL) AS batches,
       ARRAY(SELECT id FROM alone) AS runs, ARRAY(SELECT event_id FROM alone WHERE event_id IS NOT NULL) AS events

-- name: event
-- {id}, {own}, {said} and {ready} of each table, one a line.
id
t.id = ANY(%(events)s::int8[]) AND (t.new IS NOT NULL OR t.old IS NOT NULL)
concat_ws(' ', t.new, t.old, t.key)
NOT EXISTS (SELECT FROM tidings.run r WHERE r.project_id = t.project_id AND r.event_id = t.id AND r.finished_at IS NULL)

-- name: run
id
t.id = ANY(%(runs)s::int8[]) AND (t.context <> '{{}}' OR t.item IS NOT NULL)
concat_ws(' ', t.context, t.item, t.reason)
t.finished_at IS NOT NULL

-- name: step_result
run_id
false
concat_ws(' ', t.detail, t.reason)
EXISTS (SELECT FROM tidings.run r WHERE r.project_id = t.project_id AND r.id = t.run_id AND r.finished_at IS NOT NULL)

-- name: dead_letter
id
false
concat_ws(' ', t.payload, t.error)
true

-- name: shared_words
id
false
t.content::text
NOT EXISTS (SELECT FROM tidings.delivery_batch b WHERE b.project_id = t.project_id AND b.shared_id = t.id AND b.finished_at IS NULL)

-- name: delivery_batch
id
t.id = ANY(%(batches)s::int8[]) AND t.request <> '{{}}'
concat_ws(' ', t.request, t.error)
t.finished_at IS NOT NULL

-- name: inbox
message_id
lower(t.recipient) = %(address)s
concat_ws(' ', t.sender, t.recipient, t.subject, t.html, t.text, t.headers)
true

-- name: delivery_event
id
t.message_id = ANY(%(messages)s::int8[]) AND t.detail <> '{{}}'
t.detail::text
true

-- name: message
id
lower(t.address) = %(address)s OR lower(t.recipient_key) = %(address)s
t.detail
t.batch_id IS NULL OR EXISTS (SELECT FROM tidings.delivery_batch b WHERE b.project_id = t.project_id AND b.id = t.batch_id AND b.finished_at IS NOT NULL)

-- name: erase_event
-- The row goes; where the key is the address, a name without meaning takes its place.
UPDATE tidings.event t
SET new = NULL, old = NULL, key = CASE WHEN lower(t.key::text) ~ %(pattern)s THEN jsonb_build_object('forgotten', %(alias)s::text) ELSE t.key END
WHERE t.project_id = %(project_id)s AND t.id = ANY(%(ids)s::int8[])
  AND NOT EXISTS (SELECT FROM tidings.run r WHERE r.project_id = t.project_id AND r.event_id = t.id AND r.finished_at IS NULL)

-- name: erase_run
UPDATE tidings.run t
SET context = '{}', item = CASE WHEN t.item IS NOT NULL THEN jsonb_build_object('forgotten', %(alias)s::text) END,
    reason = CASE WHEN lower(t.reason) ~ %(pattern)s THEN 'forgotten' ELSE t.reason END
WHERE t.project_id = %(project_id)s AND t.id = ANY(%(ids)s::int8[]) AND t.finished_at IS NOT NULL

-- name: erase_step_result
UPDATE tidings.step_result t
SET detail = '{}', reason = CASE WHEN lower(t.reason) ~ %(pattern)s THEN 'forgotten' ELSE t.reason END
WHERE t.project_id = %(project_id)s AND t.run_id = ANY(%(ids)s::int8[]) AND lower(concat_ws(' ', t.detail, t.reason)) ~ %(pattern)s

-- name: erase_dead_letter
-- What it was about can't be replayed any more.
UPDATE tidings.dead_letter t
SET payload = CASE WHEN t.payload IS NOT NULL THEN jsonb_build_object('forgotten', %(alias)s::text) END,
    error = CASE WHEN lower(t.error) ~ %(pattern)s THEN 'The data of this failure was erased on request.' ELSE t.error END,
    replayed_at = coalesce(t.replayed_at, clock_timestamp())
WHERE t.project_id = %(project_id)s AND t.id = ANY(%(ids)s::int8[])

-- name: erase_shared_words
UPDATE tidings.shared_words t SET content = jsonb_build_object('forgotten', %(alias)s::text)
WHERE t.project_id = %(project_id)s AND t.id = ANY(%(ids)s::int8[])
  AND NOT EXISTS (SELECT FROM tidings.delivery_batch b
                  WHERE b.project_id = t.project_id AND b.shared_id = t.id AND b.finished_at IS NULL)

-- name: erase_delivery_batch
-- The address' own messages, and those that name it, lose their place's content: the others keep theirs, and every place
-- keeps its number, by which the provider's ids are found.
UPDATE tidings.delivery_batch t
SET request = coalesce(p.request, t.request),
    error = CASE WHEN lower(t.error) ~ %(pattern)s THEN 'The words of this error were erased on request.' ELSE t.error END
FROM (
    SELECT b.id, m.request
    FROM tidings.delivery_batch b
    LEFT JOIN LATERAL (
        SELECT jsonb_set(b.request, ARRAY[x.form], jsonb_agg(
                   CASE WHEN lower(e.member::text) ~ %(pattern)s
                          OR EXISTS (SELECT FROM tidings.message m
                                     WHERE m.project_id = b.project_id AND m.batch_id = b.id AND m.position = e.number - 1
                                       AND lower(m.address) = %(address)s)
                        THEN CASE x.form WHEN 'each' THEN '[]' ELSE '{}' END::jsonb ELSE e.member END ORDER BY e.number)) AS request
        FROM (SELECT CASE WHEN b.request ? 'each' THEN 'each' ELSE 'messages' END AS form) x
        CROSS JOIN LATERAL jsonb_array_elements(b.request->x.form) WITH ORDINALITY AS e(member, number)
        GROUP BY x.form
    ) m ON true
    WHERE b.project_id = %(project_id)s AND b.id = ANY(%(ids)s::int8[])
) p
WHERE t.project_id = %(project_id)s AND t.id = p.id AND t.finished_at IS NOT NULL

-- name: erase_inbox
DELETE FROM tidings.inbox t WHERE t.project_id = %(project_id)s AND t.message_id = ANY(%(ids)s::int8[])

-- name: erase_delivery_event
-- The reason stays where it is a word of ours or the provider's; what it said goes.
UPDATE tidings.delivery_event t
SET detail = CASE WHEN lower(t.detail->>'reason') ~ %(pattern)s THEN '{}' ELSE jsonb_strip_nulls(jsonb_build_object('reason', t.detail->'reason')) END
WHERE t.project_id = %(project_id)s AND t.id = ANY(%(ids)s::int8[])

-- name: erase_message
UPDATE tidings.message t
SET address = CASE WHEN lower(t.address) = %(address)s THEN NULL ELSE t.address END,
    recipient_key = CASE WHEN lower(t.recipient_key) = %(address)s THEN %(alias)s::text ELSE t.recipient_key END,
    detail = CASE WHEN lower(t.detail) ~ %(pattern)s THEN '' ELSE t.detail END
WHERE t.project_id = %(project_id)s AND t.id = ANY(%(ids)s::int8[])
  AND (t.batch_id IS NULL OR EXISTS (SELECT FROM tidings.delivery_batch b
                                     WHERE b.project_id = t.project_id AND b.id = t.batch_id AND b.finished_at IS NOT NULL))

-- name: waiting
-- Changes not claimed yet that name the address, or are known by key only and have it as their key.
SELECT (SELECT count(*) FROM tidings.outbox o JOIN tidings.hook h ON h.project_id = %(project_id)s AND h.id = o.hook_id
        WHERE lower(concat_ws(' ', o.new, o.old, o.key)) ~ %(pattern)s)
     + (SELECT count(*) FROM tidings.outbox_key k JOIN tidings.hook h ON h.project_id = %(project_id)s AND h.id = k.hook_id
        WHERE lower(concat_ws(' ', k.key, k.error)) ~ %(pattern)s AND k.handled_at IS NULL)

-- name: erase_keys
UPDATE tidings.outbox_key k SET key = NULL, error = ''
FROM tidings.hook h
WHERE h.project_id = %(project_id)s AND h.id = k.hook_id AND k.handled_at IS NOT NULL
  AND lower(concat_ws(' ', k.key, k.error)) ~ %(pattern)s

-- name: at_providers
-- Under which ids providers know the address' messages.
SELECT s.provider, s.provider_id, s.created_at AS at
FROM tidings.message_status s
WHERE s.project_id = %(project_id)s AND s.id = ANY(%(messages)s::int8[]) AND s.provider_id IS NOT NULL
ORDER BY s.id

-- name: written_by_people
-- Where a person wrote the address down: that is no data that Tidings collected, and it stays.
SELECT 'contact ' || c.name AS place FROM tidings.contact c
WHERE c.project_id = %(project_id)s AND lower(c.address) = %(address)s
UNION ALL
SELECT 'allow-list' FROM tidings.allowed_address a WHERE a.project_id = %(project_id)s AND a.address = %(address)s
UNION ALL
SELECT 'draft ' || w.name FROM tidings.draft d
JOIN tidings.workflow w ON w.project_id = d.project_id AND w.id = d.workflow_id
WHERE d.project_id = %(project_id)s AND lower(d.source) ~ %(pattern)s
UNION ALL
SELECT 'workflow ' || w.name || ', version ' || v.number FROM tidings.workflow_version v
JOIN tidings.workflow w ON w.project_id = v.project_id AND w.id = v.workflow_id
WHERE v.project_id = %(project_id)s AND lower(v.source) ~ %(pattern)s
UNION ALL
SELECT 'report of a rehearsal ' || r.id FROM tidings.rehearsal_report r
WHERE r.project_id = %(project_id)s AND lower(r.report::text) ~ %(pattern)s
ORDER BY 1

-- name: suppressions
SELECT topic, reason, at FROM tidings.suppression WHERE project_id = %(project_id)s AND address = %(address)s ORDER BY at

-- name: lift
DELETE FROM tidings.suppression WHERE project_id = %(project_id)s AND address = %(address)s

-- name: secret
SELECT secret FROM tidings.project WHERE id = %(project_id)s

-- name: record
INSERT INTO tidings.erasure (project_id, fingerprint, erased_by, at, counts)
VALUES (%(project_id)s, %(fingerprint)s, %(by)s, %(now)s, %(counts)s::jsonb)

-- name: erased
SELECT max(at) AS at FROM tidings.erasure WHERE project_id = %(project_id)s AND fingerprint = %(fingerprint)s
