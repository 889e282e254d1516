"""`tidings draft`: a sentence becomes a tested draft that waits for your approval."""

import asyncio
from dataclasses import asdict

import click

from agent.drafter import NO_KEY
from cli.drafters import open_drafter
from cli.terminal import interactive, progress, say, say_json
from runtime.settings import Settings, load_settings
from runtime.visible import visible
from tools.drafter import Drafter, DraftOutcome

_SHOWN_OF_DIGEST = 12


@click.command()
@click.argument("request", required=False, default="")
@click.option("--workflow", default="", help="Change this workflow instead of making a new one.")
@click.option("--thread", default="", help="Go on with an earlier request.")
@click.option("--answer", default="", help="With --thread: the answer to its questions, or what to change.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, ask nothing.")
def draft(request: str, *, workflow: str, thread: str, answer: str, as_json: bool) -> None:
    """Have the agent write, check and rehearse a workflow from a sentence: who shall hear what, and when.

    It needs ANTHROPIC_API_KEY, and publishes only what you approved. Exits with 1 if no draft came of it.
    """
    if not request.strip() and not thread:
        raise click.UsageError('Say who shall hear what, and when: tidings draft "E-mail the customer when …".')
    outcome = _draft(load_settings(), request, workflow=workflow, thread=thread, answer=answer, asking=not as_json)
    if as_json:
        say_json(asdict(outcome))
    else:
        show(outcome)
    if outcome.status in {"failed", "unavailable"}:
        raise SystemExit(1)


def work(drafter: Drafter, request: str, *, workflow: str = "", thread: str = "", answer: str = "") -> DraftOutcome:
    """Run a request until a person is needed; what is being done goes to the error stream."""
    told = progress()

    async def tell(line: str) -> None:
        told(visible(line))

    return asyncio.run(drafter.draft(request, workflow=workflow, thread=thread, answer=answer, progress=tell))


def ask(outcome: DraftOutcome) -> str:
    """Put the questions of a request to the person at the terminal and return the answer."""
    show_questions(outcome)
    return listen("Your answer?")


def listen(question: str, *, default: str | None = None) -> str:
    """Return what the person says; without a default they must say something."""
    return str(click.prompt(question, default=default, show_default=False, prompt_suffix="\n> "))


def show(outcome: DraftOutcome) -> None:
    """Print how far a request has come, and the next step."""
    match outcome.status:
        case "needs_input":
            show_questions(outcome)
            say(f'Next: tidings draft --thread {outcome.thread} --answer "…"')
        case "needs_approval":
            say(outcome.workflow, bold=True)
            say(_indented(outcome.message))
            say(f"Digest  {outcome.digest[:_SHOWN_OF_DIGEST]}")
            say(f"Next: tidings approve {outcome.workflow}", colour="green")
            say(f'Or say what to change: tidings draft --thread {outcome.thread} --answer "…"', dim=True)
        case "published":
            say(visible(outcome.message), colour="green")
        case _:
            _show_failure(outcome)


def show_questions(outcome: DraftOutcome) -> None:
    """Print what the agent asks."""
    for question in outcome.questions:
        say(f"? {visible(question)}", bold=True)


def _draft(settings: Settings, request: str, *, workflow: str, thread: str, answer: str, asking: bool) -> DraftOutcome:
    if not settings.anthropic_api_key:
        return DraftOutcome("unavailable", message=NO_KEY)
    with open_drafter(settings) as drafter:
        outcome = work(drafter, request, workflow=workflow, thread=thread, answer=answer)
        while asking and outcome.status == "needs_input" and interactive():
            outcome = work(drafter, "", thread=outcome.thread, answer=ask(outcome))
    return outcome


def _show_failure(outcome: DraftOutcome) -> None:
    click.echo(click.style(visible(outcome.message), fg="red"), err=True)
    for problem in outcome.problems:
        say(f"✗ {problem.get('path') or 'the spec'}  ({problem.get('code')})", colour="red")
        say(_indented(f"{problem.get('message')} {problem.get('fix')}"))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in visible(text).splitlines())
