//! JSON bodies: an object, or nothing, which is the object without fields. Their content type is not looked at.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures::future::LocalBoxFuture;

use crate::api::body::{self, Limits};
use crate::api::problem::Problem;
use crate::domain::Object;

/// Largest JSON body of this surface, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// The fields that were sent.
#[derive(Debug)]
pub struct Body(pub Object);

impl FromRequest for Body {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = body::read(request, payload, Limits::of(request).json_bytes.min(MAX_BYTES));
        Box::pin(async move {
            let bytes = bytes.await?;
            if bytes.trim_ascii().is_empty() {
                return Ok(Self(Object::new()));
            }
            body::parse(&bytes, false).map(|object| Self(object.unwrap_or_default()))
        })
    }
}
