//! Sums with known results: to try out tool calls with.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::spec;
use crate::capability::{About, Capability, Contribution, Invocation, Tool};
use crate::domain::tool::{Effect, ToolResult, ToolSpec};

/// `test_math`.
pub(super) struct TestMath(About);

impl TestMath {
    pub(super) fn new() -> Self {
        Self(
            About::new("test_math", "Test Math", "Adds, subtracts, multiplies and divides.")
                .listed("Testing", "calculator"),
        )
    }
}

impl Capability for TestMath {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let tools = [Operation::Add, Operation::Subtract, Operation::Multiply, Operation::Divide];
        let prompt = "You have calculator tools. Use them for arithmetic instead of computing in your head.";
        Ok(Contribution {
            prompt: Some(prompt.into()),
            tools: tools.into_iter().map(|one| Arc::new(Calculator::new(one)) as Arc<dyn Tool>).collect(),
            ..Contribution::default()
        })
    }
}

#[derive(Clone, Copy)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Operation {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Add => ("add", "a plus b."),
            Self::Subtract => ("subtract", "a minus b."),
            Self::Multiply => ("multiply", "a times b."),
            Self::Divide => ("divide", "a divided by b."),
        }
    }

    fn of(self, a: f64, b: f64) -> Result<f64, &'static str> {
        let result = match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide if b == 0.0 => return Err("division by zero"),
            Self::Divide => a / b,
        };
        if result.is_finite() { Ok(result) } else { Err("the result is too large") }
    }
}

struct Calculator {
    operation: Operation,
    spec: ToolSpec,
}

impl Calculator {
    fn new(operation: Operation) -> Self {
        let (name, description) = operation.words();
        let parameters = json!({
            "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
            "required": ["a", "b"],
            "additionalProperties": false
        });
        Self { operation, spec: spec(name, description, Effect::Pure, parameters) }
    }
}

#[async_trait]
impl Tool for Calculator {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let number = |name| call.arguments.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let (a, b) = (number("a"), number("b"));
        match self.operation.of(a, b) {
            Ok(result) => {
                let (operation, _) = self.operation.words();
                let (result, a, b) = (short(result), short(a), short(b));
                ToolResult::done(
                    json!({"result": result, "operation": operation, "a": a, "b": b}).to_string(),
                )
            }
            Err(reason) => ToolResult::failed(reason),
        }
    }
}

/// A whole number without a fraction: 42, not 42.0.
fn short(number: f64) -> Value {
    let whole = number.fract() == 0.0 && number.abs() < 1e15;
    #[expect(clippy::cast_possible_truncation, reason = "a whole number far below the limit")]
    if whole { json!(number as i64) } else { json!(number) }
}
