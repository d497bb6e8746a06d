//! Models do not know what time it is.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::spec;
use crate::capability::{About, Capability, Contribution, Invocation, Tool};
use crate::domain::time::Timestamp;
use crate::domain::tool::{Effect, ToolResult, ToolSpec};

/// `current_time`.
pub(super) struct CurrentTime(About);

impl CurrentTime {
    pub(super) fn new() -> Self {
        Self(
            About::new("current_time", "Current Time", "Tells the date and time, in UTC or any time zone.")
                .listed("Utilities", "clock"),
        )
    }
}

impl Capability for CurrentTime {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        Ok(Contribution { tools: vec![Arc::new(Now::new())], ..Contribution::default() })
    }
}

struct Now(ToolSpec);

impl Now {
    fn new() -> Self {
        let parameters = json!({
            "type": "object",
            "properties": {
                "timezone": {"type": "string", "description": "IANA name, as in Europe/Berlin. Default: UTC"},
                "format": {
                    "type": "string",
                    "enum": ["iso8601", "unix", "human"],
                    "description": "Default: iso8601"
                }
            },
            "additionalProperties": false
        });
        Self(spec("get_current_time", "The current date and time.", Effect::Pure, parameters))
    }
}

#[async_trait]
impl Tool for Now {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let argument = |name| call.arguments.get(name).and_then(Value::as_str);
        let zone = argument("timezone").unwrap_or("UTC");
        let format = argument("format").unwrap_or("iso8601");
        match told(call.host.scene().now, zone, format) {
            Ok(answer) => ToolResult::done(answer.to_string()),
            Err(reason) => ToolResult::failed(reason),
        }
    }
}

fn told(now: Timestamp, zone: &str, format: &str) -> Result<Value, String> {
    let known = TimeZone::get(zone)
        .map_err(|_| format!("there is no time zone `{zone}`; give an IANA name, as in Europe/Berlin"))?;
    if format == "unix" {
        return Ok(json!({"timestamp": now.seconds(), "format": format, "timezone": zone}));
    }
    let moment = i64::try_from(now.seconds()).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    let moment = moment.ok_or("the clock is beyond all calendars")?.to_zoned(known);
    let pattern = if format == "human" { "%A, %B %d, %Y at %H:%M:%S %Z" } else { "%Y-%m-%dT%H:%M:%S%:z" };
    Ok(json!({"datetime": moment.strftime(pattern).to_string(), "format": format, "timezone": zone}))
}
