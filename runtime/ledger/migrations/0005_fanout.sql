-- One send to very many people: requests that share their words, and the pace at which a provider is given requests.

CREATE TABLE tidings.shared_words (        -- what the messages of many requests have word for word, kept once
    project_id  int NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    content     jsonb NOT NULL,            -- {"from", "pieces"}, as runtime/delivery/frozen.py reads it; never changed
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (project_id, id)
);
ALTER TABLE tidings.delivery_batch ADD COLUMN shared_id bigint;  -- then the request is {"each": [...]}, the rest is there
ALTER TABLE tidings.delivery_batch ADD FOREIGN KEY (project_id, shared_id) REFERENCES tidings.shared_words NOT VALID;
CREATE INDEX delivery_batch_shared ON tidings.delivery_batch (project_id, shared_id) WHERE shared_id IS NOT NULL;

DO $$ BEGIN                                -- the inbox holds every message in full; not every server has lz4
    ALTER TABLE tidings.inbox ALTER COLUMN html SET COMPRESSION lz4, ALTER COLUMN text SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN NULL;
END $$;

CREATE TABLE tidings.provider_pace (       -- whose turn it is to give requests to a provider; wall clock
    project_id  int NOT NULL REFERENCES tidings.project,
    provider    text NOT NULL,
    turn_at     timestamptz NOT NULL,      -- the turn that was asked for last
    taken       boolean NOT NULL,          -- whether it was taken, or was too late for who asked
    next_at     timestamptz NOT NULL,      -- the first that is nobody's
    PRIMARY KEY (project_id, provider)
);

-- The work of delivering such requests; processes that don't know them leave it alone. The list of kinds is widened,
-- whatever it holds by now.
DO $$
DECLARE
    kinds text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO STRICT kinds
    FROM pg_constraint WHERE conrelid = 'tidings.work'::regclass AND conname = 'work_kind_check';
    EXECUTE format('ALTER TABLE tidings.work DROP CONSTRAINT work_kind_check,'
                   ' ADD CONSTRAINT work_kind_check CHECK ((%s) OR kind = ''deliver_shared'')', kinds);
END $$;
