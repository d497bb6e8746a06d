//! The scripted model: rules that make a worthwhile demo, and scripts that make a test.

use std::path::Path;

use runhold::llm::scripted::script::Script;
use runhold::llm::scripted::{Scripted, ScriptedConfig};

use super::*;

const NO_PAUSE: ScriptedConfig = ScriptedConfig { scripts: None, pause: Duration::ZERO };

/// A conversation in the making: the model, what it may call, and what was said.
struct Talk {
    model: Scripted,
    call: ModelCall,
}

impl Talk {
    fn with(tools: Vec<ToolSpec>) -> Self {
        let call = ModelCall { model: "scripted/demo".parse().unwrap(), tools, ..conversation(vec![]) };
        Self { model: Scripted::new(NO_PAUSE).unwrap(), call }
    }

    fn playing(script: Value) -> Self {
        let script = Script::parse(&script.to_string(), Path::new("test.json")).unwrap();
        let mut talk = Self::with(vec![]);
        talk.model = talk.model.with("test", script);
        talk.call.model = "scripted/test".parse().unwrap();
        talk
    }

    fn says(&mut self, text: &str) -> &mut Self {
        self.call.messages.extend(question(text).messages);
        self
    }

    /// What the model says and calls; both become part of the conversation.
    async fn hears(&mut self) -> (String, Vec<(String, Value)>) {
        let heard = hear(&self.model, self.call.clone()).await;
        let text: String = heard
            .pieces
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Text(text) => Some(text),
                Piece::Reasoning(_) => None,
            })
            .collect();
        let Ok(Chunk::Done { tool_calls, finish, .. }) = heard.end else { panic!("{:?}", heard.end) };
        assert_eq!(finish, if tool_calls.is_empty() { Finish::Stop } else { Finish::ToolCalls });
        let asked = tool_calls.iter().map(|call| {
            let arguments = call.parsed().map_or_else(|| json!(call.arguments), Value::Object);
            (call.name.clone(), arguments)
        });
        let asked = asked.collect();
        self.call.messages.push(Message::Assistant {
            text: text.clone(),
            reasoning: String::new(),
            tool_calls,
        });
        (text, asked)
    }

    /// Gives the calls of the last answer their results.
    fn results(&mut self, contents: &[&str]) -> &mut Self {
        let Some(Message::Assistant { tool_calls, .. }) = self.call.messages.last() else {
            panic!("no answer")
        };
        assert_eq!(tool_calls.len(), contents.len());
        let results: Vec<_> =
            tool_calls.iter().zip(contents).map(|(call, content)| result(call, content)).collect();
        self.call.messages.extend(results);
        self
    }
}

fn calculator() -> Vec<ToolSpec> {
    ["add", "subtract", "multiply", "divide"].map(|name| tool(name, json!({"type": "object"}))).to_vec()
}

fn clock() -> ToolSpec {
    let properties = json!({
        "timezone": {"type": "string"}, "format": {"type": "string", "enum": ["iso8601", "human"]},
    });
    tool("get_current_time", json!({"type": "object", "properties": properties}))
}

fn notebook() -> Vec<ToolSpec> {
    ["set_session_state", "read_session_state"].map(|name| tool(name, json!({"type": "object"}))).to_vec()
}

fn named(name: &str, arguments: Value) -> (String, Value) {
    (name.into(), arguments)
}

#[tokio::test]
async fn the_demo_calls_several_tools_in_one_turn_and_tells_their_results() {
    let mut talk = Talk::with([calculator(), vec![clock()]].concat());
    let (_, asked) = talk.says("What time is it in Tokyo, and what is 6 times 7?").hears().await;
    let time = json!({"timezone": "Asia/Tokyo", "format": "human"});
    assert_eq!(asked, [named("multiply", json!({"a": 6, "b": 7})), named("get_current_time", time)]);
    let now = r#"{"datetime": "Monday at noon", "timezone": "Asia/Tokyo"}"#;
    let (text, asked) = talk.results(&["42", now]).hears().await;
    assert_eq!((text.as_str(), asked), ("6 times 7 is 42. It is Monday at noon (Asia/Tokyo).", vec![]));
}

#[tokio::test]
async fn the_demo_works_a_sum_out_step_by_step() {
    let mut talk = Talk::with(calculator());
    assert_eq!(
        talk.says("What is 5 + 1024 / 32?").hears().await.1,
        [named("divide", json!({"a": 1024, "b": 32}))]
    );
    assert_eq!(talk.results(&["32"]).hears().await.1, [named("add", json!({"a": 5, "b": 32}))]);
    let (text, asked) = talk.results(&["37"]).hears().await;
    assert_eq!((text.as_str(), asked), ("1024 divided by 32 is 32. 5 plus 32 is 37.", vec![]));
}

#[tokio::test]
async fn the_demo_remembers_and_tells_what_it_remembers() {
    let mut talk = Talk::with(notebook());
    let (_, asked) = talk.says("Remember that my name is Ada.").hears().await;
    assert_eq!(asked, [named("set_session_state", json!({"changes": {"name": "Ada"}}))]);
    let (text, _) = talk.results(&[r#"{"name":"Ada"}"#]).hears().await;
    assert_eq!(text, "I will remember that name is Ada.");
    let (_, asked) = talk.says("What do you remember?").hears().await;
    assert_eq!(asked, [named("read_session_state", json!({}))]);
    assert_eq!(talk.results(&[r#"{"name":"Ada"}"#]).hears().await.0, "I remember: name is Ada.");
}

#[tokio::test]
async fn the_demo_adds_a_note_to_the_others() {
    let mut talk = Talk::with(notebook());
    let (_, asked) = talk.says("Note that the meeting moved to Thursday.").hears().await;
    assert_eq!(asked, [named("read_session_state", json!({"path": "notes"}))]);
    let (_, asked) = talk.results(&[r#"["buy milk"]"#]).hears().await;
    let notes = json!({"notes": ["buy milk", "the meeting moved to Thursday"]});
    assert_eq!(asked, [named("set_session_state", json!({"changes": notes}))]);
    let told = talk.results(&["{}"]).hears().await.0;
    assert_eq!(told, "Noted: 1. buy milk, 2. the meeting moved to Thursday.");
}

#[tokio::test]
async fn the_demo_takes_a_note_away_by_what_it_says() {
    let mut talk = Talk::with(notebook());
    let (_, asked) = talk.says("Remove the note about the meeting.").hears().await;
    assert_eq!(asked, [named("read_session_state", json!({"path": "notes"}))]);
    let (_, asked) = talk.results(&[r#"["buy milk", "the meeting moved"]"#]).hears().await;
    assert_eq!(asked, [named("set_session_state", json!({"changes": {"notes": ["buy milk"]}}))]);
    assert_eq!(talk.results(&["{}"]).hears().await.0, "Noted: buy milk.");
}

#[tokio::test]
async fn the_demo_reads_the_pages_it_is_pointed_to() {
    let mut talk = Talk::with(vec![tool("web_fetch", json!({"type": "object"}))]);
    let (_, asked) = talk.says("Summarise https://example.com in three sentences.").hears().await;
    assert_eq!(asked, [named("web_fetch", json!({"url": "https://example.com"}))]);
    let (text, _) = talk.results(&["An example\n of a page"]).hears().await;
    assert_eq!(text, "https://example.com says: An example of a page.");
}

#[tokio::test]
async fn the_demo_calls_what_a_message_names_with_arguments_that_fit() {
    let parameters = json!({
        "type": "object",
        "required": ["path", "mode"],
        "properties": {
            "path": {"type": "string"}, "mode": {"enum": ["soft", "hard"]}, "depth": {"type": "integer"},
        },
    });
    let mut talk = Talk::with(vec![tool("delete_file", parameters)]);
    let (_, asked) = talk.says("Please delete_file path=notes.txt, hard!").hears().await;
    assert_eq!(asked, [named("delete_file", json!({"path": "notes.txt", "mode": "hard"}))]);
}

fn leader(members: &[&str], system: &str) -> Talk {
    let parameters = json!({
        "type": "object",
        "required": ["member_id", "task"],
        "properties": {"member_id": {"type": "string", "enum": members}, "task": {"type": "string"}},
    });
    let mut talk = Talk::with(vec![tool("delegate_task_to_member", parameters)]);
    talk.call.messages.push(Message::System { text: system.into() });
    talk
}

fn to(member: &str, task: &str) -> (String, Value) {
    named("delegate_task_to_member", json!({"member_id": member, "task": task}))
}

const MEMBERS: &str = "You lead a team. Its members:\n- `poet` (Poet): Writes verses.\n- `editor` (Editor): \
                       Shortens texts and counts words.\n- `clerk` (Clerk)\n";

#[tokio::test]
async fn the_demo_hands_a_message_to_the_members_it_suits_and_sums_up() {
    let mut talk = leader(&["poet", "editor", "clerk"], MEMBERS);
    let task = "Write two verses and count their words";
    let (_, asked) = talk.says(task).hears().await;
    assert_eq!(asked, [to("poet", task), to("editor", task)]);
    let (text, asked) = talk.results(&["Two verses", r#"{"words": 2}"#]).hears().await;
    assert_eq!((text.as_str(), asked), ("poet says: Two verses. editor says: words: 2.", vec![]));
}

#[tokio::test]
async fn the_demo_hands_a_message_that_suits_nobody_to_the_first_and_chooses_one_where_it_must() {
    let mut talk = leader(&["poet", "editor", "clerk"], MEMBERS);
    assert_eq!(talk.says("Hello").hears().await.1, [to("poet", "Hello")]);
    let route = format!("{MEMBERS}Choose the one member that suits the request best.");
    let mut talk = leader(&["poet", "editor", "clerk"], &route);
    let task = "Write a verse, then shorten it and count the words";
    assert_eq!(talk.says(task).hears().await.1, [to("editor", task)]);
}

#[tokio::test]
async fn the_demo_asks_all_members_where_that_is_the_way() {
    let parameters = json!({
        "type": "object", "required": ["task"], "properties": {"task": {"type": "string"}},
    });
    let mut talk = Talk::with(vec![tool("delegate_task_to_members", parameters)]);
    let (_, asked) = talk.says("Hello").hears().await;
    assert_eq!(asked, [named("delegate_task_to_members", json!({"task": "Hello"}))]);
    let (text, _) = talk.results(&["## ann\n\nYes.\n\n## bob\n\nNo."]).hears().await;
    assert_eq!(text, "ann says: Yes. bob says: No.");
}

#[tokio::test]
async fn the_demo_makes_a_list_of_tasks_where_that_is_the_way() {
    let item = json!({
        "type": "object",
        "properties": {"id": {"type": "string"}, "member_id": {"enum": ["poet", "editor"]}},
    });
    let parameters = json!({"type": "object", "properties": {"tasks": {"type": "array", "items": item}}});
    let mut talk = Talk::with(vec![tool("work_on_tasks", parameters)]);
    let (_, asked) = talk.says("Write, editor").hears().await;
    let task = json!({"id": "editor", "member_id": "editor", "task": "Write, editor"});
    assert_eq!(asked, [named("work_on_tasks", json!({"tasks": [task]}))]);
}

#[tokio::test]
async fn the_demo_does_to_a_text_what_its_instructions_say() {
    let mut talk = Talk::with(vec![]);
    talk.call.messages.push(Message::System { text: "You make lists.".into() });
    assert_eq!(talk.says("One. Two.").hears().await.0, "- One.\n- Two.");
}

#[tokio::test]
async fn the_demo_does_as_it_is_commanded() {
    let mut talk = Talk::with(vec![]);
    let (_, asked) = talk.says("/call one {\"a\": 1}\n/call two\n/call three {oops").hears().await;
    assert_eq!(
        asked,
        [named("one", json!({"a": 1})), named("two", json!({})), named("three", json!("{oops"))]
    );
    talk.results(&["1", "2", "3"]).hears().await;
    assert_eq!(talk.says("/say  exactly\nthis ").hears().await.0, " exactly\nthis");
    assert_eq!(talk.says("/slow 3").hears().await.0, "1 2 3");
    talk.says("/fail no luck today");
    let failure = hear(&talk.model, talk.call).await.end.unwrap_err();
    assert_eq!(failure, Failure::new("model_provider_error", "no luck today"));
}

#[tokio::test]
async fn the_demo_answers_in_the_form_it_is_asked_for() {
    let schema = json!({
        "type": "object",
        "required": ["topic", "summary"],
        "properties": {"topic": {"enum": ["bug", "question"]}, "summary": {"type": "string", "maxLength": 12}},
        "additionalProperties": false,
    });
    let mut talk = Talk::with(vec![]);
    talk.call.output_schema = Some(schema.clone());
    let (text, _) = talk.says("Sort this: A question about exports").hears().await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer, json!({"topic": "question", "summary": "A question a"}));
    assert!(jsonschema::is_valid(&schema, &answer));
}

#[tokio::test]
async fn the_demo_says_what_it_can_do_and_refers_to_what_was_said() {
    let mut talk = Talk::with(calculator());
    let (text, _) = talk.says("Hello").hears().await;
    let offer = "I am the scripted demo model and follow rules, without a key or a network. I can call `add`, \
                 `subtract`, `multiply` and `divide`: ask for what they do, name one, or write `/call NAME {…}`.";
    assert_eq!(text, format!("You said: “Hello”. {offer}"));
    let (text, _) = talk.says("Who are you?").hears().await;
    assert_eq!(text, format!("You said: “Who are you?” You said before: “Hello”. {offer}"));
}

#[tokio::test]
async fn the_demo_tells_of_tools_that_fail_and_ends() {
    let mut talk = Talk::with(calculator());
    talk.says("7 / 0").hears().await;
    talk.results(&["division by zero"]);
    if let Some(Message::Tool { error, .. }) = talk.call.messages.last_mut() {
        *error = true;
    }
    let (text, asked) = talk.hears().await;
    assert_eq!((text.as_str(), asked), ("`divide` did not work: division by zero.", vec![]));
}

#[tokio::test]
async fn the_same_conversation_gets_the_same_answer_and_ids_are_not_used_twice() {
    let mut talk = Talk::with(calculator());
    talk.says("1 + 2 + 3").hears().await;
    talk.results(&["3"]);
    let once = hear(&talk.model, talk.call.clone()).await;
    assert_eq!(hear(&talk.model, talk.call.clone()).await, once);
    let Ok(Chunk::Done { tool_calls, usage, .. }) = once.end else { panic!("no end") };
    assert_eq!(tool_calls, [call("call_2", "add", r#"{"a":3,"b":3}"#)]);
    assert_eq!(usage, Usage { input: 20, output: 5, reasoning: 3, ..Usage::default() });
}

#[tokio::test]
async fn a_script_is_played_turn_by_turn_for_each_message() {
    let mut talk = Talk::playing(json!([
        {"when": "Weather", "reason": "Let me look.", "call": [{"name": "look", "arguments": {"at": "sky"}}]},
        {"when": "weather", "say": "It rains."},
        {"say": "I only know about the weather."},
    ]));
    assert_eq!(talk.says("How is the weather?").hears().await.1, [named("look", json!({"at": "sky"}))]);
    assert_eq!(talk.results(&["grey"]).hears().await.0, "It rains.");
    assert_eq!(talk.says("And you?").hears().await.0, "I only know about the weather.");
    assert_eq!(talk.says("So, the weather?").hears().await.1, [named("look", json!({"at": "sky"}))]);
}

#[tokio::test]
async fn a_script_may_fail_before_or_after_it_said_something() {
    let fail = json!({"code": "model_timeout", "message": "asleep", "retryable": true});
    let failure = Failure::new("model_timeout", "asleep").retryable();
    let mut talk = Talk::playing(json!([{"say": "I was ", "fail": fail, "delay_ms": 1}]));
    talk.says("Hello?");
    let heard = hear(&talk.model, talk.call).await;
    assert_eq!(heard, Heard { pieces: texts("I was "), end: Err(failure.clone()) });
    let mut talk = Talk::playing(json!([{"fail": fail}]));
    talk.says("Hello?");
    assert_eq!(talk.model.answer(talk.call).await.err(), Some(failure));
}

#[tokio::test]
async fn a_script_that_is_not_there_is_named() {
    let mut talk = Talk::playing(json!([{"say": "x"}]));
    talk.call.model = "scripted/other".parse().unwrap();
    let failure = talk.model.answer(talk.call).await.err();
    let expected = Failure::new("model_provider_error", "there is no script `other`; there is demo, test");
    assert_eq!(failure, Some(expected));
}

#[tokio::test]
async fn scripts_are_read_from_a_folder_and_faults_in_them_have_a_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hi.json"), r#"[{"say": "Hi."}]"#).unwrap();
    std::fs::write(folder.path().join("README.md"), "no script").unwrap();
    let config = ScriptedConfig { scripts: Some(folder.path().into()), ..NO_PAUSE };
    let model = Scripted::new(config.clone()).unwrap();
    let asked = ModelCall { model: "scripted/hi".parse().unwrap(), ..question("Hello?") };
    assert_eq!(hear(&model, asked).await.pieces, texts("Hi."));

    let cases = [
        (
            "[\n{\"sai\": \"Hi.\"}]",
            "unknown field `sai`, expected one of `when`, `reason`, `say`, `call`, `fail`, `delay_ms` at line 2 column 6",
        ),
        (
            "[{\"say\": \"Hi.\"}, {\"when\": \"x\"}]",
            "turn 2: needs one of `say`, `reason`, `call` and `fail`",
        ),
        ("[]", "needs at least one turn"),
    ];
    let file = folder.path().join("hi.json");
    for (text, fault) in cases {
        std::fs::write(&file, text).unwrap();
        let told = Scripted::new(config.clone()).unwrap_err().to_string();
        assert_eq!(told, format!("{}: {fault}", file.display()));
    }
}
