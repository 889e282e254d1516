-- A web shop.
CREATE SCHEMA shop;
CREATE TABLE shop.customers (
    id int PRIMARY KEY,
    email text NOT NULL UNIQUE,
    phone text,
    full_name text,
    locale text NOT NULL DEFAULT 'en',
    tz text NOT NULL DEFAULT 'UTC',
    marketing_opt_in boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE shop.products (
    id int PRIMARY KEY,
    sku text NOT NULL UNIQUE,
    title text NOT NULL,
    stock int NOT NULL CHECK (stock >= 0),
    reorder_level int NOT NULL DEFAULT 10,
    price_cents int NOT NULL CHECK (price_cents > 0)
);
CREATE TABLE shop.orders (
    id int PRIMARY KEY,
    customer_id int NOT NULL REFERENCES shop.customers,
    status text NOT NULL CHECK (status IN ('pending', 'paid', 'shipped', 'delivered', 'cancelled', 'refunded')),
    total_cents int NOT NULL CHECK (total_cents >= 0),
    currency char(3) NOT NULL DEFAULT 'USD',
    placed_at timestamptz NOT NULL,
    shipped_at timestamptz,
    delivered_at timestamptz,
    CHECK (delivered_at IS NULL OR shipped_at IS NOT NULL)
);
CREATE TABLE shop.order_items (
    order_id int REFERENCES shop.orders ON DELETE CASCADE,
    product_id int REFERENCES shop.products,
    qty int NOT NULL CHECK (qty > 0),
    PRIMARY KEY (order_id, product_id)
);
CREATE TABLE shop.carts (
    id int PRIMARY KEY,
    customer_id int NOT NULL REFERENCES shop.customers,
    last_activity_at timestamptz NOT NULL,
    checked_out_at timestamptz
);
CREATE TABLE shop.payments (
    id int PRIMARY KEY,
    order_id int NOT NULL REFERENCES shop.orders,
    state text NOT NULL CHECK (state IN ('authorized', 'succeeded', 'failed')),
    failure_code text,
    attempted_at timestamptz NOT NULL,
    CHECK ((state = 'failed') = (failure_code IS NOT NULL))
);
CREATE TABLE shop.reviews (
    id int PRIMARY KEY,
    product_id int NOT NULL REFERENCES shop.products,
    customer_id int NOT NULL REFERENCES shop.customers,
    stars int NOT NULL CHECK (stars BETWEEN 1 AND 5),
    body text
);
CREATE TABLE shop.staff (
    id int PRIMARY KEY,
    email text NOT NULL,
    role text NOT NULL CHECK (role IN ('warehouse', 'support', 'finance', 'merch'))
);
