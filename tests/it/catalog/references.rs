//! Members and steps: what is said about targets, names and circles.

use super::{AGENT, faults, faults_of};

#[test]
fn names_are_unique() {
    let files =
        [("a.md", "---\nname: Same\n---\nA.\n"), ("b.md", "---\ndescription: b\nname: Same\n---\nB.\n")];
    assert_eq!(
        faults(&files),
        "agents/b.md:3:1: the name `Same` is taken by agents/a.md
  3 | name: Same
    | ^"
    );
}

#[test]
fn members_exist_and_are_agents_or_teams() {
    let files = [
        ("a.md", AGENT),
        ("t.md", "---\nkind: team\nmembers: [a, b, w, a]\n---\nLead.\n"),
        ("w.md", "---\nkind: workflow\nsteps: [{name: s, agent: a}]\n---\n"),
    ];
    assert_eq!(
        faults(&files),
        "agents/t.md:3:14: no agent or team `b`; there are: `a` and `t`
  3 | members: [a, b, w, a]
    |              ^
agents/t.md:3:17: `w` is of kind workflow; expected agent or team
  3 | members: [a, b, w, a]
    |                 ^
agents/t.md:3:20: the member `a` is there twice
  3 | members: [a, b, w, a]
    |                    ^"
    );
    assert_eq!(
        faults_of("kind: team\n"),
        "agents/x.md:1:1: the team `x` has no `members`
  1 | ---
    | ^"
    );
    assert_eq!(
        faults_of("kind: team\nmembers: []\n"),
        "agents/x.md:3:10: a team needs at least one member
  3 | members: []
    |          ^"
    );
    assert_eq!(
        faults_of("mode: route\nmembers: [x]\n"),
        "agents/x.md:2:7: only a team has `mode` and `members`; a team's file says `kind: team`
  2 | mode: route
    |       ^^^^^
agents/x.md:3:10: only a team has `mode` and `members`; a team's file says `kind: team`
  3 | members: [x]
    |          ^"
    );
}

#[test]
fn a_faulty_file_is_still_a_target() {
    let files = [("a.md", "---\nfoo: 1\n---\nA.\n"), ("t.md", "---\nkind: team\nmembers: [a]\n---\nLead.\n")];
    assert_eq!(faults(&files).lines().filter(|line| line.starts_with("agents/")).count(), 1);
}

#[test]
fn members_and_steps_lead_to_an_end() {
    let team = |member: &str| format!("---\nkind: team\nmembers: [{member}]\n---\nLead.\n");
    assert_eq!(
        faults(&[("a.md", &team("b")), ("b.md", &team("c")), ("c.md", &team("a"))]),
        "agents/c.md:3:11: leads back to itself: a → b → c → a
  3 | members: [a]
    |           ^"
    );
    assert_eq!(
        faults(&[("w.md", "---\nkind: workflow\nsteps:\n  - {name: s, workflow: w}\n---\n")]),
        "agents/w.md:4:25: leads back to itself: w → w
  4 |   - {name: s, workflow: w}
    |                         ^"
    );
}

#[test]
fn a_step_does_exactly_one_thing_and_its_targets_exist() {
    let of = |steps: &str| faults_of(&format!("kind: workflow\nsteps:\n{steps}"));
    assert_eq!(
        of("  - {name: s}\n"),
        "agents/x.md:4:12: the step `s` must have exactly one of \
             `agent`, `team`, `tool`, `workflow`, `parallel`, `condition`, `loop` and `router`; it \
             has none
  4 |   - {name: s}
    |            ^"
    );
    assert_eq!(
        of("  - {name: s, agent: a, tool: t}\n"),
        "agents/x.md:4:12: the step `s` must have \
             exactly one of `agent`, `team`, `tool`, `workflow`, `parallel`, `condition`, `loop` \
             and `router`; it has `agent` and `tool`
  4 |   - {name: s, agent: a, tool: t}
    |            ^"
    );
    assert_eq!(
        of("  - {name: s, agent: a}\n  - {name: r, tool: t}\n"),
        "agents/x.md:4:22: no agent `a`; there are: none
  4 |   - {name: s, agent: a}
    |                      ^
agents/x.md:5:21: no tool `t` in `tools` of this file; declared: none
  5 |   - {name: r, tool: t}
    |                     ^"
    );
    assert_eq!(
        faults_of("kind: workflow\nsteps: []\n"),
        "agents/x.md:3:8: a workflow needs at least one step
  3 | steps: []
    |        ^"
    );
    assert_eq!(
        of("  - {agent: a}\n"),
        "agents/x.md:4:6: missing key `name`
  4 |   - {agent: a}
    |      ^^^^^"
    );
}

#[test]
fn steps_are_checked_within_steps() {
    let steps = "kind: workflow
steps:
  - name: a
    condition: {if: 'x >', then: [{name: b, agent: n}, {name: b, agent: n}]}
  - name: c
    loop: {steps: [{name: d, agent: n}], until: '1 +', max_iterations: 0}
  - name: e
    router: {choose: 'a b', routes: {}}
";
    assert_eq!(
        faults(&[("n.md", AGENT), ("w.md", &format!("---\n{steps}---\n"))]),
        "agents/w.md:5:21: no valid expression: unexpected end of input, expected expression
  5 |     condition: {if: 'x >', then: [{name: b, agent: n}, {name: b, agent: n}]}
    |                     ^^^^^
agents/w.md:5:63: the step `b` is there twice
  5 |     condition: {if: 'x >', then: [{name: b, agent: n}, {name: b, agent: n}]}
    |                                                               ^
agents/w.md:7:49: no valid expression: unexpected end of input, expected expression
  7 |     loop: {steps: [{name: d, agent: n}], until: '1 +', max_iterations: 0}
    |                                                 ^^^^^
agents/w.md:7:72: `max_iterations` must be at least 1
  7 |     loop: {steps: [{name: d, agent: n}], until: '1 +', max_iterations: 0}
    |                                                                        ^
agents/w.md:9:22: no valid expression: unexpected input after expression
  9 |     router: {choose: 'a b', routes: {}}
    |                      ^^^^^
agents/w.md:9:37: a router needs at least one route
  9 |     router: {choose: 'a b', routes: {}}
    |                                     ^"
    );
}

#[test]
fn keys_of_steps_must_fit_together() {
    let of = |steps: &str| {
        let text =
            faults(&[("n.md", AGENT), ("w.md", &format!("---\nkind: workflow\nsteps:\n{steps}---\n"))]);
        text.lines().filter(|line| line.starts_with("agents/")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        of("  - {name: a/b, agent: n}\n  - {name: 'c[2]', agent: n}\n"),
        "agents/w.md:4:12: a step's name must not hold `/`, `[` or `]`
agents/w.md:5:12: a step's name must not hold `/`, `[` or `]`"
    );
    assert_eq!(
        of("  - {name: a, retry: 1, timeout: 3s, parallel: [{name: b, agent: n, retry: 1, timeout: 3s}]}\n"),
        "agents/w.md:4:22: `retry` belongs to steps of `agent`, `team`, `tool` or `workflow`
agents/w.md:4:34: `timeout` belongs to steps of `agent`, `team`, `tool` or `workflow`"
    );
    assert_eq!(
        of("  - {name: a, agent: n, on_timeout: cancel}
  - {name: b, agent: n, requires_user_input: [x], answer_within: 3s, on_timeout: approve}
  - {name: c, router: {routes: {x: []}}, answer_within: 3s, on_timeout: approve}
  - {name: d, router: {choose: input, several: true, routes: {x: []}}}
"),
        "agents/w.md:4:37: `on_timeout` needs `answer_within`
agents/w.md:5:82: `approve` cannot stand for what only somebody can tell
agents/w.md:6:73: `approve` cannot stand for what only somebody can tell
agents/w.md:7:48: `several` is for a person who is asked; an expression gives a list"
    );
}
