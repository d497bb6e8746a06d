"""Everruns' own management client, as it comes from the package index: its quick start, a stream, a client's tool."""

import asyncio
import importlib.metadata
import os
import re
import subprocess
import sys

import pytest
from everruns_sdk import Everruns, errors
from everruns_sdk.sse import EventStream, StreamOptions

VERSION = tuple(int(part) for part in importlib.metadata.version("everruns-sdk").split(".")[:2])
SECONDS_A_TEST_MAY_TAKE = 60


def quick_start() -> str:
    """The first example of the package's own description that uses the management client."""
    description = importlib.metadata.metadata("everruns-sdk").get_payload()
    blocks = re.findall(r"```python\n(.*?)```", description, re.DOTALL)
    return next(block for block in blocks if "client.events.stream" in block and "asyncio.run" in block)


def test_the_quick_start_of_the_package_runs_as_it_is_written():
    program = quick_start()
    if VERSION >= (0, 2):
        # This release calls its agent `Assistant`, and refuses that before anything is sent: `validate_agent_name`
        # wants lower case letters, digits and hyphens. The server takes the name.
        program = program.replace('name="Assistant"', 'name="assistant"')
    ran = subprocess.run(
        [sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, timeout=SECONDS_A_TEST_MAY_TAKE
    )
    assert ran.returncode == 0, ran.stderr
    assert "'role': 'agent'" in ran.stdout, ran.stdout


def test_a_turn_is_streamed_in_order_and_listed_as_messages():
    async def run():
        client = Everruns()
        agent = await client.agents.create(name="streamer", system_prompt="You count.")
        session = await client.sessions.create(agent_id=agent.id)
        assert session.status == "started"
        sent = await client.messages.create(session.id, "/slow 20")
        seen, text = [], ""
        async for event in EventStream(client, session.id, StreamOptions(max_retries=3)):
            seen.append(event.type)
            if event.type == "output.message.delta":
                text += event.data["delta"]
                assert event.data["accumulated"] == text
            if event.type == "turn.completed":
                break
        messages = await client.messages.list(session.id)
        assert [message.role for message in messages] == ["user", "agent"]
        assert messages[0].id == sent.id
        assert messages[1].content[0].text == text == " ".join(str(number) for number in range(1, 21))
        stored = [kind for kind in seen if kind != "output.message.delta"]
        assert stored == [event.type for event in await client.events.list(session.id)][: len(stored)]
        await client.sessions.delete(session.id)
        await client.agents.delete(agent.id)
        await client.close()

    asyncio.run(asyncio.wait_for(run(), SECONDS_A_TEST_MAY_TAKE))


def test_a_stream_that_is_broken_off_in_an_answer_is_taken_up_where_it_was():
    async def run():
        client = Everruns()
        agent = await client.agents.create(name="streamer", system_prompt="You count.")
        session = await client.sessions.create(agent_id=agent.id)
        await client.messages.create(session.id, "/slow 30")
        text, cursor = "", None
        first = EventStream(client, session.id, StreamOptions())
        async for event in first:
            cursor = event.id
            if event.type == "output.message.delta":
                text += event.data["delta"]
                break
        async for event in EventStream(client, session.id, StreamOptions(since_id=cursor)):
            if event.type == "output.message.delta":
                text += event.data["delta"]
            if event.type == "turn.completed":
                break
        assert text == " ".join(str(number) for number in range(1, 31))
        await client.close()

    asyncio.run(asyncio.wait_for(run(), SECONDS_A_TEST_MAY_TAKE))


@pytest.mark.skipif(VERSION < (0, 2), reason="this release cannot declare tools")
def test_a_tool_is_executed_by_the_client():
    from everruns_sdk import ContentPart, extract_tool_calls
    from everruns_sdk.models import ToolDefinition

    async def run():
        client = Everruns()
        tool = ToolDefinition(
            type="client_side",
            name="get_position",
            description="Says where the client is",
            parameters={"type": "object", "properties": {"unit": {"type": "string"}}},
        )
        agent = await client.agents.create(name="navigator", system_prompt="You know the way.", tools=[tool])
        session = await client.sessions.create(agent_id=agent.id)
        await client.messages.create(session.id, '/call get_position {"unit": "m"}')
        seen = []
        async for event in EventStream(client, session.id, StreamOptions(max_retries=3)):
            seen.append(event.type)
            # As its examples do: at the message, before the session has begun to wait.
            calls = extract_tool_calls(event.data) if event.type == "output.message.completed" else []
            if calls:
                assert (calls[0].name, calls[0].arguments) == ("get_position", {"unit": "m"})
                results = [ContentPart.make_tool_result(call.id, {"x": 1, "y": 2}) for call in calls]
                answer = await client.messages.create_tool_results(session.id, results)
                assert answer.accepted == 1
            if event.type in ("turn.completed", "turn.failed"):
                break
        assert seen[-1] == "turn.completed" and "tool.call_requested" in seen, seen
        messages = await client.messages.list(session.id)
        assert [message.role for message in messages] == ["user", "agent", "tool_result", "agent"]
        assert messages[2].content[0].result == {"x": 1, "y": 2}
        await client.close()

    asyncio.run(asyncio.wait_for(run(), SECONDS_A_TEST_MAY_TAKE))


def test_a_turn_is_cancelled():
    async def run():
        client = Everruns()
        agent = await client.agents.create(name="sleeper", system_prompt="You are slow.")
        session = await client.sessions.create(agent_id=agent.id)
        await client.messages.create(session.id, "/slow 5000")
        async for event in client.events.stream(session.id):
            if event.type == "output.message.delta":
                await client.sessions.cancel(session.id)
            if event.type == "session.idled":
                break
        assert (await client.sessions.get(session.id)).status == "idle"
        await client.close()

    asyncio.run(asyncio.wait_for(run(), SECONDS_A_TEST_MAY_TAKE))


def agent_client(agent: str):
    """The client of one agent, as an application holds it."""
    agent_module = pytest.importorskip("everruns_sdk.agent", reason="this release has no client of one agent")
    url = f"{os.environ['EVERRUNS_API_URL']}/v1/channels/{agent}"
    return agent_module.AgentClient(agent_url=url, credential=os.environ["EVERRUNS_API_KEY"])


def test_an_application_talks_to_its_agent_for_its_users():
    async def run():
        management = Everruns()
        made = await management.agents.create(name="counter-for-apps", system_prompt="You count.")
        client = agent_client(made.id)
        card = await client.card()
        assert (card["name"], card["streaming"]) == ("counter-for-apps", True)
        alice, bob = client.for_end_user("alice"), client.for_end_user("bob")
        session = await alice.create_session("Numbers", idempotency_key="once")
        assert (await alice.create_session("Numbers", idempotency_key="once"))["id"] == session["id"]
        counted = " ".join(str(number) for number in range(1, 6))
        assert await alice.run("/slow 5", session["id"]) == counted
        # A second turn of the same session: only what is new is followed.
        assert await alice.run("/slow 3", session["id"]) == "1 2 3"
        # A session of its own.
        assert await bob.run("/slow 5") == counted
        assert [one["id"] for one in (await alice.list_sessions())["data"]] == [session["id"]]
        assert len((await client.list_sessions())["data"]) == 2
        events = await alice.list_events(session["id"], after_sequence=2, limit=3)
        assert [event.sequence for event in events] == [3, 4, 5]
        replayed = []
        async for event in alice.stream_events(session["id"], after_sequence=0, max_retries=1):
            replayed.append(event.type)
            if replayed.count("session.idled") == 2:
                break
        assert replayed.count("turn.completed") == 2
        with pytest.raises(errors.ApiError) as refused:
            await bob.get_session(session["id"])
        assert refused.value.status_code == 404
        await client.close()
        await management.close()

    asyncio.run(asyncio.wait_for(run(), SECONDS_A_TEST_MAY_TAKE))


def test_an_application_cancels_a_turn():
    async def run():
        management = Everruns()
        made = await management.agents.create(name="sleeper-for-apps", system_prompt="You are slow.")
        client = agent_client(made.id)
        session = await client.create_session()
        await client.send_message(session["id"], "/slow 5000")
        seen = []
        async for event in client.stream_events(session["id"], after_sequence=0):
            seen.append(event.type)
            if event.type == "output.message.delta" and "turn.cancelled" not in seen:
                assert (await client.cancel(session["id"]))["status"] in ("cancelled", "no_op")
            if event.type == "session.idled":
                break
        assert "turn.cancelled" in seen
        await client.close()
        await management.close()

    asyncio.run(asyncio.wait_for(run(), SECONDS_A_TEST_MAY_TAKE))
