"""AgentOSClient runs agents and waits for the whole answer."""

import asyncio
import uuid

import httpx
import pytest

TWO_TOOLS = "What time is it, and what is 12 * 7?"
OVER = {"COMPLETED", "ERROR", "CANCELLED", "PAUSED"}


async def test_a_run_answers_with_content_ids_model_and_metrics(agentos, somebody):
    run = await agentos.run_agent("echo", "/say Hello there", user_id=somebody)

    assert (run.content, run.content_type, run.status) == ("Hello there", "str", "COMPLETED")
    assert (run.agent_id, run.agent_name, run.user_id) == ("echo", "Echo", somebody)
    assert run.run_id and run.session_id and run.model and run.model_provider
    assert run.input.input_content == "/say Hello there"
    assert run.metrics.input_tokens > 0 and run.metrics.output_tokens > 0
    assert run.metrics.total_tokens == run.metrics.input_tokens + run.metrics.output_tokens


async def test_a_run_shows_the_tools_it_called_with_arguments_and_results(agentos):
    run = await agentos.run_agent("assistant", TWO_TOOLS)
    clock, product = sorted(run.tools, key=lambda tool: tool.tool_name)

    assert (run.status, clock.tool_name, product.tool_name) == ("COMPLETED", "get_current_time", "multiply")
    assert (product.tool_args, product.tool_call_error) == ({"a": 12, "b": 7}, False)
    assert "84" in product.result
    assert clock.tool_call_id != product.tool_call_id
    assert run.content


async def test_the_messages_of_a_run_are_the_conversation_with_the_model(agentos):
    run = await agentos.run_agent("assistant", TWO_TOOLS)
    system, user, asking, *results, answer = run.messages

    assert [m.role for m in run.messages] == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert user.content == TWO_TOOLS
    assert {call["id"] for call in asking.tool_calls} == {result.tool_call_id for result in results}
    assert answer.content == run.content
    assert system.content


async def test_a_tool_that_fails_does_not_fail_the_run(agentos):
    run = await agentos.run_agent("errands", '/call divide {"a": 1, "b": 0}')
    [division] = run.tools

    assert (run.status, division.tool_call_error) == ("COMPLETED", True)


async def test_a_failing_model_is_a_run_with_status_error_and_not_an_http_error(agentos):
    run = await agentos.run_agent("echo", "/fail out of order")
    stored = await agentos.get_session_run(run.session_id, run.run_id)

    assert run.status == "ERROR"
    assert "out of order" in run.content
    assert stored.status == "ERROR"


async def test_an_unknown_agent_cannot_be_run(agentos):
    with pytest.raises(httpx.HTTPStatusError) as caught:
        await agentos.run_agent("nobody", "hello")

    assert caught.value.response.status_code == 404
    assert caught.value.response.json() == {"detail": "Agent not found"}


async def test_runs_of_one_session_are_listed_in_order_and_share_its_history(agentos):
    session_id = str(uuid.uuid4())
    first = await agentos.run_agent("echo", "/say one", session_id=session_id)
    second = await agentos.run_agent("echo", "/say two", session_id=session_id)
    listed = await agentos.get_session_runs(session_id)
    session = await agentos.get_session(session_id)

    assert (first.session_id, second.session_id) == (session_id, session_id)
    assert [(run.run_id, run.run_input, run.content, run.status) for run in listed] == [
        (first.run_id, "/say one", "one", "COMPLETED"),
        (second.run_id, "/say two", "two", "COMPLETED"),
    ]
    assert [(message["role"], message["content"]) for message in session.chat_history] == [
        ("user", "/say one"),
        ("assistant", "one"),
        ("user", "/say two"),
        ("assistant", "two"),
    ]
    assert session.session_name == "/say one"
    assert session.total_tokens == first.metrics.total_tokens + second.metrics.total_tokens


async def test_one_run_of_a_session_can_be_read_with_its_tools(agentos):
    run = await agentos.run_agent("assistant", TWO_TOOLS)
    stored = await agentos.get_session_run(run.session_id, run.run_id)

    assert (stored.run_id, stored.agent_id, stored.status) == (run.run_id, "assistant", "COMPLETED")
    assert (stored.run_input, stored.content) == (TWO_TOOLS, run.content)
    assert [(tool["tool_name"], tool["result"]) for tool in stored.tools] == [
        (tool.tool_name, tool.result) for tool in run.tools
    ]


async def test_a_run_that_is_not_in_the_session_is_404(agentos):
    run = await agentos.run_agent("echo", "/say hello")

    with pytest.raises(httpx.HTTPStatusError) as caught:
        await agentos.get_session_run(run.session_id, str(uuid.uuid4()))

    assert caught.value.response.status_code == 404


async def test_the_state_of_a_call_is_merged_into_the_stored_state(agentos):
    session_id = str(uuid.uuid4())
    await agentos.create_session(session_id=session_id, agent_id="errands", session_state={"a": {"x": 1}, "kept": 1})
    run = await agentos.run_agent("errands", "/say hello", session_id=session_id, session_state={"a": {"y": 2}})
    wanted = {"a": {"x": 1, "y": 2}, "kept": 1}

    assert run.session_state == wanted
    assert (await agentos.get_session(session_id)).session_state == wanted


async def test_a_new_session_starts_with_the_agents_default_state(agentos):
    run = await agentos.run_agent("echo", "/say hello", session_state={"k": 1})

    assert run.session_state == {"mood": "calm", "k": 1}


async def test_the_metadata_of_a_call_stays_with_the_run(agentos):
    run = await agentos.run_agent("echo", "/say hello", metadata={"ticket": 7})

    assert run.metadata["ticket"] == 7


async def test_a_background_run_is_answered_at_once_and_can_be_polled_to_its_end(agentos, somebody):
    started = await agentos.run_agent("echo", "/say finished", user_id=somebody, background=True)
    over = await until_over(agentos, started)

    assert (started.status, started.content) == ("PENDING", None)
    assert (over.status, over.content) == ("COMPLETED", "finished")


async def test_cancelling_a_background_run_ends_it(agentos):
    started = await agentos.run_agent("echo", "/slow 2000", background=True)
    await agentos.cancel_agent_run("echo", started.run_id)

    assert (await until_over(agentos, started)).status == "CANCELLED"


async def test_cancelling_a_run_nobody_knows_is_no_error(agentos):
    assert await agentos.cancel_agent_run("echo", str(uuid.uuid4())) is None


async def test_a_tool_left_to_the_client_pauses_the_run_until_its_result_comes(agentos):
    paused = await agentos.run_agent("errands", '/call fetch_parcel {"shelf": 3}')
    [parcel] = paused.tools

    assert (paused.status, paused.is_paused) == ("PAUSED", True)
    assert (parcel.tool_name, parcel.tool_args) == ("fetch_parcel", {"shelf": 3})
    assert (parcel.external_execution_required, parcel.result) == (True, None)
    assert [requirement.tool_execution.tool_call_id for requirement in paused.requirements] == [parcel.tool_call_id]

    parcel.result = "a small box"
    done = await agentos.continue_agent_run("errands", paused.run_id, [parcel], session_id=paused.session_id)

    assert (done.run_id, done.status) == (paused.run_id, "COMPLETED")
    assert [tool.result for tool in done.tools] == ["a small box"]


@pytest.mark.agno(3)
async def test_previews_of_runs_are_short_and_filtered_by_status(agentos):
    session_id = str(uuid.uuid4())
    good = await agentos.run_agent("echo", "/say " + "x" * 400, session_id=session_id)
    bad = await agentos.run_agent("echo", "/fail no", session_id=session_id)
    previews = await agentos.aget_session_run_previews(session_id)

    assert [(p.run_id, p.status) for p in previews] == [(good.run_id, "COMPLETED"), (bad.run_id, "ERROR")]
    assert (previews[0].agent_id, previews[0].content_preview) == ("echo", "x" * 280)
    assert [p.run_id for p in await agentos.aget_session_run_previews(session_id, status=["ERROR"])] == [bad.run_id]
    assert [r.run_id for r in await agentos.get_session_runs(session_id, status=["completed"])] == [good.run_id]


async def until_over(agentos, started):
    """Polls a run, as its client has to, until it has ended. The test's deadline ends a run that never does."""
    while True:
        run = await agentos.get_session_run(started.session_id, started.run_id)
        if run.status in OVER:
            return run
        await asyncio.sleep(0.05)
