"""The checker finds what is planted: a checker that can't fail is worthless."""

from dataclasses import replace
from typing import Any

import pytest

from tests.faults.books import Books, Dead, KeyOnly, Message, Run
from tests.faults.checker import check
from tests.faults.oracle import SETTLE, Owed, owed_by

Records = list[dict[str, Any]]


def change(table: str, old: dict[str, Any] | None, new: dict[str, Any] | None, at: float = 100.0) -> dict[str, Any]:
    op = "update" if old and new else "insert" if new else "delete"
    return {"table": table, "op": op, "old": old, "new": new, "stated": at}


def committed(*changes: dict[str, Any], at: float = 100.1, transaction: int = 1) -> dict[str, Any]:
    return {"kind": "committed", "at": at, "transaction": transaction, "changes": list(changes)}


def accepted(said: str, to: str = "person1@trade.test", at: float = 101.0, key: str = "k") -> dict[str, Any]:
    return {"kind": "accepted", "at": at, "provider": "resend", "key": key, "to": to, "said": said}


def parcel(version: int, state: str = "sent") -> dict[str, Any]:
    return {"id": 7, "version": version, "person": 1, "state": state}


def invoice(version: int, state: str = "open") -> dict[str, Any]:
    return {"id": 7, "version": version, "person": 1, "state": state}


def twice_sent() -> Records:
    """One parcel that becomes sent twice, and both mails."""
    return [
        committed(change("parcels", None, parcel(1)), transaction=1),
        committed(change("parcels", parcel(1), parcel(2, "new")), transaction=2),
        committed(change("parcels", parcel(2, "new"), parcel(3)), transaction=3),
        accepted("parcel-sent 7 1"),
        accepted("parcel-sent 7 3"),
    ]


def run(version: int, number: int, workflow: str = "parcel-sent") -> Run:
    return Run(workflow, 7, version, id=number, event_id=number, state="completed", reason="")


GOOD = Books(
    runs=(run(1, 1), run(3, 2)),
    messages=(Message(1, "person1@trade.test", "sent", ""), Message(2, "person1@trade.test", "sent", "")),
)


def test_a_run_in_which_all_is_well_is_clean() -> None:
    findings = check(twice_sent(), GOOD, bound=5)
    assert findings.clean, str(findings)
    assert (findings.events, findings.runs, findings.owed, findings.accepted) == (3, 2, 2, 2)
    assert findings.latest == pytest.approx(0.9)


def test_a_lost_message_is_found() -> None:
    findings = check(twice_sent()[:-1], GOOD)
    assert findings.lost == (Owed("parcel-sent", 7, 3, "person1@trade.test"),)
    assert "nobody took" in findings.strange[0]


def test_a_lost_change_is_found() -> None:
    findings = check(twice_sent()[:-1], replace(GOOD, runs=GOOD.runs[:1], messages=GOOD.messages[:1]))
    assert findings.lost == (Owed("parcel-sent", 7, 3, "person1@trade.test"),)
    assert findings.strange == ()


def test_a_doubled_message_is_found_whatever_its_key() -> None:
    findings = check([*twice_sent(), accepted("parcel-sent 7 3", key="another")], GOOD)
    assert findings.doubled == (Owed("parcel-sent", 7, 3, "person1@trade.test"),)


@pytest.mark.parametrize(
    ("said", "to"),
    [("parcel-sent 7 2", "person1@trade.test"), ("parcel-sent 7 3", "person2@trade.test"), ("hello", "x@trade.test")],
)
def test_a_message_that_is_owed_to_nobody_is_found(said: str, to: str) -> None:
    assert len(check([*twice_sent(), accepted(said, to)], GOOD).unowed) == 1


def test_a_swapped_pair_of_runs_is_found() -> None:
    findings = check(twice_sent(), replace(GOOD, runs=(run(3, 1), run(1, 2))))
    assert findings.swapped == ((run(3, 1), run(1, 2)),)


def test_runs_of_different_workflows_have_no_order() -> None:
    findings = check(twice_sent(), replace(GOOD, runs=(run(3, 0, "parcel-lost"), *GOOD.runs)))
    assert findings.swapped == ()


def test_a_late_message_is_found() -> None:
    findings = check([*twice_sent()[:-1], accepted("parcel-sent 7 3", at=110.1)], GOOD, bound=5)
    assert findings.late == {Owed("parcel-sent", 7, 3, "person1@trade.test"): pytest.approx(10.0)}


def test_a_key_that_was_used_for_two_requests_is_found() -> None:
    assert check([*twice_sent(), {"kind": "altered", "at": 1.0, "altered": "k"}], GOOD).altered == ("k",)


def test_a_change_that_started_two_runs_is_found() -> None:
    assert "2 runs" in check(twice_sent(), replace(GOOD, runs=(*GOOD.runs, run(3, 3)))).strange[0]


def test_what_is_left_over_is_found() -> None:
    assert "left over" in check(twice_sent(), replace(GOOD, left=1)).strange[0]


@pytest.mark.parametrize(
    ("books", "reason"),
    [
        (replace(GOOD, messages=(GOOD.messages[0], GOOD.messages[1]._replace(status="uncertain"))), "uncertain: "),
        (replace(GOOD, messages=GOOD.messages[:1], dead=(Dead("", "advance", 2, None, None, "x"),)), "dead letter"),
        (
            replace(
                GOOD,
                runs=GOOD.runs[:1],
                messages=GOOD.messages[:1],
                dead=(Dead("parcel-sent", "match", None, 7, 3, ""),),
            ),
            "dead letter of a change",
        ),
        (
            replace(GOOD, runs=GOOD.runs[:1], messages=GOOD.messages[:1], keys=(KeyOnly("trade.parcels", 7, "x"),)),
            "only the key was captured",
        ),
        (replace(GOOD, runs=GOOD.runs[:1], messages=GOOD.messages[:1], missed=1), "counted as missed"),
    ],
)
def test_a_miss_that_the_ledger_knows_is_no_loss(books: Books, reason: str) -> None:
    findings = check(twice_sent()[:-1], books)
    assert findings.clean, str(findings)
    assert findings.known == {Owed("parcel-sent", 7, 3, "person1@trade.test"): reason}


def test_a_counter_excuses_only_as_many_changes_as_it_has_counted() -> None:
    records = [committed(change("parcels", None, {**parcel(1), "id": number})) for number in (1, 2, 3)]
    assert len(check(records, Books(missed=2)).lost) == 3
    assert check(records, Books(missed=3)).lost == ()


def test_uncertain_messages_are_counted() -> None:
    books = replace(GOOD, messages=(*GOOD.messages[:1], GOOD.messages[1]._replace(status="uncertain")))
    assert check(twice_sent(), books).uncertain == 1


def test_a_reminder_is_owed_unless_something_came_before() -> None:
    opened = committed(change("invoices", None, invoice(1)))
    owed = Owed("invoice-due", 7, 1, "person1@trade.test")
    assert owed_by([opened])[owed].must
    soon = committed(change("invoices", invoice(1), invoice(2, "paid")), at=100 + SETTLE / 2, transaction=2)
    assert owed not in owed_by([opened, soon])
    later = committed(change("invoices", invoice(1), invoice(2, "paid")), at=100 + SETTLE * 2, transaction=2)
    assert not owed_by([opened, later])[owed].must


def test_a_team_and_a_channel_are_told() -> None:
    def alarm(level: int, version: int) -> dict[str, Any]:
        return {"id": 9, "version": version, "team": 1, "level": level}

    records = [
        committed(change("alarms", None, alarm(1, 1))),
        committed(change("alarms", alarm(1, 1), alarm(2, 2)), transaction=2),
        committed(change("alarms", alarm(2, 2), alarm(1, 3)), transaction=3),
    ]
    people = {f"person{number}@trade.test" for number in (1, 5, 9)}
    assert set(owed_by(records)) == {
        *(Owed("alarm-raised", 9, 1, to) for to in people),
        Owed("alarm-posted", 9, 2, "#alerts"),
    }
