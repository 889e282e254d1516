-- Backpressure: how many captured changes may wait for a dispatcher before hooks keep no more of them.

ALTER TABLE tidings.project
    ADD COLUMN outbox_limit bigint DEFAULT 5000000 CHECK (outbox_limit > 0);  -- null: never stop keeping them
-- The sequence tidings.bound_<project id> comes with the first hook: its value is the highest id that a hook may still draw.
