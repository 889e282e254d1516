"""The end of a request that came to nothing: no draft that a person had is lost, and neither is what was tried."""

from agent.state import Live, Next, State
from agent.toolbox import Refused


async def give_up(state: State, live: Live) -> Next:
    """Put back the draft that was there before, or keep the last one of a new workflow for a person to finish."""
    before, saved = state.get("current", ""), state.get("saved", "")
    if before and saved:
        return await _save(state, live, before, f"The draft {saved!r} is as it was before.")
    if before or not state.get("spec"):
        return Next("")
    kept = f"The last draft is kept as {state['name']!r}, for a person to finish."
    return _saying(state, kept) if saved else await _save(state, live, state["spec"], kept)


async def _save(state: State, live: Live, spec: str, said: str) -> Next:
    try:
        await live.tools.call("save_workflow", spec=spec, expected_revision=state.get("revision", 0))
    except Refused:  # somebody saved meanwhile, and that is the draft now
        return Next("")
    return _saying(state, said)


def _saying(state: State, said: str) -> Next:
    return Next("", {"message": f"{state['message']} {said}"})
