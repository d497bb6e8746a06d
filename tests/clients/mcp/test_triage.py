"""The protocol's own Python client, as it comes from the package index, at the triage surface's tools."""

import asyncio
import contextlib
import importlib.metadata
import json
import os

import pytest
from mcp import ClientSession

VERSION = tuple(int(part) for part in importlib.metadata.version("mcp").split(".")[:2])
URL = os.environ["RUNHOLD_URL"] + "/v1/triage/mcp"
HEADERS = {"Authorization": f"Bearer {os.environ['RUNHOLD_TOKEN']}"}
ISSUE = {"title": "It fails", "severity": "high", "category": "Routing"}
TOOLS = {
    "list_triage_issues",
    "get_triage_issue",
    "create_triage_issue",
    "update_triage_issue",
    "add_triage_comment",
    "add_triage_resource",
    "remove_triage_resource",
    "add_triage_flag",
    "remove_triage_flag",
    "add_triage_relation",
    "remove_triage_relation",
    "list_triage_activity",
}


@contextlib.asynccontextmanager
async def connected():
    """A client that agreed on a version with the server, in the way of its own release."""
    if VERSION < (2,):
        from mcp.client.streamable_http import streamablehttp_client

        async with streamablehttp_client(URL, headers=HEADERS) as (reader, writer, _):
            async with ClientSession(reader, writer) as session:
                agreed = await session.initialize()
                assert agreed.protocolVersion == "2025-11-25"
                yield session
    else:
        import httpx2
        from mcp.client.client import Client
        from mcp.client.streamable_http import streamable_http_client

        async with httpx2.AsyncClient(headers=HEADERS) as http:
            async with Client(streamable_http_client(URL, http_client=http)) as client:
                yield client


def plain(result) -> dict:
    """A result as it stands on the wire."""
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)


async def call(client, tool: str, arguments: dict) -> dict:
    """What comes of a call that goes well."""
    result = plain(await client.call_tool(tool, arguments))
    assert result["isError"] is False, result
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    return result["structuredContent"]


def run(test) -> None:
    async def whole():
        async with asyncio.timeout(60), connected() as client:
            await test(client)

    asyncio.run(whole())


def test_the_tools_are_listed_with_their_schemas():
    async def test(client):
        listed = plain(await client.list_tools())["tools"]
        assert {tool["name"] for tool in listed} == TOOLS
        assert all(tool["inputSchema"]["type"] == "object" for tool in listed)

    run(test)


def test_an_issue_is_opened_talked_about_and_found_again():
    async def test(client):
        made = await call(client, "create_triage_issue", ISSUE)
        assert made["triage_id"].startswith("T-")
        comment = await call(client, "add_triage_comment", {"issue_id": made["id"], "detail": "Seen."})
        assert (comment["type"], comment["detail"]) == ("comment", "Seen.")
        changed = await call(client, "update_triage_issue", {"issue_id": made["id"], "status": "done"})
        assert changed["status"] == "done"
        feed = await call(client, "list_triage_activity", {"issue_id": made["id"]})
        assert [entry["type"] for entry in feed["items"]] == ["status_changed", "comment", "created"]
        found = await call(client, "list_triage_issues", {"status": ["done"], "limit": 100})
        assert made["id"] in [issue["id"] for issue in found["items"]]

    run(test)


def test_what_is_wrong_is_told_to_the_model():
    async def test(client):
        result = plain(await client.call_tool("create_triage_issue", {"title": " ", "severity": "bad"}))
        assert result["isError"] is True
        assert result["content"][0]["text"] == (
            "title: must be 1-200 characters; severity: must be one of critical, high, medium, low; category: required"
        )

    run(test)


def test_a_tool_that_is_not_there_is_an_error_of_the_protocol():
    async def test(client):
        with pytest.raises(Exception, match="Unknown tool: nothing"):
            await client.call_tool("nothing", {})

    run(test)
