"""Questions that only the person can answer. The graph stands still until the answer comes, however long that takes."""

from typing import Any

from agent.state import Live, Next, State


def question(state: State) -> dict[str, Any]:
    """Return what the person is asked."""
    return {"kind": "questions", "questions": state["questions"]}


async def answered(state: State, _: Live, answer: dict[str, Any]) -> Next:
    """Take the answer down and draft again, with all chances to repair anew."""
    asked = "\n".join(f"- {text}" for text in state["questions"])
    answers = [*state.get("answers", []), {"asked": asked, "said": str(answer["said"])}]
    fresh = {"questions": [], "problems": [], "reply": "", "attempts": 0, "repeats": 0}
    return Next("draft", {**fresh, "answers": answers})
