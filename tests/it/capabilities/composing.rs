//! From an agent's settings to its tools.

use std::sync::Arc;

use runhold::capability::{About, Capability, Contribution};
use runhold::domain::spec::{AgentSpec, ToolAction};
use runhold::domain::tool::{Gate, Verdict};
use serde_json::{Value, json};

use super::{call, declared, object, reference, registry, shell, tools_of, use_tool};

/// A capability with nothing but dependencies and a prompt.
struct Plain(About);

impl Plain {
    fn new(id: &'static str, dependencies: &'static [&'static str]) -> Arc<Self> {
        Arc::new(Self(
            About::new(id, id, "")
                .needs(dependencies)
                .configured(json!({"type": "object", "properties": {"say": {"type": "string"}}})),
        ))
    }
}

impl Capability for Plain {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, config: &Value) -> Result<Contribution, String> {
        let said = config.get("say").and_then(Value::as_str).unwrap_or(&self.0.id);
        Ok(Contribution { prompt: Some(said.into()), ..Contribution::default() })
    }
}

fn refused(
    refs: &[runhold::domain::spec::CapabilityRef],
    tools: &[runhold::domain::spec::DeclaredTool],
) -> String {
    registry().compose(refs, tools).err().unwrap().to_string()
}

#[test]
fn the_registry_lists_what_comes_with_the_program_by_id() {
    let ids: Vec<_> = registry().all().map(|one| one.about().id.to_string()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    for id in ["ask_user", "current_time", "session_state", "test_math", "test_weather", "web_fetch"] {
        assert!(ids.iter().any(|one| one == id), "{id} is not among {ids:?}");
    }
}

#[test]
fn every_builtin_composes_and_closes_its_schemas() {
    let refs: Vec<_> = registry().all().map(|one| reference(&one.about().id, Value::Null)).collect();
    let toolbox = registry().compose(&refs, &[]).unwrap();
    assert!(toolbox.specs().iter().all(|spec| spec.parameters["additionalProperties"] == json!(false)));
}

#[test]
fn tools_are_offered_in_the_order_of_their_capabilities() {
    let refs = [reference("test_math", Value::Null), reference("ask_user", Value::Null)];
    let toolbox = registry().compose(&refs, &[declared("aim", shell("true"))]).unwrap();
    let names: Vec<_> = toolbox.specs().into_iter().map(|spec| spec.name).collect();
    assert_eq!(names, ["add", "subtract", "multiply", "divide", "ask_user", "aim"]);
}

#[test]
fn what_a_session_adds_comes_after_the_agents_tools_and_is_said_before_the_agents_prompts() {
    let registry = registry().with(Plain::new("own", &[])).with(Plain::new("added", &["own"]));
    let mut agent: AgentSpec = serde_json::from_value(json!({
        "id": "a", "name": "A", "instructions": "", "model": "p/m", "history_runs": 0, "source": "client",
        "capabilities": [{"ref": "own"}, {"ref": "test_math"}, {"ref": "there is none"}]
    }))
    .unwrap();
    agent.additions.capabilities =
        vec![reference("added", Value::Null), reference("own", json!({"say": "set by the session"}))];
    agent.additions.tools = vec![declared("add", shell("true")), declared("aim", shell("true"))];
    let toolbox = registry.compose_agent(&agent).unwrap();
    assert_eq!(toolbox.prompts.first().unwrap(), "added");
    assert_eq!(toolbox.prompts.get(1).unwrap(), "set by the session");
    let names: Vec<_> = toolbox.specs().into_iter().map(|spec| spec.name).collect();
    assert_eq!(names, ["add", "subtract", "multiply", "divide", "aim"]);
}

#[test]
fn dependencies_come_first_and_the_first_reference_counts() {
    let registry = registry()
        .with(Plain::new("base", &[]))
        .with(Plain::new("left", &["base"]))
        .with(Plain::new("right", &["base", "left"]));
    let refs = [
        reference("right", Value::Null),
        reference("base", json!({"say": "first"})),
        reference("base", json!({"say": "second"})),
    ];
    assert_eq!(registry.compose(&refs, &[]).unwrap().prompts, ["first", "left", "right"]);
}

#[test]
fn capabilities_that_need_each_other_are_refused() {
    let registry = registry().with(Plain::new("hen", &["egg"])).with(Plain::new("egg", &["hen"]));
    let error = registry.compose(&[reference("hen", Value::Null)], &[]).err().unwrap();
    assert_eq!(error.to_string(), "capability `hen` depends on itself: hen -> egg -> hen");
}

#[test]
fn an_unknown_capability_is_named_with_all_that_are_known() {
    let told = refused(&[reference("web_fech", Value::Null)], &[]);
    assert!(told.starts_with("unknown capability `web_fech`; known: "), "{told}");
    assert!(told.contains(", web_fetch"), "{told}");
}

#[test]
fn settings_that_do_not_fit_are_refused_by_name() {
    assert_eq!(
        refused(&[reference("web_fetch", json!({"alow": []}))], &[]),
        "the config of capability `web_fetch` does not fit: Additional properties are not allowed ('alow' was \
         unexpected)"
    );
    assert_eq!(
        refused(&[reference("web_fetch", json!({"allow_private": ["10.0.0.0/99"]}))], &[]),
        "the config of capability `web_fetch` does not fit: `10.0.0.0/99` is no host, `host:port` or network"
    );
}

#[test]
fn a_tool_no_model_could_be_offered_is_refused_by_name() {
    let with = |parameters: Value| {
        let mut tool = declared("t", ToolAction::External);
        tool.parameters = parameters;
        refused(&[], &[tool])
    };
    let http = |url: &str| {
        let action = ToolAction::Http {
            method: "GET".into(),
            url: url.into(),
            headers: Vec::new(),
            allow_private: Vec::new(),
        };
        refused(&[], &[declared("t", action)])
    };
    let empty = ToolAction::Process { command: Vec::new(), directory: "/".into() };
    let found = [
        refused(&[], &[declared("delete file", ToolAction::External)]),
        refused(&[], &[declared(&"x".repeat(65), ToolAction::External)]),
        refused(&[reference("test_math", Value::Null)], &[declared("add", shell("true"))]),
        refused(&[], &[declared("t", empty)]),
        with(json!({"type": "string"})),
        with(json!(true)),
        with(json!({"type": "object", "properties": {"a": {"type": "strin"}}})),
        with(json!({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/schema.json"}}})),
        http("https://{host}/"),
        http("https://example.org/{id}"),
        http("ftp://example.org/"),
        http("http://127.0.0.1/"),
    ];
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn arguments_come_back_checked() {
    let toolbox = tools_of("test_math");
    assert_eq!(toolbox.check(&call("add", r#"{"a":1,"b":2}"#)), Ok(object(json!({"a": 1, "b": 2}))));
    let wrong = [
        toolbox.check(&call("add", r#"{"a":"x","c":1}"#)),
        toolbox.check(&call("add", "[1,2]")),
        toolbox.check(&call("add", "{\"a\":1,")),
        toolbox.check(&call("power", "{}")),
    ];
    insta::assert_snapshot!(wrong.map(Result::unwrap_err).join("\n"));
}

#[test]
fn what_a_person_will_give_may_be_missing_until_then() {
    let mut tool = declared("mail", shell("cat"));
    tool.parameters = json!({
        "type": "object",
        "properties": {"to": {"type": "string"}, "text": {"type": "string"}},
        "required": ["to", "text"]
    });
    tool.gate = Gate { user_input: vec!["to".into()], ..Gate::default() };
    let toolbox = registry().compose(&[], &[tool]).unwrap();

    let asked = toolbox.check(&call("mail", r#"{"text":"hi"}"#)).unwrap();
    assert!(toolbox.check(&call("mail", r#"{"to":"a"}"#)).is_err());
    assert!(toolbox.check_whole("mail", asked).unwrap_err().contains("\"to\" is a required property"));
    assert!(toolbox.check_whole("mail", object(json!({"to": "a", "text": "hi"}))).is_ok());
}

#[tokio::test]
async fn an_external_tool_is_gated_and_never_carried_out_here() {
    let toolbox = registry().compose(&[], &[declared("open_window", ToolAction::External)]).unwrap();
    assert!(toolbox.get("open_window").unwrap().spec().gate.external);
    let result = use_tool(&toolbox, "open_window", json!({})).await;
    assert_eq!(
        (result.verdict, result.content.as_str()),
        (Verdict::Failed, "`open_window` is executed by the client")
    );
}
