"""The workflows that are published for a measurement, as a person would write them."""

_TEXT = 'texts: [{subject: "Order {{ new.id }}", body: It left our warehouse.}]'
_CUSTOMER = """SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id"""


def order_written(*, matches: bool = True) -> str:
    """Return a workflow that tells the customer of every order that is written, or would but for its condition."""
    return f"""
workflow: order-written
about: E-mails the customer each time an order's amount is written.
trigger: {{change: shop.orders, ops: [insert, update], columns: [amount], when: new.amount {">" if matches else "<"} 0}}
steps:
  - send: tell
    to: {_CUSTOMER}
    channels: [email]
    {_TEXT}
"""


WAIT_FIRST = f"""
workflow: wait-first
about: E-mails the customer a month after an order was placed.
trigger: {{change: shop.orders, becomes: status = 'paid'}}
steps:
  - wait: settle
    for: 30 days
  - send: tell
    to: {_CUSTOMER}
    channels: [email]
    {_TEXT}
"""

QUERY_FIRST = f"""
workflow: query-first
about: Looks up the customer's plan, and e-mails those who have none.
trigger: {{change: shop.orders, becomes: status = 'paid'}}
steps:
  - query: customer
    sql: SELECT c.plan, c.full_name FROM shop.customers c WHERE c.id = new.customer_id
  - send: tell
    if: EXISTS (SELECT FROM customer WHERE plan = 'none')
    to: {_CUSTOMER}
    channels: [email]
    {_TEXT}
"""

SHORT_WAIT = f"""
workflow: short-wait
about: Looks at an order some seconds after it was placed, and e-mails the customer if they have no plan.
trigger: {{change: shop.orders, becomes: status = 'pending'}}
steps:
  - wait: settle
    until: event.at + interval '5 seconds'
  - query: customer
    sql: SELECT c.plan, c.full_name FROM shop.customers c WHERE c.id = new.customer_id
  - send: tell
    if: EXISTS (SELECT FROM customer WHERE plan = 'none')
    to: {_CUSTOMER}
    channels: [email]
    {_TEXT}
"""


def campaign(body: str) -> str:
    """Return a workflow that sends a text to every customer once a campaign is written."""
    indented = "\n".join(f"          {line}" for line in body.splitlines())
    return f"""
workflow: campaign
about: E-mails every customer once for each campaign.
trigger: {{change: shop.campaigns, becomes: title IS NOT NULL}}
steps:
  - send: tell
    to: SELECT c.id AS key, c.email, c.full_name, c.plan FROM shop.customers c
    channels: [email]
    texts:
      - subject: "{{{{ new.title }}}}"
        body: |
{indented}
"""


FIXED = "Everything in the shop costs half as much until Sunday."
_SENTENCE = "On the {{ recipient.plan }} plan, {{ recipient.full_name }}, this is yours at half the price until Sunday."
RENDERED = "Hello {{ recipient.full_name }},\n\n" + "\n\n".join([_SENTENCE] * 8)
HEAVY = "Hello {{ recipient.full_name }},\n\n" + "\n\n".join([_SENTENCE] * 110)
