"""The catalog of examples/shop.sql, built by hand: what unit tests of the spec speak about, without a database."""

from runtime.spec.schema import AddressKind, Catalog, Column, ForeignKey, Table
from runtime.spec.vocabulary import words

FUNCTIONS = words("""
    abs age array_agg avg btrim ceil char_length concat concat_ws count date_bin date_part date_trunc every
    extract floor format generate_series greatest initcap json_agg json_build_object jsonb_array_elements
    jsonb_array_elements_text jsonb_build_object jsonb_each jsonb_object_keys jsonb_to_recordset jsonb_typeof
    left length lower ltrim make_date make_interval max md5 min mod nullif percentile_cont position power rank
    regexp_replace repeat replace right round row_number rtrim split_part starts_with string_agg strpos substr
    substring sum to_char to_date to_timestamp trim trunc unnest upper bool_and bool_or lead lag
    """)
_SHORT = {
    "int": "integer",
    "text": "text",
    "bool": "boolean",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "date": "date",
    "jsonb": "jsonb",
    "numeric": "numeric(10,2)",
    "char3": "character(3)",
}


def columns(text: str) -> tuple[Column, ...]:
    """Build columns from `name type, name type?, …`; a question mark makes one nullable."""
    built = []
    for part in text.split(","):
        name, kind = part.split()
        type_ = _SHORT[kind.rstrip("?")]
        built.append(Column(name=name, type=type_, base=type_, nullable=kind.endswith("?")))
    return tuple(built)


def table(name: str, text: str, *, key: str = "id", checks: tuple[str, ...] = (), schema: str = "shop") -> Table:
    """Build a table with a primary key; `key` is empty for none."""
    return Table(
        schema_name=schema,
        name=name,
        columns=columns(text),
        primary_key=tuple(key.split()),
        checks=checks,
    )


def shop(*more: Table) -> Catalog:
    """Return the shop, everything approved, with a contact `ops`."""
    customers = table(
        "customers",
        "id int, email text, full_name text?, slack_handle text?, locale text, tz text, marketing_opt_in bool,"
        " created_at timestamptz",
    )
    plan = Column(name="plan", type="shop.plan", base="text", nullable=False, labels=("free", "plus", "pro"))
    customers = customers.model_copy(update={"columns": (*customers.columns, plan)})
    orders = table(
        "orders",
        "id int, customer_id int, status text, total_cents int, currency char3, placed_at timestamptz,"
        " shipped_at timestamptz?, delivered_at timestamptz?",
        checks=(
            "((delivered_at IS NULL) OR (shipped_at IS NOT NULL))",
            (
                "(status = ANY (ARRAY['pending'::text, 'paid'::text, 'shipped'::text, 'delivered'::text,"
                " 'cancelled'::text, 'refunded'::text]))"
            ),
            "(total_cents >= 0)",
        ),
    )
    orders = orders.model_copy(
        update={
            "foreign_keys": (ForeignKey(columns=("customer_id",), table="shop.customers", references=("id",)),),
            "comment": "One row per order; status moves from pending to paid, shipped and delivered.",
        }
    )
    staff_check = "(role = ANY (ARRAY['warehouse'::text, 'support'::text, 'finance'::text]))"
    return Catalog(
        tables=(
            customers,
            orders,
            table("staff", "id int, email text, role text", checks=(staff_check,)),
            table(
                "products",
                "id int, sku text, title text, stock int, reorder_level int, price_cents int",
                checks=("(stock >= 0)", "(price_cents > 0)"),
            ),
            table("order_items", "order_id int, product_id int, qty int", key="order_id product_id"),
            table(
                "reviews",
                "id int, product_id int, customer_id int, stars int, body text?",
                checks=("((stars >= 1) AND (stars <= 5))",),
            ),
            *more,
        ),
        address_columns={
            "shop.customers.email": AddressKind.EMAIL,
            "shop.customers.slack_handle": AddressKind.SLACK,
            "shop.staff.email": AddressKind.EMAIL,
        },
        contacts={"ops": {"kind": "email", "address": "ops@x.test"}, "alerts": {"kind": "slack", "address": "#alerts"}},
        functions=FUNCTIONS,
    )
