"""A spec made ready to run: SQL for whole batches, result columns, templates. Plain data, stored with its version."""

from runtime.spec.model import Workflow
from runtime.spec.schema import Column, Frozen


class Statement(Frozen):
    """A read-only SELECT over a batch of runs.

    Parameters are named (`%(ids)s`), always from the set: ids bigint[], new jsonb[], old jsonb[], at timestamptz[],
    item jsonb[], context jsonb[] (per run: {query name: [rows]}), now timestamptz, cap int.
    The first result column is `run_id`; then
    a condition returns `holds` (boolean), an instant returns `at` (timestamptz), a query the author's columns.
    A run that a query returns no row for is absent; conditions and instants return exactly one row a run.
    """

    sql: str
    columns: tuple[Column, ...] = ()


class CompiledText(Frozen):
    """One text for one channel, ready to render; `runtime/templates` judged and made its templates."""

    locale: str
    """A language tag; empty for the default text."""
    channel: str
    """email or slack; empty is read as a mail for every channel."""
    subject: str
    """Jinja2, one line; may be empty for Slack, whose text says it already."""
    html: str
    """Jinja2 over compiled HTML, which also prints `_subject` and `_footer`; empty for Slack."""
    text: str
    """Jinja2: the plain text of a mail, or mrkdwn."""


class CompiledStep(Frozen):
    """A step's statements; which are set depends on the kind."""

    name: str
    kind: str
    """query, wait or send."""
    condition: Statement | None = None
    query: Statement | None = None
    """query: its rows. send: its recipients."""
    until: Statement | None = None
    seconds: float | None = None
    """wait for: the fixed part of the duration in seconds."""
    months: int = 0
    """wait for: calendar months, added with clamping (31 January + 1 month = 28 February)."""
    texts: tuple[CompiledText, ...] = ()


class Clause(Frozen):
    """A part of a match's condition, true or false, never NULL."""

    name: str
    """op, becomes, before (it was not so before), columns or when."""
    sql: str


class Match(Frozen):
    """How captured changes of a table start runs."""

    relation: str
    hook_columns: tuple[str, ...]
    """Columns that the hook must put into the payload, the key among them."""
    key: tuple[str, ...]
    """Primary key, or empty."""
    ops: tuple[str, ...]
    prefilter: dict[str, str]
    """Operation → a hook-safe SQL expression over the aliases n (new row) and o (old row); `true` when none is safe."""
    condition: str
    """Exact SQL over `new`, `old` (typed rows) and `event.op` (text): immutable, no subquery, never NULL.
    It holds no `%` (unless a name does), so it may stand in a query with or without parameters."""
    clauses: tuple[Clause, ...] = ()
    """The same in parts that must all hold, in the order in which they are asked: they tell where a change failed."""


class CompiledWorkflow(Frozen):
    """What a WorkflowVersion stores besides its spec."""

    spec: Workflow
    match: Match | None = None
    """For change triggers."""
    each: Statement | None = None
    """For schedules: run once per slot with ids=[0], at=[slot]; returns run_id and the items' columns."""
    item_columns: tuple[Column, ...] = ()
    condition: Statement | None = None
    """`if`."""
    while_: Statement | None = None
    live: Statement | None = None
    """For texts that print `live`: run_id and the columns of the trigger's row as it is now; a run whose row is gone is
    absent."""
    row: Statement | None = None
    """With `while`, for tables with a primary key: run_id and the key; a run whose row is gone is absent."""
    steps: tuple[CompiledStep, ...]
    reads: tuple[str, ...]
    """Every table that the reader must be able to SELECT, as schema.table."""
    columns_read: tuple[str, ...] = ()
    """Every column named, as schema.table.column, for drift and fingerprints."""
