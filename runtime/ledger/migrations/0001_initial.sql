-- The ledger: everything Tidings knows, in one schema. project_id is in every key.
-- Run by the installer, which owns the schema; the ledger role gets DML (see runtime/setup), the reader role nothing.

CREATE TABLE tidings.migration (
    number      int PRIMARY KEY,
    name        text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One source database with its settings. The binding says which cluster, database and environment this state belongs to.
CREATE TABLE tidings.project (
    id                 int PRIMARY KEY,
    name               text NOT NULL UNIQUE,
    system_identifier  text NOT NULL,
    database_name      text NOT NULL,
    table_oid          oid,                -- of this very table: a dump and restore changes it; null: not checked
    environment        text NOT NULL DEFAULT 'development',
    mode               text NOT NULL DEFAULT 'inbox' CHECK (mode IN ('inbox', 'production')),
    zone               text NOT NULL DEFAULT 'UTC',
    clock_shift        interval NOT NULL DEFAULT '0' CHECK (clock_shift >= '0'),
    held_reason        text,               -- set while everything is held until a person decides
    live_generation    bigint NOT NULL DEFAULT 0,  -- grows with each publish, unpublish, pause: "reload what is live"
    secret             bytea NOT NULL,     -- signs unsubscribe links
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (mode = 'inbox' OR clock_shift = '0')
);

CREATE TABLE tidings.approved_table (
    project_id  int NOT NULL REFERENCES tidings.project,
    relation    text NOT NULL,             -- schema.table
    PRIMARY KEY (project_id, relation)
);

CREATE TABLE tidings.declined_table (      -- what a person left out, so that nobody asks again
    project_id  int NOT NULL REFERENCES tidings.project,
    relation    text NOT NULL,
    PRIMARY KEY (project_id, relation)
);

CREATE TABLE tidings.address_column (
    project_id  int NOT NULL REFERENCES tidings.project,
    relation    text NOT NULL,
    column_name text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('email', 'phone', 'slack')),
    PRIMARY KEY (project_id, relation, column_name)
);

CREATE TABLE tidings.contact (
    project_id    int NOT NULL REFERENCES tidings.project,
    name          text NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('email', 'phone', 'slack')),
    address       text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, name)
);

CREATE TABLE tidings.allowed_address (     -- outside production, only these leave the machine
    project_id  int NOT NULL REFERENCES tidings.project,
    address     text NOT NULL,             -- lower case; '@example.org' allows a domain
    PRIMARY KEY (project_id, address)
);

-- Capture -----------------------------------------------------------------------------------------------------------

CREATE TABLE tidings.hook (                -- one per watched table
    project_id      int NOT NULL REFERENCES tidings.project,
    id              int GENERATED ALWAYS AS IDENTITY,
    relation        text NOT NULL,
    key_columns     text[] NOT NULL,
    generation      int NOT NULL DEFAULT 0, -- which function body is installed
    definition      jsonb NOT NULL DEFAULT '{}',
    installed_ops   text[] NOT NULL DEFAULT '{}',
    disabled_at     timestamptz,
    disabled_reason text,
    PRIMARY KEY (project_id, id),
    UNIQUE (project_id, relation)
);

CREATE TABLE tidings.outbox (              -- ChangeEvents not yet claimed; written in the user's transaction
    id           bigint GENERATED ALWAYS AS IDENTITY,
    hook_id      int NOT NULL,
    generation   int NOT NULL,
    op           "char" NOT NULL,          -- i, u, d
    key          jsonb,
    new          jsonb,
    old          jsonb,
    captured_at  timestamptz NOT NULL,
    PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        vacuum_truncate = false);  -- cutting off empty pages locks the table, and the user's writes would wait

CREATE TABLE tidings.outbox_key (          -- the ladder's second rung: the payload failed, key and operation are safe
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hook_id      int NOT NULL,
    generation   int NOT NULL,
    op           "char" NOT NULL,
    key          jsonb,
    error        text NOT NULL,
    captured_at  timestamptz NOT NULL,
    handled_at   timestamptz
) WITH (vacuum_truncate = false);
-- The third rung is a sequence tidings.missed_<hook id>, created with each hook: it survives a rollback.

CREATE TABLE tidings.event (               -- ChangeEvents that started a run, kept for the retention time
    project_id   int NOT NULL,
    id           bigint NOT NULL,          -- the outbox id: capture order
    hook_id      int NOT NULL,
    generation   int NOT NULL,
    op           "char" NOT NULL,
    key          jsonb,
    new          jsonb,
    old          jsonb,
    at           timestamptz NOT NULL,     -- commit time on Tidings' clock
    PRIMARY KEY (project_id, id)
);
CREATE INDEX event_key ON tidings.event (project_id, hook_id, (key::text));

-- Publishing --------------------------------------------------------------------------------------------------------

CREATE TABLE tidings.workflow (
    project_id      int NOT NULL REFERENCES tidings.project,
    id              bigint GENERATED ALWAYS AS IDENTITY,
    name            text NOT NULL,
    live_version_id bigint,
    paused_at       timestamptz,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, id),
    UNIQUE (project_id, name)
);

CREATE TABLE tidings.draft (               -- at most one per workflow; optimistic revisions
    project_id   int NOT NULL,
    workflow_id  bigint NOT NULL,
    revision     int NOT NULL,
    source       text NOT NULL,            -- the YAML as written
    spec         jsonb NOT NULL,           -- canonical; may still have problems
    author       text NOT NULL,
    saved_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, workflow_id),
    FOREIGN KEY (project_id, workflow_id) REFERENCES tidings.workflow ON DELETE CASCADE
);

CREATE TABLE tidings.rehearsal_report (
    project_id  int NOT NULL REFERENCES tidings.project,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    digest      text NOT NULL,
    passed      boolean NOT NULL,
    report      jsonb NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, id)
);
CREATE INDEX rehearsal_report_digest ON tidings.rehearsal_report (project_id, digest);

CREATE TABLE tidings.approval (            -- a person's answer to one digest
    project_id    int NOT NULL,
    id            bigint GENERATED ALWAYS AS IDENTITY,
    workflow_id   bigint NOT NULL,
    digest        text NOT NULL,
    summary       text NOT NULL,           -- the sentence that was shown
    requested_by  text NOT NULL,
    requested_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    status        text NOT NULL DEFAULT 'asked'   -- withdrawn: the draft moved on before anybody answered
                  CHECK (status IN ('asked', 'approved', 'rejected', 'redeemed', 'withdrawn')),
    decided_by    text,
    decided_via   text CHECK (decided_via IN ('console', 'terminal')),
    decided_at    timestamptz,
    note          text NOT NULL DEFAULT '',
    PRIMARY KEY (project_id, id),
    FOREIGN KEY (project_id, workflow_id) REFERENCES tidings.workflow ON DELETE CASCADE,
    CHECK ((status IN ('asked', 'withdrawn')) = (decided_at IS NULL)),
    CHECK ((status IN ('asked', 'withdrawn')) = (decided_via IS NULL)),
    CHECK ((status IN ('asked', 'withdrawn')) = (decided_by IS NULL))
);
CREATE UNIQUE INDEX approval_asked ON tidings.approval (project_id, workflow_id) WHERE status = 'asked';

CREATE TABLE tidings.workflow_version (    -- immutable, except for the two generations that bound its life
    project_id       int NOT NULL,
    id               bigint GENERATED ALWAYS AS IDENTITY,
    workflow_id      bigint NOT NULL,
    number           int NOT NULL,
    digest           text NOT NULL,
    spec             jsonb NOT NULL,
    source           text NOT NULL,
    compiled         jsonb NOT NULL,
    fingerprint      text NOT NULL,
    hook_id          int,                  -- change triggers
    from_generation  int,                  -- events of hook generations in [from, until) belong to this version
    until_generation int,
    approval_id      bigint NOT NULL,
    published_at     timestamptz NOT NULL, -- on Tidings' clock
    retired_at       timestamptz,
    PRIMARY KEY (project_id, id),
    UNIQUE (project_id, workflow_id, number),
    FOREIGN KEY (project_id, workflow_id) REFERENCES tidings.workflow,
    CHECK ((hook_id IS NULL) = (from_generation IS NULL)),
    CHECK (hook_id IS NULL OR (until_generation IS NULL) = (retired_at IS NULL)),
    CHECK (until_generation > from_generation)
);
CREATE FUNCTION tidings.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A workflow version never changes; publish a new one.';
END $$;
CREATE TRIGGER immutable
    BEFORE UPDATE OF workflow_id, number, digest, spec, source, compiled, fingerprint, hook_id, from_generation, published_at
    ON tidings.workflow_version FOR EACH ROW EXECUTE FUNCTION tidings.refuse_change();

-- Engine ------------------------------------------------------------------------------------------------------------

CREATE TABLE tidings.run (                 -- primary key only, so that updates stay HOT
    project_id   int NOT NULL,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    version_id   bigint NOT NULL,
    event_id     bigint,                   -- change
    slot         timestamptz,              -- schedule
    item         jsonb,                    -- each
    at           timestamptz NOT NULL,     -- event.at
    state        text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'waiting', 'completed', 'ended', 'failed')),
    reason       text,                     -- ended: condition_false, while_false, gone; failed: what happened
    step         smallint NOT NULL DEFAULT 0,  -- index of the step to do next; -1: the workflow's `if`
    step_at      timestamptz NOT NULL,     -- when the step before was done: what durations count from
    context      jsonb NOT NULL DEFAULT '{}',  -- query name -> rows
    created_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    PRIMARY KEY (project_id, id),
    CHECK ((finished_at IS NULL) = (state IN ('active', 'waiting')))
) WITH (fillfactor = 60);

CREATE TABLE tidings.run_timer (           -- who waits, until when
    project_id  int NOT NULL,
    due_at      timestamptz NOT NULL,
    run_id      bigint NOT NULL,
    PRIMARY KEY (project_id, due_at, run_id)
);

CREATE TABLE tidings.slot (                -- a schedule's slot happens once per workflow, whatever its versions
    project_id   int NOT NULL,
    workflow_id  bigint NOT NULL,
    at           timestamptz NOT NULL,
    outcome      text NOT NULL DEFAULT 'started' CHECK (outcome IN ('started', 'paused', 'missed')),
    since        timestamptz,              -- missed: this slot and every other one after `since` came too late to be done
    PRIMARY KEY (project_id, workflow_id, at),
    CHECK ((outcome = 'missed') = (since IS NOT NULL))
);

CREATE TABLE tidings.match_count (         -- changes that reached a version, by day on Tidings' clock, and where they failed
    project_id   int NOT NULL,
    version_id   bigint NOT NULL,
    day          date NOT NULL,
    seen         bigint NOT NULL,
    matched      bigint NOT NULL,
    not_op       bigint NOT NULL,          -- of those that did not match, the first clause that did not hold
    not_becomes  bigint NOT NULL,
    not_before   bigint NOT NULL,          -- it was in that state already
    not_columns  bigint NOT NULL,
    not_when     bigint NOT NULL,
    failed       bigint NOT NULL,          -- dead letters
    PRIMARY KEY (project_id, version_id, day)
);

CREATE TABLE tidings.work (                -- what workers owe: the truth behind every nudge
    project_id   int NOT NULL,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    kind         text NOT NULL CHECK (kind IN ('advance', 'expand', 'deliver')),
    ids          bigint[] NOT NULL,        -- runs (advance), version (expand), delivery batches (deliver)
    slot         timestamptz,              -- expand
    due_at       timestamptz NOT NULL,     -- on Tidings' clock
    nudged_at    timestamptz,              -- wall clock
    lease_until  timestamptz,              -- wall clock; a worker holds it
    attempts     int NOT NULL DEFAULT 0,   -- fences a worker whose lease ran out
    PRIMARY KEY (project_id, id)
);
CREATE INDEX work_due ON tidings.work (project_id, due_at);

CREATE TABLE tidings.step_result (         -- the record of what each step did, and why not
    project_id  int NOT NULL,
    run_id      bigint NOT NULL,
    step        smallint NOT NULL,         -- -1: the workflow's `if`
    name        text NOT NULL,
    status      text NOT NULL CHECK (status IN ('done', 'skipped', 'waiting', 'ended', 'failed')),
    reason      text NOT NULL DEFAULT '',  -- condition_false, while_false, nobody, …
    detail      jsonb NOT NULL DEFAULT '{}',
    at          timestamptz NOT NULL,
    PRIMARY KEY (project_id, run_id, step)
);

CREATE TABLE tidings.dead_letter (         -- one bad row, condition or version stops nothing else
    project_id   int NOT NULL,
    id           bigint GENERATED ALWAYS AS IDENTITY,
    version_id   bigint,
    event_id     bigint,
    run_id       bigint,
    stage        text NOT NULL CHECK (stage IN ('match', 'expand', 'advance', 'render', 'deliver')),
    error        text NOT NULL,
    payload      jsonb,                    -- the event, when no run keeps it
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    replayed_at  timestamptz,
    PRIMARY KEY (project_id, id)
);

-- Delivery ----------------------------------------------------------------------------------------------------------

CREATE TABLE tidings.delivery_batch (      -- a provider request, frozen before its first attempt
    project_id        int NOT NULL,
    id                bigint GENERATED ALWAYS AS IDENTITY,
    provider          text NOT NULL,       -- inbox, resend, smtp, slack
    state             text NOT NULL DEFAULT 'queued'
                      CHECK (state IN ('queued', 'held', 'sending', 'sent', 'failed', 'uncertain')),
    idempotency_key   text NOT NULL,
    request           jsonb NOT NULL,      -- {"messages": [...]}: exactly what each attempt sends, in order
    attempts          int NOT NULL DEFAULT 0,
    first_attempt_at  timestamptz,         -- wall clock, of the first attempt that was not surely refused: from here
                                           -- counts the time in which the provider takes the same request only once
    provider_ids      text[] NOT NULL DEFAULT '{}',  -- by position
    reason            text NOT NULL DEFAULT '',  -- refused, gave_up, interrupted, unanswered, quota, mode, …
    error             text NOT NULL DEFAULT '',  -- what the last attempt ended with, in words
    created_at        timestamptz NOT NULL,
    finished_at       timestamptz,
    PRIMARY KEY (project_id, id),
    UNIQUE (project_id, idempotency_key),
    CHECK ((finished_at IS NULL) = (state IN ('queued', 'held', 'sending')))
) WITH (fillfactor = 80);
DO $$ BEGIN                                -- requests are most of what is written for a message; not every server has lz4
    ALTER TABLE tidings.delivery_batch ALTER COLUMN request SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN NULL;
END $$;

CREATE TABLE tidings.provider_pause (      -- a limit or a quota: nothing is given to the provider before then
    project_id  int NOT NULL REFERENCES tidings.project,
    provider    text NOT NULL,
    until       timestamptz NOT NULL,      -- on Tidings' clock
    reason      text NOT NULL,             -- rate_limited, quota
    error       text NOT NULL,
    PRIMARY KEY (project_id, provider)
);

CREATE TABLE tidings.message (             -- one per (run, step, recipient), inserted once
    project_id     int NOT NULL,
    id             bigint GENERATED ALWAYS AS IDENTITY,
    run_id         bigint NOT NULL,
    step           smallint NOT NULL,
    recipient_key  text NOT NULL,
    channel        text NOT NULL,
    address        text,
    locale         text NOT NULL DEFAULT '',
    topic          text NOT NULL DEFAULT '',
    batch_id       bigint,                 -- null: never left, see outcome
    position       smallint,               -- within the batch's request
    outcome        text CHECK (outcome IN ('suppressed', 'failed', 'held')),
    reason         text NOT NULL DEFAULT '',  -- no_address, suppressed, unsubscribed, render_failed, …
    detail         text NOT NULL DEFAULT '',  -- the reason in words
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (project_id, id),
    UNIQUE (project_id, run_id, step, recipient_key),
    CHECK ((batch_id IS NULL) = (outcome IS NOT NULL))
);
CREATE INDEX message_address ON tidings.message (project_id, lower(address));
CREATE INDEX message_batch ON tidings.message (project_id, batch_id);

CREATE TABLE tidings.delivery_event (      -- what providers say later; only exceptions and webhooks
    project_id         int NOT NULL,
    id                 bigint GENERATED ALWAYS AS IDENTITY,
    message_id         bigint NOT NULL,
    kind               text NOT NULL CHECK (kind IN ('delivered', 'bounced', 'failed', 'suppressed',
                                                     'opened', 'clicked', 'complained', 'unsubscribed')),
    at                 timestamptz NOT NULL,
    detail             jsonb NOT NULL DEFAULT '{}',
    provider_event_id  text,
    PRIMARY KEY (project_id, id),
    UNIQUE (project_id, provider_event_id)
);
CREATE INDEX delivery_event_message ON tidings.delivery_event (project_id, message_id);

CREATE VIEW tidings.message_status AS      -- exactly one delivery status per message, with its reason and that in words
SELECT m.project_id, m.id, m.run_id, m.step, m.recipient_key, m.channel, m.address, m.locale, m.batch_id, m.position,
       m.created_at, b.provider, nullif(b.provider_ids[m.position + 1], '') AS provider_id,
       coalesce(e.kind, m.outcome, CASE b.state WHEN 'sending' THEN 'queued' ELSE b.state END) AS status,
       coalesce(e.detail->>'reason', nullif(m.reason, ''), b.reason, '') AS reason,
       coalesce(e.detail->>'message', nullif(m.detail, ''), b.error, '') AS detail
FROM tidings.message m
LEFT JOIN tidings.delivery_batch b ON b.project_id = m.project_id AND b.id = m.batch_id
LEFT JOIN LATERAL (
    SELECT d.kind, d.detail FROM tidings.delivery_event d
    WHERE d.project_id = m.project_id AND d.message_id = m.id AND d.kind IN ('delivered', 'bounced', 'failed', 'suppressed')
    ORDER BY d.at DESC, d.id DESC LIMIT 1
) e ON true;

CREATE TABLE tidings.suppression (
    project_id  int NOT NULL REFERENCES tidings.project,
    address     text NOT NULL,             -- lower case
    topic       text NOT NULL DEFAULT '',  -- empty: everything; but transactional, for complaints and unsubscribes
    reason      text NOT NULL CHECK (reason IN ('bounced', 'complained', 'unsubscribed', 'manual')),
    source      text NOT NULL DEFAULT '',
    at          timestamptz NOT NULL,
    PRIMARY KEY (project_id, address, topic, reason)  -- lifting one reason leaves the others
);

CREATE TABLE tidings.inbox (               -- the local inbox: what was delivered without leaving the machine
    project_id    int NOT NULL,
    message_id    bigint NOT NULL,
    channel       text NOT NULL,
    sender        text NOT NULL,
    recipient     text NOT NULL,
    subject       text NOT NULL,
    html          text NOT NULL,
    text          text NOT NULL,
    headers       jsonb NOT NULL,
    delivered_at  timestamptz NOT NULL,
    PRIMARY KEY (project_id, message_id)
);
