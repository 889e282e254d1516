"""`preview_message`: what people would get for a real row, with personal values masked. Nothing is sent or stored."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field

from runtime.publishing.drafts import load_draft
from runtime.publishing.preview import Preview, PreviewMessage, preview_message
from tools.answer import Answer, answered
from tools.hints import READS
from tools.masking import mask_address, mask_inside, mask_known
from tools.services import Services
from tools.strict import StrictServer
from tools.untrusted import Marked, Untrusted
from tools.workflows import Name

_LONGEST_BODY = 4_000


class PreviewAnswer(Answer):
    """The messages for one row."""

    workflow: str
    messages: int = Field(description="How many are shown, at most three people a send step.")
    steps: tuple[str, ...] = Field(default=(), description="Step and channel of each message, in order.")
    data: Marked = Field(description="The row's key, the messages, and notes on what would keep them from going out.")
    preview_url: str = Field(description="Where the person sees the design and every value.")


def add_preview(server: StrictServer, services: Services) -> None:
    """Add the tool."""

    @server.tool(name="preview_message", title="Preview the message", annotations=READS)
    def preview(
        workflow: Name,
        key: Annotated[
            str, Field(description="The row's primary key (1, or 1,2); empty: the newest row that matches.")
        ] = "",
        row: Annotated[
            dict[str, Any] | None, Field(description="Instead of a key: a made-up row, column: value.")
        ] = None,
        step: Annotated[str, Field(description="Only this send step.")] = "",
        locale: Annotated[str, Field(description="As people of this language get it, like fr.")] = "",
    ) -> Annotated[CallToolResult, PreviewAnswer]:
        """Render a draft's messages for one real row. Nothing is sent; addresses and names are masked.

        Check wording, recipients and the notes. Next: correct with save_workflow, or test_workflow.
        """
        if key and row is not None:
            raise ToolError("Give `key` (a real row) or `row` (a made-up one), not both.")
        draft = load_draft(services.ledger, workflow)
        found = preview_message(
            services.source,
            services.ledger,
            draft.workflow,
            key=key or None,
            row=row,
            step=step or None,
            locale=locale or None,
        )
        return answered(_answer(draft.name, found, services))


def _answer(name: str, found: Preview, services: Services) -> PreviewAnswer:
    count = len(found.messages)
    data = {"row": found.row_key, "messages": [_message(m) for m in found.messages], "notes": found.notes}
    return PreviewAnswer(
        summary=f"{count} message(s) of {name} for one row; nothing was sent.",
        next_step="If the words and the people are right, call test_workflow; else correct the spec."
        if count
        else "Nobody would get a message for this row; the notes say why. Try another key, or correct the spec.",
        workflow=name,
        messages=count,
        steps=tuple(f"{message.step} ({message.channel})" for message in found.messages),
        data=Untrusted().mark({key: value for key, value in data.items() if value}, longest=_LONGEST_BODY),
        preview_url=services.page(name),
    )


def _message(message: PreviewMessage) -> dict[str, str]:
    rows = list(_rows(message.rows))
    said = {
        "to": mask_inside(mask_address(message.address, message.channel)),
        "subject": mask_known(message.subject, rows),
        "text": mask_known(message.text, rows),
    }
    return said if message.subject else {"to": said["to"], "text": said["text"]}


def _rows(names: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every row that the text could print: the rows of the language, and those of queries."""
    for value in names.values():
        if isinstance(value, Mapping):
            yield value
        elif isinstance(value, list | tuple):
            yield from (row for row in value if isinstance(row, Mapping))
