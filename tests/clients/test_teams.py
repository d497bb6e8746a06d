"""Teams over AgentOSClient and RemoteTeam: run, stream, continue, cancel."""

import json

import pytest
from agno.team.remote import RemoteTeam

TASK = '/call delegate_task_to_member {"member_id": "echo", "task": "/say Hello"}'
PARCEL = '/call delegate_task_to_member ' + json.dumps(
    {"member_id": "errands", "task": '/call fetch_parcel {"shelf": 3}'}
)

SLOW = '/call delegate_task_to_member {"member_id": "echo", "task": "/slow 2000"}'


async def test_a_team_answers_with_what_its_members_did(agentos):
    run = await agentos.run_team("desk", TASK)

    assert (run.team_id, run.team_name, run.status) == ("desk", "Desk", "COMPLETED")
    [member] = run.member_responses
    assert (member.agent_id, member.content, member.parent_run_id) == ("echo", "Hello", run.run_id)
    assert [(tool.tool_name, tool.child_run_id) for tool in run.tools] == [("delegate_task_to_member", member.run_id)]


async def test_a_stream_of_a_team_holds_its_members_events(agentos):
    events = [event async for event in agentos.run_team_stream("desk", TASK)]
    names = [event.event for event in events]

    assert (names[0], names[-1]) == ("TeamRunStarted", "TeamRunCompleted")
    assert names.index("TeamToolCallStarted") < names.index("RunStarted")
    assert names.index("RunCompleted") < names.index("TeamToolCallCompleted")
    member = events[names.index("RunStarted")]
    assert (member.agent_id, member.parent_run_id) == ("echo", events[0].run_id)


async def test_what_a_member_waits_for_is_given_at_the_team(agentos):
    paused = await agentos.run_team("desk", PARCEL)
    [requirement] = paused.requirements

    assert paused.status == "PAUSED"
    assert (requirement.member_agent_id, requirement.tool_execution.tool_name) == ("errands", "fetch_parcel")

    requirement.set_external_execution_result("a small box")
    done = await agentos.continue_team_run("desk", paused.run_id, [requirement], session_id=paused.session_id)

    assert (done.run_id, done.status) == (paused.run_id, "COMPLETED")
    assert [tool.result for tool in done.member_responses[0].tools] == ["a small box"]


async def test_a_team_goes_on_as_a_stream(agentos):
    paused = await agentos.run_team("desk", PARCEL)
    [requirement] = paused.requirements
    requirement.set_external_execution_result("a small box")
    stream = agentos.continue_team_run_stream("desk", paused.run_id, [requirement], session_id=paused.session_id)
    names = [event.event async for event in stream]

    assert "TeamRunContinued" in names
    assert names[-1] == "TeamRunCompleted"


async def test_the_session_lists_the_team_and_its_member(agentos):
    run = await agentos.run_team("desk", TASK)
    runs = await agentos.get_session_runs(run.session_id)

    assert [(entry.run_id, entry.parent_run_id or None) for entry in runs] == [
        (run.run_id, None),
        (run.member_responses[0].run_id, run.run_id),
    ]


async def test_cancelling_a_team_that_is_going_ends_its_member_too(agentos):
    names = []
    async for event in agentos.run_team_stream("desk", SLOW):
        names.append(event.event)
        if event.event == "TeamRunStarted":
            run, session = event.run_id, event.session_id
        if event.event == "RunContent" and names.count("RunContent") == 1:
            await agentos.cancel_team_run("desk", run)

    assert "TeamRunCancelled" in names[-2:]
    assert [entry.status for entry in await agentos.get_session_runs(session)] == ["CANCELLED", "CANCELLED"]


async def test_cancelling_a_team_that_is_over_is_no_error(agentos):
    run = await agentos.run_team("desk", TASK)

    assert await agentos.cancel_team_run("desk", run.run_id) is None


async def test_a_leader_chooses_whom_to_ask_and_sums_up(agentos):
    run = await agentos.run_team("newsroom", "Check the sum 6 * 7, and count the words of this notice: Closed today.")

    assert [member.agent_id for member in run.member_responses] == ["fact-checker", "text-editor"]
    assert "fact-checker says: 6 times 7 is 42." in run.content
    assert "text-editor says:" in run.content


async def test_a_team_is_shown_with_its_members(agentos):
    team = await agentos.aget_team("desk")

    assert (team.id, team.mode) == ("desk", "coordinate")
    assert [member.id for member in team.members] == ["echo", "errands"]


@pytest.fixture
def remote(url) -> RemoteTeam:
    return RemoteTeam(base_url=url, team_id="desk")


async def test_a_remote_team_runs_and_streams(remote, token):
    run = await remote.arun(TASK, auth_token=token)
    events = [event async for event in remote.arun(TASK, stream=True, stream_events=True, auth_token=token)]

    assert (run.team_id, run.status) == ("desk", "COMPLETED")
    assert (events[0].event, events[-1].event) == ("TeamRunStarted", "TeamRunCompleted")


async def test_a_remote_team_goes_on_with_what_its_member_waited_for(remote, token):
    paused = await remote.arun(PARCEL, auth_token=token)
    [requirement] = paused.requirements
    requirement.set_external_execution_result("a small box")
    done = await remote.acontinue_run(
        paused.run_id, [requirement], session_id=paused.session_id, auth_token=token
    )

    assert (done.run_id, done.status) == (paused.run_id, "COMPLETED")


async def test_a_remote_team_goes_on_as_a_stream(remote, token):
    paused = await remote.arun(PARCEL, auth_token=token)
    [requirement] = paused.requirements
    requirement.set_external_execution_result("a small box")
    stream = remote.acontinue_run(
        paused.run_id, [requirement], stream=True, session_id=paused.session_id, auth_token=token
    )

    assert [event.event async for event in stream][-1] == "TeamRunCompleted"


async def test_a_remote_team_cancels(remote, token):
    names = []
    async for event in remote.arun(SLOW, stream=True, stream_events=True, auth_token=token):
        names.append(event.event)
        if event.event == "TeamRunStarted":
            run = event.run_id
        if event.event == "RunContent" and names.count("RunContent") == 1:
            assert await remote.acancel_run(run, auth_token=token)

    assert "TeamRunCancelled" in names[-2:]
