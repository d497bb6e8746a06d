"""Calls of AgentOSClient without the right token."""

import httpx
import pytest


async def test_a_call_without_a_token_is_401(client):
    with pytest.raises(httpx.HTTPStatusError) as caught:
        await client.list_agents()

    assert caught.value.response.status_code == 401
    assert "detail" in caught.value.response.json()


async def test_a_call_with_a_wrong_token_is_401(client):
    with pytest.raises(httpx.HTTPStatusError) as caught:
        await client.run_agent("echo", "/say hello", headers={"Authorization": "Bearer wrong"})

    assert caught.value.response.status_code == 401


async def test_a_stream_with_a_wrong_token_is_401_before_any_event(client):
    with pytest.raises(httpx.HTTPStatusError) as caught:
        async for event in client.run_agent_stream("echo", "/say hello", headers={"Authorization": "Bearer wrong"}):
            pytest.fail(f"an event without a token: {event}")

    assert caught.value.response.status_code == 401


async def test_a_refused_run_leaves_no_session_behind(client, agentos, somebody):
    with pytest.raises(httpx.HTTPStatusError):
        await client.run_agent("echo", "/say hello", user_id=somebody, headers={"Authorization": "Bearer wrong"})

    assert (await agentos.get_sessions(user_id=somebody)).data == []
