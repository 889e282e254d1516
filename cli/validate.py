"""`tidings validate`."""

from dataclasses import asdict
from typing import Any

import click

from cli.given import read_workflow
from cli.problems import counted, show_problems
from cli.project import open_project
from cli.terminal import say, say_json
from runtime.errors import Invalid
from runtime.publishing.verdict import Verdict, judge
from runtime.visible import visible


@click.command()
@click.argument("workflow", metavar="FILE|NAME")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validate(workflow: str, *, as_json: bool) -> None:
    """Say everything that is wrong or doubtful about a workflow; exits with 1 if anything is wrong.

    The spec is judged against the database as it is now: names, types, rights, costs, and what its texts print.
    """
    with open_project() as project:
        try:
            spec = read_workflow(project.ledger, workflow)
        except Invalid as error:
            _tell_unreadable(error, workflow, as_json=as_json)
            raise SystemExit(1) from error
        verdict = judge(project.source, project.ledger, spec)
    if as_json:
        say_json(verdict_data(spec.workflow, verdict))
    else:
        _show(spec.workflow, verdict)
    if verdict.problems:
        raise SystemExit(1)


def verdict_data(name: str, verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as data for programs."""
    return {
        "workflow": name,
        "valid": not verdict.problems,
        "problems": [asdict(problem) for problem in verdict.problems],
        "warnings": [asdict(problem) for problem in verdict.warnings],
        "digest": verdict.digest,
        "words": verdict.words,
    }


def _show(name: str, verdict: Verdict) -> None:
    show_problems((*verdict.problems, *verdict.warnings))
    warnings = f" and {counted(len(verdict.warnings), 'warning')}" if verdict.warnings else ""
    if verdict.problems:
        say(f"{name} has {counted(len(verdict.problems), 'problem')}{warnings}.", colour="red")
        return
    say(f"{name} is valid{warnings.replace(' and', ', with')} (digest {verdict.digest[:12]}).", colour="green")
    say(visible(verdict.words))


def _tell_unreadable(error: Invalid, argument: str, *, as_json: bool) -> None:
    if as_json:
        problems = [asdict(problem) for problem in error.problems]
        say_json(
            {"workflow": argument, "valid": False, "problems": problems, "warnings": [], "digest": "", "words": ""}
        )
        return
    show_problems(error.problems)
    say(f"{argument} can't be read: {counted(len(error.problems), 'problem')}.", colour="red")
