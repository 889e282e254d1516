"""`tidings metrics`: what Prometheus reads."""

import click

from cli.project import connect_ledger
from cli.terminal import say
from runtime.console.desk import metrics_token
from runtime.console.metrics import exposition
from runtime.settings import load_settings

_CONFIG = """scrape_configs:
  - job_name: tidings
    scrape_interval: 15s
    metrics_path: /metrics
    authorization:
      credentials: {token}
    static_configs:
      - targets: ["{host}:{port}"]"""


@click.command()
@click.option("--config", is_flag=True, help="Print what Prometheus needs to scrape the console; it holds a token.")
def metrics(*, config: bool) -> None:
    """Print the project's metrics in the text format of Prometheus, as the console serves them at /metrics."""
    settings = load_settings()
    if config:
        token = metrics_token(settings.console_token)
        say(_CONFIG.format(token=token, host=settings.console_host, port=settings.console_port))
        return
    with connect_ledger(settings) as conn, conn.transaction():
        text, _ = exposition(conn, settings.project_id)
    say(text.decode().rstrip("\n"))
