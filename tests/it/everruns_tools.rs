//! Section 9.3 of the Everruns contract, through the real program: every capability's tools, called by a model.

use serde_json::{Value, json};

use crate::harness::everruns::{Talk, until};
use crate::harness::model_server::{ModelServer, Reply, calls, says};
use crate::harness::server::{Server, Setup};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// A program, its model, and what came of calls.
struct Stage {
    model: ModelServer,
    server: Server,
}

impl Stage {
    async fn new(script: Vec<Reply>) -> Self {
        Self::with(Setup::default(), script).await
    }

    async fn with(setup: Setup, script: Vec<Reply>) -> Self {
        let model = ModelServer::start(script).await;
        let setup = setup.config("default_model = \"test/model\"").env("SECRETS_ENCRYPTION_KEY", KEY);
        let server = setup.model(&model.url()).start().await;
        Self { model, server }
    }

    async fn talk(&self, capabilities: &[&str]) -> Talk {
        let refs: Vec<Value> = capabilities.iter().map(|id| json!({"ref": id})).collect();
        Talk::with(&self.server, json!({"capabilities": refs})).await
    }

    /// What the tools answered to a message, in the order of the calls.
    async fn results(&self, talk: &Talk) -> Vec<Value> {
        talk.say(&self.server, "Go").await;
        talk.until_idle(&self.server).await;
        let messages = talk.messages(&self.server).await;
        let parts = |message: &Value| message["content"].as_array().unwrap().clone();
        let asked: Vec<Value> = messages
            .iter()
            .flat_map(parts)
            .filter(|part| part["type"] == "tool_call")
            .map(|part| part["id"].clone())
            .collect();
        let told: Vec<Value> =
            messages.iter().flat_map(parts).filter(|part| part["type"] == "tool_result").collect();
        let of = |id: &Value| told.iter().find(|part| part["tool_call_id"] == *id).unwrap();
        asked.iter().map(|id| of(id).get("result").or(of(id).get("error")).unwrap().clone()).collect()
    }

    /// What the model was offered in a question, by name.
    fn offered(&self, question: usize) -> Vec<String> {
        let requests = self.model.requests();
        let tools = requests[question]["tools"].as_array().cloned().unwrap_or_default();
        tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The system message of a question.
    fn system(&self, question: usize) -> String {
        self.model.requests()[question]["messages"][0]["content"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn files_are_worked_on_in_the_order_of_the_calls() {
    let path = json!({"path": "/workspace/a.txt"});
    let edit =
        |old: &str, new: &str| json!({"path": "/a.txt", "edits": [{"old_text": old, "new_text": new}]});
    let stage = Stage::new(vec![
        calls([
            ("write_file", json!({"path": "/a.txt", "content": "one\ntwo\n"})),
            ("read_file", path.clone()),
            ("edit_file", edit("two", "three")),
            ("edit_file", edit("nine", "ten")),
            ("grep_files", json!({"pattern": "^t", "path_pattern": "*.txt"})),
            ("list_directory", json!({})),
            ("stat_file", json!({"path": "/none"})),
            ("delete_file", path.clone()),
            ("read_file", path),
        ]),
        says("Done."),
    ])
    .await;
    let talk = stage.talk(&["session_file_system"]).await;
    let results = stage.results(&talk).await;
    let hash = results[1]["content_hash"].clone();
    let expected = [
        json!({"path": "/a.txt", "size_bytes": 8, "created": true}),
        json!({"path": "/a.txt", "content": "one\ntwo\n", "encoding": "text", "size_bytes": 8, "content_hash": hash}),
        json!({"path": "/a.txt", "size_bytes": 10, "replacements": 1, "content_hash": results[2]["content_hash"]}),
        json!("this does not stand in `/a.txt`; nothing was changed: nine"),
        json!({"pattern": "^t", "match_count": 1, "matches": [{"path": "/a.txt", "line_number": 2, "line": "three"}]}),
        json!({"path": "/", "count": 1, "entries": [
            {"name": "a.txt", "path": "/a.txt", "is_directory": false, "size_bytes": 10, "is_readonly": false},
        ]}),
        json!({"path": "/none", "exists": false}),
        json!({"path": "/a.txt", "deleted": true}),
        json!("`/a.txt` does not exist"),
    ];
    assert_eq!(results, expected);
}

#[tokio::test]
async fn values_and_secrets_are_kept_by_name() {
    let stage = Stage::new(vec![
        calls([
            ("kv_store", json!({"operation": "set", "key": "k", "value": "v"})),
            ("kv_store", json!({"operation": "get", "key": "k"})),
            ("kv_store", json!({"operation": "list"})),
            ("kv_store", json!({"operation": "delete", "key": "k"})),
            ("kv_store", json!({"operation": "get", "key": "k"})),
            ("secret_store", json!({"operation": "set", "name": "s", "value": "hidden"})),
            ("secret_store", json!({"operation": "get", "name": "s"})),
            ("secret_store", json!({"operation": "list"})),
            ("secret_store", json!({"operation": "delete", "name": "s"})),
        ]),
        says("Done."),
    ])
    .await;
    let talk = stage.talk(&["session_storage"]).await;
    let expected = [
        json!({"operation": "set", "key": "k", "value": "v", "found": true}),
        json!({"operation": "get", "key": "k", "value": "v", "found": true}),
        json!({"operation": "list", "keys": ["k"], "count": 1}),
        json!({"operation": "delete", "key": "k", "found": true}),
        json!({"operation": "get", "key": "k", "found": false}),
        json!({"operation": "set", "name": "s", "found": true}),
        json!({"operation": "get", "name": "s", "value": "hidden", "found": true}),
        json!({"operation": "list", "names": ["s"], "count": 1}),
        json!({"operation": "delete", "name": "s", "found": true}),
    ];
    assert_eq!(stage.results(&talk).await, expected);
}

#[tokio::test]
async fn a_shell_works_on_the_sessions_files_and_on_nothing_else() {
    let run = |command: &str| ("bash", json!({"command": command}));
    let stage = Stage::new(vec![
        calls([
            run("mkdir -p src && printf 'b\\na\\n' > src/x.txt && sort src/x.txt"),
            run("cat /workspace/src/x.txt | wc -l | tr -d ' '; echo oops >&2; exit 3"),
            run("rm -r src; echo '{\"a\": [1, 2]}' | jq -c .a > out.json"),
            ("bash", json!({"command": "while true; do :; done", "timeout": 1})),
            ("read_file", json!({"path": "/out.json"})),
            ("list_directory", json!({})),
        ]),
        says("Done."),
    ])
    .await;
    let talk = stage.talk(&["virtual_bash"]).await;
    let results = stage.results(&talk).await;
    assert_eq!(results[0], json!({"stdout": "a\nb\n", "stderr": "", "exit_code": 0}));
    assert_eq!(results[1], json!({"stdout": "2\n", "stderr": "oops\n", "exit_code": 3}));
    assert_eq!(results[2], json!({"stdout": "", "stderr": "", "exit_code": 0}));
    assert_ne!(results[3]["exit_code"], 0, "{}", results[3]);
    assert_eq!(results[4]["content"], "[1,2]\n");
    assert_eq!(results[5]["count"], 1);
}

#[tokio::test]
async fn what_is_remembered_of_a_user_is_there_in_the_next_session() {
    let stage = Stage::new(vec![
        calls([
            ("remember", json!({"name": "colour", "fact": "Likes green."})),
            ("remember", json!({"name": "town", "fact": "Lives in Graz."})),
            ("forget", json!({"name": "town"})),
        ]),
        says("Done."),
        calls([("recall", json!({"query": "GREEN likes"})), ("recall", json!({"query": "Graz"}))]),
        says("Done."),
    ])
    .await;
    let first = stage.talk(&["memory"]).await;
    let expected = [
        json!({"name": "colour", "remembered": true}),
        json!({"name": "town", "remembered": true}),
        json!({"name": "town", "forgotten": true}),
    ];
    assert_eq!(stage.results(&first).await, expected);
    let second = stage.talk(&["memory"]).await;
    let results = stage.results(&second).await;
    assert_eq!((&results[0]["count"], &results[0]["facts"][0]["fact"]), (&json!(1), &json!("Likes green.")));
    assert_eq!(results[1], json!({"facts": [], "count": 0}));
}

#[tokio::test]
async fn each_demo_system_lists_reads_adds_and_changes() {
    let systems = [
        ("fake_warehouse", "warehouse", "products", "P-101", "P-105"),
        ("fake_aws", "aws", "instances", "i-1001", "i-1004"),
        ("fake_crm", "crm", "customers", "C-1", "C-4"),
        ("fake_financial", "finance", "accounts", "ACC-1", "ACC-4"),
    ];
    let mut script = Vec::new();
    for (_, prefix, collection, id, _) in systems {
        let tool = |verb: &str| format!("{prefix}_{verb}");
        script.push(calls([
            (tool("update").as_str(), json!({"collection": collection, "id": id, "item": {"note": "seen"}})),
            (tool("create").as_str(), json!({"collection": collection, "item": {"name": "New"}})),
            (tool("get").as_str(), json!({"collection": collection, "id": id})),
            (tool("list").as_str(), json!({"collection": collection, "where": {"name": "New"}})),
        ]));
        script.push(says("Done."));
    }
    let stage = Stage::new(script).await;
    for (capability, _, collection, id, next) in systems {
        let talk = stage.talk(&[capability]).await;
        let results = stage.results(&talk).await;
        assert_eq!(results[1], json!({"id": next, "name": "New"}));
        assert_eq!((&results[2]["id"], &results[2]["note"]), (&json!(id), &json!("seen")));
        let found = json!({"collection": collection, "items": [{"id": next, "name": "New"}], "count": 1});
        assert_eq!(results[3], found);
    }
}

#[tokio::test]
async fn the_rest_of_the_tools_answer_in_their_shapes() {
    let task = json!({"content": "Test", "activeForm": "Testing", "status": "in_progress"});
    let stage = Stage::new(vec![
        calls([
            ("get_current_time", json!({"format": "unix"})),
            ("get_weather", json!({"location": "Graz"})),
            ("get_forecast", json!({"location": "Graz", "days": 2})),
            ("write_todos", json!({"todos": [task]})),
            ("add", json!({"a": 1, "b": 2})),
            ("divide", json!({"a": 1, "b": 0})),
            ("set_session_state", json!({"changes": {"a": 1}})),
            ("read_session_state", json!({"path": "a"})),
            ("web_fetch", json!({"url": "http://127.0.0.1/"})),
            ("subtract", json!({"a": 1, "b": 2})),
            ("multiply", json!({"a": 3, "b": 2})),
        ]),
        says("Done."),
    ])
    .await;
    let capabilities = [
        "current_time",
        "test_weather",
        "stateless_todo_list",
        "test_math",
        "session_state",
        "web_fetch",
        "noop",
    ];
    let results = stage.results(&stage.talk(&capabilities).await).await;
    assert!(results[0]["timestamp"].is_u64());
    assert_eq!(results[1]["location"], "Graz");
    assert_eq!(results[2]["forecast"].as_array().unwrap().len(), 2);
    assert_eq!(results[3]["in_progress"], 1);
    assert_eq!(results[4], json!({"result": 3, "operation": "add", "a": 1, "b": 2}));
    assert_eq!([&results[9]["result"], &results[10]["result"]], [-1, 6]);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&results[0]), "timestamp format timezone");
    let weather = "location temperature units conditions humidity wind_speed_kmh timestamp";
    assert_eq!(keys(&results[1]), weather);
    assert_eq!(keys(&results[2]), "location units days forecast");
    assert_eq!(keys(&results[2]["forecast"][0]), "date high low conditions precipitation_chance");
    assert_eq!(keys(&results[3]), "success total_tasks pending in_progress completed todos");
    assert!(results[5].is_string() && results[8].as_str().unwrap().contains("loopback"), "{results:?}");
}

#[tokio::test]
async fn a_session_follows_the_instructions_among_its_files() {
    let stage = Stage::new(vec![says("One."), says("Two.")]).await;
    let talk = stage.talk(&["agent_instructions"]).await;
    stage.results(&talk).await;
    let body = json!({"content": "Answer in Latin."});
    assert_eq!(stage.server.post(&talk.path("/fs/AGENTS.md"), &body).await.0, 201);
    stage.results(&talk).await;
    assert!(!stage.system(0).contains("Latin"));
    assert!(stage.system(1).contains("Answer in Latin."), "{}", stage.system(1));
}

#[tokio::test]
async fn a_skill_is_told_of_then_read_then_looked_into() {
    let skill = "---\nname: greet\ndescription: Greets people.\n---\nSay hello as in `words.txt`.\n";
    let stage = Stage::with(
        Setup::default()
            .file("agents/skills/greet/SKILL.md", skill)
            .file("agents/skills/greet/words.txt", "Servus"),
        vec![
            calls([
                ("list_skills", json!({})),
                ("activate_skill", json!({"name": "greet"})),
                ("read_skill_file", json!({"name": "greet", "path": "words.txt"})),
                ("activate_skill", json!({"name": "none"})),
            ]),
            says("Servus."),
            calls([("skill-greet", json!({})), ("skill-greet", json!({"file": "words.txt"}))]),
            says("Servus."),
        ],
    )
    .await;
    let results = stage.results(&stage.talk(&["skills"]).await).await;
    let body =
        json!({"name": "greet", "instructions": "Say hello as in `words.txt`.", "files": ["words.txt"]});
    let file = json!({"name": "greet", "file": "words.txt", "content": "Servus"});
    let expected = [
        json!({"skills": [{"name": "greet", "description": "Greets people."}], "count": 1}),
        body.clone(),
        file.clone(),
        json!("there is no skill `none`. Skills: greet."),
    ];
    assert_eq!(results, expected);
    assert!(stage.system(0).contains("- greet: Greets people."));
    assert_eq!(stage.results(&stage.talk(&["skill:greet"]).await).await, [body, file]);
    let (status, shown) = stage.server.get("/v1/capabilities/skill:greet").await;
    assert_eq!((status, &shown["is_skill"]), (200, &json!(true)));
}

#[tokio::test]
async fn a_task_goes_to_another_agent_whose_answer_is_the_result() {
    let helper = "---\nname: Helper\nmodel: test/model\ndescription: Knows numbers.\n---\nYou count.\n";
    let stage = Stage::with(
        Setup::default().agent("counter", helper),
        vec![
            calls([("delegate_task", json!({"agent": "counter", "task": "How many?"}))]),
            says("Seven."),
            says("There are seven."),
            calls([("delegate_task", json!({"agent": "nobody", "task": "How many?"}))]),
            says("Nobody knows."),
        ],
    )
    .await;
    let talk = Talk::with(
        &stage.server,
        json!({"capabilities": [{"ref": "subagents", "config": {"agents": ["counter"]}}]}),
    )
    .await;
    assert_eq!(stage.results(&talk).await, [json!("Seven.")]);
    assert!(stage.system(0).contains("- `counter` (Helper): Knows numbers."), "{}", stage.system(0));
    assert_eq!(stage.system(1), "You count.");
    let results = stage.results(&talk).await;
    let refused = "There is no agent `nobody` to hand tasks to. Agents: counter.";
    assert_eq!(results.last().unwrap(), refused);
}

#[tokio::test]
async fn of_many_tools_a_model_is_offered_those_it_searched_for() {
    let stage = Stage::new(vec![
        calls([("search_tools", json!({"query": "read a file"}))]),
        calls([("read_file", json!({"path": "/none"}))]),
        says("Done."),
    ])
    .await;
    let all = [
        "session_file_system",
        "fake_warehouse",
        "fake_aws",
        "fake_crm",
        "fake_financial",
        "session_storage",
        "memory",
        "test_math",
    ];
    let talk = stage.talk(&all).await;
    let results = stage.results(&talk).await;
    assert_eq!(results[0]["tools"][0]["name"], "read_file");
    assert_eq!(stage.offered(0), ["search_tools"]);
    let then = stage.offered(1);
    assert!(then.contains(&"read_file".to_owned()) && then.len() <= 11, "{then:?}");
    assert_eq!(stage.offered(2), then);
}

#[tokio::test]
async fn a_tool_that_a_file_declares_is_a_capability_for_others() {
    let agent = "---\nmodel: test/model\ntools:\n  - name: shout\n    description: Shouts.\n    kind: process\n    \
                 command: [tr, a-z, A-Z]\n    parameters: {type: object, properties: {a: {type: string}}}\n---\nYou shout.\n";
    let stage = Stage::with(
        Setup::default().agent("shouter", agent),
        vec![calls([("shout", json!({"a": "b"}))]), says("Done.")],
    )
    .await;
    let (status, shown) = stage.server.get("/v1/capabilities/declarative:shout").await;
    assert_eq!((status, &shown["risk_level"], &shown["name"]), (200, &json!("high"), &json!("shout")));
    let results = stage.results(&stage.talk(&["declarative:shout"]).await).await;
    assert_eq!(results[0]["A"], "B");
}

#[tokio::test]
async fn a_session_that_begins_with_a_run_has_the_files_of_its_capabilities_too() {
    let agent = "---\nmodel: test/model\ncapabilities: [sample_data]\n---\nYou look.\n";
    let script = vec![calls([("list_directory", json!({"path": "/samples"}))]), says("Three.")];
    let stage = Stage::with(Setup::default().agent("looker", agent), script).await;
    let fields = [("message", "Look"), ("stream", "false")];
    let (status, run) = stage.server.form("/agents/looker/runs", &fields).await;
    assert_eq!((status, &run["content"]), (200, &json!("Three.")), "{run}");
    let listed = stage.model.requests()[1]["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    let listed: Value = serde_json::from_str(listed.as_str().unwrap()).unwrap();
    assert_eq!(listed["count"], 3);
}

/// Who is asked and what: a helper by its task, its caller by whether it has its answers.
fn asked(request: &Value) -> &str {
    let messages = request["messages"].as_array().unwrap();
    let last = messages.last().unwrap();
    if last["role"] == "tool" { "answers" } else { last["content"].as_str().unwrap() }
}

#[tokio::test]
async fn after_a_crash_a_helper_that_was_done_is_not_asked_again() {
    let helper = "---\nmodel: test/model\n---\nYou count.\n";
    let mut hung = false;
    let model = ModelServer::answering(move |request| match asked(&request.body) {
        "fast" => says("Seven."),
        "slow" if hung => says("Nine."),
        "slow" => {
            hung = true;
            Reply::HangBeforeHead
        }
        "answers" => says("Done."),
        _ => calls(["fast", "slow"].map(|task| ("delegate_task", json!({"agent": "counter", "task": task})))),
    })
    .await;
    let setup = Setup::default().agent("counter", helper).config("default_model = \"test/model\"");
    let server = setup.model(&model.url()).start().await;
    let mut stage = Stage { model, server };
    let talk = stage.talk(&["subagents"]).await;
    talk.say(&stage.server, "Go").await;
    until(&mut talk.follow(&stage.server, "").await, "tool.completed").await;
    stage.server.kill();
    stage.server.restart().await;
    talk.until_idle(&stage.server).await;
    let requests = stage.model.requests();
    let times = |what: &str| requests.iter().filter(|request| asked(request) == what).count();
    assert_eq!([times("fast"), times("slow"), times("answers")], [1, 2, 1]);
    let answers = &requests.iter().find(|request| asked(request) == "answers").unwrap()["messages"];
    let told: Vec<&Value> =
        answers.as_array().unwrap().iter().rev().take(2).map(|part| &part["content"]).collect();
    assert_eq!(told, ["Nine.", "Seven."]);
}

/// An id, what it needs, and its tools with their parameters.
type Row = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

/// The ids of the table of section 9.3, what they need, and their tools with their parameters; those that must be given
/// are marked.
const TABLE: &[Row] = &[
    ("noop", &[], &[]),
    ("current_time", &[], &[("get_current_time", "timezone format")]),
    (
        "test_math",
        &[],
        &[("add", "a* b*"), ("subtract", "a* b*"), ("multiply", "a* b*"), ("divide", "a* b*")],
    ),
    ("test_weather", &[], &[("get_weather", "location* units"), ("get_forecast", "location* days units")]),
    (
        "session_file_system",
        &[],
        &[
            ("read_file", "path* offset limit"),
            ("write_file", "path* content* encoding"),
            ("list_directory", "path"),
            ("grep_files", "pattern* path_pattern"),
            ("delete_file", "path* recursive"),
            ("stat_file", "path*"),
            ("edit_file", "path* edits* content_hash"),
        ],
    ),
    ("web_fetch", &[], &[("web_fetch", "url* method as_markdown as_text max_bytes")]),
    ("stateless_todo_list", &[], &[("write_todos", "todos*")]),
    (
        "session_storage",
        &[],
        &[("kv_store", "operation* key value"), ("secret_store", "operation* name value")],
    ),
    ("virtual_bash", &["session_file_system"], &[("bash", "command* working_dir timeout")]),
    ("sample_data", &["session_file_system"], &[]),
    ("research", &[], &[]),
    ("sandbox", &[], &[]),
    (
        "session_schedule",
        &[],
        &[
            ("create_schedule", "message* cron_expression at in_seconds timezone name"),
            ("list_schedules", ""),
            ("cancel_schedule", "schedule_id*"),
        ],
    ),
];

#[tokio::test]
async fn each_id_of_the_table_is_there_with_its_tools_and_their_parameters() {
    let server = Setup::default().start().await;
    for (id, needs, tools) in TABLE {
        let (status, shown) = server.get(&format!("/v1/capabilities/{id}")).await;
        assert_eq!((status, &shown["dependencies"]), (200, &json!(needs)), "{id}");
        let announced = ["research", "sandbox"].contains(id);
        assert_eq!(shown["status"], if announced { "coming_soon" } else { "available" }, "{id}");
        let told: Vec<(String, String)> = shown["tool_definitions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| (tool["name"].as_str().unwrap().to_owned(), parameters(&tool["parameters"])))
            .collect();
        let told: Vec<(&str, &str)> = told.iter().map(|(name, all)| (name.as_str(), all.as_str())).collect();
        assert_eq!(told, *tools, "{id}");
    }
    let (_, all) = server.get("/v1/capabilities").await;
    let ids: Vec<&str> =
        all["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    for id in ["agent_instructions", "fake_warehouse", "fake_aws", "fake_crm", "fake_financial", "guardrails"]
    {
        assert!(ids.contains(&id), "{id}: {ids:?}");
    }
}

/// The names of a schema's properties; those that must be given are marked.
fn parameters(schema: &Value) -> String {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let names = schema["properties"].as_object().unwrap().keys();
    let marked =
        names.map(|name| if required.contains(&json!(name)) { format!("{name}*") } else { name.clone() });
    marked.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn what_is_known_of_a_file_is_told_in_the_words_of_the_table() {
    let script = vec![
        calls([
            ("write_file", json!({"path": "/a.bin", "content": "AAE=", "encoding": "base64"})),
            ("stat_file", json!({"path": "/workspace/a.bin"})),
            ("read_file", json!({"path": "/a.bin"})),
        ]),
        says("Done."),
    ];
    let stage = Stage::new(script).await;
    let results = stage.results(&stage.talk(&["session_file_system"]).await).await;
    assert_eq!(results[0], json!({"path": "/a.bin", "size_bytes": 2, "created": true}));
    let known = json!({
        "path": "/a.bin", "exists": true, "name": "a.bin", "is_directory": false, "is_readonly": false,
        "size_bytes": 2, "created_at": results[1]["created_at"], "updated_at": results[1]["updated_at"],
    });
    assert_eq!(results[1], known);
    assert!(results[1]["created_at"].is_string());
    assert_eq!([&results[2]["content"], &results[2]["encoding"]], ["AAE=", "base64"]);
}
