-- Tasks of several tenants in the same tables, with row security on one of them.
CREATE SCHEMA mt;
CREATE TABLE mt.orgs (id int PRIMARY KEY, name text NOT NULL, alert_email text NOT NULL);
CREATE TABLE mt.people (
    id int PRIMARY KEY,
    org_id int NOT NULL REFERENCES mt.orgs,
    email text NOT NULL,
    email_verified boolean NOT NULL DEFAULT false,
    unsubscribed_at timestamptz,
    deleted_at timestamptz
);
CREATE TABLE mt.projects (
    id int PRIMARY KEY,
    org_id int NOT NULL REFERENCES mt.orgs,
    name text NOT NULL,
    owner_id int NOT NULL REFERENCES mt.people,
    archived_at timestamptz
);
CREATE TABLE mt.tasks (
    id int PRIMARY KEY,
    org_id int NOT NULL REFERENCES mt.orgs,
    project_id int NOT NULL REFERENCES mt.projects,
    title text NOT NULL,
    assignee_id int REFERENCES mt.people,
    due_at timestamptz,
    done_at timestamptz,
    deleted_at timestamptz
);
CREATE TABLE mt.comments (
    id int PRIMARY KEY,
    org_id int NOT NULL REFERENCES mt.orgs,
    task_id int NOT NULL REFERENCES mt.tasks,
    author_id int NOT NULL REFERENCES mt.people,
    body text NOT NULL,
    at timestamptz NOT NULL
);
ALTER TABLE mt.tasks ENABLE ROW LEVEL SECURITY;
CREATE POLICY org ON mt.tasks USING (org_id = current_setting('app.org', true)::int);
