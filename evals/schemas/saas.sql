-- Software as a service: accounts with users, invoices, usage and tickets.
CREATE SCHEMA saas;
CREATE TYPE saas.plan AS ENUM ('free', 'pro', 'enterprise');
CREATE TABLE saas.accounts (
    id int PRIMARY KEY,
    name text NOT NULL,
    plan saas.plan NOT NULL,
    mrr_cents int NOT NULL DEFAULT 0,
    trial_ends_at timestamptz,
    churned_at timestamptz,
    deleted_at timestamptz
);
CREATE TABLE saas.users (
    id int PRIMARY KEY,
    account_id int NOT NULL REFERENCES saas.accounts,
    email text NOT NULL,
    phone text,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    locale text NOT NULL DEFAULT 'en',
    tz text NOT NULL DEFAULT 'UTC',
    last_seen_at timestamptz,
    notify_prefs jsonb NOT NULL DEFAULT '{}',
    deactivated_at timestamptz
);
CREATE TABLE saas.invoices (
    id int PRIMARY KEY,
    account_id int NOT NULL REFERENCES saas.accounts,
    number text NOT NULL UNIQUE,
    amount_cents int NOT NULL,
    due_on date NOT NULL,
    paid_at timestamptz,
    status text NOT NULL CHECK (status IN ('draft', 'open', 'paid', 'void'))
);
CREATE TABLE saas.usage (
    account_id int REFERENCES saas.accounts,
    metric text,
    day date,
    qty bigint NOT NULL,
    quota bigint NOT NULL,
    PRIMARY KEY (account_id, metric, day)
);
CREATE TABLE saas.tickets (
    id int PRIMARY KEY,
    account_id int NOT NULL REFERENCES saas.accounts,
    severity int NOT NULL CHECK (severity BETWEEN 1 AND 4),
    opened_at timestamptz NOT NULL,
    first_response_at timestamptz,
    resolved_at timestamptz,
    assignee_email text
);
CREATE TABLE saas.api_keys (
    id int PRIMARY KEY,
    account_id int NOT NULL REFERENCES saas.accounts,
    label text NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE TABLE saas.logins (
    id int PRIMARY KEY,
    user_id int NOT NULL REFERENCES saas.users,
    at timestamptz NOT NULL,
    country char(2) NOT NULL
);
