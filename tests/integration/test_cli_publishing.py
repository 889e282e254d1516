"""The commands from a spec in a file to a live workflow, with the roles that `tidings init` makes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from cli.main import main
from cli.person import person_name
from runtime.ledger.database import Ledger
from runtime.ledger.project import hold
from runtime.postgres.server import PostgresServer
from runtime.publishing.reports import record_report
from runtime.publishing.versions import live_versions
from runtime.settings import load_settings
from tests.fresh_database import fresh_database
from tests.terminal import at_terminal

SPEC = """# Bea wants this.
workflow: shipped
about: Tells the customer once when an order is shipped.
trigger: {change: shop.orders, becomes: status = 'shipped'}
steps:
  - send: tell
    to: SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id
    channels: [email]
    texts:
      - {subject: "Order {{ new.id }}", preheader: It left us., body: "Order {{ new.id }} is on its way."}
"""
DATA = (
    "INSERT INTO shop.customers (id, email) VALUES (1, 'one@x.test');"
    "INSERT INTO shop.orders (id, customer_id, status, total_cents, placed_at)"
    " VALUES (1, 1, 'shipped', 100, '2026-05-01'), (2, 1, 'paid', 100, '2026-05-02')"
)


@pytest.fixture
def url(server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A shop with an order, and a project on it in a home of its own."""
    monkeypatch.setenv("TIDINGS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with fresh_database(server, "letters") as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(DATA)
        assert _tidings("init", url, "--yes").exit_code == 0
        yield url


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:  # noqa: ARG001  # the project has to be there
    with Ledger(load_settings().ledger_url) as ledger:
        yield ledger


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shipped.yaml"
    path.write_text(SPEC)
    return path


def _tidings(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def _json(*arguments: object) -> Any:
    result = _tidings(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def _pass_test(ledger: Ledger, file: Path) -> None:
    digest = _json("validate", file)["digest"]
    record_report(ledger, digest, passed=True, report={"scenarios": [{}, {}], "seconds": 1.25})


def _live(ledger: Ledger) -> list[tuple[str, int]]:
    with ledger.connection() as conn:
        return [(version.name, version.number) for version in live_versions(conn, 1)]


@pytest.mark.usefixtures("url")
def test_validate_says_everything_that_is_wrong_and_exits_with_1(file: Path) -> None:
    good = _tidings("validate", file)
    assert good.exit_code == 0
    assert good.stdout.startswith("shipped is valid (digest ")
    assert "When a row of shop.orders is inserted or updated so that status = 'shipped'" in good.stdout
    file.write_text(SPEC.replace("new.customer_id", "new.custmer_id").replace("new.id }} is", "new.no }} is"))
    bad = _tidings("validate", file)
    assert bad.exit_code == 1
    assert "✗ /steps/0/to  (unknown-column)\n" in bad.stdout
    assert "    Did you mean 'customer_id'?\n" in bad.stdout
    assert "✗ /steps/0/texts/0/body" in bad.stdout
    assert "shipped has 2 problems." in bad.stdout
    found = json.loads(_tidings("validate", file, "--json").stdout)
    assert (found["valid"], [problem["path"] for problem in found["problems"]]) == (
        False,
        ["/steps/0/texts/0/body", "/steps/0/to"],
    )


@pytest.mark.usefixtures("url")
def test_a_file_that_can_not_be_read_is_told_as_problems_too(file: Path) -> None:
    file.write_text(SPEC + "stepz: []\n")
    for command in ("validate", "save", "publish"):
        result = _tidings(command, file)
        assert result.exit_code == 1
        assert "✗ /stepz  (unknown-key)" in result.stdout
        assert "Traceback" not in result.output
    assert json.loads(_tidings("validate", file, "--json").stdout)["problems"][0]["path"] == "/stepz"
    assert "There is no file 'none.yaml'" in _tidings("validate", "none.yaml").stderr
    assert "No workflow is called 'none'" in _tidings("validate", "none").stderr


@pytest.mark.usefixtures("url")
def test_a_draft_is_saved_listed_and_shown_as_it_was_written(file: Path) -> None:
    assert "There is no workflow yet" in _tidings("workflows").stdout
    saved = _tidings("save", file)
    assert "Saved shipped, revision 1.\nNext: `tidings test shipped`" in saved.stdout
    assert _tidings("save", file, "--revision", "7").exit_code == 0
    file.write_text(SPEC.replace("once when", "when"))
    assert "at revision 1, saved by" in _tidings("save", file, "--revision", "0").stderr
    [line] = _json("workflows")
    assert (line["name"], line["state"], line["revision"]) == ("shipped", "draft", 1)
    assert "shipped  draft, revision 1\n    Tells the customer once when" in _tidings("workflows").stdout
    assert _tidings("show", "shipped", "--source").stdout == SPEC
    shown = _json("show", "shipped")
    assert (shown["live"], shown["draft"]["author"], shown["draft"]["spec"]["workflow"]) == (
        *(None, person_name()),
        "shipped",
    )
    assert "# Bea wants this." in _tidings("show", "shipped").stdout


def test_a_person_at_a_terminal_sees_what_they_approve_and_it_goes_live(file: Path, ledger: Ledger) -> None:
    _tidings("save", file)
    _pass_test(ledger, file)
    said = at_terminal("approve", "shipped", answers=["y"])
    assert said.code == 0, said.output
    for shown in (
        "Tells the customer once when an order is shipped.",
        "When a row of shop.orders is inserted or updated",
        "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id",
        "passed, 2 scenario(s) in 1.2 s",
        "inbox: nothing leaves this machine",
        _json("validate", file)["digest"][:12],
        "Publish this? [y/N]",
        "shipped is live: version 1.",
    ):
        assert shown in said.output
    assert _live(ledger) == [("shipped", 1)]
    with ledger.connection() as conn:
        approval = conn.execute("SELECT status, decided_by, decided_via FROM tidings.approval").fetchall()
    assert approval == [("redeemed", person_name(), "terminal")]
    assert "Exactly this is live already" in _tidings("publish", "shipped").stdout
    assert _json("show", "shipped")["live"]["number"] == 1
    file.write_text(SPEC.replace("on its way", "under way"))
    _tidings("save", file)
    _pass_test(ledger, file)
    said = at_terminal("publish", "shipped", answers=["n"])
    assert said.code == 1
    assert "Changes to version 1, which is live" in said.output
    assert "is under way." in said.output
    assert "Nothing was published; the question stays open." in said.output
    assert "live, version 1 since" in _tidings("workflows").stdout
    assert "and a changed draft (revision 2)" in _tidings("workflows").stdout
    assert _live(ledger) == [("shipped", 1)]


@pytest.mark.parametrize("yes", [(), ("--yes",)])
def test_without_a_terminal_nobody_approves(file: Path, ledger: Ledger, yes: tuple[str, ...]) -> None:
    _tidings("save", file)
    _pass_test(ledger, file)
    result = CliRunner().invoke(main, ["approve", "shipped", *yes], input="y\n")
    assert result.exit_code == (2 if yes else 1)
    assert ("No such option" if yes else "needs a person at an interactive terminal") in result.stderr
    published = CliRunner().invoke(main, ["publish", str(file), *yes], input="y\n")
    assert published.exit_code == (2 if yes else 1)
    assert _live(ledger) == []
    with ledger.connection() as conn:
        assert conn.execute("SELECT count(*) FROM tidings.approval WHERE status <> 'asked'").fetchone() == (0,)


def test_a_live_workflow_whose_tables_changed_says_so(url: str, file: Path, ledger: Ledger) -> None:
    _tidings("save", file)
    _pass_test(ledger, file)
    assert at_terminal("publish", "shipped", answers=["y"]).code == 0
    assert _json("show", "shipped")["live"]["drifted"] is False
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("ALTER TABLE shop.customers ALTER email DROP NOT NULL")
    assert _json("show", "shipped")["live"]["drifted"] is True
    assert "The tables it reads have changed since." in _tidings("show", "shipped").stdout


def test_publish_says_what_is_missing_and_publishes_what_was_approved(file: Path, ledger: Ledger) -> None:
    result = _tidings("publish", file)
    assert result.exit_code == 1
    assert "No test of exactly this has passed. Run `tidings test shipped`" in result.stdout
    assert "No test of exactly this has passed" in at_terminal("approve", "shipped").output
    _pass_test(ledger, file)
    assert "A person has to approve it" in _tidings("publish", "shipped").stdout
    with ledger.connection() as conn:
        conn.execute(
            "UPDATE tidings.approval"
            " SET status = 'approved', decided_by = 'bea', decided_via = 'console', decided_at = now()"
        )
    assert "shipped is live: version 1." in _tidings("publish", "shipped").stdout
    assert _tidings("unpublish", "shipped").exit_code == 1
    assert _live(ledger) == [("shipped", 1)]
    assert "no longer live" in _tidings("unpublish", "shipped", "--yes").stdout
    assert "is not live" in _tidings("unpublish", "shipped", "--yes").stdout
    assert _live(ledger) == []


def test_a_rejection_is_told_and_can_be_asked_about_again_by_a_person(file: Path, ledger: Ledger) -> None:
    _tidings("save", file)
    _pass_test(ledger, file)
    assert "Rejected. shipped stays a draft." in at_terminal("approve", "shipped", "--reject", "too loud").output
    assert "rejected exactly this at" in _tidings("publish", "shipped").stdout
    assert ": too loud." in _tidings("publish", "shipped").stdout
    assert at_terminal("approve", "shipped", answers=["y"]).code == 0
    assert _live(ledger) == [("shipped", 1)]


def test_a_spec_can_not_hide_words_from_the_person_who_approves(file: Path, ledger: Ledger) -> None:
    file.write_text(SPEC.replace("Tells the", '"Tells\\e[8m nobody\\u202e the').replace("shipped.\n", 'shipped."\n', 1))
    _tidings("save", file)
    _pass_test(ledger, file)
    said = at_terminal("approve", "shipped", answers=["n"])
    assert "Tells\\x1b[8m nobody\\u202e the" in said.output
    assert "\x1b[8m" not in said.output


@pytest.mark.usefixtures("url")
def test_a_preview_shows_real_people_and_writes_a_page(file: Path, tmp_path: Path) -> None:
    _tidings("save", file)
    result = _tidings("preview", "shipped")
    assert "For id = 1\n\nTo      one@x.test by email\nSubject Order 1\n" in result.stdout
    assert "    Order 1 is on its way." in result.stdout
    page = tmp_path / "mail.html"
    assert f"Wrote {page}." in _tidings("preview", file, "--key", "2", "--html", page).stdout
    assert "Order 2 is on its way." in page.read_text()
    found = _json("preview", "shipped", "--key", "2")
    assert found["messages"][0]["address"] == "one@x.test"
    assert "does not match the trigger" in found["notes"][0]
    assert "no row with the key id = 9" in _tidings("preview", "shipped", "--key", "9").stderr


def test_only_a_person_registers_contacts(file: Path, ledger: Ledger) -> None:
    refused = _tidings("contact", "add", "ops", "ops@x.test")
    assert refused.exit_code == 1
    assert "Registering a contact needs a person at an interactive terminal" in refused.stderr
    assert "No contact is registered" in _tidings("contact", "list").stdout
    assert "contact('ops')" in at_terminal("contact", "add", "ops", "ops@x.test").output
    assert "looks like no address" in at_terminal("contact", "add", "hq", "somewhere").output
    assert at_terminal("contact", "add", "alerts", "#alerts").code == 0
    file.write_text(
        SPEC.replace(
            "SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id",
            "SELECT 'ops' AS key, contact('ops') AS email",
        )
    )
    _tidings("save", file)
    _pass_test(ledger, file)
    assert "\n    ops is ops@x.test\n" in at_terminal("approve", "shipped", answers=["n"]).output
    contacts = _json("contact", "list")
    assert [(c["name"], c["kind"], c["used_by"]) for c in contacts] == [
        ("alerts", "slack", []),
        ("ops", "email", ["shipped"]),
    ]
    said = at_terminal("contact", "add", "ops", "new@x.test", answers=["y"])
    assert "ops is ops@x.test now. Make it new@x.test?" in said.output
    assert "keeps ops@x.test until it is published again: shipped." in said.output
    assert _tidings("contact", "remove", "ops").exit_code == 1
    assert at_terminal("contact", "remove", "ops").code == 0
    assert "No contact is called 'ops'" in at_terminal("contact", "remove", "ops").output
    assert "used by" not in _tidings("contact", "list").stdout


@pytest.mark.usefixtures("url")
def test_only_a_person_changes_the_mode_and_the_allow_list() -> None:
    assert "needs a person" in _tidings("mode", "production").stderr
    assert _tidings("mode", "production", "--yes").exit_code == 2
    assert "needs a person" in _tidings("allow", "me@x.test").stderr
    assert at_terminal("allow", "Me@X.test", answers=["n"]).code == 1
    assert _json("allow") == []
    assert "me@x.test is on the list." in at_terminal("allow", "Me@X.test", answers=["y"]).output
    assert at_terminal("allow", "@x.test", answers=["y"]).code == 0
    assert "is no address" in at_terminal("allow", "nonsense", answers=["y"]).output
    assert _json("allow") == ["@x.test", "me@x.test"]
    assert at_terminal("allow", "me@x.test", "--remove").code == 0
    assert "@x.test\n" in _tidings("allow").stdout
    assert "The mode is inbox." in _tidings("mode").stdout
    assert "Nothing was changed" in at_terminal("mode", "production", answers=["n"]).output
    said = at_terminal("mode", "production", answers=["y"])
    assert "Live: no workflow." in said.output
    assert "go to people" in said.output
    assert "The mode is production." in _tidings("mode").stdout


def test_only_a_person_releases_a_held_project(url: str, ledger: Ledger) -> None:
    assert "needs a person" in _tidings("release").stderr
    assert "Nothing is held." in at_terminal("release").output
    with ledger.transaction() as conn:
        hold(conn, 1, "Somebody has to look.")
    assert "Nothing was changed" in at_terminal("release", answers=["n"]).output
    said = at_terminal("release", answers=["y"])
    assert "Somebody has to look." in said.output
    assert said.output.endswith("Released.\n")
    assert "Nothing is held." in at_terminal("release").output
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("UPDATE tidings.project SET system_identifier = '1'")
    assert "another Postgres cluster" in at_terminal("release", answers=["y"]).output
    assert "Nothing is held." in at_terminal("release").output


def test_a_database_that_does_not_answer_is_told_at_once(url: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_LEDGER_URL", "postgresql://x@127.0.0.1:1/" + url.rpartition("/")[2])
    result = _tidings("validate", file)
    assert result.exit_code == 1
    assert "No connection to x@127.0.0.1:1/letters" in result.stderr
