-- What the generator writes. `version` counts the writes to a row, so that a message says for which of them it is.
CREATE SCHEMA trade;
CREATE TABLE trade.people (
    id     int PRIMARY KEY,
    email  text NOT NULL UNIQUE,
    team   int NOT NULL
);
CREATE TABLE trade.parcels (
    id       int PRIMARY KEY,
    person   int NOT NULL,
    state    text NOT NULL,
    version  int NOT NULL
);
CREATE TABLE trade.invoices (
    id       int PRIMARY KEY,
    person   int NOT NULL,
    state    text NOT NULL,
    version  int NOT NULL
);
CREATE TABLE trade.alarms (
    id       int PRIMARY KEY,
    team     int NOT NULL,
    level    int NOT NULL,
    version  int NOT NULL
);
CREATE TABLE trade.papers (
    id       int PRIMARY KEY,
    person   int NOT NULL,
    version  int NOT NULL  -- the round in which it is due
);
CREATE TABLE trade.rounds (
    number  int PRIMARY KEY
);
CREATE TABLE trade.done (   -- transactions that committed, for when the answer to a COMMIT was lost
    number  bigint PRIMARY KEY
);
INSERT INTO trade.people SELECT n, 'person' || n || '@trade.test', n % 4 FROM generate_series(1, 12) n;
