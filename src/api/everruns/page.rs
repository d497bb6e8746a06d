//! Lists: `{"data": […]}`, and where they come in pages `total`, `offset` and `limit` beside it.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Serialize;

use super::error::Error;
use crate::api::problem::Problem;

/// How many items a page has where nothing is said.
const DEFAULT_LIMIT: usize = 20;

/// How many it has at most.
const MAX_LIMIT: usize = 100;

/// The parameters of a request's query; names may repeat.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

/// Part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many are passed over.
    pub offset: usize,
    /// How many are given at most.
    pub limit: usize,
}

impl FromRequest for Query {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(serde_urlencoded::from_str(request.query_string()).unwrap_or_default())))
    }
}

impl Query {
    /// The last of this name; empty is as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, text)| text.as_str()).filter(|text| !text.is_empty())
    }

    /// All of this name that are not empty, in order.
    pub fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(known, text)| known == name && !text.is_empty())
            .map(|(_, text)| text.as_str())
    }

    /// A truth value; absent is false.
    ///
    /// # Errors
    /// 400 for any other word.
    pub fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.text(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(Error::bad_request(format!("{name} must be true or false"))),
        }
    }

    /// One of a few words.
    ///
    /// # Errors
    /// 400 for any other, naming them all.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => Err(Error::bad_request(format!("{name} must be one of: {}", words(choices)))),
        }
    }

    /// By what a list is sorted, and whether the largest comes first: `sort=title` or `sort=-title`.
    ///
    /// # Errors
    /// 400 for any other word, naming them all.
    pub fn sort<T: Copy>(&self, choices: &[(&str, T)]) -> Result<Option<(T, bool)>, Error> {
        let Some(text) = self.text("sort") else { return Ok(None) };
        let field = text.strip_prefix('-').unwrap_or(text);
        match choices.iter().find(|(word, _)| *word == field) {
            Some((_, choice)) => Ok(Some((*choice, field.len() < text.len()))),
            None => {
                let known = words(choices);
                Err(Error::bad_request(format!(
                    "sort must be one of: {known}; with - before it, largest first"
                )))
            }
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// 400 for what is none.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Error> {
        let wrong = || Error::bad_request(format!("{name} must be an integer"));
        self.text(name).map(|text| text.parse().map_err(|_| wrong())).transpose()
    }

    /// Which part of a list is asked for: `offset` and `limit`, drawn into their bounds.
    ///
    /// # Errors
    /// 400 for what is no number.
    pub fn page(&self) -> Result<Page, Error> {
        let number =
            |name| Ok::<_, Error>(self.number(name)?.map(|number| usize::try_from(number).unwrap_or(0)));
        Ok(Page {
            offset: number("offset")?.unwrap_or(0),
            limit: number("limit")?.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT),
        })
    }
}

fn words<T>(choices: &[(&str, T)]) -> String {
    choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}

/// 200 with a whole list.
pub fn list<T: Serialize>(data: Vec<T>) -> HttpResponse {
    /// The envelope.
    #[derive(Serialize)]
    struct List<T> {
        data: Vec<T>,
    }
    HttpResponse::Ok().json(List { data })
}

/// 200 with part of a list.
pub fn page<T: Serialize>(data: Vec<T>, total: u64, page: Page) -> HttpResponse {
    /// The envelope.
    #[derive(Serialize)]
    struct Part<T> {
        data: Vec<T>,
        total: u64,
        offset: usize,
        limit: usize,
    }
    HttpResponse::Ok().json(Part { data, total, offset: page.offset, limit: page.limit })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query(serde_urlencoded::from_str(text).unwrap())
    }

    #[test]
    fn a_page_is_drawn_into_its_bounds() {
        assert_eq!(query("").page().unwrap(), Page { offset: 0, limit: 20 });
        assert_eq!(query("offset=7&limit=5").page().unwrap(), Page { offset: 7, limit: 5 });
        assert_eq!(query("offset=-7&limit=0").page().unwrap(), Page { offset: 0, limit: 1 });
        assert_eq!(query("limit=1000").page().unwrap(), Page { offset: 0, limit: 100 });
        assert!(query("limit=x").page().is_err());
    }
}
