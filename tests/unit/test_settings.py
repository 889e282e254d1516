import json
from pathlib import Path

import pytest

from runtime.errors import NotFound, TidingsError
from runtime.settings import VARIABLES, load_settings, project_exists, read_project, write_project

_SECRET = "correct-horse-battery"


def _write(home: Path, *, embedded: bool = False) -> Path:
    return write_project(
        home,
        project="shop",
        installer_url=f"postgresql://i:{_SECRET}@127.0.0.1:5432/shop",
        ledger_url=f"postgresql://l:{_SECRET}@127.0.0.1:5432/shop",
        reader_url=f"postgresql://r:{_SECRET}@127.0.0.1:5432/shop",
        console_token=_SECRET,
        embedded=embedded,
    )


def test_defaults_come_from_the_project_file_alone(tmp_path: Path) -> None:
    assert not project_exists(tmp_path)
    _write(tmp_path)
    assert project_exists(tmp_path)
    settings = load_settings(tmp_path, {})
    assert (settings.project, settings.project_id, settings.environment) == ("shop", 1, "development")
    assert settings.reader_url.startswith("postgresql://r:")
    assert (settings.broker_url, settings.console_host, settings.console_port) == ("", "127.0.0.1", 8710)
    assert settings.model == "claude-sonnet-5-5"


def test_the_environment_wins_and_an_empty_value_counts_as_not_given(tmp_path: Path) -> None:
    _write(tmp_path)
    given = {"TIDINGS_CONSOLE_PORT": "9000", "TIDINGS_ENVIRONMENT": "production", "RESEND_API_KEY": "", "PATH": "/bin"}
    settings = load_settings(tmp_path, given)
    assert (settings.console_port, settings.environment, settings.resend_api_key) == (9000, "production", "")


def test_the_home_is_tidings_home_or_a_folder_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / ".tidings")
    assert load_settings(environ={}).home == tmp_path / ".tidings"
    _write(tmp_path / "other")
    assert load_settings(environ={"TIDINGS_HOME": str(tmp_path / "other")}).home == tmp_path / "other"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("TIDINGS_CONSOLE_PORT", "eighty", "TIDINGS_CONSOLE_PORT is 'eighty': it needs a port from 1 to 65535."),
        ("TIDINGS_CONSOLE_PORT", "70000", "TIDINGS_CONSOLE_PORT is '70000': it needs a port from 1 to 65535."),
        ("TIDINGS_LEASE_SECONDS", "nan", "TIDINGS_LEASE_SECONDS is 'nan': it needs seconds from 1 to 3600."),
        ("TIDINGS_ENVIRONMENT", "Prod!", "TIDINGS_ENVIRONMENT is 'Prod!': it needs a lower-case name."),
        ("TIDINGS_SENDER", "nobody", "TIDINGS_SENDER is 'nobody': it needs an e-mail address, or Name <address>."),
    ],
)
def test_an_unusable_value_is_named_with_its_key(tmp_path: Path, key: str, value: str, said: str) -> None:
    _write(tmp_path)
    with pytest.raises(TidingsError) as raised:
        load_settings(tmp_path, {key: value})
    assert str(raised.value) == said


def test_an_unusable_secret_is_named_but_not_shown(tmp_path: Path) -> None:
    _write(tmp_path)
    with pytest.raises(TidingsError, match="TIDINGS_BROKER_URL") as raised:
        load_settings(tmp_path, {"TIDINGS_BROKER_URL": f"kafka://{_SECRET}"})
    assert _SECRET not in str(raised.value)


def test_no_secret_shows_in_the_repr(tmp_path: Path) -> None:
    _write(tmp_path)
    secret = {variable.key: f"postgresql://{_SECRET}" for variable in VARIABLES.values() if variable.secret}
    secret |= {"TIDINGS_BROKER_URL": f"redis://{_SECRET}", "TIDINGS_SMTP_URL": f"smtp://{_SECRET}"}
    settings = load_settings(tmp_path, secret)
    assert _SECRET in settings.resend_api_key
    assert _SECRET not in repr(settings)


def test_files_with_secrets_must_be_private(tmp_path: Path) -> None:
    path = _write(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(TidingsError, match=r"mode 640\)\. Run `chmod 600 "):
        load_settings(tmp_path, {})


def test_secrets_may_stand_in_a_private_file_and_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    _write(tmp_path)
    secrets = tmp_path / "secrets.env"
    secrets.touch(mode=0o600)
    secrets.write_text("# mail\nexport RESEND_API_KEY='re_1'\nSLACK_BOT_TOKEN=xoxb\n\nTIDINGS_MODEL=\n")
    settings = load_settings(tmp_path, {"SLACK_BOT_TOKEN": "from-environment"})
    assert (settings.resend_api_key, settings.slack_token) == ("re_1", "from-environment")
    secrets.write_text("RESEND_API_KEI=re_1\n")
    with pytest.raises(TidingsError, match=r"line 1: 'RESEND_API_KEI' is not a setting\. Known are ANTHROPIC_API_KEY"):
        load_settings(tmp_path, {})


def test_a_missing_or_damaged_project_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Run `tidings init <DATABASE_URL>`"):
        load_settings(tmp_path, {})
    path = _write(tmp_path)
    path.write_text("{")
    with pytest.raises(TidingsError, match="is not JSON"):
        load_settings(tmp_path, {})
    path.write_text(json.dumps({"project": "shop"}))
    with pytest.raises(TidingsError, match="does not have the expected keys"):
        load_settings(tmp_path, {})


def test_an_embedded_project_follows_its_server_to_another_port(tmp_path: Path) -> None:
    _write(tmp_path, embedded=True)
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "port").write_text("6001")
    assert read_project(tmp_path)["ledger_url"] == f"postgresql://l:{_SECRET}@127.0.0.1:6001/shop"
    _write(tmp_path)
    assert ":5432/" in read_project(tmp_path)["ledger_url"]
