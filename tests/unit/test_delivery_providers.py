from pathlib import Path
from typing import Any

import pytest

from runtime.delivery.address import BadAddress
from runtime.delivery.providers import build_delivery
from runtime.errors import TidingsError
from runtime.settings import Settings


def _settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "home": Path(),
        "project": "shop",
        "project_id": 1,
        "environment": "production",
        "installer_url": "",
        "ledger_url": "",
        "reader_url": "",
        "console_token": "",
    }
    return Settings(**(values | changes))


def test_there_are_as_many_ways_out_as_the_settings_name() -> None:
    assert build_delivery(_settings()).providers == {}
    everything = _settings(resend_api_key="re_x", smtp_url="smtp://mail.test", slack_token="xoxb-x")
    delivery = build_delivery(everything)
    sizes = {name: (way.batch, way.idempotency_window is not None) for name, way in delivery.providers.items()}
    assert sizes == {"resend": (100, True), "smtp": (1, False), "slack": (1, False)}
    delivery.close()


def test_links_lead_to_the_public_url_or_to_the_console_here() -> None:
    assert build_delivery(_settings()).public_url == "http://127.0.0.1:8710"
    assert build_delivery(_settings(public_url="https://news.shop.test/")).public_url == "https://news.shop.test"


def test_settings_that_can_not_work_are_told_at_once() -> None:
    with pytest.raises(BadAddress, match="TIDINGS_SENDER"):
        build_delivery(_settings(sender="Shop <nobody>"))
    with pytest.raises(TidingsError, match="TIDINGS_SMTP_URL"):
        build_delivery(_settings(smtp_url="smtps+starttls://mail.test"))
