-- name: function
-- CREATE OR REPLACE takes no lock on the table: a republish disturbs nobody. Sessions take the new body at their next call.
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp {settings} AS {body}

-- name: trigger
-- Never with WHEN or UPDATE OF: both name columns, fail writes and block DROP COLUMN.
CREATE TRIGGER {trigger} AFTER {event} ON {relation} REFERENCING {rows} FOR EACH STATEMENT EXECUTE FUNCTION {function}()

-- name: truncate_trigger
CREATE TRIGGER {trigger} AFTER TRUNCATE ON {relation} FOR EACH STATEMENT EXECUTE FUNCTION {function}()

-- name: truncate_body
-- Which rows there were nobody can say any more; that there were some is kept in place of a key.
BEGIN
    BEGIN
        IF {skip} THEN
            PERFORM nextval({skipped});
            RETURN NULL;
        END IF;
        LOCK TABLE tidings.outbox_key IN ROW EXCLUSIVE MODE NOWAIT;
        INSERT INTO tidings.outbox_key (hook_id, generation, op, error, captured_at)
        VALUES ({id}, {generation}, 'd', format('TRUNCATE of %I.%I, whose rows nobody knows', TG_TABLE_SCHEMA, TG_TABLE_NAME),
                clock_timestamp());
        RETURN NULL;
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'tidings: hook {id} could not write down a TRUNCATE: %', SQLERRM;
    END;
    BEGIN
        PERFORM nextval({missed});
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'tidings: hook {id} could not even count what it missed: %', SQLERRM;
    END;
    RETURN NULL;
END

-- name: idle
-- The body of a hook that nobody needs at present.
BEGIN
    RETURN NULL;
END

-- name: body
-- The ladder: payload, then key and error, then a counter. Outside a guard stands nothing that can fail.
-- Most statements change nothing that matters: they end at the early exit, so nothing is asked before it.
#variable_conflict use_variable
DECLARE
    pairs bigint;
    hit boolean;
    broken text;
    problem text;
BEGIN
    BEGIN
        {early_exit}
        IF {skip} THEN
            PERFORM nextval({skipped}) FROM {counted};
            RETURN NULL;
        END IF;
        broken := current_setting({broken}, true);
        IF broken LIKE {open} AND split_part(broken, ' ', 3)::bigint > extract(epoch FROM clock_timestamp()) THEN
            problem := 'not tried, because it failed in this session three times just before';
        ELSIF pg_sequence_last_value('tidings.outbox_id_seq') >= pg_sequence_last_value({bound}) THEN
            problem := {full};
        ELSE
            -- No guard catches the user's statement_timeout: where a limit is set, nothing here may wait.
            IF current_setting('statement_timeout') <> '0' OR current_setting('transaction_timeout', true) <> '0' THEN
                LOCK TABLE tidings.outbox IN ROW EXCLUSIVE MODE NOWAIT;
            END IF;
            {capture}
            IF FOUND THEN
                {ring}
            END IF;
            IF broken <> '' THEN
                PERFORM set_config({broken}, '', false);
            END IF;
            RETURN NULL;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        IF {skip} THEN
            RETURN NULL;
        END IF;
        problem := SQLSTATE || ': ' || SQLERRM;
        broken := current_setting({broken}, true);
        PERFORM set_config({broken}, CASE
            WHEN broken = {second} OR broken LIKE {open}
            THEN {third} || ' ' || (extract(epoch FROM clock_timestamp())::bigint + {cooling})
            WHEN broken = {first} THEN {second}
            ELSE {first} END, false);
    END;
    IF problem <> {full} THEN
        BEGIN
            LOCK TABLE tidings.outbox_key IN ROW EXCLUSIVE MODE NOWAIT;
            IF pg_relation_size('tidings.outbox_key') >= {key_bytes} THEN
                RAISE EXCEPTION 'outbox_key is full';
            END IF;
            {keep_key}
            RETURN NULL;
        EXCEPTION WHEN OTHERS THEN
            IF problem NOT LIKE 'not tried%' THEN
                RAISE LOG 'tidings: hook {id} captured neither row (%) nor key (%)', problem, SQLERRM;
            END IF;
        END;
    END IF;
    BEGIN
        PERFORM nextval({missed}) FROM {counted};
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'tidings: hook {id} could not even count what it missed: %', SQLERRM;
    END;
    RETURN NULL;
END

-- name: skip
current_setting('tidings.skip', true) IN ('on', 'true', 'yes', '1')

-- name: exit_unless_hit
IF NOT EXISTS (SELECT FROM {source} WHERE {prefilter}) THEN
            RETURN NULL;
        END IF;

-- name: exit_unless_updated
-- One pair is all there is, and true; two are a sign that there are many, which are told apart when they are paired.
SELECT count(*), bool_or(few.hit) INTO pairs, hit
        FROM (SELECT {prefilter} AS hit FROM new_rows AS n CROSS JOIN old_rows AS o LIMIT 2) AS few;
        IF pairs = 0 OR pairs = 1 AND hit IS NOT TRUE THEN
            RETURN NULL;
        END IF;

-- name: exit_if_unchanged
-- Many pairs, the first of which does not pass: perhaps nothing changed that anybody asks for.
IF pairs > 1 THEN
            IF (SELECT {prefilter} FROM (SELECT * FROM new_rows LIMIT 1) AS n CROSS JOIN (SELECT * FROM old_rows LIMIT 1) AS o)
               IS NOT TRUE AND {unchanged} THEN
                RETURN NULL;
            END IF;
        END IF;

-- name: fail_if_unpaired
-- Only a row that moves to another partition can lose its partner: a trigger there may refuse it.
IF (SELECT count(*) FROM new_rows) <> (SELECT count(*) FROM old_rows) THEN
            RAISE EXCEPTION 'an update has more old rows than new ones';
        END IF;
        {exit_unless_updated}

-- name: capture
INSERT INTO tidings.outbox (hook_id, generation, op, key, new, old, captured_at)
            SELECT {id}, {generation}, {op}, {key}, {new}, {old}, clock_timestamp()
            FROM {source}
            WHERE {prefilter};

-- name: capture_update
-- Old and new rows stand in the same order. One row, the usual case, needs no pairing. Many are joined by their number;
-- enable_nestloop is off, for a plan made for few rows is kept and would be quadratic for many.
IF pairs = 1 THEN
                {one}
            ELSE
                {many}
            END IF;

-- name: numbered
(SELECT *, row_number() OVER () AS "tidings position" FROM new_rows) AS n
            JOIN (SELECT *, row_number() OVER () AS "tidings position" FROM old_rows) AS o
            ON n."tidings position" = o."tidings position"

-- name: keep_key
INSERT INTO tidings.outbox_key (hook_id, generation, op, key, error, captured_at)
        SELECT {id}, {generation}, {op}, {key}, left(problem, 500), clock_timestamp()
        FROM {source};

-- name: keep_unpaired_key
INSERT INTO tidings.outbox_key (hook_id, generation, op, key, error, captured_at)
        SELECT {id}, {generation}, {op}, {key}, left(problem, 500), clock_timestamp()
        FROM old_rows AS n
        WHERE (SELECT count(*) FROM new_rows) <> (SELECT count(*) FROM old_rows);

-- name: ring
-- The dispatcher holds this lock while it sleeps, and gets it only when no transaction that found it awake is still open:
-- so no ring is ever missing. A NOTIFY would break PREPARE TRANSACTION, and a full queue would fail the user's commit.
IF current_setting('max_prepared_transactions') = '0' AND NOT pg_try_advisory_xact_lock_shared({space}, {project}) THEN
                    IF pg_notification_queue_usage() < 0.5 THEN
                        PERFORM pg_notify({channel}, '');
                    END IF;
                END IF;
