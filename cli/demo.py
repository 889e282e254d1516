"""`tidings demo`: the whole story on a Postgres of its own, in about a minute."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import click

from cli.demo_author import open_author
from cli.demo_shop import Shop, set_up_shop
from cli.demo_waits import Books
from cli.demo_words import called_as, chapter, enter, shown, step, told
from cli.lifetime import interrupted_by_signals, log_to_stderr, until_stopped
from cli.person import person_name
from cli.terminal import interactive, progress, say
from cli.up import console_url, running, say_where
from runtime.ledger.project import advance_clock
from runtime.publishing.approvals import decide, prepare_publish
from runtime.settings import Settings, default_home, project_exists

_SHIPPED = "When an order becomes shipped, e-mail the customer, in French if that is their language."
_REVIEW = "Three days after delivery, ask customers who opted in for a review, unless they have written one."
_THREE_DAYS = timedelta(days=3)


@click.command()
@click.option("--fast", is_flag=True, help="Do not wait for Enter, and end after the story.")
def demo(*, fast: bool) -> None:
    """Play the story: a sentence becomes a workflow, a row changes, a message arrives, and anyone can ask why."""
    log_to_stderr(verbose=False)
    interrupted_by_signals()
    attended = interactive() and not fast
    home = default_home() / "demo"
    told(f"Tidings: notifications out of your own Postgres. This demo touches nothing outside {shown(home)}.")
    _play(home, attended=attended)
    say("The next demo goes on from here.", dim=True)


def _play(home: Path, *, attended: bool) -> None:
    chapter(1, "A shop with a database, and Tidings beside it")
    again = project_exists(home)
    shop = set_up_shop(home, progress())
    step("", "The shop is there from last time; the story goes on." if again else "The shop sells mugs and caps.")
    with running(home, progress(), any_port=True) as (settings, processes), Books(settings) as books:
        if not settings.anthropic_api_key:
            step("", "No ANTHROPIC_API_KEY is set: specs from examples/ are played in the place of a model.")
        chapter(2, "A sentence becomes a workflow, through the MCP server")
        _author(settings, _SHIPPED, "order-shipped", attended=attended)
        chapter(3, "A second one, which waits")
        _author(settings, _REVIEW, "review-request", attended=attended)
        _ship(shop, books, settings, attended=attended)
        _wait_three_days(shop, books, attended=attended)
        _ask_why(books)
        say()
        if attended:
            stop = until_stopped()
            say_where(settings)
            say(f"In another terminal: TIDINGS_HOME={shown(home)} {called_as()} why ana@example.com")
            processes.watch(stop)


def _author(settings: Settings, sentence: str, example: str, *, attended: bool) -> None:
    """Have a workflow written and asked for in one visit and confirmed in a second, as a person stands between."""
    step("", f"“{sentence}”")
    prepared = anyio.run(_write, settings, sentence, example)
    if prepared is None:
        step("", f"{example} is live already.")
        return
    name = str(prepared["workflow"])
    if prepared["status"] == "needs_approval":
        step("", f"It would be approved as: {prepared['about']}")
        enter(f"Approve {name}?", attended=attended)
        _approve(settings, name)
    anyio.run(_confirm, settings, name, str(prepared["digest"]))


async def _write(settings: Settings, sentence: str, example: str) -> dict[str, Any] | None:
    """Return what prepare_publish said, or None for what is live from an earlier demo."""
    async with open_author(settings) as author:
        if await author.is_live(example):
            return None
        return await author.prepare(await author.write(sentence, example))


async def _confirm(settings: Settings, name: str, digest: str) -> None:
    async with open_author(settings) as author:
        await author.confirm(name, digest)


def _approve(settings: Settings, name: str) -> None:
    """Record the person's answer, as `tidings approve` does."""
    with Books(settings) as books:
        prepared = prepare_publish(books.ledger, books.source, name, requested_by="demo")
        if prepared.approval_id is not None:
            decide(books.ledger, prepared.approval_id, approve=True, by=person_name(), via="terminal")


def _ship(shop: Shop, books: Books, settings: Settings, *, attended: bool) -> None:
    chapter(4, "A row changes, and a message arrives")
    order = shop.do("place", "1")
    seen = books.newest()
    shop.do("ship", order)
    step("the shop", f"UPDATE shop.orders SET status = 'shipped' WHERE id = {order}")
    message = books.wait_for_message("order-shipped", seen)
    step("the inbox", f"“{message.subject}” to {message.recipient}, {message.milliseconds} ms after the commit")
    if attended:
        step("", f"{console_url(settings)}/inbox/{message.id}?token={settings.console_token}")


def _wait_three_days(shop: Shop, books: Books, *, attended: bool) -> None:
    chapter(5, "A workflow that waits")
    seen = books.newest()
    for customer in ("1", "2"):
        order = shop.do("place", customer)
        for action in ("ship", "deliver"):
            shop.do(action, order)
        step("the shop", f"UPDATE shop.orders SET status = 'delivered' WHERE id = {order}")
    due = books.wait_for_timer()
    step("the runs", f"wait until {due:%A %d %B, %H:%M} UTC")
    enter("Let three days pass?", attended=attended)
    with books.ledger.connection() as conn:
        advance_clock(conn, books.ledger.project_id, _THREE_DAYS)
    message = books.wait_for_message("review-request", seen)
    step("the inbox", f"“{message.subject}” to {message.recipient}")


def _ask_why(books: Books) -> None:
    chapter(6, "Anyone can ask why: Ana got the second message, Bo did not")
    for address in ("ana@example.com", "bo@example.com"):
        step("", f"$ tidings why {address} --workflow review-request --limit 1")
        for line in books.why(address, "review-request"):
            step("", f"  {line}")
