"""Builds the providers that the settings name, and loads no other; called once by each process that sends."""

from runtime.delivery.headers import sender_address
from runtime.delivery.provider import Delivery, Provider
from runtime.settings import Settings


def build_delivery(settings: Settings) -> Delivery:
    """Return the ways out of this machine, and connect to none yet.

    Raises TidingsError for settings that can't work, the sender among them. Without a public URL, links lead to the
    console on this machine.
    """
    sender_address(settings.sender)
    providers: list[Provider] = []
    if settings.resend_api_key:
        from runtime.delivery.resend_provider import ResendProvider  # noqa: PLC0415  # a library that takes its time

        providers.append(
            ResendProvider(settings.resend_api_key, url=settings.resend_api_url, rate=settings.resend_rate)
        )
    if settings.smtp_url:
        from runtime.delivery.smtp_provider import SmtpProvider  # noqa: PLC0415

        providers.append(SmtpProvider(settings.smtp_url))
    if settings.slack_token:
        from runtime.delivery.slack_provider import SlackProvider  # noqa: PLC0415  # another

        providers.append(SlackProvider(settings.slack_token, url=settings.slack_api_url))
    public_url = settings.public_url or f"http://{settings.console_host}:{settings.console_port}"
    return Delivery({provider.name: provider for provider in providers}, settings.sender, public_url.rstrip("/"))
