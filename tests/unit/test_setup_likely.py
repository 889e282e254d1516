import pytest

from runtime.setup.likely import (
    Event,
    address_kind,
    events,
    is_people,
    platform_table,
    secret_columns,
    secret_table,
    words,
)
from runtime.setup.names import roles_for
from runtime.spec.schema import AddressKind, Column, Table


def _column(name: str, type_: str = "text", **more: object) -> Column:
    return Column.model_validate({"name": name, "type": type_, "base": type_, **more})


def _table(name: str, *columns: Column, schema: str = "public", checks: tuple[str, ...] = ()) -> Table:
    return Table(schema_name=schema, name=name, columns=columns, checks=checks)


@pytest.mark.parametrize("name", ["e_mail", "E-Mail", "eMail", "EMail", "e mail"])
def test_names_are_read_as_words_whatever_their_style(name: str) -> None:
    assert words(name) == "e mail"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("email", "email"),
        ("EmailAddress", "email"),
        ("guest_email", "email"),
        ("contact_e_mail", "email"),
        ("phone_number", "phone"),
        ("homePhone", "phone"),
        ("mobile", "phone"),
        ("slack_user_id", "slack"),
        ("slackHandle", "slack"),
    ],
)
def test_address_columns_are_known_by_name(name: str, kind: str) -> None:
    assert address_kind(_column(name)) == AddressKind(kind)


@pytest.mark.parametrize(
    "column",
    [
        _column("email_verified", "boolean"),
        _column("email", "boolean"),
        _column("email_sent_at", "timestamp with time zone"),
        _column("email_subject"),
        _column("email_template"),
        _column("email_confirmation_token"),
        _column("phone_type"),
        _column("emails", "text[]"),
        _column("fax"),
        _column("email", labels=("on", "off")),
    ],
)
def test_what_only_speaks_of_addresses_is_none(column: Column) -> None:
    assert address_kind(column) is None


def test_a_comment_may_say_what_a_name_does_not() -> None:
    assert address_kind(_column("login", comment="The e-mail address people sign in with")) is AddressKind.EMAIL
    assert address_kind(_column("citext_mail", "public.citext", base="text")) is AddressKind.EMAIL


def test_people_have_addresses_or_the_name_and_some_text() -> None:
    assert is_people(_table("orders", _column("guest_email")))
    assert is_people(_table("customers", _column("full_name")))
    assert not is_people(_table("auth_user_groups", _column("user_id", "integer")))
    assert not is_people(_table("partner_users", _column("id", "integer")))


def test_events_are_states_with_their_values_then_points_in_time() -> None:
    table = _table(
        "orders",
        _column("placed_at", "timestamp with time zone", nullable=False),
        _column("created_at", "timestamp with time zone"),
        _column("stage"),
        _column("status"),
        _column("note"),
        checks=("((status)::text = ANY ((ARRAY['paid'::character varying, 'it''s off'::character varying])::text[]))",),
    )
    assert events(table) == (Event("status", ("paid", "it''s off")), Event("stage", ()), Event("placed_at", ()))


def test_a_state_of_a_federation_is_no_event() -> None:
    assert events(_table("customer", _column("city"), _column("state"))) == ()
    assert events(_table("job", _column("state"))) == (Event("state", ()),)


def test_secrets_are_text_that_is_called_so() -> None:
    table = _table(
        "users",
        _column("password"),
        _column("encryptedPassword", "character varying(128)"),
        _column("api_key"),
        _column("reset_token", "uuid"),
        _column("password_changed_at", "timestamp with time zone"),
        _column("token_count", "integer"),
        _column("hashtag"),
        _column("public_key"),
    )
    assert secret_columns(table) == ("password", "encryptedPassword", "api_key", "reset_token")


@pytest.mark.parametrize(
    "name", ["django_session", "api_keys", "refreshTokens", "schema_migrations", "payment_bankcard"]
)
def test_tables_of_secrets_are_known_by_name(name: str) -> None:
    assert secret_table(_table(name))
    assert not secret_table(_table("orders"))


def test_a_platform_s_tables_are_not_the_application_s_but_its_users_are() -> None:
    assert platform_table(_table("objects", schema="storage"))
    assert platform_table(_table("identities", schema="auth"))
    assert not platform_table(_table("users", schema="auth"))


def test_role_names_stay_within_what_postgres_keeps_and_differ_for_different_databases() -> None:
    assert roles_for("shop").reader == "tidings_shop_reader"
    long = [roles_for("überlanger_name_" * 5 + end) for end in ("a", "b")]
    assert all(len(name.encode()) <= 63 for roles in long for name in roles)
    assert len({name for roles in long for name in roles}) == 6
