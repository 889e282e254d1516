-- How long things are kept, what was counted before it went, what was erased, and which misses a person has seen.

ALTER TABLE tidings.project
    ADD COLUMN keep_payloads interval NOT NULL DEFAULT '30 days',  -- rows as captured, what queries gave, texts, requests
    ADD COLUMN keep_messages interval NOT NULL DEFAULT '90 days',  -- who got what, when, and why not
    ADD COLUMN keep_counts   interval NOT NULL DEFAULT '400 days', -- numbers by the hour and by the day
    ADD CONSTRAINT keep_in_order CHECK (keep_payloads >= '1 day' AND keep_messages >= keep_payloads AND keep_counts >= keep_messages);

-- How far each stage of upkeep has come, by the ids of the table that it walks over.
CREATE TABLE tidings.upkeep (
    project_id  int NOT NULL REFERENCES tidings.project,
    stage       text NOT NULL,
    reached     bigint NOT NULL DEFAULT 0,  -- every id up to here was looked at
    behind      bigint,                     -- the lowest of them that could not be done yet
    removed     bigint NOT NULL DEFAULT 0,  -- the highest id that was done
    done        bigint NOT NULL DEFAULT 0,  -- how many were done, ever
    horizon     timestamptz,                -- on Tidings' clock: something older than this is gone
    rested_at   timestamptz,                -- wall clock: when the end was reached the last time
    PRIMARY KEY (project_id, stage)
);

-- What became of messages and runs, by the hour: counted once from the rows, and kept when the rows go.
CREATE TABLE tidings.tally (
    project_id   int NOT NULL REFERENCES tidings.project,
    hour         timestamptz NOT NULL,      -- on Tidings' clock; infinity: all hours together, for ever
    workflow_id  bigint NOT NULL,           -- 0: of none
    fact         text NOT NULL,             -- made, suppressed, failed, sent, uncertain, delivered, doubled, started, …
    reason       text NOT NULL,
    number       bigint NOT NULL,
    PRIMARY KEY (project_id, hour, workflow_id, fact, reason)
);

CREATE TABLE tidings.open_batch (           -- delivery batches that are not in the tally yet, because they are not finished
    project_id  int NOT NULL,
    batch_id    bigint NOT NULL,
    PRIMARY KEY (project_id, batch_id)
);

-- What is under way, counted every now and then: counting it takes longer the more there is.
CREATE TABLE tidings.census (
    project_id  int NOT NULL REFERENCES tidings.project,
    what        text NOT NULL,              -- runs, messages
    state       text NOT NULL,
    reason      text NOT NULL,
    number      bigint NOT NULL,
    PRIMARY KEY (project_id, what, state, reason)
);
CREATE TABLE tidings.census_taken (
    project_id  int PRIMARY KEY REFERENCES tidings.project,
    at          timestamptz NOT NULL,       -- wall clock
    took        interval NOT NULL
);

CREATE TABLE tidings.erasure (              -- that somebody's data was erased; not whose
    project_id   int NOT NULL REFERENCES tidings.project,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    fingerprint  text NOT NULL,             -- of the address, under the project's secret
    erased_by    text NOT NULL,
    at           timestamptz NOT NULL,
    counts       jsonb NOT NULL,            -- what was erased, and what had to stay
    PRIMARY KEY (project_id, id)
);
CREATE INDEX erasure_fingerprint ON tidings.erasure (project_id, fingerprint);

CREATE TABLE tidings.acknowledgement (      -- a person has seen that changes were missed
    project_id  int NOT NULL REFERENCES tidings.project,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    hook_id     int NOT NULL,
    missed      bigint NOT NULL,            -- rows without even a key, that nobody had acknowledged before
    keys_only   bigint NOT NULL,            -- rows known by key only, likewise
    seen_by     text NOT NULL,
    at          timestamptz NOT NULL,
    note        text NOT NULL DEFAULT '',
    PRIMARY KEY (project_id, id)
);
ALTER TABLE tidings.outbox_key ADD COLUMN acknowledged_at timestamptz;

-- An event never changes its run: the index costs an insert, and updates of runs stay HOT.
CREATE INDEX run_event ON tidings.run (project_id, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX dead_letter_open ON tidings.dead_letter (project_id, event_id) WHERE replayed_at IS NULL;
