"""Every public method of the management client and of the agent client, called once.

Each works, or is refused as the contract says of what is not built: an error in JSON that the client reads. The last
test counts them, so that a method of a later release is not missed.
"""

import asyncio
import importlib.metadata
import inspect
import os
import uuid

import everruns_sdk
import everruns_sdk.client
import pytest
from everruns_sdk import Everruns
from everruns_sdk.errors import ApiError
from everruns_sdk.sse import EventStream

VERSION = tuple(int(part) for part in importlib.metadata.version("everruns-sdk").split(".")[:2])
SECONDS_A_CALL_MAY_TAKE = 30
NOBODY = "0" * 32

# What this server does not have, and the status it says so with.
REFUSED = {
    "agents.stats": 404,
    "agents.list_health_checks": 404,
    "agents.trigger_health_check": 404,
    "agents.get_health_check": 404,
    "agents.list_versions": 404,
    "agents.create_version": 404,
    "agents.set_default_version": 404,
    "agents.diff_versions": 404,
    "agents.fork_version": 404,
    "agents.rollback_version": 404,
    "agents.analyze": 405,
    "agents.import_example": 404,
    "sessions.pin": 404,
    "sessions.unpin": 404,
    "sessions.budgets": 404,
    "sessions.budget_check": 404,
    "sessions.resume": 404,
    "sessions.export": 404,
    # Set, once the server is given a key to keep them with.
    "sessions.set_secrets": 503,
    "capabilities.list_guardrail_examples": 404,
    "capabilities.dry_run_guardrails": 404,
    "harnesses.create": 405,
    "harnesses.update": 405,
    "harnesses.delete": 405,
    "harnesses.list_examples": 404,
    "workspaces.list": 404,
    "workspaces.create": 404,
    "workspaces.get": 404,
    "workspaces.update": 404,
    "workspaces.delete": 404,
    "agent.answer_questions": 501,
    "agent.submit_tool_approvals": 501,
    "agent.runtime_token": 501,
    **{f"memories.{name}": 404 for name in (
        "list", "create", "get", "update", "delete", "sync", "list_files", "read_file", "download_file", "create_file",
        "create_dir", "update_file", "delete_file", "grep_files", "stat_file",
    )},
    **{f"budgets.{name}": 404 for name in (
        "create", "list", "get", "update", "delete", "top_up", "ledger", "check",
    )},
    **{f"connections.{name}": 404 for name in ("set", "list", "remove")},
}


def parts_of_the_client() -> list[str]:
    """What `client.` offers: `agents`, `sessions` and so on."""
    return [name for name, _ in inspect.getmembers(Everruns, lambda member: isinstance(member, property))]


def methods_of(part: object) -> list[str]:
    methods = inspect.getmembers(part, inspect.ismethod)
    return [name for name, _ in methods if not name.startswith("_")]


def all_methods(client: Everruns) -> set[str]:
    names = {f"{part}.{name}" for part in parts_of_the_client() for name in methods_of(getattr(client, part))}
    if VERSION >= (0, 3):
        agent = everruns_sdk.AgentClient("http://localhost", "x")
        names |= {f"agent.{name}" for name in methods_of(agent)}
    return names - {"agent.close"}


class Calls:
    """Makes calls, and notes which."""

    def __init__(self, client: Everruns) -> None:
        self.client = client
        self.available = all_methods(client)
        self.made: set[str] = set()

    async def __call__(self, name: str, /, *arguments, on=None, **named):
        """The answer; nothing if the method is refused, as it should be, or not in this release."""
        if name not in self.available:
            return None
        self.made.add(name)
        part, _, method = name.partition(".")
        owner = on if on is not None else getattr(self.client, part)
        try:
            answer = getattr(owner, method)(*arguments, **named)
            if inspect.isawaitable(answer):
                answer = await asyncio.wait_for(answer, SECONDS_A_CALL_MAY_TAKE)
        except ApiError as refusal:
            assert refusal.status_code == REFUSED.get(name), (name, refusal.status_code, refusal)
            assert refusal.code != "unknown" and refusal.message, (name, refusal.code, refusal.message)
            return None
        assert name not in REFUSED, f"{name} works: it is no longer to be refused"
        return answer


def run(test) -> None:
    async def with_client():
        client = Everruns()
        await test(Calls(client))
        await client.close()

    asyncio.run(with_client())


async def of_agents(call: Calls) -> None:
    agent = await call("agents.create", name="keeper", system_prompt="You keep.")
    assert (await call("agents.get", agent.id)).name == "keeper"
    assert agent.id in [one.id for one in await call("agents.list")]
    if VERSION >= (0, 3):
        assert agent.id in [one.id for one in await call("agents.list", search="KEEP")]
        assert await call("agents.list", search="nobody-is-called-so") == []
    if "agents.apply" in call.available:
        applied = await call("agents.apply", agent.id, "keeper", "You keep well.")
        assert (applied.id, applied.system_prompt) == (agent.id, "You keep well.")
    await call("agents.apply_by_name", "by-name", "You are found.")
    copy = await call("agents.copy", agent.id)
    if copy:
        assert copy.id != agent.id and copy.system_prompt == "You keep well."
    text = await call("agents.export", agent.id)
    assert "You keep" in text
    assert "You keep" in (await call("agents.import_agent", text)).system_prompt
    await call("agents.import_example", "dad-jokes")
    await call("agents.analyze", "You are analyzed.")
    for name in ("stats", "list_health_checks", "trigger_health_check", "list_versions", "create_version"):
        await call(f"agents.{name}", agent.id)
    for name in ("get_health_check", "set_default_version", "rollback_version"):
        await call(f"agents.{name}", agent.id, f"x_{NOBODY}")
    await call("agents.diff_versions", agent.id, "a", "b")
    await call("agents.fork_version", agent.id, "a", name="forked")
    await call("agents.delete", agent.id)
    assert agent.id not in [one.id for one in await call("agents.list")]


async def of_sessions(call: Calls) -> None:
    agent = await call("agents.create", name="talker", system_prompt="You talk.")
    session = await call("sessions.create", agent_id=agent.id, **({"title": "A talk"} if VERSION >= (0, 2) else {}))
    assert (await call("sessions.get", session.id)).id == session.id
    assert session.id in [one.id for one in await call("sessions.list")]
    assert [one.id for one in await call("sessions.list", agent.id)] == [session.id]
    if VERSION >= (0, 3):
        assert session.id in [one.id for one in await call("sessions.list", search="a TALK")]
    sent = await call("messages.create", session.id, "Hello!")
    stream = call.client.events.stream(session.id)
    call.made.add("events.stream")
    async with asyncio.timeout(SECONDS_A_CALL_MAY_TAKE):
        async for event in stream:
            if event.type == "session.idled":
                break
    events = await call("events.list", session.id)
    assert events[-1].type == "session.idled"
    assert [message.id for message in await call("messages.list", session.id)][0] == sent.id
    if VERSION >= (0, 3):
        ids = [event.id for event in events]
        turn = next(event.context.turn_id for event in events if event.type == "turn.started")
        selections = [
            ({"since_id": ids[1]}, ids[2:]),
            ({"after_sequence": 2}, ids[2:]),
            ({"limit": 2}, ids[:2]),
            ({"before_sequence": 3}, ids[:2]),
            ({"types": ["session.idled"]}, ids[-1:]),
            ({"exclude": ["session.idled"]}, ids[:-1]),
            ({"turn_id": turn}, [event.id for event in events if event.context.turn_id == turn]),
        ]
        for selection, expected in selections:
            found = await call("events.list", session.id, **selection)
            assert [event.id for event in found] == expected, selection
        # Further selections of today's service: taken, whether or not they select.
        further = [
            {"around": ids[1], "window": 1}, {"from_ts": events[0].ts, "to_ts": events[-1].ts}, {"exec_id": "x"},
            {"trace_id": "x"}, {"tags": ["x"]}, {"tool_name": "x"}, {"q": "hello"}, {"order_desc": True},
        ]
        for selection in further:
            await call("events.list", session.id, **selection)
    await call("sessions.cancel", session.id)
    for name in ("pin", "unpin", "budgets", "budget_check", "resume", "export"):
        await call(f"sessions.{name}", session.id)
    await call("sessions.set_secrets", session.id, {"TOKEN": "hidden"})
    await call("sessions.delete", session.id)
    # The contract wants an agent, where today's service has one for those that name none.
    if VERSION >= (0, 2):
        with pytest.raises(ApiError) as refused:
            await call.client.sessions.create()
        assert (refused.value.status_code, refused.value.message) == (422, "agent_id: Field required")


async def of_client_tools(call: Calls) -> None:
    if VERSION < (0, 2):
        call.made.add("messages.create_tool_results")  # This release has it, and cannot declare a tool.
        return
    from everruns_sdk import ContentPart
    from everruns_sdk.models import ToolDefinition

    tool = ToolDefinition(type="client_side", name="look", description="Looks", parameters={"type": "object"})
    agent = await call("agents.create", name="looker", system_prompt="You look.", tools=[tool])
    session = await call("sessions.create", agent_id=agent.id)
    await call("messages.create", session.id, "/call look {}")
    async with asyncio.timeout(SECONDS_A_CALL_MAY_TAKE):
        async for event in call.client.events.stream(session.id, types=["tool.call_requested"]):
            break
    results = [ContentPart.make_tool_result(call_.id, {"seen": 1}) for call_ in everruns_sdk.extract_tool_calls(event.data)]
    answer = await call("messages.create_tool_results", session.id, results)
    assert answer.accepted == 1


async def of_capabilities(call: Calls) -> None:
    ids = [one.id for one in await call("capabilities.list")]
    assert "session_sql_database" in ids
    if VERSION >= (0, 3):
        page = await call("capabilities.list_page", limit=2, offset=1)
        assert ([one["id"] for one in page.data], page.total) == (ids[1:3], len(ids))
        found = await call("capabilities.list", search="weather")
        assert [one.id for one in found] == ["test_weather"]
    assert (await call("capabilities.get", "current_time")).name == "Current Time"
    await call("capabilities.list_guardrail_examples")
    await call("capabilities.dry_run_guardrails", {}, "output", "x")


async def of_harnesses_and_models(call: Calls) -> None:
    if "harnesses.list" not in call.available:
        return
    harnesses = await call("harnesses.list")
    assert [one.name for one in harnesses] == ["generic"]
    assert (await call("harnesses.get", harnesses[0].id)).id == harnesses[0].id
    assert [one.id for one in await call("harnesses.search", "gen")] == [harnesses[0].id]
    await call("harnesses.create", "mine", "You are mine.")
    await call("harnesses.update", harnesses[0].id, description="x")
    await call("harnesses.delete", harnesses[0].id)
    await call("harnesses.list_examples")
    models = await call("models.list")
    assert (await call("models.get", models[0].id)).id == models[0].id


async def of_files(call: Calls) -> None:
    if "workspace_files.list" not in call.available:
        return
    name = f"filer-{uuid.uuid4().hex}"
    agent = await call("agents.create", name=name, system_prompt="You file.")
    session = await call("sessions.create", agent_name=name)
    assert session.agent_id == agent.id
    workspace = session.workspace_id
    await call("workspace_files.create", workspace, "/a.txt", "one\n")
    await call("workspace_files.create_dir", workspace, "/d")
    await call("workspace_files.update", workspace, "/a.txt", "one\ntwo\n")
    assert (await call("workspace_files.read", workspace, "/a.txt")).content == "one\ntwo\n"
    await call("workspace_files.copy_file", workspace, "/a.txt", "/d/b.txt")
    await call("workspace_files.move_file", workspace, "/d/b.txt", "/d/c.txt")
    listed = await call("workspace_files.list", workspace, recursive=True)
    assert [one.path for one in listed] == ["/a.txt", "/d", "/d/c.txt"]
    found = await call("workspace_files.grep", workspace, "^two")
    assert [one.path for one in found] == ["/a.txt", "/d/c.txt"]
    assert (await call("workspace_files.stat", workspace, "/a.txt")).size_bytes == 8
    await call("workspace_files.delete", workspace, "/d", recursive=True)
    assert [one.path for one in await call("workspace_files.list", workspace)] == ["/a.txt"]


async def of_what_is_not_built(call: Calls) -> None:
    workspace = f"wsp_{NOBODY}"
    await call("workspaces.list")
    await call("workspaces.create", "docs")
    await call("workspaces.get", workspace)
    await call("workspaces.update", workspace, name="x")
    await call("workspaces.delete", workspace)
    memory = f"mem_{NOBODY}"
    await call("memories.list")
    await call("memories.create", "facts")
    await call("memories.update", memory, name="x")
    for name in ("get", "delete", "sync", "list_files"):
        await call(f"memories.{name}", memory)
    for name in ("read_file", "download_file", "create_dir", "delete_file", "stat_file", "grep_files"):
        await call(f"memories.{name}", memory, "/x")
    for name in ("create_file", "update_file"):
        await call(f"memories.{name}", memory, "/x", "y")
    budget = f"budget_{NOBODY}"
    await call("budgets.create", "session", f"session_{NOBODY}", "usd", 1.0)
    await call("budgets.list")
    await call("budgets.top_up", budget, 1.0)
    for name in ("get", "update", "delete", "ledger", "check"):
        await call(f"budgets.{name}", budget)
    await call("connections.set", "daytona", "x")
    await call("connections.list")
    await call("connections.remove", "daytona")


async def of_the_agent_client(call: Calls) -> None:
    if VERSION < (0, 3):
        return
    managed = await call("agents.create", name="called", system_prompt="You answer.")
    url = f"{os.environ['EVERRUNS_API_URL']}/v1/channels/{managed.id}"
    async with everruns_sdk.AgentClient(url, os.environ["EVERRUNS_API_KEY"]) as agent:
        assert (await call("agent.card", on=agent))["name"] == "called"
        key = str(uuid.uuid4())
        session = (await call("agent.create_session", "A talk", on=agent, idempotency_key=key))["id"]
        again = await call("agent.create_session", "A talk", on=agent, idempotency_key=key)
        assert again["id"] == session
        await call("agent.send_message", session, "Hello!", on=agent, idempotency_key=f"{key}-said")
        stream = await call("agent.stream_events", session, on=agent, after_sequence=0)
        assert isinstance(stream, EventStream)
        async with asyncio.timeout(SECONDS_A_CALL_MAY_TAKE):
            async for event in stream:
                if event.type == "session.idled":
                    break
        # `run` closes its HTTP client while its stream is suspended, and Python may say so when the loop ends
        # ("aclose(): asynchronous generator is already running"). It does so with any server.
        assert await call("agent.run", "And now?", session, on=agent)
        events = await call("agent.list_events", session, on=agent, after_sequence=1, limit=2)
        assert [event.sequence for event in events] == [2, 3]
        assert (await call("agent.get_session", session, on=agent))["pending_questions"] == []
        await call("agent.cancel", session, on=agent)
        listed = await call("agent.list_sessions", on=agent, limit=5)
        assert [one["id"] for one in listed["data"]] == [session]
        alice = await call("agent.for_end_user", "customer-42", on=agent)
        assert (await alice.list_sessions())["data"] == []
        await call("agent.answer_questions", session, {"answers": []}, on=agent)
        await call("agent.submit_tool_approvals", session, {"decisions": []}, on=agent)
        await call("agent.runtime_token", on=alice)


GROUPS = [
    of_agents, of_sessions, of_client_tools, of_capabilities, of_harnesses_and_models, of_files, of_what_is_not_built,
    of_the_agent_client,
]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_each_method_works_or_is_refused_as_the_contract_says(group):
    run(group)


def test_no_method_is_left_out():
    async def everything(call: Calls) -> None:
        for group in GROUPS:
            await group(call)
        assert call.available - call.made == set()

    run(everything)
