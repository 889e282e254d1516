"""A person's answer to what they were shown: it counts for exactly that digest, while that is what would run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from starlette.exceptions import HTTPException

from runtime.console.desk import Desk
from runtime.errors import Conflict
from runtime.publishing.approvals import Prepared, decide, prepare_publish
from runtime.publishing.publish import publish

Kind = Literal["approve", "reject", "publish", "ask"]
_LONGEST_NOTE = 500


@dataclass(frozen=True)
class Answer:
    """What the form of the review page said."""

    kind: Kind
    digest: str
    """Of what was shown."""
    approval_id: int
    note: str


def read_answer(form: Mapping[str, str]) -> Answer:
    """Return the answer that a form holds; a form that is not ours is a bad request."""
    kind, approval = form.get("answer", ""), form.get("approval", "")
    if kind not in get_args(Kind) or not (approval.isascii() and approval.isdigit()) or not form.get("digest"):
        raise HTTPException(400, "The form is not complete. Open the workflow's page again.")
    note = form.get("note", "").strip()[:_LONGEST_NOTE]
    return Answer(cast("Kind", kind), form["digest"], int(approval), note)


def carry_out(desk: Desk, name: str, answer: Answer) -> str:
    """Record the answer, after a yes publish what was shown, and return what came of it: the answer's kind, or `live`.

    Raises Conflict, and records nothing, when the draft, the tables it reads or the project's mode are no longer what
    was shown, or when somebody answered before.
    """
    again = answer.kind == "ask"
    prepared = prepare_publish(desk.ledger, desk.source, name, requested_by=desk.person, ask_again=again)
    _refuse_what_moved_on(prepared, answer)
    if prepared.live:
        return "live"
    if answer.kind in ("approve", "reject"):
        approve = answer.kind == "approve"
        decide(desk.ledger, answer.approval_id, approve=approve, by=desk.person, via="console", note=answer.note)
    if answer.kind in ("approve", "publish"):
        publish(desk.ledger, desk.source, desk.installer_url, name, digest=answer.digest)
    return answer.kind


def _refuse_what_moved_on(prepared: Prepared, answer: Answer) -> None:
    if prepared.digest != answer.digest:
        raise Conflict(
            "Nothing was decided: the draft, the tables it reads or the project's mode changed since you opened this "
            "page. Below is what it is now; look at it again."
        )
    if answer.kind != "ask" and not prepared.live and prepared.approval_id != answer.approval_id:
        raise Conflict("Nothing was decided: the question was asked anew meanwhile. Below is how it stands now.")
