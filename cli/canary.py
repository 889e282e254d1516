"""`tidings canary`."""

import click

from cli.project import open_project
from cli.terminal import say, say_json
from runtime.engine.alarms import CanaryState, canary_state
from runtime.engine.canary import switch_off, switch_on


@click.command()
@click.argument("switch", required=False, type=click.Choice(["on", "off"]))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def canary(switch: str | None, *, as_json: bool) -> None:
    """Show the canary, or switch it on or off: a row of Tidings' own that must come through every minute.

    It goes through a hook, the dispatcher, the broker and a worker, and tells nobody. Health turns red when none has
    come through for three minutes.
    """
    with open_project() as project:
        ledger = project.ledger
        if switch is not None:
            act = switch_on if switch == "on" else switch_off
            act(project.settings.installer_url, ledger.project_id)
        with ledger.connection() as conn:
            state = canary_state(conn, ledger.project_id)
    if as_json:
        say_json({"on": state.on, "age": state.age, "took": state.took})
    else:
        say(canary_line(state))


def canary_line(state: CanaryState) -> str:
    """Say how the canary fares, in a line."""
    if not state.on:
        return "The canary is off."
    if state.age is None or state.took is None:
        return "The canary is on; none has come through yet."
    took = state.took.total_seconds()
    spent = f"{took * 1000:,.0f} ms" if took < 1 else f"{took:,.1f} s"
    return f"The last canary came through {state.age.total_seconds():,.0f} s ago and took {spent}."
