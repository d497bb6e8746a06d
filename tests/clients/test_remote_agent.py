"""RemoteAgent: an agent of this server inside somebody else's program."""

import httpx
import pytest
from agno.agent.remote import RemoteAgent
from agno.utils.http import close_sync_client, set_default_sync_client
from conftest import AGNO

PARCEL = '/call fetch_parcel {"shelf": 3}'


@pytest.fixture
def remote(url) -> RemoteAgent:
    return RemoteAgent(base_url=url, agent_id="errands")


@pytest.fixture
def sync_calls_with_token(token):
    """RemoteAgent's properties send no token of their own; Agno's way to give them one is the process's client."""
    set_default_sync_client(httpx.Client(headers={"Authorization": f"Bearer {token}"}))
    yield
    close_sync_client()


async def test_it_runs(remote, token):
    run = await remote.arun('/call add {"a": 2, "b": 3}', auth_token=token)

    assert (run.agent_id, run.status, [tool.tool_name for tool in run.tools]) == ("errands", "COMPLETED", ["add"])


async def test_it_streams(remote, token, somebody):
    events = [
        event
        async for event in remote.arun(
            "/say Hello", stream=True, stream_events=True, user_id=somebody, session_id=somebody, auth_token=token
        )
    ]

    assert (events[0].event, events[0].session_id) == ("RunStarted", somebody)
    assert (events[-1].event, events[-1].content) == ("RunCompleted", "Hello")


def decided(paused) -> list:
    """What is handed back: requirements from release 3 on, tools before."""
    [requirement] = paused.requirements
    requirement.set_external_execution_result("a small box")
    return [requirement if AGNO >= 3 else requirement.tool_execution]


async def test_it_goes_on_with_what_it_waited_for(remote, token):
    paused = await remote.arun(PARCEL, auth_token=token)
    done = await remote.acontinue_run(
        paused.run_id, decided(paused), session_id=paused.session_id, auth_token=token
    )

    assert (done.run_id, done.status, done.tools[0].result) == (paused.run_id, "COMPLETED", "a small box")


async def test_it_goes_on_as_a_stream(remote, token):
    paused = await remote.arun(PARCEL, auth_token=token)
    stream = remote.acontinue_run(
        paused.run_id, decided(paused), stream=True, session_id=paused.session_id, auth_token=token
    )

    assert [event.event async for event in stream][-1] == "RunCompleted"


async def test_every_option_it_may_send_is_accepted(remote, token):
    run = await remote.arun(
        "/say Hello",
        session_state={"a": 1},
        dependencies={"b": 2},
        metadata={"c": 3},
        knowledge_filters={"d": 4},
        retries=1,
        add_history_to_context=True,
        add_dependencies_to_context=True,
        add_session_state_to_context=True,
        auth_token=token,
    )

    assert run.status == "COMPLETED"
    assert run.content.startswith("Hello")  # the dependencies stand after the message
    assert run.session_state["a"] == 1


async def test_an_object_as_input_arrives_as_its_json_text(remote, token):
    run = await remote.arun({"question": 1}, auth_token=token)

    assert run.input.input_content == '{"question": 1}'


async def test_its_properties_come_from_the_server(remote, sync_calls_with_token):
    assert (remote.id, remote.name) == ("errands", "Errands")
    assert remote.description == "Leaves one of its tools to the client"


@pytest.mark.agno(3)
async def test_its_role_is_a_property(remote, sync_calls_with_token):
    assert remote.role is None


async def test_its_database_lists_the_sessions(remote, sync_calls_with_token, token, somebody):
    run = await remote.arun("/say Hello", user_id=somebody, auth_token=token)
    authorized = {"Authorization": f"Bearer {token}"}
    page = await remote.db.get_sessions(
        user_id=somebody, db_id=remote.db.id, table=remote.db.session_table_name, headers=authorized
    )

    assert [session.session_id for session in page.data] == [run.session_id]


async def test_it_cancels(remote, token):
    events = []
    async for event in remote.arun("/slow 2000", stream=True, stream_events=True, auth_token=token):
        events.append(event.event)
        if event.event == "RunContent" and event.content:
            assert await remote.acancel_run(event.run_id, auth_token=token)

    assert "RunCancelled" in events[-2:]


async def test_an_agent_nobody_knows_is_404(url, token):
    with pytest.raises(httpx.HTTPStatusError) as caught:
        await RemoteAgent(base_url=url, agent_id="nobody").arun("hello", auth_token=token)

    assert caught.value.response.status_code == 404
