"""Which scope each tool needs: reading, drafting, publishing, and looking at what was sent to whom."""

READ, WRITE, PUBLISH, ANALYTICS = "workflows:read", "workflows:write", "workflows:publish", "analytics:read"
SCOPES = (READ, WRITE, PUBLISH, ANALYTICS)
NEEDS = {
    "get_status": READ,
    "describe_schema": READ,
    "list_workflows": READ,
    "get_workflow_and_preview_url": READ,
    "save_workflow": WRITE,
    "validate_workflow": READ,
    "create_or_update_workflow": WRITE,
    "preview_message": READ,
    "test_workflow": WRITE,
    "prepare_publish": PUBLISH,
    "confirm_publish": PUBLISH,
    "list_runs": ANALYTICS,
    "explain_delivery": ANALYTICS,
}
"""In the order in which tools are listed."""
