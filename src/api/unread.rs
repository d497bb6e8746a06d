//! Ends connections whose client does not end its body.
//!
//! A chunked body that nobody reads any more is read on and thrown away by the framework, for as long as the client
//! likes. A body that is still held when the answer is out makes it close the connection instead, after a short
//! while for the client to read the answer. So a chunked body is held here until its answer is written.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header::TRANSFER_ENCODING;
use bytes::Bytes;
use futures::Stream;

/// A chunked body, held.
#[derive(Clone)]
pub(super) struct Held(Rc<RefCell<Payload>>);

/// Holds the request's body, if it is a chunked one; handlers read it as any other.
pub(super) fn hold(request: &mut ServiceRequest) -> Option<Held> {
    request.headers().get(TRANSFER_ENCODING)?;
    let held = Held(Rc::new(RefCell::new(request.take_payload())));
    request.set_payload(Payload::Stream { payload: Box::pin(held.clone()) });
    Some(held)
}

impl Stream for Held {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// The same answer, with something held until it is written.
pub(super) fn until_written(held: impl Unpin + 'static, body: BoxBody) -> BoxBody {
    BoxBody::new(Answer { body, _held: held })
}

struct Answer<H> {
    body: BoxBody,
    _held: H,
}

impl<H: Unpin> MessageBody for Answer<H> {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}
