//! What is said about a wrong file, and where.

use proptest::prelude::*;

use super::{AGENT, faults, faults_of, load, load_from};

#[test]
fn faults_of_all_files_are_told_together_in_order() {
    let files =
        [("b.md", "---\nmodel: gpt\n---\nB.\n"), ("a.md", "---\nfoo: 1\n---\nA.\n"), ("c.md", "---\n---\n")];
    assert_eq!(
        faults(&files),
        "agents/a.md:2:1: unknown key `foo`; expected one of `kind`, `name`, \
             `description`, `model`, `fallback_models`, `mode`, `members`, `capabilities`, `tools`, \
             `history_runs`, `session_state`, `limits`, `on_second_message`, `in_doubt`, `on_disconnect`, \
             `output_schema`, `metadata`, `quick_prompts`
  2 | foo: 1
    | ^^^
agents/b.md:2:8: a model's name must be `provider/model`, as in `openai/gpt-4o-mini`
  2 | model: gpt
    |        ^^^
agents/c.md:2:1: the instructions are missing: they are the body, below the front matter
  2 | ---
    | ^"
    );
}

#[test]
fn an_unknown_key_is_named_with_those_there_are() {
    assert_eq!(
        faults_of("name: x\nfoo: 1\n"),
        "agents/x.md:3:1: unknown key `foo`; expected one of \
             `kind`, `name`, `description`, `model`, `fallback_models`, `mode`, `members`, \
             `capabilities`, `tools`, `history_runs`, `session_state`, `limits`, \
             `on_second_message`, `in_doubt`, `on_disconnect`, `output_schema`, `metadata`, `quick_prompts`
  3 | foo: 1
    | ^^^"
    );
}

#[test]
fn a_wrong_kind_of_file_or_value_is_named() {
    assert_eq!(
        faults_of("kind: agnt\n"),
        "agents/x.md:2:7: unknown value `agnt`; expected one of `agent`, `team`, `workflow`
  2 | kind: agnt
    |       ^^^^"
    );
    assert_eq!(
        faults_of("history_runs: many\n"),
        "agents/x.md:2:15: expected a whole number
  2 | history_runs: many
    |               ^^^^"
    );
    assert_eq!(
        faults_of("on_disconnect: stop\n"),
        "agents/x.md:2:16: unknown value `stop`; expected one of `cancel`, `continue`
  2 | on_disconnect: stop
    |                ^^^^"
    );
    assert_eq!(
        faults_of("name: a\nname: b\n"),
        "agents/x.md:3:1: the key `name` is there twice
  3 | name: b
    | ^^^^"
    );
    assert_eq!(
        faults_of("limits: {model_calls: 0}\n"),
        "agents/x.md:2:9: `model_calls` and `seconds` must be at least 1
  2 | limits: {model_calls: 0}
    |         ^"
    );
    assert_eq!(
        faults_of("limits: {calls: 1}\n"),
        "agents/x.md:2:10: unknown key `calls`; expected \
             one of `model_calls`, `tool_calls`, `seconds`, `tokens`
  2 | limits: {calls: 1}
    |          ^^^^^"
    );
    assert_eq!(
        faults_of("name: ' '\n"),
        "agents/x.md:2:7: the name must not be empty
  2 | name: ' '
    |       ^^^"
    );
    assert_eq!(
        faults_of("quick_prompts: [a\n"),
        "agents/x.md:2:16: unclosed bracket '['
  2 | quick_prompts: [a
    |                ^"
    );
}

#[test]
fn a_file_has_front_matter_text_and_a_size() {
    assert_eq!(
        faults(&[("x.md", "Just text.\n")]),
        "agents/x.md:1:1: a file begins with front matter: a line `---`, keys, a line `---`
  1 | Just text.
    | ^"
    );
    assert_eq!(
        faults(&[("x.md", "---\nname: x\n")]),
        "agents/x.md:1:1: the front matter that begins here has no end: a second line `---` is missing
  1 | ---
    | ^"
    );
    assert_eq!(
        faults(&[("x.md", "")]),
        "agents/x.md:1:1: a file begins with front matter: a line `---`, keys, a line `---`"
    );
    assert_eq!(
        faults(&[("x y.md", AGENT)]),
        "agents/x y.md:1:1: the file's name is the id, and `x \
             y` is none: it must be letters, digits, `-`, `_` and `.`, starting with a letter or digit
  1 | ---
    | ^"
    );
    let long = format!("---\n---\n{}", "x".repeat(1024 * 1024));
    assert_eq!(faults(&[("x.md", &long)]), "agents/x.md:1:1: is longer than 1048576 bytes");
}

#[test]
fn a_file_is_utf_8() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.md"), b"---\n---\nCaf\xe9\n").unwrap();
    assert_eq!(load_from(folder.path()).unwrap_err(), "agents/x.md:3:1: is not UTF-8 text");
}

#[test]
fn a_model_is_one_of_a_known_provider() {
    assert_eq!(
        faults_of("model: gpt-4o\n"),
        "agents/x.md:2:8: a model's name must be `provider/model`, as in `openai/gpt-4o-mini`
  2 | model: gpt-4o
    |        ^^^^^^"
    );
    assert_eq!(
        faults_of("fallback_models: [scripted/demo, antropic/x]\n"),
        "agents/x.md:2:34: no provider `antropic`; configured: `openai` and `scripted`
  2 | fallback_models: [scripted/demo, antropic/x]
    |                                  ^^^^^^^^^^"
    );
}

#[test]
fn instructions_are_a_template() {
    assert_eq!(
        faults(&[("x.md", "---\nname: x\n---\n\nHello {{ name\n")]),
        "agents/x.md:5:10: the \
             instructions are no valid template: unexpected end of input, expected end of variable block
  5 | Hello {{ name
    |          ^^^^"
    );
    assert_eq!(
        faults(&[("x.md", "---\nname: x\n---\nHello\n{% if a %}b\n")]),
        "agents/x.md:5:11: \
             the instructions are no valid template: unexpected end of input, expected end of block
  5 | {% if a %}b
    |           ^"
    );
}

#[test]
fn an_output_schema_is_a_json_schema() {
    assert_eq!(
        faults_of("output_schema: {type: 3}\n"),
        "agents/x.md:2:16: `output_schema` is no \
             JSON Schema: /type: 3 is not valid under any of the schemas listed in the 'anyOf' keyword
  2 | output_schema: {type: 3}
    |                ^"
    );
}

#[test]
fn a_file_made_to_exhaust_is_refused() {
    let deep = "[".repeat(100_000);
    assert_eq!(faults_of(&format!("metadata: {deep}\n")), "agents/x.md:2:266: recursion limit exceeded");
    let lots = |name: &str, of: &str| format!("  {name}: &{name} [{}]\n", [of; 9].join(", "));
    let bomb: String = ["abcdefghi"]
        .iter()
        .flat_map(|names| names.chars().zip(names.chars().skip(1)))
        .map(|(below, name)| lots(&name.to_string(), &format!("*{below}")))
        .collect();
    assert_eq!(
        faults_of(&format!("metadata:\n  a: &a [x]\n{bomb}")),
        "agents/x.md:9:10: too many values, or too deep, for front matter
  9 |   g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]
    |          ^^"
    );
    let expression = "(".repeat(10_000);
    assert_eq!(
        faults(&[("x.md", &format!("---\n---\n{{{{ {expression} }}}}\n"))]),
        "agents/x.md:3:78: the instructions are no valid template: template exceeds maximum recursion limits"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_is_an_agent_or_a_fault(front in "[a-z:\\- \n\\[\\]{}'\"&*!|>#,0-9é]{0,80}", body in ".{0,40}") {
        let (_folder, loaded) = load(&[("x.md", &format!("---\n{front}\n---\n{body}\n"))]);
        match loaded {
            Ok(catalog) => prop_assert_eq!(catalog.agents().count(), 1),
            Err(said) => prop_assert!(said.starts_with("agents/x.md:"), "{}", said),
        }
    }
}
