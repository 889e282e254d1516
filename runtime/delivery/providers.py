"""Builds the providers that the settings name; called once by each process that sends."""

from runtime.delivery.headers import sender_address
from runtime.delivery.provider import Delivery, Provider
from runtime.delivery.resend_provider import ResendProvider
from runtime.delivery.slack_provider import SlackProvider
from runtime.delivery.smtp_provider import SmtpProvider
from runtime.settings import Settings


def build_delivery(settings: Settings) -> Delivery:
    """Return the ways out of this machine, and connect to none yet.

    Raises TidingsError for settings that can't work, the sender among them. Without a public URL, links lead to the
    console on this machine.
    """
    sender_address(settings.sender)
    providers: list[Provider] = []
    if settings.resend_api_key:
        providers.append(ResendProvider(settings.resend_api_key, url=settings.resend_api_url))
    if settings.smtp_url:
        providers.append(SmtpProvider(settings.smtp_url))
    if settings.slack_token:
        providers.append(SlackProvider(settings.slack_token, url=settings.slack_api_url))
    public_url = settings.public_url or f"http://{settings.console_host}:{settings.console_port}"
    return Delivery({provider.name: provider for provider in providers}, settings.sender, public_url.rstrip("/"))
