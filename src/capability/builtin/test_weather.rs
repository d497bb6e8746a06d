//! Weather that depends on nothing but the place: to try out tool calls with.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::spec;
use crate::capability::{About, Capability, Contribution, Invocation, Tool};
use crate::domain::time::Timestamp;
use crate::domain::tool::{Effect, ToolResult, ToolSpec};

/// Days of a forecast where nothing is said.
const DAYS: u64 = 3;

/// `test_weather`.
pub(super) struct TestWeather(About);

impl TestWeather {
    pub(super) fn new() -> Self {
        let description = "Tells an invented weather: always the same for the same place.";
        Self(About::new("test_weather", "Test Weather", description).listed("Testing", "cloud-sun"))
    }
}

impl Capability for TestWeather {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let prompt = "You have weather tools. Ask them about the weather instead of guessing; what they say is \
                      invented, for tests.";
        let tools: Vec<Arc<dyn Tool>> = vec![Arc::new(Today(today())), Arc::new(Forecast(forecast()))];
        Ok(Contribution { prompt: Some(prompt.into()), tools, ..Contribution::default() })
    }
}

fn today() -> ToolSpec {
    let parameters = json!({
        "type": "object",
        "properties": {"location": {"type": "string", "minLength": 1}, "units": units()},
        "required": ["location"],
        "additionalProperties": false
    });
    spec("get_weather", "The weather at a place now.", Effect::Pure, parameters)
}

fn forecast() -> ToolSpec {
    let parameters = json!({
        "type": "object",
        "properties": {
            "location": {"type": "string", "minLength": 1},
            "days": {"type": "integer", "minimum": 1, "maximum": 7, "description": "Default: 3"},
            "units": units()
        },
        "required": ["location"],
        "additionalProperties": false
    });
    spec("get_forecast", "The weather at a place on the next days.", Effect::Pure, parameters)
}

fn units() -> Value {
    json!({"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Default: celsius"})
}

struct Today(ToolSpec);

#[async_trait]
impl Tool for Today {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let (location, units) = asked(&call);
        let sky = Sky::over(location, 0);
        let now = call.host.scene().now;
        ToolResult::done(
            json!({
                "location": location,
                "temperature": in_units(sky.celsius, units),
                "units": units,
                "conditions": sky.conditions,
                "humidity": sky.humidity,
                "wind_speed_kmh": sky.wind,
                "timestamp": now.to_string(),
            })
            .to_string(),
        )
    }
}

struct Forecast(ToolSpec);

#[async_trait]
impl Tool for Forecast {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let (location, units) = asked(&call);
        let days = call.arguments.get("days").and_then(Value::as_u64).unwrap_or(DAYS);
        let now = call.host.scene().now;
        let forecast: Vec<Value> = (1..=days).map(|day| day_at(location, units, now, day)).collect();
        let told = json!({"location": location, "units": units, "days": days, "forecast": forecast});
        ToolResult::done(told.to_string())
    }
}

fn asked<'a>(call: &'a Invocation<'_>) -> (&'a str, &'a str) {
    let argument = |name| call.arguments.get(name).and_then(Value::as_str);
    (argument("location").unwrap_or_default(), argument("units").unwrap_or("celsius"))
}

fn day_at(location: &str, units: &str, now: Timestamp, day: u64) -> Value {
    let sky = Sky::over(location, day);
    let seconds = now.seconds().saturating_add(day.saturating_mul(24 * 60 * 60));
    let date = i64::try_from(seconds).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    json!({
        "date": date.map(|at| at.strftime("%Y-%m-%d").to_string()),
        "high": in_units(sky.celsius + 4, units),
        "low": in_units(sky.celsius - 4, units),
        "conditions": sky.conditions,
        "precipitation_chance": sky.rain,
    })
}

fn in_units(celsius: i64, units: &str) -> i64 {
    if units == "fahrenheit" { celsius * 9 / 5 + 32 } else { celsius }
}

/// An invented sky.
struct Sky {
    celsius: i64,
    humidity: u8,
    wind: u8,
    rain: u8,
    conditions: &'static str,
}

impl Sky {
    fn over(location: &str, day: u64) -> Self {
        const CONDITIONS: [&str; 5] = ["sunny", "partly cloudy", "cloudy", "rainy", "windy"];
        let seed = Sha256::digest(format!("{}\n{day}", location.trim().to_lowercase()));
        let at = |index: usize| seed.get(index).copied().unwrap_or_default();
        Self {
            celsius: i64::from(at(0) % 31),
            humidity: 30 + at(1) % 61,
            wind: at(2) % 41,
            rain: at(3) % 101,
            conditions: CONDITIONS.get(usize::from(at(4)) % CONDITIONS.len()).copied().unwrap_or("sunny"),
        }
    }
}
