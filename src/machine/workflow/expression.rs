//! What a workflow's file computes: conditions, routes and the ends of loops.

use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, UndefinedBehavior, Value, context};
use serde_json::json;

use super::outline::name_of;
use super::walk::Before;
use crate::domain::Object;
use crate::domain::fact::Failure;
use crate::domain::state;
use crate::domain::step::StepDecision;
use crate::domain::view::RunView;

/// Steps an expression may take; more is a loop gone wrong.
const FUEL: u64 = 100_000;

/// What an expression may name.
pub(super) struct Known<'a> {
    pub(super) view: &'a RunView,
    pub(super) before: Before<'a>,
    pub(super) iteration: Option<u32>,
}

impl Known<'_> {
    /// Whether it holds.
    pub(super) fn holds(&self, text: &str) -> Result<bool, Failure> {
        self.evaluate(text).map(|value| value.is_true())
    }

    /// The routes it names, each once.
    pub(super) fn routes(&self, text: &str, known: &[&str]) -> Result<Vec<String>, Failure> {
        let value = self.evaluate(text)?;
        let named: Vec<Value> = if value.kind() == ValueKind::Seq {
            value.try_iter().map(Iterator::collect).unwrap_or_default()
        } else {
            vec![value]
        };
        let mut routes: Vec<String> = Vec::with_capacity(named.len());
        for name in named {
            let route = name.as_str().filter(|name| known.contains(name)).ok_or_else(|| {
                let there_are = known.join("`, `");
                Failure::new(
                    "unknown_route",
                    format!("`{text}` gives `{name}`; its routes are `{there_are}`"),
                )
            })?;
            if routes.iter().all(|other| other != route) {
                routes.push(route.into());
            }
        }
        Ok(routes)
    }

    fn evaluate(&self, text: &str) -> Result<Value, Failure> {
        let failure =
            |why: &str| Failure::new("invalid_expression", format!("the expression `{text}`: {why}"));
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        let value = environment.compile_expression(text).and_then(|compiled| compiled.eval(self.values()));
        match value {
            Ok(value) if value.is_undefined() => Err(failure("undefined value")),
            Ok(value) => Ok(value),
            Err(error) => Err(failure(&match error.detail() {
                Some(detail) => format!("{}: {detail}", error.kind()),
                None => error.kind().to_string(),
            })),
        }
    }

    fn values(&self) -> Value {
        let Before { name, content, success, .. } = self.before;
        let values = context! {
            input => Serde(structured(&self.view.input.text)),
            previous => Serde(json!({"name": name, "content": content, "success": success})),
            steps => Serde(self.steps()),
            session_state => Serde(&self.view.state),
            user_input => Serde(self.user_input()),
        };
        match self.iteration {
            Some(iteration) => context! { iteration, ..values },
            None => values,
        }
    }

    /// What came of the steps so far, under their names; of two with one name, the one that began later.
    fn steps(&self) -> Object {
        let mut steps = Object::new();
        for step in self.view.steps.iter().rev() {
            let (Some(output), name) = (&step.output, name_of(&step.key)) else { continue };
            if !steps.contains_key(name) {
                let success = output.error.is_none();
                let told = json!({"content": output.content, "success": success, "skipped": output.skipped});
                steps.insert(name.to_owned(), told);
            }
        }
        steps
    }

    /// All that people gave, the later laid over the earlier.
    fn user_input(&self) -> Object {
        let mut given = Object::new();
        for decision in self.view.steps.iter().flat_map(|step| &step.decisions) {
            if let StepDecision::Approved { values, .. } = decision {
                state::merge(&mut given, values);
            }
        }
        given
    }
}

/// An object or a list where the message is one, else its text.
fn structured(text: &str) -> serde_json::Value {
    match serde_json::from_str(text) {
        Ok(value @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) => value,
        Ok(_) | Err(_) => json!(text),
    }
}
