"""The review page: what a person sees before they say yes, and what their answer does."""

import os
import pwd
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection
from starlette.testclient import TestClient

from cli.console import desk_of_services
from runtime.clock import VirtualClock
from runtime.console.desk import Desk
from runtime.ledger.database import Ledger
from runtime.ledger.project import hold
from runtime.publishing.approvals import decide, load_approval, prepare_publish
from runtime.publishing.drafts import save_draft
from runtime.publishing.reports import record_report
from runtime.publishing.verdict import judge
from runtime.source.reader import Source
from tests.consoles import BASE, answer, desk_for, question, read, stranger, visitor, words
from tests.engine_runs import Shop
from tests.publishing import SEND, approve, save_and_test, spec
from tests.tool_clients import opened, write_home

REPORT = {
    "summary": "1 scenario passed, 1 did not apply",
    "scenarios": [
        {
            "name": "an update into the state",
            "done": "UPDATE shop.orders: status paid → shipped",
            "expected": "somebody is told",
            "status": "passed",
            "reason": "",
            "got": [{"channel": "email", "address": "ada1@example.test", "subject": "Order 1"}] * 5,
        },
        {"name": "a row that holds NULL", "status": "not applicable", "reason": "no column can be NULL", "got": []},
    ],
    "not_cloned": ["trigger audit of shop.orders"],
}


@pytest.fixture
def shop(app: Connection[Any], ledger: Ledger, source: Source, database: str, clock: VirtualClock) -> Shop:
    return Shop.furnished(app, ledger, source, database, clock)


@pytest.fixture
def desk(shop: Shop, approved: None) -> Desk:  # noqa: ARG001  # what the person approved comes first
    return desk_for(shop)


@pytest.fixture
def console(desk: Desk) -> Iterator[TestClient]:
    with visitor(desk) as client:
        yield client


@pytest.fixture
def draft(desk: Desk) -> str:
    """A draft whose test passed."""
    verdict = judge(desk.source, desk.ledger, save_draft(desk.ledger, spec(), author="ana").workflow)
    assert verdict.problems == ()
    record_report(desk.ledger, verdict.digest, passed=True, report=REPORT)
    return verdict.digest


def _approvals(shop: Shop) -> list[tuple[str, str | None, str | None, str]]:
    rows = shop.rows("SELECT status, decided_by, decided_via, note FROM tidings.approval ORDER BY id")
    return [(row["status"], row["decided_by"], row["decided_via"], row["note"]) for row in rows]


@pytest.mark.usefixtures("draft")
def test_all_that_matters_for_the_decision_is_on_the_page(console: TestClient, draft: str) -> None:
    said = read(console, "/workflows/shipped")
    for part in (
        "Tells the customer.",
        "When a row of shop.orders is inserted or updated so that status = 'shipped'",
        "Who gets tell By email, transactional SELECT c.id AS key, c.email FROM shop.customers c",
        "Without a preheader",
        "passed 1 scenario passed, 1 did not apply; rehearsed on a copy of the tables",
        "an update into the state UPDATE shop.orders: status paid → shipped somebody is told",
        "email to ada1@example.test: Order 1 and 1 more",
        "1 did not apply a row that holds NULL: no column can be NULL",
        "Not part of the rehearsal trigger audit of shop.orders",
        "Order 3 to 3@x.test by email",
        "No row was found that matches the trigger",
        f"Digest {draft[:12]}",
        "Mode inbox: nothing leaves this machine",
        "Approve and publish Send back",
    ):
        assert part in said
    assert "What changes" not in said


@pytest.mark.usefixtures("draft")
def test_previewed_mails_stand_in_frames_and_another_row_can_be_asked_for(console: TestClient) -> None:
    page = console.get("/workflows/shipped?key=1").text
    assert "Order 1 to 1@x.test" in words(page)
    assert (
        '<iframe class="light" sandbox title="The message" src="/workflows/shipped/preview/0?scheme=light&amp;key=1"'
        in page
    )
    mail = console.get("/workflows/shipped/preview/0?scheme=dark&key=1")
    assert "Hello, order 1 is paid." in mail.text
    assert "@media all" in mail.text
    assert mail.headers["content-security-policy"].startswith("sandbox;")
    assert "shop.orders has no row with the key id = 77" in read(console, "/workflows/shipped?key=77")
    assert "no such message any more" in read(console, "/workflows/shipped/preview/9", status=404)


@pytest.mark.usefixtures("draft")
def test_a_yes_publishes_and_the_next_change_becomes_a_message(shop: Shop, console: TestClient) -> None:
    assert "1 waiting for your answer" not in console.get("/workflows").text
    answered = answer(console, "shipped", "approve", note=" fine ")
    assert (answered.status_code, answered.headers["location"]) == (303, "/workflows/shipped?done=approve")
    said = read(console, "/workflows/shipped?done=approve")
    assert "Approved and published." in said
    assert "Exactly this is live, as version 1" in said
    assert _approvals(shop) == [("redeemed", "bea", "console", "fine")]
    shop.write("UPDATE shop.orders SET status = 'shipped' WHERE id = 2")
    assert shop.inbox() == [("2@x.test", "Order 2")]
    assert "shipped live Tells the customer. version 1 since" in read(console, "/workflows")


@pytest.mark.usefixtures("draft")
def test_what_waits_for_an_answer_is_marked_everywhere(console: TestClient, desk: Desk) -> None:
    prepare_publish(desk.ledger, desk.source, "shipped", requested_by="a chat client")
    assert "shipped waits for your answer draft" in read(console, "/workflows")
    assert 'title="1 waiting for your answer"' in console.get("/inbox").text
    assert "Asked by a chat client" in read(console, "/workflows/shipped")


@pytest.mark.usefixtures("draft")
def test_what_is_sent_back_stays_so_until_the_person_decides_again(shop: Shop, console: TestClient) -> None:
    assert answer(console, "shipped", "reject", note="too <b>loud</b>").status_code == 303
    page = console.get("/workflows/shipped").text
    assert "bea sent exactly this back" in words(page)
    assert "too &lt;b&gt;loud" in page
    assert "Approve and publish" not in page
    refused = answer(console, "shipped", "approve")
    assert refused.status_code == 409
    assert "bea answered this in the console" in words(refused.text)
    assert answer(console, "shipped", "ask").headers["location"].endswith("done=ask")
    assert answer(console, "shipped", "approve").headers["location"].endswith("done=approve")
    assert [row[0] for row in _approvals(shop)] == ["rejected", "redeemed"]


@pytest.mark.usefixtures("draft")
def test_a_yes_to_what_has_moved_on_is_refused_and_records_nothing(shop: Shop, console: TestClient, desk: Desk) -> None:
    shown = question(console.get("/workflows/shipped").text)
    texts = [{"subject": "Order {{ new.id }}", "preheader": "x", "body": "Something else entirely."}]
    save_and_test(desk.ledger, desk.source, spec(steps=[{**SEND, "texts": texts}]))
    refused = answer(console, "shipped", "approve", shown)
    assert refused.status_code == 409
    said = words(refused.text)
    assert "Nothing was decided: the draft, the tables it reads or the project's mode changed" in said
    assert "Something else entirely." in said
    assert question(refused.text)["digest"] != shown["digest"]
    assert [row[0] for row in _approvals(shop)] == ["withdrawn", "asked"]


@pytest.mark.usefixtures("draft")
@pytest.mark.parametrize(
    "change",
    ["ALTER TABLE shop.customers ALTER email TYPE varchar(200)", "UPDATE tidings.project SET mode = 'production'"],
)
def test_so_is_a_yes_after_the_tables_or_the_mode_changed(shop: Shop, console: TestClient, change: str) -> None:
    shown = question(console.get("/workflows/shipped").text)
    shop.app.execute(change.encode())
    refused = answer(console, "shipped", "approve", shown)
    assert refused.status_code == 409
    assert "Exactly this has not been tested" in words(refused.text)
    assert shop.rows("SELECT * FROM tidings.workflow_version") == []
    assert "approved" not in [row[0] for row in _approvals(shop)]


def test_one_workflows_question_does_not_answer_for_another(shop: Shop, console: TestClient, desk: Desk) -> None:
    for name in ("first", "second"):
        save_and_test(desk.ledger, desk.source, spec(name))
    first, second = (question(console.get(f"/workflows/{name}").text) for name in ("first", "second"))
    for form in ({**first, "approval": second["approval"]}, {**first, "digest": second["digest"]}, second):
        assert answer(console, "first", "approve", form).status_code == 409
    assert [row[0] for row in _approvals(shop)] == ["asked", "asked"]


@pytest.mark.usefixtures("draft")
def test_two_yeses_publish_once(shop: Shop, console: TestClient) -> None:
    shown = question(console.get("/workflows/shipped").text)
    assert answer(console, "shipped", "approve", shown).headers["location"].endswith("done=approve")
    assert answer(console, "shipped", "approve", shown).headers["location"].endswith("done=live")
    assert answer(console, "shipped", "reject", shown).headers["location"].endswith("done=live")
    assert len(shop.rows("SELECT * FROM tidings.workflow_version")) == 1
    assert _approvals(shop) == [("redeemed", "bea", "console", "")]


@pytest.mark.usefixtures("draft")
@pytest.mark.parametrize(
    "form",
    [
        {},
        {"answer": "approve"},
        {"answer": "yes", "approval": "1", "digest": "x"},
        {"answer": "approve", "approval": "one", "digest": "x"},
        {"answer": "approve", "approval": "1"},
    ],
)
def test_a_form_that_is_not_ours_is_refused(shop: Shop, console: TestClient, form: dict[str, str]) -> None:
    assert console.post("/workflows/shipped/decision", data=form).status_code in {400, 415}
    assert console.post("/workflows/shipped/decision", json=form).status_code == 415
    assert console.post("/workflows/shipped/decision", data={"note": "x" * 20_000}).status_code == 413
    assert console.post("/workflows/shipped/decision", data={f"a{n}": "x" for n in range(50)}).status_code == 400
    assert _approvals(shop) == []


@pytest.mark.usefixtures("draft")
def test_what_was_approved_at_a_terminal_can_be_published_here(shop: Shop, console: TestClient, desk: Desk) -> None:
    approve(desk.ledger, desk.source, "shipped")
    said = read(console, "/workflows/shipped")
    assert "bea approved exactly this in the terminal" in said
    assert answer(console, "shipped", "publish").headers["location"].endswith("done=publish")
    assert len(shop.rows("SELECT * FROM tidings.workflow_version")) == 1


@pytest.mark.usefixtures("draft")
def test_publish_alone_needs_an_approval(shop: Shop, console: TestClient) -> None:
    refused = answer(console, "shipped", "publish")
    assert refused.status_code == 409
    assert "A person has to approve it" in words(refused.text)
    assert shop.rows("SELECT * FROM tidings.workflow_version") == []


@pytest.mark.usefixtures("draft")
def test_a_yes_stays_when_publishing_fails_for_now(shop: Shop, console: TestClient) -> None:
    with visitor(desk_for(shop, installer_url="postgresql://installer:secret@127.0.0.1:1/shop")) as cut_off:
        refused = answer(cut_off, "shipped", "approve")
    assert refused.status_code == 503
    said = words(refused.text)
    assert "which publishing needs" in said
    assert "bea approved exactly this in the console" in said
    assert "secret" not in refused.text
    assert answer(console, "shipped", "publish").headers["location"].endswith("done=publish")


def test_a_changed_draft_is_shown_against_what_is_live(shop: Shop, console: TestClient, desk: Desk) -> None:
    shop.publish(spec())
    save_and_test(desk.ledger, desk.source, spec(about="Tells the customer, again."))
    page = console.get("/workflows/shipped").text
    assert "version 1 is live draft, revision 2" in words(page)
    assert '<span class="removed">-about: Tells the customer.</span>' in page
    assert '<span class="added">+about: Tells the customer, again.</span>' in page
    assert answer(console, "shipped", "approve").status_code == 303
    assert "Exactly this is live, as version 2" in read(console, "/workflows/shipped")
    assert "What changes" not in read(console, "/workflows/shipped")


def test_problems_are_listed_and_leave_nothing_to_decide(console: TestClient, desk: Desk) -> None:
    save_draft(desk.ledger, spec(trigger={"change": "shop.orders", "becomes": "statuss = 'x'"}), author="ana")
    said = read(console, "/workflows/shipped")
    assert "What is wrong /trigger/becomes unknown column 'statuss'. Did you mean 'status'?" in said
    assert "There is nothing to show before the problems are mended" in said
    assert "Not ready It has 1 problem(s)" in said
    assert "Approve and publish" not in said


def test_an_untested_draft_says_what_to_do(console: TestClient, desk: Desk) -> None:
    save_draft(desk.ledger, spec(), author="ana")
    said = read(console, "/workflows/shipped")
    assert "Exactly this has not been tested. tidings test shipped does." in said
    assert "No test of exactly this has passed" in said


def test_a_failed_test_is_shown_with_its_reasons(console: TestClient, desk: Desk) -> None:
    verdict = judge(desk.source, desk.ledger, save_draft(desk.ledger, spec(), author="ana").workflow)
    failed = {"name": "a rollback", "expected": "nobody is told", "status": "failed", "reason": "1 was", "got": []}
    record_report(desk.ledger, verdict.digest, passed=False, report={"scenarios": [failed], "summary": "1 went wrong"})
    said = read(console, "/workflows/shipped")
    assert "Test failed 1 went wrong" in said
    assert "✗ a rollback nobody is told nobody was told 1 was" in said
    assert "its last test" in said.lower()


def test_a_report_of_another_form_breaks_nothing(console: TestClient, desk: Desk) -> None:
    verdict = judge(desk.source, desk.ledger, save_draft(desk.ledger, spec(), author="ana").workflow)
    for report in ({}, {"scenarios": [{}, "x", {"got": ["x", {}]}]}, {"scenarios": None, "not_cloned": 3}):
        record_report(desk.ledger, verdict.digest, passed=True, report=report)
        assert "Test passed" in read(console, "/workflows/shipped")


def test_a_table_without_rows_is_no_obstacle(shop: Shop, console: TestClient, desk: Desk) -> None:
    save_and_test(desk.ledger, desk.source, spec())
    shop.app.execute("DELETE FROM shop.orders")
    said = read(console, "/workflows/shipped")
    assert "shop.orders has no row yet" in said
    assert "Approve and publish" in said


def test_what_can_not_be_seen_is_written_out_for_the_person_who_decides(console: TestClient, desk: Desk) -> None:
    texts = [{"subject": "Order\u202e {{ new.id }}", "preheader": "x", "body": "Hidden\u2066 {{ new.id }}"}]
    data = spec(about="Tells\u200b the\u202e customer <script>alert(1)</script>.", steps=[{**SEND, "texts": texts}])
    save_draft(desk.ledger, data, author="a\u202eb <b>")
    page = console.get("/workflows/shipped").text
    assert "Tells\\u200b the\\u202e customer &lt;script&gt;alert(1)&lt;/script&gt;." in page
    assert "Saved by a\\u202eb &lt;b&gt;" in page
    assert not {"\u200b", "\u202e", "\u2066"} & set(page)
    assert "<script>alert" not in page
    assert not {"\u200b", "\u202e", "\u2066"} & set(console.get("/workflows").text)


def test_who_gets_fixed_addresses_is_named(console: TestClient, desk: Desk) -> None:
    send = {**SEND, "to": "SELECT 'ops' AS key, contact('ops') AS email"}
    save_draft(desk.ledger, spec(steps=[send]), author="ana")
    assert "ops is ops@x.test" in read(console, "/workflows/shipped")


@pytest.mark.usefixtures("draft")
def test_nothing_can_be_decided_while_everything_is_held(shop: Shop, console: TestClient, desk: Desk) -> None:
    shown = question(console.get("/workflows/shipped").text)
    hold(shop.app, 1, "It is a copy.")
    page = read(console, "/workflows/shipped")
    assert "Everything is held. It is a copy." in page
    assert "The project is held: It is a copy." in page
    assert answer(console, "shipped", "approve", shown).status_code == 409
    assert load_approval(desk.ledger, int(shown["approval"])).status == "asked"


def test_a_question_that_somebody_answered_at_a_terminal_is_answered(
    console: TestClient, desk: Desk, draft: str
) -> None:
    shown = question(console.get("/workflows/shipped").text)
    assert shown["digest"] == draft
    decide(desk.ledger, int(shown["approval"]), approve=False, by="carl", via="terminal", note="no")
    refused = answer(console, "shipped", "approve", shown)
    assert refused.status_code == 409
    assert "carl answered this in the terminal" in words(refused.text)


def test_an_unknown_workflow_says_which_there_are(console: TestClient, draft: str) -> None:
    assert draft
    assert "No workflow is called 'shiped'. Did you mean 'shipped'?" in read(console, "/workflows/shiped", status=404)
    assert console.get("/workflows/shiped/preview/0").status_code == 404
    form = {"answer": "approve", "approval": "1", "digest": "x"}
    assert console.post("/workflows/shiped/decision", data=form).status_code == 404


def test_no_workflow_yet_says_how_to_begin(console: TestClient) -> None:
    assert "There is no workflow yet" in read(console, "/workflows")


def test_whoever_decides_is_known_from_the_operating_system(shop: Shop, tmp_path: Any, monkeypatch: Any) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "somebody else")
    with opened(write_home(tmp_path, shop.url)) as services:
        assert desk_of_services(services).person == pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.usefixtures("draft")
def test_nobody_decides_without_the_cookie(desk: Desk, shop: Shop) -> None:
    with visitor(desk) as console, stranger(desk) as other:
        shown = question(console.get("/workflows/shipped").text)
        form = {**shown, "answer": "approve"}
        refused = other.post("/workflows/shipped/decision", data=form, headers={"origin": BASE})
        assert refused.status_code == 401
    assert [row[0] for row in _approvals(shop)] == ["asked"]
