"""The spec: what a workflow is, as closed models with one JSON Schema.

Every field that may be absent has an empty string or an empty list as its default, so that the same models
read people's YAML (which leaves empties out) and the form for language models (in which every key is required).
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator


class Closed(BaseModel):
    """A model that refuses keys it does not know and never changes. An empty text counts as left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, serialize_by_alias=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empties(cls, data: Any) -> Any:
        """Drop known keys that hold an empty text or null, so that a default applies and a needed key is missed."""
        if not isinstance(data, dict):
            return data
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {key: value for key, value in data.items() if value not in ("", None) or key not in known}


class Operation(StrEnum):
    """What was done to a row."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


class ChannelName(StrEnum):
    """How a message travels."""

    EMAIL = "email"
    SLACK = "slack"


class ChangeTrigger(Closed):
    """A row was written."""

    change: str
    """The table, as schema.table."""
    ops: list[Operation] = []
    """insert, update, delete. Default: insert and update with `becomes`, update with `columns`; else say which."""
    columns: list[str] = []
    """Fires each time an update makes one of these columns distinct."""
    becomes: str = ""
    """A condition on the row's bare columns that is true now and was not before, or the row is new."""
    when: str = ""
    """A condition on `new` and `old` that must also hold; no subquery."""


class ScheduleTrigger(Closed):
    """Time reaches a calendar rule."""

    schedule: str
    """Five-field cron, such as `0 8 * * 1-5`."""
    zone: str = "UTC"
    """The IANA zone in which the rule is read."""
    each: str = ""
    """A SELECT; one run per row it returns, which is `item` from then on. Without it: one run."""
    key: list[str] = []
    """The columns of `each` that say which item it is."""


def _kind_of(*kinds: str) -> Any:
    """Choose a union member by the key that names it."""

    def choose(value: Any) -> str | None:
        keys = value.keys() if isinstance(value, dict) else getattr(type(value), "model_fields", {}).keys()
        return next((kind for kind in kinds if kind in keys), None)

    return Discriminator(
        choose,
        custom_error_type="unknown-kind",
        custom_error_message=f"needs exactly one of the keys {', '.join(kinds)}",
    )


Trigger = Annotated[
    Annotated[ChangeTrigger, Tag("change")] | Annotated[ScheduleTrigger, Tag("schedule")],
    _kind_of("change", "schedule"),
]

ShortText = Annotated[str, Field(max_length=4_000)]
Sql = Annotated[str, Field(max_length=16_000)]


class Text(Closed):
    """The words of a message for one locale and channel."""

    locale: str = ""
    """A language tag such as `fr` or `pt-BR`; empty is the default."""
    channel: Literal["", "email", "slack"] = ""
    """Only for this channel; empty is every channel."""
    subject: ShortText = ""
    """Jinja2; e-mail needs it."""
    preheader: ShortText = ""
    """The line that inboxes show behind the subject."""
    body: Annotated[str, Field(max_length=65_536)] = ""
    """Markdown with Jinja2; or leave it empty and use `blocks`."""
    blocks: "list[Block]" = []
    """Instead of `body`: a list of blocks."""


class Item(Closed):
    """A column of an items table."""

    label: str
    """The heading of the column, or the name of the fact."""
    value: str
    """Jinja2; in items `row` is the row at hand."""


class Block(Closed):
    """One part of a message; `type` says which of the other keys it reads."""

    type: Literal["heading", "text", "button", "facts", "items", "alert", "divider"]
    """Needs: heading text · text text · button label, href · facts columns · items each, columns · alert text."""
    text: str = ""
    """heading, text (Markdown), alert."""
    label: str = ""
    """button."""
    href: str = ""
    """button: an https address, may hold Jinja2 in its path."""
    each: str = ""
    """items: the list to repeat over, such as the name of a query."""
    columns: list[Item] = []
    """items and facts."""
    tone: Literal["", "info", "success", "warning", "danger"] = ""
    """alert."""


class QueryStep(Closed):
    """Reads rows; a list in texts, a table in later SQL, under its name."""

    query: str
    """The name of the result: letters, digits and _."""
    sql: Sql
    """One SELECT; may use new, old, live, item, event.at, :now and earlier queries."""
    condition: Annotated[Sql, Field(alias="if")] = ""
    """Only if this SQL condition is true; otherwise the step is skipped."""


class WaitStep(Closed):
    """Lets time pass."""

    wait: str
    """The name of the step."""
    duration: Annotated[str, Field(alias="for")] = ""
    """A duration such as `30 minutes` or `3 days`, counted from the step before."""
    until: Sql = ""
    """SQL that gives a timestamptz (a date means 09:00 in the project's zone); asked again when due."""
    condition: Annotated[Sql, Field(alias="if")] = ""
    """Only if this SQL condition is true; otherwise the step is skipped."""


class SendStep(Closed):
    """Tells people."""

    send: str
    """The name of the step."""
    to: Sql
    """A SELECT that returns people: columns key, email, slack, locale have a meaning; all others are for the text."""
    channels: Annotated[list[ChannelName], Field(min_length=1)]
    """In order of preference: the first for which the person has an address."""
    category: Literal["transactional", "product", "marketing"] = "transactional"
    """product and marketing mails carry an unsubscribe link."""
    topic: str = ""
    """What a person unsubscribes from."""
    condition: Annotated[Sql, Field(alias="if")] = ""
    """Only if this SQL condition is true when the message is due; otherwise nobody is told."""
    texts: Annotated[list[Text], Field(min_length=1)]
    """What is said: one text without a locale for everybody, more for other languages or channels."""


Step = Annotated[
    Annotated[QueryStep, Tag("query")] | Annotated[WaitStep, Tag("wait")] | Annotated[SendStep, Tag("send")],
    _kind_of("query", "wait", "send"),
]


class Workflow(Closed):
    """A workflow: who must hear what, when."""

    workflow: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,62}$")]
    """The identity across versions."""
    about: Annotated[str, Field(min_length=1, max_length=2_000)]
    """The request as understood, and each policy chosen: the sentence that a person approves."""
    trigger: Trigger
    """What starts it: a change of a row, or a schedule."""
    condition: Annotated[Sql, Field(alias="if")] = ""
    """SQL that may read other tables; asked once, at matching."""
    while_: Annotated[Sql, Field(alias="while")] = ""
    """What must stay true for the run to go on; asked again right before each send."""
    steps: Annotated[list[Step], Field(min_length=1, max_length=50)]
    """What is done, in order: query, wait, send."""


def step_name(step: QueryStep | WaitStep | SendStep) -> str:
    """Return the name an author gave a step."""
    match step:
        case QueryStep():
            return step.query
        case WaitStep():
            return step.wait
        case SendStep():
            return step.send
