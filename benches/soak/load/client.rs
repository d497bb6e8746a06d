//! One client: what it asks, and what it is told.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use crate::harness::server::TOKEN;
use crate::program::Program;

/// An answer that takes longer does not come at all.
const HANGS: Duration = Duration::from_secs(20);

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Told {
    /// It is done.
    Done(Value),
    /// There is no such thing.
    Missing,
    /// Not now, in JSON: 503 or 507.
    Refused(#[expect(dead_code, reason = "shown in what a test says")] u16),
    /// The program is gone.
    Gone,
}

/// A client of a program.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    patient: bool,
}

impl Client {
    /// One that is `patient` may be refused with 503 or 507; for another that is a fault.
    pub(crate) fn new(program: &Program, patient: bool) -> Self {
        Self { http: reqwest::Client::new(), url: program.url.clone(), patient }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(TOKEN).timeout(HANGS)
    }

    pub(crate) async fn get(&self, path: &str) -> Told {
        self.told(path, self.request(Method::GET, path)).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Told {
        self.told(path, self.request(method, path).json(body)).await
    }

    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Told {
        self.told(path, self.form_request(path, fields)).await
    }

    /// The events of a form's answer; nothing if it was refused or the program is gone.
    pub(crate) async fn stream(&self, path: &str, fields: &[(&str, &str)]) -> Result<Response, Told> {
        let asked = Instant::now();
        match self.form_request(path, fields).send().await {
            Ok(response) if response.status() == 200 => Ok(response),
            Ok(response) => Err(self.judge(path, asked, response).await),
            Err(error) => Err(self.lost(path, &error)),
        }
    }

    fn form_request(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let body = serde_urlencoded::to_string(fields).unwrap();
        let request = self.request(Method::POST, path).body(body);
        request.header("content-type", "application/x-www-form-urlencoded")
    }

    async fn told(&self, path: &str, request: RequestBuilder) -> Told {
        let asked = Instant::now();
        match request.send().await {
            Ok(response) => self.judge(path, asked, response).await,
            Err(error) => self.lost(path, &error),
        }
    }

    async fn judge(&self, path: &str, asked: Instant, response: Response) -> Told {
        let status = response.status().as_u16();
        let Ok(text) = response.text().await else { return Told::Gone };
        let json: Option<Value> = serde_json::from_str(&text).ok();
        match (status, json) {
            (200..=202, Some(body)) => Told::Done(body),
            (404, Some(_)) => Told::Missing,
            (503 | 507, Some(_)) if self.patient => Told::Refused(status),
            _ => panic!("{path} was answered {status} after {:?}: {text}", asked.elapsed()),
        }
    }

    fn lost(&self, path: &str, error: &reqwest::Error) -> Told {
        assert!(!error.is_timeout(), "{path} was not answered within {HANGS:?}");
        Told::Gone
    }
}
