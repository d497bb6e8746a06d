"""AgentOSClient finds out what a server offers."""

import httpx
import pytest


async def test_the_config_names_the_agents_and_one_database(agentos):
    config = await agentos.aget_config()

    assert {"assistant", "echo", "errands"} <= {agent.id for agent in config.agents}
    assert config.os_id
    assert len(config.databases) == 1
    assert {agent.db_id for agent in config.agents} == set(config.databases)


async def test_the_config_gives_the_session_table_that_session_calls_may_name(agentos):
    config = await agentos.aget_config()
    [database] = config.session.dbs
    page = await agentos.get_sessions(db_id=database.db_id, table=database.tables[0])

    assert database.db_id in config.databases
    assert page.meta.page == 1


def test_the_config_can_be_had_without_asyncio(agentos):
    assert agentos.get_config().os_id


async def test_every_listed_agent_can_be_got_by_its_id(agentos):
    for listed in await agentos.list_agents():
        agent = await agentos.aget_agent(listed.id)
        assert (agent.id, agent.name, agent.db_id) == (listed.id, listed.name, listed.db_id)


def test_an_agent_shows_its_description_model_tools_and_instructions(agentos):
    agent = agentos.get_agent("errands")

    assert agent.name == "Errands"
    assert agent.description == "Leaves one of its tools to the client"
    assert agent.db_id
    assert agent.model.model and agent.model.provider
    assert {"multiply", "fetch_parcel"} <= {tool["name"] for tool in agent.tools["tools"]}
    assert "You run errands." in str(agent.system_message["instructions"])


async def test_the_metadata_of_an_agent_file_arrives(agentos):
    assert (await agentos.aget_agent("echo")).metadata == {"purpose": "tests"}


async def test_teams_and_workflows_are_listed_and_each_can_be_got(agentos):
    for team in await agentos.list_teams():
        assert (await agentos.aget_team(team.id)).id == team.id
    for workflow in await agentos.list_workflows():
        assert (await agentos.aget_workflow(workflow.id)).id == workflow.id


@pytest.mark.agno(2)
async def test_models_are_listed(agentos):
    models = await agentos.get_models()

    assert models
    assert all(model.id and model.provider for model in models)


async def test_an_unknown_agent_is_404(agentos):
    with pytest.raises(httpx.HTTPStatusError) as caught:
        await agentos.aget_agent("nobody")

    assert caught.value.response.status_code == 404
    assert caught.value.response.json() == {"detail": "Agent not found"}
