-- The application of the benchmark: an order of ten columns, its customers, and campaigns that go to all of them.
CREATE SCHEMA shop;
CREATE TABLE shop.customers (
    id        int PRIMARY KEY,
    email     text NOT NULL,
    full_name text NOT NULL,
    plan      text NOT NULL
);
CREATE TABLE shop.orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id int NOT NULL,
    status      text NOT NULL,
    amount      int NOT NULL,
    currency    char(3) NOT NULL,
    title       text NOT NULL,
    note        text NOT NULL,
    street      text NOT NULL,
    city        text NOT NULL,
    placed_at   timestamptz NOT NULL
);
CREATE TABLE shop.campaigns (
    id      int PRIMARY KEY,
    title   text NOT NULL,
    sent_at timestamptz NOT NULL
);
