"""AgentOSClient watches a run event by event."""

from itertools import groupby

import httpx
import pytest

TWO_TOOLS = "What time is it, and what is 12 * 7?"


async def test_a_plain_answer_streams_in_the_documented_order(agentos):
    events = await watch(agentos, "echo", "/say Hello there")

    assert order(events) == [
        "RunStartedEvent",
        "ModelRequestStartedEvent",
        "RunContentEvent",
        "ModelRequestCompletedEvent",
        "RunContentCompletedEvent",
        "RunCompletedEvent",
    ]
    assert text(events) == events[-1].content == "Hello there"


async def test_two_tools_in_one_turn_both_start_before_the_model_goes_on(agentos):
    events = await watch(agentos, "assistant", TWO_TOOLS)

    assert [name for name in order(events) if name != "RunContentEvent"] == [
        "RunStartedEvent",
        "ModelRequestStartedEvent",
        "ModelRequestCompletedEvent",
        "ToolCallStartedEvent",
        "ToolCallCompletedEvent",
        "ModelRequestStartedEvent",
        "ModelRequestCompletedEvent",
        "RunContentCompletedEvent",
        "RunCompletedEvent",
    ]
    assert text(events) == events[-1].content != ""


async def test_tool_events_carry_name_arguments_and_result(agentos):
    events = await watch(agentos, "assistant", TWO_TOOLS)
    started = [event.tool for event in events if event.event == "ToolCallStarted"]
    completed = [event.tool for event in events if event.event == "ToolCallCompleted"]
    product = next(tool for tool in completed if tool.tool_name == "multiply")

    assert {tool.tool_name for tool in started} == {"get_current_time", "multiply"}
    assert [tool.result for tool in started] == [None, None]
    assert {tool.tool_call_id for tool in started} == {tool.tool_call_id for tool in completed}
    assert product.tool_args == {"a": 12, "b": 7}
    assert product.tool_call_error is False
    assert "84" in product.result
    assert product.metrics.duration >= 0


async def test_a_failing_tool_is_reported_after_its_completion(agentos):
    events = await watch(agentos, "errands", '/call divide {"a": 1, "b": 0}')
    names = order(events)

    assert names.index("ToolCallErrorEvent") == names.index("ToolCallCompletedEvent") + 1
    assert names[-1] == "RunCompletedEvent"


async def test_every_event_names_the_run_the_session_and_the_agent(agentos):
    events = await watch(agentos, "assistant", TWO_TOOLS)
    first = events[0]

    assert {(e.run_id, e.session_id, e.agent_id, e.agent_name) for e in events} == {
        (first.run_id, first.session_id, "assistant", first.agent_name)
    }
    assert first.model and first.model_provider
    assert first.run_id and first.session_id and first.agent_name


async def test_a_streamed_run_ends_with_its_metrics_and_state_and_is_stored(agentos):
    events = await watch(agentos, "echo", "/say kept", session_state={"k": 1})
    last = events[-1]
    stored = await agentos.get_session_run(last.session_id, last.run_id)

    assert last.session_state == {"mood": "calm", "k": 1}
    assert last.metrics.total_tokens > 0
    assert (stored.content, stored.status) == ("kept", "COMPLETED")


async def test_line_separators_of_unicode_do_not_cut_an_event_in_two(agentos):
    # The client splits the stream at these as well; only escaped they reach it.
    words = "one\u2028two\u2029three\u0085four"
    events = await watch(agentos, "echo", f"/say {words}")

    assert text(events) == events[-1].content == words


async def test_a_slow_answer_comes_in_many_pieces(agentos):
    events = await watch(agentos, "echo", "/slow 5")

    assert len([event for event in events if event.event == "RunContent" and event.content]) >= 5
    assert text(events) == events[-1].content


async def test_without_stream_events_only_pieces_and_the_end_are_sent(agentos):
    events = await watch(agentos, "assistant", TWO_TOOLS, stream_events=False)

    assert set(order(events)) <= {"RunContentEvent", "RunCompletedEvent"}
    assert text(events) != ""


async def test_a_stream_of_a_background_run_is_the_same_stream(agentos):
    events = await watch(agentos, "echo", "/say Hello there", background=True)

    assert (order(events)[0], order(events)[-1]) == ("RunStartedEvent", "RunCompletedEvent")
    assert text(events) == events[-1].content == "Hello there"


async def test_a_failing_model_ends_the_stream_with_an_error_event(agentos):
    events = await watch(agentos, "echo", "/fail out of order")

    assert order(events)[0] == "RunStartedEvent"
    assert order(events)[-1] == "RunErrorEvent"
    assert "out of order" in events[-1].content


async def test_the_stream_of_an_unknown_agent_is_404(agentos):
    with pytest.raises(httpx.HTTPStatusError) as caught:
        await watch(agentos, "nobody", "hello")

    assert caught.value.response.status_code == 404


async def test_a_cancelled_stream_ends_with_the_verdict_and_keeps_the_text_so_far(agentos):
    events = []
    async for event in agentos.run_agent_stream("echo", "/slow 2000"):
        events.append(event)
        if len(text(events)) > 0 and "RunCancelledEvent" not in order(events):
            await agentos.cancel_agent_run("echo", event.run_id)
    stored = await agentos.get_session_run(events[0].session_id, events[0].run_id)

    assert "RunCancelledEvent" in order(events)[-2:]
    assert stored.status == "CANCELLED"
    assert stored.content.startswith(text(events))


async def test_a_paused_stream_ends_with_what_it_waits_for_and_goes_on_when_told(agentos):
    paused = await watch(agentos, "errands", '/call fetch_parcel {"shelf": 3}')
    last = paused[-1]
    [parcel] = last.tools

    assert order(paused)[-1] == "RunPausedEvent"
    assert "ToolCallStartedEvent" not in order(paused)
    assert [requirement.tool_execution.tool_name for requirement in last.requirements] == ["fetch_parcel"]

    parcel.result = "a small box"
    continued = [
        event
        async for event in agentos.continue_agent_run_stream(
            "errands", last.run_id, [parcel], session_id=last.session_id
        )
    ]

    assert order(continued)[0] == "RunContinuedEvent"
    assert order(continued)[-1] == "RunCompletedEvent"
    assert {event.run_id for event in continued} == {last.run_id}


async def watch(agentos, agent_id: str, message: str, **fields) -> list:
    """Every event of a run."""
    return [event async for event in agentos.run_agent_stream(agent_id, message, **fields)]


def order(events: list) -> list[str]:
    """The classes of the events; neighbours of one class count once, and pieces without text not at all."""
    seen = [type(event).__name__ for event in events if event.event != "RunContent" or event.content]
    return [name for name, _ in groupby(seen)]


def text(events: list) -> str:
    """What the pieces say together."""
    return "".join(event.content or "" for event in events if event.event == "RunContent")
