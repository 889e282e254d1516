-- Pauses: who stopped what, when and why; the burst brake, which stops a workflow before it tells more people than it should;
-- and what a person decided about what had been waiting.

ALTER TABLE tidings.project
    ADD COLUMN paused_at timestamptz,      -- everything rests; on Tidings' clock, as every instant here
    ADD COLUMN paused_by text,
    ADD COLUMN paused_why text NOT NULL DEFAULT '',
    ADD COLUMN brake_per_hour int NOT NULL DEFAULT 2000 CHECK (brake_per_hour >= 0);  -- people, for each workflow; 0: no brake

ALTER TABLE tidings.workflow
    ADD COLUMN paused_by text,
    ADD COLUMN paused_why text NOT NULL DEFAULT '',
    ADD COLUMN paused_kind text NOT NULL DEFAULT 'person' CHECK (paused_kind IN ('person', 'burst')),
    ADD COLUMN brake_per_hour int CHECK (brake_per_hour >= 0),  -- null: the project's; 0: no brake
    ADD COLUMN brake_passed_at timestamptz,                     -- what happened until then was let through by a person
    ADD COLUMN discarded_at timestamptz,                        -- what happened until then and still waits tells nobody
    ADD COLUMN discarded_by text;

CREATE TABLE tidings.pause_log (           -- every pause, resume and brake, for ever: who, when, why, and what was waiting
    project_id   int NOT NULL REFERENCES tidings.project,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    workflow_id  bigint,                   -- null: everything
    act          text NOT NULL CHECK (act IN ('pause', 'burst', 'resume', 'discard', 'brake')),
    by           text NOT NULL,
    why          text NOT NULL DEFAULT '',
    detail       jsonb NOT NULL DEFAULT '{}',
    at           timestamptz NOT NULL,
    PRIMARY KEY (project_id, id)
);

CREATE TABLE tidings.brake_count (         -- people told in each minute of the last hour: sixty rows a workflow, used in turn
    project_id   int NOT NULL,
    workflow_id  bigint NOT NULL,
    place        smallint NOT NULL,        -- the minute of the hour
    minute       timestamptz NOT NULL,
    people       int8 NOT NULL,
    PRIMARY KEY (project_id, workflow_id, place)
) WITH (fillfactor = 50);

-- Work that rests until a pause is over: 0 is the pause of everything, else it is the workflow's. Nobody looks at it until
-- the tick finds the pause gone.
ALTER TABLE tidings.work ADD COLUMN parked_for bigint;
CREATE INDEX work_parked ON tidings.work (project_id, parked_for, kind DESC, (ids[1]), id) WHERE parked_for IS NOT NULL;

-- A message that a person decided not to send after all is suppressed. The wider check holds for every row there is.
ALTER TABLE tidings.delivery_batch DROP CONSTRAINT delivery_batch_state_check;
ALTER TABLE tidings.delivery_batch ADD CONSTRAINT delivery_batch_state_check
    CHECK (state IN ('queued', 'held', 'sending', 'sent', 'failed', 'uncertain', 'suppressed')) NOT VALID;

CREATE VIEW tidings.stopped_batch AS       -- requests that must not leave now, and the pause or the person that says so
SELECT b.project_id, b.id AS batch_id, f.id AS workflow_id,
       CASE WHEN p.paused_at IS NOT NULL THEN 0 WHEN f.paused_at IS NOT NULL THEN f.id END AS paused_for,
       CASE WHEN b.created_at <= f.discarded_at THEN f.discarded_by END AS discarded_by
FROM tidings.delivery_batch b
JOIN tidings.project p ON p.id = b.project_id
LEFT JOIN LATERAL (                        -- the messages of a request are of one workflow
    SELECT m.run_id FROM tidings.message m WHERE m.project_id = b.project_id AND m.batch_id = b.id LIMIT 1
) m ON true
LEFT JOIN tidings.run r ON r.project_id = b.project_id AND r.id = m.run_id
LEFT JOIN tidings.workflow_version v ON v.project_id = b.project_id AND v.id = r.version_id
LEFT JOIN tidings.workflow f ON f.project_id = b.project_id AND f.id = v.workflow_id
WHERE p.paused_at IS NOT NULL OR f.paused_at IS NOT NULL OR b.created_at <= f.discarded_at;
