"""The one node that asks the model: a draft, questions to the person, or why it can't be done."""

from typing import Any

from agent.answer import Answer, read_answer, shape_problems
from agent.ground import catalog_text
from agent.model import MAX_TOKENS, Reply
from agent.prompt import MOST_QUESTIONS, MOST_ROUNDS, prompt
from agent.repair import problem, redo
from agent.state import Live, Next, State, failed
from runtime.errors import Invalid
from runtime.spec.model import Workflow
from runtime.spec.reading import parse_spec
from runtime.spec.yaml import dump_spec

GUIDE = "tidings://language"
MOST_LOOKS = 2
_EVERY = 2_000
"""Characters between two lines of progress."""


async def draft(state: State, live: Live) -> Next:
    """Ask the model once, unless the budget is used up, and say where its answer leads."""
    spent = live.budget.spent(state.get("usage", []))
    if spent:
        return failed(f"This request has used up its budget ({spent}). Begin a new one, perhaps a smaller one.")
    live.tell("Repairing the draft" if state.get("problems") else "Drafting")
    asked = prompt(state, guide=await live.tools.read(GUIDE), catalog=await catalog_text(state, live))
    reply = await live.model.answer(asked, heard=_progress(live))
    usage = reply.usage
    cost = {"model": live.model.name, "input": usage.input, "cached": usage.cached, "output": usage.output}
    return _with(_next(state, reply), usage=[cost])


def _next(state: State, reply: Reply) -> Next:
    """Say what follows from a reply, by its reason to stop."""
    attempts = state.get("attempts", 0) + 1
    match reply.stop:
        case "end_turn" | "stop_sequence":
            return _read(state, reply.text, attempts)
        case "max_tokens":
            message = f"The answer was cut off at {MAX_TOKENS:,} tokens."
            cut = problem("too-long", message, "Write shorter texts and fewer of them.")
            return redo(state, [cut], attempts=attempts)
        case "refusal":
            why = f" ({reply.detail})" if reply.detail else ""
            return failed(f"The model declined to write this{why}. Say it in other words, or write the spec yourself.")
        case "model_context_window_exceeded":
            return failed("Request and schema are too much for this model. Choose a larger one with TIDINGS_MODEL.")
        case other:
            return failed(f"The model stopped for a reason that is not expected here: {other!r}.")


def _read(state: State, text: str, attempts: int) -> Next:
    try:
        answer = read_answer(text)
    except ValueError as error:
        bad = problem("not-json", f"The answer can't be read: {error}", "Answer with one JSON object as described.")
        return redo(state, [bad], attempts=attempts, reply=text or "(nothing)")
    if answer.look_at and state.get("looks", 0) < MOST_LOOKS:
        tables = list(dict.fromkeys([*state["tables"], *answer.look_at]))
        return Next("draft", {"tables": tables, "looks": state.get("looks", 0) + 1})
    if answer.questions and state.get("rounds", 0) < MOST_ROUNDS:
        return Next("ask", {"questions": answer.questions[:MOST_QUESTIONS], "rounds": state.get("rounds", 0) + 1})
    return _drafted(state, answer, {"attempts": attempts, "reply": text})


def _drafted(state: State, answer: Answer, update: dict[str, Any]) -> Next:
    if answer.workflow is None and answer.impossible:
        return failed(f"It can't be done as asked: {answer.impossible}", **update)
    if answer.workflow is None:
        none = problem("no-workflow", "The answer holds no workflow.", "Fill `workflow`, or say why in `impossible`.")
        return redo(state, [none], **update)
    try:
        workflow = parse_spec(answer.workflow)
    except Invalid as error:
        return redo(state, shape_problems(error), **update)
    update |= {"spec": dump_spec(workflow), "name": workflow.workflow}
    wrong = _wrong_name(state, workflow)
    return redo(state, [wrong], **update) if wrong else Next("validate", update)


def _wrong_name(state: State, workflow: Workflow) -> dict[str, Any] | None:
    """Return a problem where the draft would become another workflow than the one that was asked for."""
    wanted, name = state.get("workflow") or state.get("saved", ""), workflow.workflow
    if wanted and name != wanted:
        return problem("renamed", f"It is called {name!r}.", f"Call it {wanted!r}: that is its name.", path="/workflow")
    if not wanted and name in state.get("taken", []):
        message = f"Another workflow is called {name!r} already."
        return problem("name-taken", message, "Choose another name.", path="/workflow")
    return None


def _progress(live: Live) -> Any:
    """Return what is told while an answer streams in: a line every so many characters."""
    told = 0

    def heard(length: int) -> None:
        nonlocal told
        if length // _EVERY > told:
            told = length // _EVERY
            live.tell(f"Drafting ({length:,} characters)")

    return heard


def _with(step: Next, **update: Any) -> Next:
    return Next(step.node, {**step.update, **update})
