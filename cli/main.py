"""The command line: every command is a module of its own, loaded when it is called, so that help and errors are quick.

A command is `cli/<name>.py` with one click command, and one line in COMMANDS.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any, NoReturn

import click

from runtime.errors import TidingsError

INTERRUPTED = 130

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("cli.demo:demo", "Play the whole story in about a minute, on a Postgres of its own."),
    "init": ("cli.init:init", "Look at a database, say what is wanted, and set Tidings up in it after a yes."),
    "up": ("cli.up:up", "Run everything for the project, until Ctrl-C."),
    "status": ("cli.status:status", "Show the project in numbers."),
    "doctor": ("cli.doctor:doctor", "Check connections, rights and health; every finding with its next step."),
    "mcp": ("cli.mcp:mcp", "Serve the tools to a chat client, or print what connects one."),
    "draft": ("cli.draft:draft", "Have the agent write and test a workflow from a sentence."),
    "chat": ("cli.chat:chat", "The same in a conversation."),
    "validate": ("cli.validate:validate", "Say everything that is wrong or doubtful about a workflow."),
    "save": ("cli.save:save", "Save a spec as a draft."),
    "workflows": ("cli.workflows:workflows", "List the workflows."),
    "show": ("cli.show:show", "Show a workflow: its draft, and the version that is live."),
    "preview": ("cli.preview:preview", "Show a draft's messages for a real row; nothing is stored or sent."),
    "test": ("cli.test:test", "Rehearse a workflow in a scratch copy of the tables; nothing is sent."),
    "approve": ("cli.approve:approve", "Look at a tested draft, and publish it after your yes."),
    "publish": ("cli.publish:publish", "Make an approved draft live."),
    "pause": ("cli.pause:pause", "Stop a workflow, or everything, at once; what happens meanwhile waits."),
    "resume": ("cli.resume:resume", "Let what is paused go on, or end what waits."),
    "brake": ("cli.brake:brake", "Show or change how many people a workflow may tell within an hour."),
    "unpublish": ("cli.unpublish:unpublish", "End a workflow's live version."),
    "why": ("cli.why:why", "Say why somebody got a message, or why not."),
    "runs": ("cli.runs:runs", "List what workflows did lately."),
    "acknowledge": ("cli.acknowledge:acknowledge", "Say that you have seen what was missed: health is green again."),
    "metrics": ("cli.metrics:metrics", "Print the metrics, or what lets Prometheus read them."),
    "retention": ("cli.retention:retention", "Show or change for how long things are kept."),
    "forget": ("cli.forget:forget", "Erase what is known of an address."),
    "reconcile": ("cli.reconcile:reconcile", "Compare rows, runs and messages, and bring back what is missing."),
    "canary": ("cli.canary:canary", "Show or switch the row that proves every minute that all is alive."),
    "contact": ("cli.contact:contact", "List, add or remove named fixed addresses."),
    "allow": ("cli.allow:allow", "List or change who is reached outside production mode too."),
    "mode": ("cli.mode:mode", "Show or change whether messages go to people."),
    "clock": ("cli.clock:clock", "Show the project's time, or let time pass outside production mode."),
    "release": ("cli.release:release", "Let a project that is held go on."),
    "dispatch": ("cli.dispatch:dispatch", "Run a dispatcher; one leads, the others stand by."),
    "worker": ("cli.worker:worker", "Run a worker process."),
    "console": ("cli.console:console", "Serve the console and the MCP server."),
    "bench": ("cli.bench:bench", "Measure Tidings beside its peers; from a clone."),
    "uninstall": ("cli.uninstall:uninstall", "Remove everything Tidings put into a database."),
}
"""Name → where the command is, and its line in the help, in the order of the help."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only to run it, or to show that one's own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's interface
        """Return the names in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # click's interface
        **extra: Any,
    ) -> Any:
        """Run a command and exit: 0 done, 1 refused or failed with a message, 2 wrong usage, 130 interrupted."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name or "tidings", complete_var, standalone_mode=False, **extra)
        except click.exceptions.Abort:
            _leave("Interrupted.", INTERRUPTED)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except TidingsError as error:
            _leave(f"Error: {error}", 1)
        except BrokenPipeError:  # somebody closed our output, as `| head` does
            sys.stderr.close()
            sys.exit(1)
        except Exception as error:  # the process's top: a database that went away is no bug, all else is
            if not _is_from_the_database(error):
                raise
            _leave(f"Error: the database says: {str(error).strip()}\nRun `tidings doctor` to see what is wrong.", 1)
        sys.exit(code if isinstance(code, int) else 0)


def _is_from_the_database(error: Exception) -> bool:
    psycopg = sys.modules.get("psycopg")
    pool = sys.modules.get("psycopg_pool")
    kinds = [module.Error if module is psycopg else module.PoolTimeout for module in (psycopg, pool) if module]
    return isinstance(error, tuple(kinds))


def _leave(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # click's interface
    if value and not ctx.resilient_parsing:
        click.echo(f"tidings {version('tidings')}")
        ctx.exit()


@click.group("tidings", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def main() -> None:
    """Notifications out of your own Postgres, written in plain English."""
