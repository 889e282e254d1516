-- A small shop: the sample application of the tests, the examples and the demo.
CREATE SCHEMA shop;
CREATE TYPE shop.plan AS ENUM ('free', 'plus', 'pro');
CREATE TABLE shop.customers (
    id               int PRIMARY KEY,
    email            text NOT NULL UNIQUE,
    full_name        text,
    slack_handle     text,
    locale           text NOT NULL DEFAULT 'en',
    tz               text NOT NULL DEFAULT 'UTC',
    plan             shop.plan NOT NULL DEFAULT 'free',
    marketing_opt_in boolean NOT NULL DEFAULT false,
    created_at       timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE shop.staff (
    id    int PRIMARY KEY,
    email text NOT NULL,
    role  text NOT NULL CHECK (role IN ('warehouse', 'support', 'finance'))
);
CREATE TABLE shop.products (
    id            int PRIMARY KEY,
    sku           text NOT NULL UNIQUE,
    title         text NOT NULL,
    stock         int NOT NULL CHECK (stock >= 0),
    reorder_level int NOT NULL DEFAULT 10,
    price_cents   int NOT NULL CHECK (price_cents > 0)
);
CREATE TABLE shop.orders (
    id           int PRIMARY KEY,
    customer_id  int NOT NULL REFERENCES shop.customers,
    status       text NOT NULL CHECK (status IN ('pending', 'paid', 'shipped', 'delivered', 'cancelled', 'refunded')),
    total_cents  int NOT NULL CHECK (total_cents >= 0),
    currency     char(3) NOT NULL DEFAULT 'USD',
    placed_at    timestamptz NOT NULL,
    shipped_at   timestamptz,
    delivered_at timestamptz,
    CHECK (delivered_at IS NULL OR shipped_at IS NOT NULL)
);
CREATE TABLE shop.order_items (
    order_id   int REFERENCES shop.orders ON DELETE CASCADE,
    product_id int REFERENCES shop.products,
    qty        int NOT NULL CHECK (qty > 0),
    PRIMARY KEY (order_id, product_id)
);
CREATE TABLE shop.reviews (
    id          int PRIMARY KEY,
    product_id  int NOT NULL REFERENCES shop.products,
    customer_id int NOT NULL REFERENCES shop.customers,
    stars       int NOT NULL CHECK (stars BETWEEN 1 AND 5),
    body        text
);
COMMENT ON TABLE shop.orders IS 'One row per order; status moves from pending to paid, shipped and delivered.';
