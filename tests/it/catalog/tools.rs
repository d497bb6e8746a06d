//! Capabilities and declared tools: what is said about wrong ones.

use super::faults_of;

/// What is said about a tool with these keys.
fn of(keys: &str) -> String {
    faults_of(&format!("tools:\n  - {{name: t, description: d, {keys}}}\n"))
}

#[test]
fn each_kind_of_tool_has_keys_that_must_fit() {
    assert_eq!(
        of("kind: magic"),
        "agents/x.md:3:37: unknown value `magic`; expected one of `process`, `http`, `external`
  3 |   - {name: t, description: d, kind: magic}
    |                                     ^^^^^"
    );
    assert_eq!(
        of("kind: process"),
        "agents/x.md:3:12: a tool of `kind: process` needs a `command`
  3 |   - {name: t, description: d, kind: process}
    |            ^"
    );
    assert_eq!(
        of("kind: process, command: []"),
        "agents/x.md:3:55: `command` must name a program
  3 |   - {name: t, description: d, kind: process, command: []}
    |                                                       ^"
    );
    assert_eq!(
        of("kind: http"),
        "agents/x.md:3:12: a tool of `kind: http` needs a `url`
  3 |   - {name: t, description: d, kind: http}
    |            ^"
    );
    assert_eq!(
        of("kind: http, url: 'ftp://x', method: get"),
        "agents/x.md:3:48: `url` must begin with `https://` or `http://`
  3 |   - {name: t, description: d, kind: http, url: 'ftp://x', method: get}
    |                                                ^^^^^^^^^
agents/x.md:3:67: unknown method `get`; expected one of `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`
  3 |   - {name: t, description: d, kind: http, url: 'ftp://x', method: get}
    |                                                                   ^^^"
    );
    assert_eq!(
        of("kind: http, url: 'http://x', headers: {'a b': c}"),
        "agents/x.md:3:69: `a b` is no name of a header
  3 |   - {name: t, description: d, kind: http, url: 'http://x', headers: {'a b': c}}
    |                                                                     ^"
    );
}

#[test]
fn keys_of_all_tools_must_fit() {
    assert_eq!(
        of("kind: external, command: [x]"),
        "agents/x.md:3:56: `command` belongs to tools of `kind: process`
  3 |   - {name: t, description: d, kind: external, command: [x]}
    |                                                        ^"
    );
    assert_eq!(
        of("kind: external, timeout: soon"),
        "agents/x.md:3:56: `soon` is no duration; write it as in `500ms`, `30s` or `2m`
  3 |   - {name: t, description: d, kind: external, timeout: soon}
    |                                                        ^^^^"
    );
    assert_eq!(
        of("kind: external, timeout: 0s"),
        "agents/x.md:3:56: `0s` is no duration; write it as in `500ms`, `30s` or `2m`
  3 |   - {name: t, description: d, kind: external, timeout: 0s}
    |                                                        ^^"
    );
    assert_eq!(
        of("kind: external, parameters: {type: array}"),
        "agents/x.md:3:59: `parameters` must be a JSON Schema of `type: object`
  3 |   - {name: t, description: d, kind: external, parameters: {type: array}}
    |                                                           ^"
    );
    assert_eq!(
        of("kind: external, parameters: {type: object, properties: {a: {type: txt}}}"),
        "agents/x.md:3:59: `parameters` is no JSON Schema: /properties/a/type: \"txt\" is not valid \
             under any of the schemas listed in the 'anyOf' keyword
  3 |   - {name: t, description: d, kind: external, parameters: {type: object, properties: {a: {type: txt}}}}
    |                                                           ^"
    );
    assert_eq!(
        of("kind: external, requires_user_input: [to]"),
        "agents/x.md:3:69: `to` is not among the properties of `parameters`
  3 |   - {name: t, description: d, kind: external, requires_user_input: [to]}
    |                                                                     ^^"
    );
}

#[test]
fn tools_have_names_of_their_own() {
    let tool = |name: &str| format!("  - {{name: {name}, description: d, kind: external}}\n");
    assert_eq!(
        faults_of(&format!("tools:\n{}{}", tool("send mail"), tool("é"))),
        "agents/x.md:3:12: a tool's name is 1 to 64 letters, digits, `_` and `-`
  3 |   - {name: send mail, description: d, kind: external}
    |            ^^^^^^^^^
agents/x.md:4:12: a tool's name is 1 to 64 letters, digits, `_` and `-`
  4 |   - {name: é, description: d, kind: external}
    |            ^"
    );
    assert_eq!(
        faults_of(&format!("tools:\n{}{}", tool("a"), tool("a"))),
        "agents/x.md:4:12: the tool `a` is there twice
  4 |   - {name: a, description: d, kind: external}
    |            ^"
    );
}

#[test]
fn capabilities_are_checked_by_the_registry_each_on_its_line() {
    assert_eq!(
        faults_of("capabilities:\n  - current_time\n  - teleport\n  - {ref: test_math, config: {a: 1}}\n"),
        "agents/x.md:4:5: no capability `teleport`
  4 |   - teleport
    |     ^^^^^^^^
agents/x.md:5:5: `test_math` has no settings
  5 |   - {ref: test_math, config: {a: 1}}
    |     ^"
    );
    assert_eq!(
        faults_of("capabilities: [current_time, current_time]\n"),
        "agents/x.md:2:30: the capability `current_time` is there twice
  2 | capabilities: [current_time, current_time]
    |                              ^^^^^^^^^^^^"
    );
    assert_eq!(
        faults_of("capabilities: [{id: web_fetch}]\n"),
        "agents/x.md:2:17: unknown key `id`; expected one of `ref`, `config`
  2 | capabilities: [{id: web_fetch}]
    |                 ^^"
    );
    assert_eq!(
        faults_of("capabilities: [3]\n"),
        "agents/x.md:2:16: invalid type: integer `3`; expected a capability's id, or {ref, config}
  2 | capabilities: [3]
    |                ^"
    );
    assert_eq!(
        faults_of("name: x\ntools:\n  - {name: web_fetch, description: d, kind: external}\n"),
        "agents/x.md:3:1: two tools are called `web_fetch`
  3 | tools:
    | ^^^^^"
    );
}

#[test]
fn lines_that_may_hold_a_secret_are_not_repeated() {
    assert_eq!(
        faults_of(
            "tools:\n  - name: t\n    description: d\n    kind: http\n    headers: {Authorization: [abc]}\n"
        ),
        "agents/x.md:6:30: expected text"
    );
}
