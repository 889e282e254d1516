"""A small shop: the application of the demo. It knows nothing of Tidings; it only writes its own tables.

python shop_app.py DATABASE_URL place CUSTOMER     places an order with a mug and a cap, prints its number
python shop_app.py DATABASE_URL ship ORDER
python shop_app.py DATABASE_URL deliver ORDER
python shop_app.py DATABASE_URL sell PRODUCT QUANTITY
"""

import sys

import psycopg

PLACE = """
INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)
SELECT coalesce(max(id), 0) + 1, %s, 'paid', 4000, now() FROM shop.orders
RETURNING id
"""
ITEMS = (
    "INSERT INTO shop.order_items (order_id, product_id, qty) SELECT %s, id, 1 FROM shop.products WHERE id IN (1, 2)"
)
SHIP = "UPDATE shop.orders SET status = 'shipped', shipped_at = now() WHERE id = %s"
DELIVER = "UPDATE shop.orders SET status = 'delivered', delivered_at = now() WHERE id = %s"
SELL = "UPDATE shop.products SET stock = stock - %s WHERE id = %s"


def main(url: str, action: str, *numbers: str) -> None:
    """Do one thing in one transaction, as an application would."""
    with psycopg.connect(url, application_name="shop") as conn:
        match action, [int(number) for number in numbers]:
            case "place", [customer]:
                row = conn.execute(PLACE, (customer,)).fetchone()
                order = row[0] if row else 0
                conn.execute(ITEMS, (order,))
                sys.stdout.write(f"{order}\n")
            case "ship", [order]:
                conn.execute(SHIP, (order,))
            case "deliver", [order]:
                conn.execute(DELIVER, (order,))
            case "sell", [product, quantity]:
                conn.execute(SELL, (quantity, product))
            case _:
                raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
