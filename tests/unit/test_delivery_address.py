import pytest

from runtime.delivery.address import BadAddress, normal_address


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("ada@mail.test", "ada@mail.test"),
        ("  Ada.Lovelace+news@Mail.TEST ", "Ada.Lovelace+news@mail.test"),
        ("o'neil_1@sub.mail-server.test", "o'neil_1@sub.mail-server.test"),
        ("info@münchen.test", "info@xn--mnchen-3ya.test"),
        ("info@straße.test", "info@xn--strae-oqa.test"),
        ("info@xn--mnchen-3ya.test", "info@xn--mnchen-3ya.test"),
        ("root@localhost", "root@localhost"),
    ],
)
def test_an_email_address_has_one_spelling(written: str, normal: str) -> None:
    assert normal_address("email", written) == normal


@pytest.mark.parametrize(
    "written",
    [
        *("n/a", "ada", "ada@", "@mail.test", "ada@mail", "ada@@mail.test", "ada lovelace@mail.test", "a..b@mail.test"),
        *("ada@-mail.test", "ada@mail..test", "ada@127.0.0.1", "ada@[127.0.0.1]", "ada@mail.test, bob@mail.test"),
        *("Ada <ada@mail.test>", "ada@mail.test\nBcc: all@mail.test", "\u00e4da@mail.test"),
        *("a" * 65 + "@mail.test", "a@" + "b" * 64 + ".test", "a@" + "b." * 130 + "test", '"ada"@mail.test'),
    ],
)
def test_what_is_no_email_address_is_refused_with_itself_in_the_message(written: str) -> None:
    with pytest.raises(BadAddress, match="no e-mail address") as refused:
        normal_address("email", written)
    assert repr(written.strip()) in str(refused.value)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("#alerts", "#alerts"),
        ("#team_a-1", "#team_a-1"),
        ("#équipe", "#équipe"),
        ("C0123456789", "C0123456789"),
        ("U0123456789", "U0123456789"),
        ("ada", "@ada"),
        ("@Ada.L", "@ada.l"),
    ],
)
def test_a_slack_address_is_a_channel_an_id_or_a_handle(written: str, normal: str) -> None:
    assert normal_address("slack", written) == normal


@pytest.mark.parametrize("written", ["#", "#two words", "#Alerts", "<!channel>", "a b", "#a,#b", "ada@mail.test", "@"])
def test_what_is_no_slack_address_is_refused(written: str) -> None:
    with pytest.raises(BadAddress, match="no Slack address"):
        normal_address("slack", written)
