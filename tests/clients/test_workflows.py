"""Workflows over AgentOSClient and RemoteWorkflow: run, stream, continue, cancel."""

import pytest
from agno.run.workflow import WorkflowRunOutput
from agno.workflow.remote import RemoteWorkflow


async def test_a_workflow_answers_with_its_steps(agentos):
    run = await agentos.run_workflow("line", "/say Hello")

    assert (run.workflow_id, run.workflow_name, run.status) == ("line", "Line", "COMPLETED")
    assert [step.step_name for step in run.step_results] == ["first", "both", "again", "last"]
    assert [step.step_type for step in run.step_results] == ["Step", "Parallel", "Loop", "Step"]
    assert [inner.step_name for inner in run.step_results[1].steps] == ["left", "right"]
    assert len(run.step_results[2].steps) == 2
    assert {executor.parent_run_id for executor in run.step_executor_runs} == {run.run_id}
    assert run.metrics.steps["first"].executor_type == "agent"
    assert run.content == run.step_results[-1].content


async def test_a_stream_of_a_workflow_holds_its_steps_and_their_runs(agentos):
    events = [event async for event in agentos.run_workflow_stream("line", "/say Hello")]
    names = [event.event for event in events]

    assert (names[0], names[-1]) == ("WorkflowStarted", "WorkflowCompleted")
    assert names.count("StepStarted") == names.count("StepCompleted") == 6
    for name in ["ParallelExecutionStarted", "ParallelExecutionCompleted", "LoopExecutionStarted",
                 "LoopExecutionCompleted"]:
        assert names.count(name) == 1
    assert names.count("LoopIterationStarted") == names.count("LoopIterationCompleted") == 2
    piece = next(event for event in events if event.event == "RunContent")
    assert (piece.agent_id, piece.workflow_id, piece.step_name) == ("echo", "line", "first")


async def test_a_workflow_that_waits_goes_on_when_somebody_agrees(agentos):
    paused = await agentos.run_workflow("gate", "/say Hello")
    [requirement] = paused.step_requirements

    assert (paused.status, paused.pause_kind, paused.paused_step_name) == ("PAUSED", "step", "asked")
    assert requirement.needs_confirmation

    requirement.confirm()
    done = await agentos.continue_workflow_run(
        "gate", paused.run_id, requirements=[requirement], session_id=paused.session_id
    )

    assert (done.run_id, done.status) == (paused.run_id, "COMPLETED")


async def test_a_workflow_goes_on_as_a_stream_when_somebody_refuses(agentos):
    paused = await agentos.run_workflow("gate", "/say Hello")
    [requirement] = paused.step_requirements
    requirement.reject()
    stream = agentos.continue_workflow_run_stream(
        "gate", paused.run_id, requirements=[requirement], session_id=paused.session_id
    )
    names = [event.event async for event in stream]

    assert (names[0], names[-1]) == ("StepContinued", "WorkflowCompleted")


async def test_what_the_run_of_a_step_waits_for_is_given_at_the_workflow(agentos):
    paused = await agentos.run_workflow("parcel", '/call fetch_parcel {"shelf": 3}')
    [requirement] = paused.step_requirements

    assert (paused.pause_kind, requirement.executor_id, requirement.executor_type) == ("executor", "errands", "agent")

    requirement.executor_requirements[0]["external_execution_result"] = "a small box"
    done = await agentos.continue_workflow_run(
        "parcel", paused.run_id, requirements=[requirement], session_id=paused.session_id
    )

    assert done.status == "COMPLETED"


async def test_a_paused_stream_ends_with_all_that_is_needed_to_go_on(agentos):
    events = [event async for event in agentos.run_workflow_stream("gate", "/say Hello")]

    assert [event.event for event in events[-2:]] == ["StepPaused", "WorkflowPaused"]
    assert events[-1].step_requirements


async def test_a_failing_model_fails_its_step_and_the_workflow(agentos):
    run = await agentos.run_workflow("line", "/fail no")

    assert run.status == "ERROR"
    names = [event.event async for event in agentos.run_workflow_stream("line", "/fail no")]
    assert names[-1] == "WorkflowError"
    assert "StepError" in names


async def test_a_step_that_failed_is_passed_over_when_somebody_says_so(agentos):
    paused = await agentos.run_workflow("mend", "/say /fail no")
    [error] = paused.error_requirements
    [requirement] = paused.step_requirements

    assert (paused.status, error.step_name, error.needs_decision) == ("PAUSED", "risky", True)
    assert (requirement.step_id, requirement.needs_confirmation) == (error.step_id, True)

    requirement.reject()
    done = await agentos.continue_workflow_run(
        "mend", paused.run_id, requirements=[requirement], session_id=paused.session_id
    )

    assert (done.run_id, done.status, done.content) == (paused.run_id, "COMPLETED", "/fail no")


async def test_a_workflow_that_failed_goes_on_as_a_run_of_its_own(agentos):
    failed = await agentos.run_workflow("line", "/fail no")
    again = await agentos.continue_workflow_run("line", failed.run_id, requirements=[], session_id=failed.session_id)

    assert (failed.status, again.status) == ("ERROR", "ERROR")
    assert again.run_id != failed.run_id


async def test_the_session_lists_the_workflow_and_the_runs_of_its_steps(agentos):
    run = await agentos.run_workflow("line", "/say Hello")
    runs = await agentos.get_session_runs(run.session_id)

    assert runs[0].run_id == run.run_id
    assert len(runs) == 7


async def test_a_stored_workflow_with_its_events_can_be_read_back(agentos, http):
    run = await agentos.run_workflow("line", "/say Hello")
    entry = http.get(f"/sessions/{run.session_id}/runs/{run.run_id}").json()
    body = http.get(f"/workflows/line/runs/{run.run_id}", params={"session_id": run.session_id}).json()

    whole = WorkflowRunOutput.from_dict({**body, "events": entry["events"]})
    assert (whole.events[0].event, whole.events[-1].event) == ("WorkflowStarted", "WorkflowCompleted")


async def test_cancelling_a_workflow_that_is_going_ends_the_run_of_its_step_too(agentos):
    names = []
    async for event in agentos.run_workflow_stream("line", "/slow 2000"):
        names.append(event.event)
        if event.event == "WorkflowStarted":
            run, session = event.run_id, event.session_id
        if event.event == "RunContent" and names.count("RunContent") == 1:
            await agentos.cancel_workflow_run("line", run)

    assert "WorkflowCancelled" in names[-2:]
    assert [entry.status for entry in await agentos.get_session_runs(session)] == ["CANCELLED", "CANCELLED"]


async def test_cancelling_a_workflow_that_is_over_is_no_error(agentos):
    run = await agentos.run_workflow("line", "/say Hello")

    assert await agentos.cancel_workflow_run("line", run.run_id) is None


async def test_release_notes_are_reviewed_and_announced(agentos):
    changes = "Exports keep the order of columns\nBreaking: the setting log is called logs"
    paused = await agentos.run_workflow("release-notes", changes)
    [review] = paused.step_requirements
    assert (paused.status, paused.paused_step_name) == ("PAUSED", "notes")

    review.confirm()
    asked = await agentos.continue_workflow_run(
        "release-notes", paused.run_id, requirements=[review], session_id=paused.session_id
    )
    [leave] = asked.step_requirements
    assert (asked.status, asked.paused_step_name) == ("PAUSED", "announcement")

    leave.reject()
    done = await agentos.continue_workflow_run(
        "release-notes", paused.run_id, requirements=[leave], session_id=paused.session_id
    )
    assert done.status == "COMPLETED"
    assert "## Upgrading\n\n- Breaking: the setting log is called logs" in done.content


async def test_a_text_is_polished_until_it_fits(agentos):
    text = "It is really very late. " * 12
    events = [event async for event in agentos.run_workflow_stream("polish", text)]
    names = [event.event for event in events]

    assert names[-1] == "WorkflowCompleted"
    assert names.count("RouterExecutionStarted") == 1
    assert names.count("LoopIterationStarted") > 1
    assert events[-1].content.startswith("## Headline\n\nIt is late\n\n## Text\n\nIt is late. ")


@pytest.fixture
def remote(url) -> RemoteWorkflow:
    return RemoteWorkflow(base_url=url, workflow_id="line")


@pytest.fixture
def remote_gate(url) -> RemoteWorkflow:
    return RemoteWorkflow(base_url=url, workflow_id="gate")


async def test_a_remote_workflow_runs_and_streams(remote, token):
    run = await remote.arun("/say Hello", auth_token=token)
    events = [event async for event in remote.arun("/say Hello", stream=True, stream_events=True, auth_token=token)]

    assert (run.workflow_id, run.status) == ("line", "COMPLETED")
    assert (events[0].event, events[-1].event) == ("WorkflowStarted", "WorkflowCompleted")


async def test_a_remote_workflow_goes_on_when_somebody_agrees(remote_gate, token):
    paused = await remote_gate.arun("/say Hello", auth_token=token)
    paused.step_requirements[0].confirm()
    done = await remote_gate.acontinue_run(paused, auth_token=token)

    assert (done.run_id, done.status) == (paused.run_id, "COMPLETED")


async def test_a_remote_workflow_goes_on_as_a_stream(remote_gate, token):
    paused = await remote_gate.arun("/say Hello", auth_token=token)
    paused.step_requirements[0].confirm()
    stream = await remote_gate.acontinue_run(paused, stream=True, auth_token=token)

    assert [event.event async for event in stream][-1] == "WorkflowCompleted"


async def test_a_remote_workflow_cancels(remote, token):
    names = []
    async for event in remote.arun("/slow 2000", stream=True, stream_events=True, auth_token=token):
        names.append(event.event)
        if event.event == "WorkflowStarted":
            run = event.run_id
        if event.event == "RunContent" and names.count("RunContent") == 1:
            assert await remote.acancel_run(run, auth_token=token)

    assert "WorkflowCancelled" in names[-2:]
