"""The requests of the front-end agno-agi/agent-ui, byte for byte as a browser sends them."""

import json

import httpx
import pytest

ORIGIN = "http://localhost:3000"
# agent-ui says this on every call, GET and DELETE included, so a browser asks for permission first.
JSON = {"Origin": ORIGIN, "Content-Type": "application/json"}
DELEGATE = '/call delegate_task_to_member {"member_id": "echo", "task": "/say Hello there"}'


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/agents"),
        ("GET", "/teams"),
        ("GET", "/sessions?type=agent&component_id=echo&db_id=any"),
        ("GET", "/sessions?type=team&component_id=desk&db_id=any"),
        ("POST", "/agents/echo/runs"),
        ("POST", "/teams/desk/runs"),
        ("DELETE", "/sessions/any?db_id=any"),
    ],
)
def test_a_browser_may_ask_first_without_a_token(url, method, path):
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = httpx.options(url + path, headers=asked)
    allowed = answer.headers["access-control-allow-headers"].lower().replace(" ", "").split(",")

    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert method in answer.headers["access-control-allow-methods"]
    assert {"authorization", "content-type"} <= set(allowed)


def test_a_refusal_can_be_read_by_the_browser(url):
    answer = httpx.get(f"{url}/agents", headers=JSON)

    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, ORIGIN)


def test_an_origin_that_is_not_allowed_gets_no_permission(url):
    answer = httpx.get(f"{url}/health", headers={"Origin": "https://evil.example"})

    assert "access-control-allow-origin" not in answer.headers


def test_the_endpoint_is_alive(http):
    answer = http.get("/health", headers=JSON)

    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_agents_and_teams_are_lists_with_what_the_picker_shows(http):
    agents = http.get("/agents", headers=JSON).json()
    teams = http.get("/teams", headers=JSON).json()

    assert {"echo", "errands"} <= {agent["id"] for agent in agents}
    assert {"desk", "newsroom"} <= {team["id"] for team in teams}
    assert all(entity["name"] and entity["db_id"] for entity in agents + teams)
    assert all(entity["model"]["model"] and entity["model"]["provider"] for entity in agents + teams)


def test_the_first_message_with_an_empty_session_id_starts_a_session(http):
    frames = send(http, "errands", "/say Hello there", session_id="")
    first, last = frames[0], frames[-1]

    assert (first["event"], last["event"]) == ("RunStarted", "RunCompleted")
    assert first["session_id"] and first["agent_id"] == "errands" and isinstance(first["created_at"], int)
    assert last["content"] == "Hello there"
    assert "".join(f["content"] for f in frames if f["event"] == "RunContent" and "content" in f) == "Hello there"


def test_the_next_message_goes_on_in_the_session(http):
    session_id = send(http, "echo", "/say one", session_id="")[0]["session_id"]

    assert send(http, "echo", "/say two", session_id=session_id)[0]["session_id"] == session_id


def test_a_message_may_come_with_a_file(http):
    frames = send(http, "echo", "/say seen", session_id="", files=[("files", ("n.txt", b"a note", "text/plain"))])

    assert frames[-1]["content"] == "seen"


def test_a_missing_message_is_422_and_names_the_field(http):
    answer = http.post("/agents/echo/runs", headers={"Origin": ORIGIN}, files=[("stream", (None, "true"))])
    [problem] = answer.json()["detail"]

    assert (answer.status_code, problem["type"], problem["loc"]) == (422, "missing", ["body", "message"])


def test_the_sidebar_lists_opens_and_deletes_a_session(http):
    db_id = next(agent["db_id"] for agent in http.get("/agents", headers=JSON).json() if agent["id"] == "echo")
    session_id = send(http, "echo", "/say kept", session_id="")[0]["session_id"]
    query = {"type": "agent", "component_id": "echo", "db_id": db_id}

    def listed() -> dict:
        data = http.get("/sessions", params=query, headers=JSON).json()["data"]
        return {session["session_id"]: session["session_name"] for session in data}

    assert listed()[session_id] == "/say kept"

    [run] = http.get(f"/sessions/{session_id}/runs", params={"type": "agent", "db_id": db_id}, headers=JSON).json()
    assert (run["run_input"], run["content"]) == ("/say kept", "kept")
    assert run["created_at"]

    deleted = http.delete(f"/sessions/{session_id}", params={"db_id": db_id}, headers=JSON)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert session_id not in listed()


def test_a_stream_holds_nothing_but_events_of_three_lines(http):
    with stream(http, "assistant", "What time is it, and what is 12 * 7?", session_id="") as answer:
        assert answer.headers["content-type"].split(";")[0] == "text/event-stream"
        frames = answer.read().decode().split("\n\n")

    assert frames.pop() == ""
    for number, frame in enumerate(frames):
        event, data, id_line = frame.split("\n")
        parsed = json.loads(data.removeprefix("data: "))
        assert data.startswith("data: {")
        assert event == f"event: {parsed['event']}"
        # agent-ui looks for braces alone; Agno's client passes over what is not data.
        assert (id_line, parsed["event_index"]) == (f"id: {number}", number)


def test_a_team_is_talked_to_as_an_agent_is(http):
    frames = send(http, "desk", DELEGATE, session_id="", kind="teams")
    names = [frame["event"] for frame in frames]
    first, last = frames[0], frames[-1]

    assert (first["event"], last["event"]) == ("TeamRunStarted", "TeamRunCompleted")
    assert first["session_id"] and first["team_id"] == "desk" and isinstance(first["created_at"], int)
    # The chat box shows the calls of the team, and takes its text from the team's events alone.
    [started] = [frame for frame in frames if frame["event"] == "TeamToolCallStarted"]
    [completed] = [frame for frame in frames if frame["event"] == "TeamToolCallCompleted"]
    assert started["tool"]["tool_name"] == "delegate_task_to_member"
    assert started["tool"]["tool_call_id"] == completed["tool"]["tool_call_id"]
    assert (completed["tool"]["result"], completed["tool"]["tool_call_error"]) == ("Hello there", False)
    live = "".join(frame["content"] for frame in frames if frame["event"] == "TeamRunContent" and "content" in frame)
    assert live == last["content"] == "echo says: Hello there."
    assert names.index("TeamToolCallStarted") < names.index("RunCompleted") < names.index("TeamToolCallCompleted")

    again = send(http, "desk", "/say two", session_id=first["session_id"], kind="teams")
    assert again[0]["session_id"] == first["session_id"]


def test_a_teams_session_is_listed_reloaded_with_its_calls_and_deleted(http):
    db_id = next(team["db_id"] for team in http.get("/teams", headers=JSON).json() if team["id"] == "desk")
    frames = send(http, "desk", DELEGATE, session_id="", kind="teams")
    session_id = frames[0]["session_id"]
    query = {"type": "team", "component_id": "desk", "db_id": db_id}

    def listed() -> list[str]:
        data = http.get("/sessions", params=query, headers=JSON).json()["data"]
        return [session["session_id"] for session in data]

    assert session_id in listed()

    runs = http.get(f"/sessions/{session_id}/runs", params={"type": "team", "db_id": db_id}, headers=JSON).json()
    [run] = [run for run in runs if not run["parent_run_id"]]
    assert (run["run_input"], run["content"]) == (DELEGATE, frames[-1]["content"])
    [call] = run["tools"]
    assert (call["tool_name"], call["result"]) == ("delegate_task_to_member", "Hello there")
    assert call["tool_args"] == {"member_id": "echo", "task": "/say Hello there"}
    assert run["created_at"]

    deleted = http.delete(f"/sessions/{session_id}", params={"db_id": db_id}, headers=JSON)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert session_id not in listed()


def test_an_agents_session_is_reloaded_with_its_calls(http):
    db_id = next(agent["db_id"] for agent in http.get("/agents", headers=JSON).json() if agent["id"] == "errands")
    session_id = send(http, "errands", '/call add {"a": 2, "b": 3}', session_id="")[0]["session_id"]
    [run] = http.get(f"/sessions/{session_id}/runs", params={"type": "agent", "db_id": db_id}, headers=JSON).json()
    [call] = run["tools"]

    assert (call["tool_name"], call["tool_args"], call["result"]) == (
        "add",
        {"a": 2, "b": 3},
        '{"result":5,"operation":"add","a":2,"b":3}',
    )


def stream(http: httpx.Client, component: str, message: str, session_id: str, files=(), kind="agents"):
    """Sends the form of the chat box: multipart, with whatever files."""
    fields = {"message": message, "stream": "true", "session_id": session_id}
    form = [(name, (None, value)) for name, value in fields.items()]
    return http.stream("POST", f"/{kind}/{component}/runs", headers={"Origin": ORIGIN}, files=[*form, *files])


def send(http: httpx.Client, component: str, message: str, session_id: str, files=(), kind="agents") -> list[dict]:
    """The events that answer a message."""
    with stream(http, component, message, session_id, files, kind) as answer:
        assert answer.status_code == 200, answer.read()
        return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
