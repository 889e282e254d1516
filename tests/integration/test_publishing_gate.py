"""The gate: no problem, a passing test and a person's yes, each for exactly the digest that would go live."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import psycopg
import pytest
from psycopg import Connection

from runtime.errors import Conflict, Invalid, NotAllowed, NotFound
from runtime.ledger.database import Ledger
from runtime.ledger.project import hold, release
from runtime.publishing.approvals import decide, load_approval, pending_approvals, prepare_publish
from runtime.publishing.drafts import save_draft
from runtime.publishing.publish import publish
from runtime.publishing.reach import set_mode
from runtime.publishing.reports import load_report, record_report
from runtime.publishing.verdict import judge
from runtime.publishing.versions import live_version
from runtime.source.reader import Source
from tests.publishing import SEND, approve, publish_now, save_and_test, spec

pytestmark = pytest.mark.usefixtures("approved")


def _prepare(ledger: Ledger, source: Source, *, ask_again: bool = False) -> tuple[tuple[str, ...], int | None]:
    prepared = prepare_publish(ledger, source, "shipped", requested_by="ana", ask_again=ask_again)
    return prepared.missing, prepared.approval_id


def test_each_thing_that_is_missing_is_named_with_its_next_step(ledger: Ledger, source: Source) -> None:
    save_draft(ledger, spec(if_="new.nosuch = 1"), author="ana")
    prepared = prepare_publish(ledger, source, "shipped", requested_by="ana")
    assert [problem.path for problem in prepared.problems] == ["/if"]
    assert prepared.missing == (
        "It has 1 problem(s). `tidings validate shipped` (validate_workflow) lists them; save the corrected draft.",
    )
    digest = judge(source, ledger, save_draft(ledger, spec(), author="ana").workflow).digest
    assert _prepare(ledger, source) == (
        ("No test of exactly this has passed. Run `tidings test shipped` (test_workflow).",),
        None,
    )
    record_report(ledger, digest, passed=False, report={})
    [failed], no_question = _prepare(ledger, source)
    assert "UTC, failed. Look at the report" in failed
    assert (no_question, pending_approvals(ledger)) == (None, ())
    record_report(ledger, digest, passed=True, report={})
    [unapproved], question = _prepare(ledger, source)
    assert "`tidings approve shipped`" in unapproved
    assert [approval.id for approval in pending_approvals(ledger)] == [question]


def test_asking_twice_is_one_question_and_an_answer_stays(ledger: Ledger, source: Source) -> None:
    save_and_test(ledger, source, spec())
    first = _prepare(ledger, source)
    assert _prepare(ledger, source) == first
    decide(ledger, first[1] or 0, approve=True, by="bea", via="console", note="fine")
    assert _prepare(ledger, source) == ((), first[1])
    answered = load_approval(ledger, first[1] or 0)
    assert (answered.status, answered.decided_by, answered.decided_via, answered.note) == (
        *("approved", "bea"),
        *("console", "fine"),
    )
    assert answered.summary.startswith("Tells the customer.\n\nWhen a row of shop.orders is")


def test_many_who_ask_at_once_get_one_question(ledger: Ledger, source: Source) -> None:
    save_and_test(ledger, source, spec())
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: _prepare(ledger, source), range(4)))
    assert len({question for _, question in answers}) == 1
    assert len(pending_approvals(ledger)) == 1


def test_an_answer_is_given_once(ledger: Ledger, source: Source) -> None:
    save_and_test(ledger, source, spec())
    _, question = _prepare(ledger, source)
    decide(ledger, question or 0, approve=False, by="bea", via="terminal")
    with pytest.raises(Conflict, match=r"bea answered this in the terminal at .* \(rejected\)\. An answer stays"):
        decide(ledger, question or 0, approve=True, by="ana", via="terminal")
    with pytest.raises(NotFound, match="no approval 99"):
        decide(ledger, 99, approve=True, by="ana", via="terminal")


def test_what_was_rejected_stays_rejected_until_somebody_asks_again(
    ledger: Ledger, source: Source, database: str
) -> None:
    digest = save_and_test(ledger, source, spec())
    _, question = _prepare(ledger, source)
    decide(ledger, question or 0, approve=False, by="bea", via="terminal", note="too loud")
    [missing], same = _prepare(ledger, source)
    assert missing.startswith("bea rejected exactly this at ")
    assert ": too loud. Change the draft" in missing
    assert same == question
    with pytest.raises(NotAllowed, match="bea rejected exactly this"):
        publish(ledger, source, database, "shipped", digest=digest)
    _, anew = _prepare(ledger, source, ask_again=True)
    assert anew not in (None, question)
    decide(ledger, anew or 0, approve=True, by="bea", via="terminal")
    assert publish(ledger, source, database, "shipped", digest=digest).number == 1


def test_nobody_but_a_person_can_answer(ledger: Ledger, source: Source, app: Connection[Any]) -> None:
    save_and_test(ledger, source, spec())
    _, question = _prepare(ledger, source)
    for via in ("mcp", "agent", "", "elicitation"):
        with pytest.raises(NotAllowed, match="only in the console or at an interactive terminal"):
            decide(ledger, question or 0, approve=True, by="model", via=cast("Any", via))
        with pytest.raises(psycopg.errors.CheckViolation):
            app.execute(
                "UPDATE tidings.approval"
                " SET status = 'approved', decided_by = 'm', decided_at = now(), decided_via = %s",
                (via,),
            )
    with pytest.raises(NotAllowed, match="needs the name of the person"):
        decide(ledger, question or 0, approve=True, by=" ", via="terminal")
    with pytest.raises(psycopg.errors.CheckViolation):
        app.execute("UPDATE tidings.approval SET status = 'approved'")
    assert load_approval(ledger, question or 0).status == "asked"


def test_without_a_test_nothing_is_published_whoever_approved(
    ledger: Ledger, source: Source, database: str, app: Connection[Any]
) -> None:
    digest = save_and_test(ledger, source, spec())
    approve(ledger, source, "shipped")
    app.execute("DELETE FROM tidings.rehearsal_report")
    with pytest.raises(NotAllowed, match="No test of exactly this has passed"):
        publish(ledger, source, database, "shipped", digest=digest)
    record_report(ledger, digest, passed=True, report={})
    record_report(ledger, digest, passed=False, report={})
    with pytest.raises(NotAllowed, match=r"Its last test, at .* failed"):
        publish(ledger, source, database, "shipped", digest=digest)
    assert (report := load_report(ledger, digest)) is not None
    assert not report.passed


def test_without_an_approval_nothing_is_published(ledger: Ledger, source: Source, database: str) -> None:
    digest = save_and_test(ledger, source, spec())
    for _ in range(2):
        with pytest.raises(NotAllowed, match="A person has to approve it"):
            publish(ledger, source, database, "shipped", digest=digest)
        _prepare(ledger, source)


def test_a_changed_draft_makes_an_approval_worthless(ledger: Ledger, source: Source, database: str) -> None:
    old = save_and_test(ledger, source, spec())
    approve(ledger, source, "shipped")
    new = save_and_test(ledger, source, spec(steps=[{**SEND, "to": SEND["to"] + " OR c.id = 1"}]))
    with pytest.raises(Conflict, match="no longer what was to be published"):
        publish(ledger, source, database, "shipped", digest=old)
    with pytest.raises(NotAllowed, match="A person has to approve it"):
        publish(ledger, source, database, "shipped", digest=new)
    save_and_test(ledger, source, spec())
    assert publish(ledger, source, database, "shipped", digest=old).number == 1


def test_a_question_about_an_earlier_draft_is_withdrawn(ledger: Ledger, source: Source) -> None:
    save_and_test(ledger, source, spec())
    _, question = _prepare(ledger, source)
    save_draft(ledger, spec(about="Tells them."), author="ana")
    assert pending_approvals(ledger) == ()
    with pytest.raises(Conflict, match="The draft 'shipped' changed after this was asked"):
        decide(ledger, question or 0, approve=True, by="bea", via="terminal")


def test_an_approval_is_for_the_tables_and_the_mode_it_was_given_for(
    ledger: Ledger, source: Source, database: str, app: Connection[Any]
) -> None:
    digest = save_and_test(ledger, source, spec())
    approve(ledger, source, "shipped")
    app.execute("ALTER TABLE shop.customers ALTER email DROP NOT NULL")
    with pytest.raises(Conflict, match="the tables it reads"):
        publish(ledger, source, database, "shipped", digest=digest)
    app.execute("ALTER TABLE shop.customers ALTER email SET NOT NULL")
    set_mode(ledger, "production")
    with pytest.raises(Conflict, match="the project's mode"):
        publish(ledger, source, database, "shipped", digest=digest)
    set_mode(ledger, "inbox")
    assert publish(ledger, source, database, "shipped", digest=digest).number == 1


def test_a_draft_with_problems_is_refused_with_all_of_them(ledger: Ledger, source: Source, database: str) -> None:
    save_draft(ledger, spec(if_="new.nosuch = 1", while_="live.nosuch = 1"), author="ana")
    with pytest.raises(Invalid, match="2 problem") as error:
        publish(ledger, source, database, "shipped", digest="")
    assert [problem.path for problem in error.value.problems] == ["/if", "/while"]


def test_a_held_project_and_a_copied_one_publish_nothing(
    ledger: Ledger, source: Source, database: str, app: Connection[Any]
) -> None:
    digest = save_and_test(ledger, source, spec())
    approve(ledger, source, "shipped")
    hold(app, 1, "Somebody has to look.")
    with pytest.raises(NotAllowed, match=r"held: Somebody has to look\. .*`tidings release`"):
        publish(ledger, source, database, "shipped", digest=digest)
    assert _prepare(ledger, source)[0][0].startswith("The project is held")
    release(app, 1)
    app.execute("UPDATE tidings.project SET system_identifier = '1'")
    with pytest.raises(NotAllowed, match="another Postgres cluster"):
        publish(ledger, source, database, "shipped", digest=digest)
    release(app, 1)
    assert publish(ledger, source, database, "shipped", digest=digest).number == 1


def test_an_approval_is_good_for_one_publish(ledger: Ledger, source: Source, database: str) -> None:
    first = publish_now(ledger, source, database, spec())
    publish_now(ledger, source, database, spec(about="Tells them."))
    save_and_test(ledger, source, spec())
    with pytest.raises(NotAllowed, match="A person has to approve it"):
        publish(ledger, source, database, "shipped", digest=first.digest)
    approve(ledger, source, "shipped")
    assert publish(ledger, source, database, "shipped", digest=first.digest).number == 3
    with ledger.connection() as conn:
        live = live_version(conn, 1, "shipped")
    assert live is not None
    assert prepare_publish(ledger, source, "shipped", requested_by="ana").live
