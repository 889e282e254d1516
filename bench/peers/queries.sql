-- How each peer hears of a row: its own way to enqueue, called by a trigger on shop.orders.

-- name: notify
-- A NOTIFY for each row, which a listener hears.
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('orders', json_build_object('id', NEW.id, 'customer_id', NEW.customer_id, 'amount', NEW.amount)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.tell();

-- name: graphile_row
-- As its documentation has it.
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM graphile_worker.add_job('order', json_build_object('id', NEW.id, 'customer_id', NEW.customer_id, 'amount', NEW.amount));
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.tell();

-- name: graphile_statement
-- As an expert would: one call for all rows of a statement.
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count(*) FROM graphile_worker.add_jobs(ARRAY(
        SELECT ROW('order', json_build_object('id', id, 'customer_id', customer_id, 'amount', amount),
                   NULL, NULL, NULL, NULL, NULL, NULL)::graphile_worker.job_spec
        FROM new_rows));
    RETURN NULL;
END $$;
CREATE TRIGGER tell_insert AFTER INSERT ON shop.orders REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION shop.tell();
CREATE TRIGGER tell_update AFTER UPDATE ON shop.orders REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION shop.tell();

-- name: pgboss_statement
-- Straight into its table.
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pgboss.job (name, data, policy)
    SELECT 'order', jsonb_build_object('id', id, 'customer_id', customer_id, 'amount', amount), 'standard' FROM new_rows;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_insert AFTER INSERT ON shop.orders REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION shop.tell();
CREATE TRIGGER tell_update AFTER UPDATE ON shop.orders REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION shop.tell();

-- name: pgboss_notify
-- The same, and its workers are woken, as its own interface does it.
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pgboss.job (name, data, policy)
    SELECT 'order', jsonb_build_object('id', id, 'customer_id', customer_id, 'amount', amount), 'standard' FROM new_rows;
    PERFORM pg_notify('pgboss_' || left(encode(sha224('pgboss'), 'hex'), 24), 'order');
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT ON shop.orders REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION shop.tell();

-- name: procrastinate_statement
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO procrastinate_jobs (queue_name, task_name, args)
    SELECT 'order', 'order', jsonb_build_object('id', id, 'customer_id', customer_id, 'amount', amount) FROM new_rows;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_insert AFTER INSERT ON shop.orders REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION shop.tell();
CREATE TRIGGER tell_update AFTER UPDATE ON shop.orders REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION shop.tell();

-- name: dbos_statement
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dbos.enqueue_workflow('order', 'order', ARRAY[to_json(id)]) FROM new_rows;
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT ON shop.orders REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION shop.tell();

-- name: campaign_graphile
-- A campaign for many: a ledger of recipients, and what the provider said of each request.
CREATE SCHEMA peer;
CREATE TABLE peer.message (
    campaign_id int NOT NULL,
    number      int NOT NULL,
    contact_id  int NOT NULL,
    email       text NOT NULL,
    PRIMARY KEY (campaign_id, number)
);
CREATE TABLE peer.request (campaign_id int NOT NULL, first int NOT NULL, ids text[] NOT NULL, PRIMARY KEY (campaign_id, first));
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM graphile_worker.add_job('campaign', json_build_object('id', NEW.id));
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT ON shop.campaigns FOR EACH ROW EXECUTE FUNCTION shop.tell();

-- name: campaign_graphile_each
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM graphile_worker.add_job('everyone', json_build_object('id', NEW.id));
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT ON shop.campaigns FOR EACH ROW EXECUTE FUNCTION shop.tell();

-- name: campaign_pgboss
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pgboss.job (name, data, policy) VALUES ('campaign', jsonb_build_object('id', NEW.id), 'standard');
    PERFORM pg_notify('pgboss_' || left(encode(sha224('pgboss'), 'hex'), 24), 'campaign');
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT ON shop.campaigns FOR EACH ROW EXECUTE FUNCTION shop.tell();
