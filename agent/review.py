"""A person's approval: asked for, waited for, redeemed. The graph can do the first and the last, never the middle."""

from typing import Any

from agent.check import serious
from agent.repair import redo
from agent.state import Live, Next, State, failed
from agent.toolbox import Refused


async def prepare(state: State, live: Live) -> Next:
    """Put the question to a person; what else stands in the way of a publish goes back to the model."""
    live.tell("Asking for approval")
    answer = await live.tools.call("prepare_publish", workflow=state["name"])
    problems = serious(answer.get("problems", []))
    if problems:
        return redo(state, problems)
    words = "\n".join(part for part in (answer.get("about", ""), answer.get("words", "")) if part)
    update = {"digest": answer.get("digest", ""), "words": words, "problems": [], "note": ""}
    if answer["status"] == "live":
        return _published(state, update)
    if answer["status"] not in {"needs_approval", "ready"}:
        return failed(" ".join(answer.get("missing", [])) or answer["summary"], **update)
    return Next("review", update)


def question(state: State) -> dict[str, Any]:
    """Return what a person decides about: exactly this digest."""
    parts = [state["words"], state["report"], state.get("note", "")]
    message = "\n".join(part for part in parts if part)
    return {"kind": "approval", "digest": state["digest"], "workflow": state["name"], "message": message}


async def decided(state: State, _: Live, answer: dict[str, Any]) -> Next:
    """Go on to publish, or draft again with what the person wants changed; an answer about another draft asks anew."""
    if answer["digest"] != state["digest"]:
        return Next("review", {"note": "That answer was about an earlier draft. Look at this one."})
    if answer["action"] == "publish":
        return Next("publish")
    asked = "Is this right?\n\n" + state["spec"]
    answers = [*state.get("answers", []), {"asked": asked, "said": str(answer["note"])}]
    fresh = {"problems": [], "reply": "", "attempts": 0, "repeats": 0, "note": "", "digest": ""}
    return Next("draft", {**fresh, "answers": answers})


async def publish(state: State, live: Live) -> Next:
    """Redeem the approval that a person recorded for this digest; without one, wait on."""
    live.tell("Publishing")
    try:
        answer = await live.tools.call("confirm_publish", workflow=state["name"], digest=state["digest"])
    except Refused as error:
        return Next("review", {"note": str(error)})
    if answer["status"] == "published":
        return _published(state, {})
    return Next("review", {"note": " ".join(answer.get("missing", [])) or answer["summary"]})


def _published(state: State, update: dict[str, Any]) -> Next:
    return Next("", {**update, "status": "published", "message": f"The workflow {state['name']} is live."})
