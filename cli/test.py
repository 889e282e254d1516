"""`tidings test`."""

from pathlib import Path

import click

from cli.given import read_workflow
from cli.junit import write_junit
from cli.problems import counted, show_problems
from cli.project import open_project
from cli.terminal import progress, say, say_json
from runtime.errors import Invalid
from runtime.rehearsal.rehearse import rehearse
from runtime.rehearsal.report import Report
from runtime.rehearsal.scratch import scratch_server
from runtime.settings import SCRATCH_FOLDER
from runtime.visible import visible

_COLOURS = {"✓": "green", "✗": "red", "?": "yellow"}


@click.command()
@click.argument("workflow", metavar="FILE|NAME")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--junit", "junit_file", default=None, metavar="FILE", help="Also write the report as JUnit XML.")
def test(workflow: str, *, as_json: bool, junit_file: str | None) -> None:
    """Rehearse a workflow in a scratch copy of the tables it reads, on a virtual clock; exits with 1 if that fails.

    Nothing is sent and no row of the database is read. The publish gate asks for a passed test of exactly what is to
    be published.
    """
    tell = progress()
    with open_project() as project, scratch_server(project.settings.home / SCRATCH_FOLDER, tell) as scratch:
        try:
            spec = read_workflow(project.ledger, workflow)
            report = rehearse(project.source, project.ledger, scratch, spec, progress=tell)
        except Invalid as error:
            show_problems(error.problems)
            say(f"{workflow} has {counted(len(error.problems), 'problem')} and was not tested.", colour="red")
            raise SystemExit(1) from error
    if junit_file is not None:
        write_junit(report, Path(junit_file))
    if as_json:
        say_json(report.to_json())
    else:
        _show(report)
    if not report.passed:
        raise SystemExit(1)


def _show(report: Report) -> None:
    for line in report.lines():
        say(visible(line), colour=_COLOURS.get(line[:1]))
    say(f"digest {report.digest[:12]}, {report.seconds:.1f} s", dim=True)
