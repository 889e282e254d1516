"""Why nobody was told in a world, in words, from what the ledger recorded."""

from runtime.rehearsal.world import World

_SAID = {
    "condition_false": "`if` does not hold",
    "while_false": "`while` does not hold any more",
    "gone": "the row is gone",
    "nobody": "`to` returns nobody",
    "no_address": "there is no address",
}
_MOST = 3


def why_not(world: World) -> str:
    """Return the recorded reasons, or that no run was started; empty when somebody was told."""
    if world.sent():
        return ""
    if not world.runs():
        errors = [one.detail for one in world.unsent() if one.what == "error"]
        return f"no run was started: {errors[0]}" if errors else "no run was started"
    reasons: list[str] = []
    for one in world.unsent():
        said = one.detail or _SAID.get(one.reason, one.reason)
        if said:
            reasons.append(f"{one.step}: {said}" if one.step else said)
    return "; ".join(list(dict.fromkeys(reasons))[:_MOST]) or "the run said nothing"
