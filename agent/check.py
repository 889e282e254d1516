"""What Tidings says to a draft: valid against the real schema, kept, rehearsed; all through the server's tools."""

from typing import Any

from agent.repair import problem, redo
from agent.state import Live, Next, State, failed
from agent.toolbox import Refused


async def validate(state: State, live: Live) -> Next:
    """Let the server judge the draft; problems go back to the model as data."""
    live.tell("Checking it against the schema")
    answer = await live.tools.call("validate_workflow", spec=state["spec"])
    problems = serious(answer.get("problems", []))
    return redo(state, problems) if problems else Next("save")


async def save(state: State, live: Live) -> Next:
    """Keep the draft on top of the revision that was read; one that somebody saved meanwhile is not overwritten.

    Doing it twice changes nothing, so a run that died here simply does it again.
    """
    live.tell(f"Saving the draft {state['name']}")
    try:
        answer = await live.tools.call("save_workflow", spec=state["spec"], expected_revision=state.get("revision", 0))
    except Refused as error:
        return failed(str(error))
    problems = serious(answer.get("problems", []))
    update = {"revision": answer.get("revision") or state.get("revision", 0), "saved": state["name"]}
    return redo(state, problems, **update) if problems else Next("test", update)


async def test(state: State, live: Live) -> Next:
    """Rehearse the saved draft; what failed goes back to the model."""
    live.tell("Rehearsing it on a copy of the schema")
    answer = await live.tools.follow("test_workflow", live.tell, workflow=state["name"])
    if answer["passed"]:
        return Next("prepare", {"report": answer["summary"]})
    return redo(state, _failures(answer), report=answer["summary"])


def serious(problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the problems without the warnings."""
    return [entry for entry in problems if entry.get("severity") != "warning"]


def _failures(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each failed scenario of a rehearsal as a problem."""
    failures = [scenario for scenario in answer.get("scenarios", []) if not scenario["passed"]]
    fix = "Make the workflow do what the scenario expects, if that is what the request means."
    found = [problem("scenario-failed", f"{entry['name']}: {entry.get('detail', '')}", fix) for entry in failures]
    return [*serious(answer.get("problems", [])), *found] or [problem("test-failed", answer["summary"], fix)]
