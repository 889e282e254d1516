"""`tidings worker`: one worker process."""

import click

from cli.lifetime import log_to_stderr, until_stopped
from runtime.settings import load_settings
from runtime.workers.worker import run_worker


@click.command()
@click.option("--verbose", is_flag=True, help="Log every change of state.")
@click.option("--attached", is_flag=True, hidden=True, help="Stop when standard input ends.")
def worker(*, verbose: bool, attached: bool) -> None:
    """Run one worker process: it performs what is owed. Run as many as you like, on as many machines."""
    log_to_stderr(verbose=verbose)
    run_worker(load_settings(), until_stopped(attached=attached))
