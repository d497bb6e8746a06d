//! JSON bodies: nothing at all, `null` and `{}` are the object without fields, whatever the content type says.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use bytes::Bytes;
use futures::future::LocalBoxFuture;

use crate::api::body::{self, Limits};
use crate::api::fields::{Fields, FromFields, Place};
use crate::api::problem::Problem;

/// Largest JSON body where no larger one is configured, in bytes: an agent whose prompt is 1 MiB of escapes.
pub const MAX_JSON_BYTES: usize = 8 * 1024 * 1024;

/// Largest JSON body that holds a file, in bytes: 10 MiB in base64, and room for what is around it.
pub const MAX_FILE_JSON_BYTES: usize = 15 * 1024 * 1024;

/// Largest text that is imported, in bytes.
pub const MAX_IMPORT_BYTES: usize = 3 * 1024 * 1024;

/// A JSON object body, read as this type. What must be there, the type itself asks for.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// The same, of a request that may hold a file.
#[derive(Debug)]
pub struct FileBody<T>(pub T);

type Reading<T> = LocalBoxFuture<'static, Result<T, Problem>>;

fn read<T: FromFields + 'static>(request: &HttpRequest, payload: &mut Payload, most: usize) -> Reading<T> {
    let bytes = body::read(request, payload, Limits::of(request).json_bytes.max(most));
    Box::pin(async move {
        let object = body::parse(&bytes.await?, true)?.unwrap_or_default();
        Fields::of_object(Place::Body, object).read()
    })
}

impl<T: FromFields + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Reading<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let read = read(request, payload, MAX_JSON_BYTES);
        Box::pin(async { read.await.map(Self) })
    }
}

impl<T: FromFields + 'static> FromRequest for FileBody<T> {
    type Error = Problem;
    type Future = Reading<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let read = read(request, payload, MAX_FILE_JSON_BYTES);
        Box::pin(async { read.await.map(Self) })
    }
}

/// A body of any type, as text.
#[derive(Debug)]
pub struct Text(pub String);

impl FromRequest for Text {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = body::read(request, payload, MAX_IMPORT_BYTES);
        Box::pin(async move {
            let text = |bytes: Bytes| String::from_utf8(bytes.into());
            let text = text(bytes.await?).map_err(|_| Problem::bad_request("The body is not valid UTF-8"))?;
            if text.contains('\0') {
                return Err(Problem::bad_request("The body must not hold the NUL character"));
            }
            Ok(Self(text))
        })
    }
}
