"""AgentOSClient makes, finds, changes and deletes sessions."""

import uuid

import httpx
import pytest
from agno.db.base import SessionType


async def test_a_session_is_made_with_the_name_state_and_metadata_it_was_given(agentos, somebody):
    wanted = {
        "session_id": str(uuid.uuid4()),
        "session_name": "A name",
        "session_state": {"list": [1, {"deep": None}]},
        "metadata": {"from": "tests"},
        "agent_id": "echo",
        "user_id": somebody,
    }
    made = await agentos.create_session(**wanted)
    got = await agentos.get_session(wanted["session_id"])

    assert {field: getattr(made, field) for field in wanted} == wanted
    assert made.agent_session_id == made.session_id
    assert made.chat_history == []
    assert made.created_at == made.updated_at
    assert got == made


async def test_a_session_without_an_id_gets_one(agentos):
    first = await agentos.create_session(agent_id="echo")
    second = await agentos.create_session(agent_id="echo")

    assert first.session_id and second.session_id and first.session_id != second.session_id


async def test_a_taken_session_id_is_409(agentos):
    made = await agentos.create_session(agent_id="echo")

    with pytest.raises(httpx.HTTPStatusError) as caught:
        await agentos.create_session(session_id=made.session_id, agent_id="echo")

    assert caught.value.response.status_code == 409


async def test_sessions_of_teams_and_workflows_are_made_too(agentos):
    team = await agentos.create_session(session_type=SessionType.TEAM, team_id="a-team", session_name="T")
    workflow = await agentos.create_session(session_type=SessionType.WORKFLOW, workflow_id="a-workflow")

    assert (await agentos.get_session(team.session_id)) == team
    assert (await agentos.get_session(workflow.session_id)) == workflow
    assert (team.team_id, workflow.workflow_id) == ("a-team", "a-workflow")


async def test_a_session_belongs_to_its_user(agentos, somebody):
    made = await agentos.create_session(agent_id="echo", user_id=somebody)

    assert (await agentos.get_session(made.session_id, user_id=somebody)).user_id == somebody
    await expect_missing(agentos.get_session(made.session_id, user_id="somebody else"))


async def test_a_list_is_filtered_by_user_component_type_and_name(agentos, somebody):
    await agentos.create_session(agent_id="echo", user_id=somebody, session_name="red apple")
    await agentos.create_session(agent_id="errands", user_id=somebody, session_name="green apple")
    await agentos.create_session(session_type=SessionType.TEAM, team_id="t", user_id=somebody, session_name="pear")

    async def names(**filters) -> list[str]:
        page = await agentos.get_sessions(user_id=somebody, sort_by="created_at", sort_order="asc", **filters)
        assert page.meta.total_count == len(page.data)
        return sorted(session.session_name for session in page.data)

    assert await names() == ["green apple", "pear", "red apple"]
    assert await names(component_id="echo") == ["red apple"]
    assert await names(session_type=SessionType.TEAM) == ["pear"]
    assert await names(session_name="apple") == ["green apple", "red apple"]
    assert await names(session_type=SessionType.AGENT, component_id="errands", session_name="red") == []


async def test_the_pages_of_a_list_hold_every_session_once(agentos, somebody):
    made = {(await agentos.create_session(agent_id="echo", user_id=somebody)).session_id for _ in range(5)}
    pages = [await agentos.get_sessions(user_id=somebody, limit=2, page=number) for number in (1, 2, 3, 4)]

    assert [len(page.data) for page in pages] == [2, 2, 1, 0]
    assert {session.session_id for page in pages for session in page.data} == made
    assert [(page.meta.page, page.meta.limit, page.meta.total_pages, page.meta.total_count) for page in pages] == [
        (number, 2, 3, 5) for number in (1, 2, 3, 4)
    ]


async def test_a_listed_session_shows_its_type_owner_and_times(agentos, somebody):
    made = await agentos.create_session(agent_id="echo", user_id=somebody, session_name="N", metadata={"k": "v"})
    [listed] = (await agentos.get_sessions(user_id=somebody)).data

    assert (listed.session_id, listed.session_name, listed.session_type) == (made.session_id, "N", "agent")
    assert (listed.agent_id, listed.user_id, listed.metadata) == ("echo", somebody, {"k": "v"})
    assert (listed.created_at, listed.updated_at) == (made.created_at, made.updated_at)


async def test_a_limit_of_zero_is_422(agentos):
    with pytest.raises(httpx.HTTPStatusError) as caught:
        await agentos.get_sessions(limit=0)

    [problem] = caught.value.response.json()["detail"]
    assert (caught.value.response.status_code, problem["type"]) == (422, "greater_than_equal")
    assert problem["loc"] == ["query", "limit"]


async def test_a_renamed_session_keeps_everything_else(agentos):
    made = await agentos.create_session(agent_id="echo", session_name="old", session_state={"k": 1}, metadata={"m": 1})
    renamed = await agentos.rename_session(made.session_id, "new")
    got = await agentos.get_session(made.session_id)

    assert (renamed.session_name, renamed.session_state, renamed.metadata) == ("new", {"k": 1}, {"m": 1})
    assert (got.session_name, got.session_state, got.metadata) == ("new", {"k": 1}, {"m": 1})


async def test_an_update_replaces_what_it_names_and_keeps_the_rest(agentos):
    made = await agentos.create_session(agent_id="echo", session_name="N", session_state={"a": 1}, metadata={"m": 1})
    updated = await agentos.update_session(made.session_id, session_state={"b": 2})

    assert (updated.session_name, updated.session_state, updated.metadata) == ("N", {"b": 2}, {"m": 1})

    updated = await agentos.update_session(made.session_id, session_name="M", metadata={"n": 2})

    assert (updated.session_name, updated.session_state, updated.metadata) == ("M", {"b": 2}, {"n": 2})
    assert (await agentos.get_session(made.session_id)).session_state == {"b": 2}


async def test_a_deleted_session_is_gone_with_its_runs(agentos):
    run = await agentos.run_agent("echo", "/say hello")
    await agentos.delete_session(run.session_id)

    await expect_missing(agentos.get_session(run.session_id))
    await expect_missing(agentos.get_session_runs(run.session_id))
    await expect_missing(agentos.get_session_run(run.session_id, run.run_id))


async def test_several_sessions_are_deleted_at_once(agentos, somebody):
    made = [(await agentos.create_session(agent_id="echo", user_id=somebody)).session_id for _ in range(3)]
    await agentos.delete_sessions(made[:2], [SessionType.AGENT] * 2)

    assert [session.session_id for session in (await agentos.get_sessions(user_id=somebody)).data] == made[2:]
    await expect_missing(agentos.get_session(made[0]))


async def test_deleting_a_session_that_is_not_there_is_no_error(agentos):
    assert await agentos.delete_session(str(uuid.uuid4())) is None


async def test_lists_of_ids_and_types_of_different_lengths_are_400(agentos):
    with pytest.raises(httpx.HTTPStatusError) as caught:
        await agentos.delete_sessions(["a", "b"], [SessionType.AGENT])

    assert caught.value.response.status_code == 400


async def test_reading_or_changing_a_session_that_is_not_there_is_404(agentos):
    missing = str(uuid.uuid4())

    await expect_missing(agentos.get_session(missing))
    await expect_missing(agentos.rename_session(missing, "name"))
    await expect_missing(agentos.update_session(missing, session_name="name"))
    await expect_missing(agentos.get_session_runs(missing))


async def expect_missing(call) -> None:
    """Awaits a call that must fail with 404 and say why."""
    with pytest.raises(httpx.HTTPStatusError) as caught:
        await call
    assert caught.value.response.status_code == 404
    assert isinstance(caught.value.response.json()["detail"], str)
