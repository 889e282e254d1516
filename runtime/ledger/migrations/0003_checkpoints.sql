-- Where the agent's graph stands: the tables of langgraph-checkpoint-postgres 3.2.0 (MIT), in our schema.
-- A test compares them with what the library would create. The ledger role creates no tables, so its setup() is never called.

CREATE TABLE tidings.checkpoint_migrations (
    v  integer PRIMARY KEY
);

CREATE TABLE tidings.checkpoints (
    thread_id             text NOT NULL,   -- begins with the project's id
    checkpoint_ns         text NOT NULL DEFAULT '',
    checkpoint_id         text NOT NULL,
    parent_checkpoint_id  text,
    type                  text,
    checkpoint            jsonb NOT NULL,
    metadata              jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
);
CREATE INDEX checkpoints_thread_id_idx ON tidings.checkpoints (thread_id);

CREATE TABLE tidings.checkpoint_blobs (
    thread_id      text NOT NULL,
    checkpoint_ns  text NOT NULL DEFAULT '',
    channel        text NOT NULL,
    version        text NOT NULL,
    type           text NOT NULL,
    blob           bytea,
    PRIMARY KEY (thread_id, checkpoint_ns, channel, version)
);
CREATE INDEX checkpoint_blobs_thread_id_idx ON tidings.checkpoint_blobs (thread_id);

CREATE TABLE tidings.checkpoint_writes (
    thread_id      text NOT NULL,
    checkpoint_ns  text NOT NULL DEFAULT '',
    checkpoint_id  text NOT NULL,
    task_id        text NOT NULL,
    idx            integer NOT NULL,
    channel        text NOT NULL,
    type           text,
    blob           bytea NOT NULL,
    task_path      text NOT NULL DEFAULT '',
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
);
CREATE INDEX checkpoint_writes_thread_id_idx ON tidings.checkpoint_writes (thread_id);

INSERT INTO tidings.checkpoint_migrations SELECT generate_series(0, 9);
