//! JSON-RPC 2.0 as MCP has it: what a message is, and how it is answered.

use serde_json::{Value, json};

use crate::domain::Object;

/// It is not JSON.
pub(super) const PARSE_ERROR: i32 = -32_700;
/// It is no message.
pub(super) const INVALID_REQUEST: i32 = -32_600;
/// Nobody knows what is asked.
pub(super) const METHOD_NOT_FOUND: i32 = -32_601;
/// It is known, but not with these parameters.
pub(super) const INVALID_PARAMS: i32 = -32_602;

/// Why a message is not acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// Wants an answer.
    Request(Request),
    /// A notification, or the answer to a request that was never made: neither is answered.
    Told,
}

/// Something asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    /// A text or a whole number.
    pub(super) id: Value,
    pub(super) method: String,
    pub(super) params: Object,
}

impl Message {
    /// Reads one.
    ///
    /// # Errors
    /// The answer to what is none.
    pub(super) fn read(sent: Value) -> Result<Self, Value> {
        let Value::Object(mut fields) = sent else {
            return Err(refused(&Value::Null, &Refusal::new(INVALID_REQUEST, "A message must be an object")));
        };
        let id = fields.remove("id");
        let known = id.as_ref().filter(|id| is_id(id)).cloned().unwrap_or_default();
        let invalid = |message: &str| Err(refused(&known, &Refusal::new(INVALID_REQUEST, message)));
        if fields.get("jsonrpc") != Some(&json!("2.0")) {
            return invalid("jsonrpc: must be \"2.0\"");
        }
        let method = match fields.remove("method") {
            Some(Value::String(method)) => method,
            Some(_) => return invalid("method: must be a string"),
            None if fields.contains_key("result") || fields.contains_key("error") => return Ok(Self::Told),
            None => return invalid("method: required"),
        };
        let Some(id) = id else { return Ok(Self::Told) };
        if !is_id(&id) {
            return invalid("id: must be a string or an integer");
        }
        match fields.remove("params") {
            None | Some(Value::Null) => Ok(Self::Request(Request { id, method, params: Object::new() })),
            Some(Value::Object(params)) => Ok(Self::Request(Request { id, method, params })),
            Some(_) => Err(refused(&id, &Refusal::new(INVALID_PARAMS, "params: must be an object"))),
        }
    }
}

/// The id to answer with, if one was sent.
pub(super) fn id_of(sent: &Value) -> Value {
    sent.get("id").filter(|id| is_id(id)).cloned().unwrap_or_default()
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64() || id.is_u64()
}

/// An answer.
pub(super) fn answered(id: &Value, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// No answer, and why.
pub(super) fn refused(id: &Value, Refusal { code, message }: &Refusal) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(sent: Value) -> (Value, Value) {
        let told = Message::read(sent).err().unwrap_or_default();
        (told["id"].clone(), told["error"]["code"].clone())
    }

    #[test]
    fn what_has_an_id_wants_an_answer_and_what_has_none_does_not() {
        let request = Request { id: json!("a"), method: "ping".into(), params: Object::new() };
        let sent = json!({"jsonrpc": "2.0", "id": "a", "method": "ping"});
        assert_eq!(Message::read(sent), Ok(Message::Request(request)));
        for told in [
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
            json!({"jsonrpc": "2.0", "id": 1, "result": {}}),
            json!({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}}),
        ] {
            assert_eq!(Message::read(told), Ok(Message::Told));
        }
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_id_where_it_has_one() {
        assert_eq!(error(json!(7)), (Value::Null, json!(-32_600)));
        assert_eq!(error(json!({"id": 7, "method": "ping"})), (json!(7), json!(-32_600)));
        assert_eq!(error(json!({"jsonrpc": "2.0", "id": 7})), (json!(7), json!(-32_600)));
        assert_eq!(error(json!({"jsonrpc": "2.0", "id": 7, "method": 1})), (json!(7), json!(-32_600)));
        for id in [Value::Null, json!(1.5), json!([1]), json!({})] {
            let sent = json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
            assert_eq!(error(sent), (Value::Null, json!(-32_600)));
        }
        let sent = json!({"jsonrpc": "2.0", "id": "x", "method": "ping", "params": [1]});
        assert_eq!(error(sent), (json!("x"), json!(-32_602)));
    }
}
