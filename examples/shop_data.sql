-- A few rows to begin with.
INSERT INTO shop.customers (id, email, full_name, locale, tz, marketing_opt_in) VALUES
    (1, 'ana@example.com', 'Ana Ruiz', 'en', 'America/New_York', true),
    (2, 'bo@example.com', NULL, 'fr', 'Europe/Paris', false)
ON CONFLICT DO NOTHING;
INSERT INTO shop.staff (id, email, role) VALUES (1, 'warehouse@example.com', 'warehouse') ON CONFLICT DO NOTHING;
INSERT INTO shop.products (id, sku, title, stock, reorder_level, price_cents) VALUES
    (1, 'MUG', 'Enamel mug', 120, 10, 1500), (2, 'CAP', 'Wool cap', 60, 5, 2500)
ON CONFLICT DO NOTHING;
INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at) VALUES
    (1, 1, 'paid', 4000, now() - interval '2 hours'), (2, 2, 'paid', 2500, now() - interval '1 hour')
ON CONFLICT DO NOTHING;
INSERT INTO shop.order_items (order_id, product_id, qty) VALUES (1, 1, 1), (1, 2, 1), (2, 2, 1) ON CONFLICT DO NOTHING;
