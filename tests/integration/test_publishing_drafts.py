"""Drafts: kept as written, saved on top of what was looked at, with whatever problems they have."""

import pytest

from runtime.errors import Conflict, Invalid, NotFound
from runtime.ledger.database import Ledger
from runtime.publishing.drafts import load_draft, save_draft
from runtime.publishing.versions import list_workflows, load_workflow
from runtime.spec.yaml import load_spec
from tests.publishing import spec

YAML = """# Asked for by Bea.
workflow: shipped
about: Tells the customer.
trigger: {change: shop.orders, becomes: status = 'shipped'}
steps:
  - send: tell
    to: SELECT c.id AS key, c.email FROM shop.customers c WHERE c.id = new.customer_id
    channels: [email]
    texts: [{subject: Sent, body: "On its way."}]
"""


def test_a_draft_keeps_its_text_as_written(ledger: Ledger) -> None:
    saved = save_draft(ledger, YAML, author="ana")
    assert (saved.name, saved.revision, saved.author, saved.source) == ("shipped", 1, "ana", YAML)
    assert load_draft(ledger, "shipped") == saved


def test_data_is_kept_as_yaml_that_means_the_same(ledger: Ledger) -> None:
    saved = save_draft(ledger, spec(), author="ana")
    assert load_spec(saved.source) == saved.workflow
    assert "becomes: status = 'shipped'" in saved.source


def test_a_save_on_top_of_an_old_revision_is_refused_and_says_where_it_stands(ledger: Ledger) -> None:
    save_draft(ledger, spec(), author="ana", expected_revision=0)
    save_draft(ledger, spec(about="Tells them."), author="bea", expected_revision=1)
    with pytest.raises(Conflict, match=r"at revision 2, saved by bea at .* UTC, not at 1\. Read it again"):
        save_draft(ledger, spec(about="Tells her."), author="ana", expected_revision=1)
    assert load_draft(ledger, "shipped").workflow.about == "Tells them."


def test_a_new_draft_is_refused_where_one_was_expected_and_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(Conflict, match="at revision 0, not at 3"):
        save_draft(ledger, spec(), author="ana", expected_revision=3)
    assert list_workflows(ledger) == ()


def test_saving_the_same_again_changes_nothing_whatever_was_expected(ledger: Ledger) -> None:
    first = save_draft(ledger, spec(), author="ana", expected_revision=0)
    assert save_draft(ledger, spec(), author="bea", expected_revision=0) == first


def test_a_draft_with_problems_is_kept_but_one_that_can_not_be_read_is_not(ledger: Ledger) -> None:
    broken = spec(trigger={"change": "shop.nowhere", "becomes": "x = 1"})
    assert save_draft(ledger, broken, author="ana").revision == 1
    with pytest.raises(Invalid) as error:
        save_draft(ledger, {**spec("other"), "stepz": [], "about": ""}, author="ana")
    assert {problem.path for problem in error.value.problems} == {"/stepz", "/about"}
    assert [line.name for line in list_workflows(ledger)] == ["shipped"]


def test_an_unknown_name_names_the_nearest(ledger: Ledger) -> None:
    with pytest.raises(NotFound, match=r"No workflow is called 'shipped'\. Save one first"):
        load_draft(ledger, "shipped")
    save_draft(ledger, spec(), author="ana")
    with pytest.raises(NotFound, match=r"No workflow is called 'shiped'\. Did you mean 'shipped'\?"):
        load_workflow(ledger, "shiped")


def test_a_list_says_what_each_is_for(ledger: Ledger) -> None:
    save_draft(ledger, spec(), author="ana")
    [line] = list_workflows(ledger)
    assert (line.name, line.state, line.number, line.about, line.changed) == (
        *("shipped", "draft", None, "Tells the customer."),
        False,
    )
    assert line.words.startswith("When a row of shop.orders is inserted or updated so that status = 'shipped'")
