"""`tidings dispatch`: the process that claims changes, releases waits and runs schedules."""

import click

from cli.lifetime import log_to_stderr, until_stopped
from runtime.settings import load_settings
from runtime.workers.dispatcher import run_dispatcher


@click.command()
@click.option("--verbose", is_flag=True, help="Log every change of state.")
@click.option("--attached", is_flag=True, hidden=True, help="Stop when standard input ends.")
def dispatch(*, verbose: bool, attached: bool) -> None:
    """Run a dispatcher: one leads and claims changes, the others stand by to take over within seconds."""
    log_to_stderr(verbose=verbose)
    run_dispatcher(load_settings(), until_stopped(attached=attached))
