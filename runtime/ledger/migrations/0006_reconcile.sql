-- What watches the watchers: the leader's pulse, a canary, when workflows usually have events, alarms that were raised,
-- and what a person brought back.

CREATE TABLE tidings.watch (               -- one row a project
    project_id      int PRIMARY KEY REFERENCES tidings.project,
    beat_at         timestamptz,           -- wall clock: when a leader last came through its loop
    leader_pid      int,                   -- the session that led then
    canary_since    timestamptz,           -- wall clock; null: off
    canary_hook_id  int
);

CREATE TABLE tidings.canary (              -- written as an application writes, with a hook of its own
    project_id    int NOT NULL REFERENCES tidings.project,
    id            bigint GENERATED ALWAYS AS IDENTITY,
    written_at    timestamptz NOT NULL DEFAULT clock_timestamp(),  -- wall clock, as the two below
    claimed_at    timestamptz,             -- the leader took it out of the outbox
    performed_at  timestamptz,             -- a worker had it in its hands
    PRIMARY KEY (project_id, id)
);
-- The work of a canary. The list of kinds is widened, whatever it holds by now.
DO $$
DECLARE
    kinds text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO STRICT kinds
    FROM pg_constraint WHERE conrelid = 'tidings.work'::regclass AND conname = 'work_kind_check';
    EXECUTE format('ALTER TABLE tidings.work DROP CONSTRAINT work_kind_check,'
                   ' ADD CONSTRAINT work_kind_check CHECK ((%s) OR kind = ''canary'')', kinds);
END $$;

CREATE TABLE tidings.activity (            -- the hours in which a workflow had events, on Tidings' clock
    project_id   int NOT NULL,
    workflow_id  bigint NOT NULL,
    hour         timestamptz NOT NULL,
    events       bigint NOT NULL,          -- 0: none, and it was paused
    first_at     timestamptz NOT NULL,     -- to the minute
    last_at      timestamptz NOT NULL,
    PRIMARY KEY (project_id, workflow_id, hour),
    FOREIGN KEY (project_id, workflow_id) REFERENCES tidings.workflow ON DELETE CASCADE
);

CREATE TABLE tidings.alert (               -- an alarm from the moment it was seen until it was over
    project_id    int NOT NULL REFERENCES tidings.project,
    id            bigint GENERATED ALWAYS AS IDENTITY,
    code          text NOT NULL,
    subject       text NOT NULL DEFAULT '',-- a workflow or a table
    severity      text NOT NULL CHECK (severity IN ('yellow', 'red')),
    sentence      text NOT NULL,
    seen_at       timestamptz NOT NULL,    -- wall clock, as all below: the first time
    last_seen_at  timestamptz NOT NULL,
    told_at       timestamptz,             -- it was there long enough to be no passing moment
    recovered_at  timestamptz,             -- it was gone for long enough
    PRIMARY KEY (project_id, id)
);
CREATE UNIQUE INDEX alert_open ON tidings.alert (project_id, code, subject) WHERE recovered_at IS NULL;
CREATE TABLE tidings.alert_work (          -- the delivery of what was told: whoever watches does it, needing no worker
    project_id  int NOT NULL,
    work_id     bigint NOT NULL,
    PRIMARY KEY (project_id, work_id)
);

CREATE TABLE tidings.recovered (           -- changes that no hook captured whole, and that a person had carried out
    project_id  int NOT NULL,
    event_id    bigint NOT NULL,
    how         text NOT NULL CHECK (how IN ('key', 'row', 'event')),  -- known by key; found by its row; its runs were gone
    by          text NOT NULL,
    at          timestamptz NOT NULL,      -- on Tidings' clock
    PRIMARY KEY (project_id, event_id)
);
