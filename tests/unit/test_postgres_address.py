import pytest

from runtime.errors import TidingsError
from runtime.postgres.address import parse_url, with_login, with_options, with_role, without_password

URL = "postgresql://me:p%40ss@db.example.org:6000/my%20shop?sslmode=require&options=-c%20role%3Dboss"


def test_options_are_added_and_those_of_the_url_win() -> None:
    values = parse_url(with_options(URL, application_name="tidings", search_path="pg_catalog, public", role="other"))
    assert values["options"].endswith(" -c search_path=pg_catalog,\\ public -c role=other -c role=boss")
    assert (values["application_name"], values["password"], values["sslmode"]) == ("tidings", "p@ss", "require")


def test_both_ends_notice_when_the_other_has_vanished_unless_something_else_is_asked_for() -> None:
    values = parse_url(with_options("postgresql://me@h/d?keepalives_idle=7", tcp_keepalives_idle="1"))
    assert "-c tcp_keepalives_idle=1 " in values["options"]
    assert "-c tcp_user_timeout=10000" in values["options"]
    assert (values["keepalives_idle"], values["tcp_user_timeout"]) == ("7", "30000")


def test_another_login_keeps_everything_but_the_role_that_the_old_one_became() -> None:
    url = with_login(URL, "a b", "x/y")
    assert url == "postgresql://a%20b:x%2Fy@db.example.org:6000/my%20shop?sslmode=require"
    neon = with_login("postgresql://me:x@h/d?options=endpoint%3Dep-1%20-c%20role%3Dboss", "you", "y")
    assert parse_url(neon)["options"] == "endpoint=ep-1"


def test_a_role_is_become_after_the_login() -> None:
    assert parse_url(with_role("postgresql://me@h/d", "tidings_d_reader"))["options"] == "-c role=tidings_d_reader"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "me@db.example.org:6000/my shop"),
        ("postgresql:///shop", "localhost:5432/shop"),
        ("host=/run/postgresql dbname=shop user=me password=x", "me@/run/postgresql:5432/shop"),
        ("postgresql://me:x@a:1,b:2/shop", "me@a,b:1,2/shop"),
    ],
)
def test_what_is_shown_holds_no_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize("url", ["host=/run/postgresql dbname=shop", "postgresql://me:x@a:1,b:2/shop"])
def test_sockets_and_several_hosts_survive_a_change_of_login(url: str) -> None:
    before = parse_url(url)
    assert parse_url(with_login(url, "you", "y")) == before | {"user": "you", "password": "y"}


@pytest.mark.parametrize("url", ["shop:hidden", "postgresql://shop:hid/den@h:5432/d", "postgresql://shop:hidden/@h/d"])
def test_what_is_no_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(TidingsError) as raised:
        parse_url(url)
    assert "postgresql://role:password@host:5432/database" in str(raised.value)
    assert "hid" not in str(raised.value)
