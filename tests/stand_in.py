"""Until the real ones are there: test_workflow, prepare_publish and confirm_publish."""

from typing import Any

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

from runtime.publishing.approvals import prepare_publish
from runtime.publishing.drafts import load_draft
from runtime.publishing.reports import record_report
from runtime.publishing.verdict import judge
from tools.drafting import add_drafting
from tools.language import guide
from tools.schema import add_schema
from tools.services import Services
from tools.strict import ScopedServer
from tools.publishing import add_publishing
from tools.workflows import add_workflows


class Out(BaseModel):
    summary: str
    passed: bool = False
    scenarios: list[dict[str, Any]] = []
    problems: list[dict[str, Any]] = []
    status: str = ""
    digest: str = ""
    words: str = ""
    missing: list[str] = []


FAILS: list[list[dict[str, Any]]] = []


def build_server(services: Services) -> ScopedServer:
    server = ScopedServer("tidings", needs={}, log_level="WARNING", obstacle=services.obstacle)
    add_schema(server, services)
    add_workflows(server, services)
    add_drafting(server, services)

    @server.resource("tidings://language")
    def language() -> str:
        return guide()

    @server.tool()
    def test_workflow(workflow: str) -> Out:
        """Test."""
        verdict = judge(services.source, services.ledger, load_draft(services.ledger, workflow).workflow)
        failed = FAILS.pop(0) if FAILS else []
        record_report(services.ledger, verdict.digest, passed=not failed, report={})
        return Out(summary="3 of 3 passed" if not failed else "failed", passed=not failed, scenarios=failed, digest=verdict.digest)

    add_publishing(server, services)
    return server
