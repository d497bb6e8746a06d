//! Frames as `text/event-stream`: pulled, never pushed, so that a slow reader costs its cursor and no more.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use futures::Stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

use super::ApiState;
use super::problem::Problem;

/// Frames that are ready together are sent as one chunk of about this many bytes, and a larger one in parts: of what
/// a client has not taken, a connection holds two of them.
const CHUNK_BYTES: usize = 16 * 1024;

/// A comment; every client passes it over.
const HEARTBEAT: Bytes = Bytes::from_static(b": heartbeat\n\n");

/// When to come back to a server that has no place for a stream.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A place among the streams there may be, held while one is open.
pub struct Seat(#[expect(dead_code, reason = "it is given back when it is dropped")] OwnedSemaphorePermit);

/// Takes a place for a stream; before anything is begun for it.
///
/// # Errors
/// 503 where all are taken.
pub fn seat(state: &ApiState) -> Result<Seat, Problem> {
    state.streams.clone().try_acquire_owned().map(Seat).map_err(|_| Problem {
        retry_after: Some(RETRY_AFTER),
        ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many streams are open")
    })
}

/// Answers 200 with `frames`, which end the response when they end. After `silence` without a frame a comment
/// is sent, so that proxies keep the connection and a client that left is noticed.
pub fn response(
    frames: impl Stream<Item = Bytes> + 'static,
    silence: Option<Duration>,
    seat: Option<Seat>,
) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(Chunks::new(Box::pin(frames), silence, seat))
}

/// Merges frames and cuts large ones, and fills silence.
struct Chunks<S> {
    frames: Pin<Box<S>>,
    /// Of a frame that is larger than a chunk.
    rest: Bytes,
    _seat: Option<Seat>,
    silence: Option<(Duration, Pin<Box<Sleep>>)>,
    over: bool,
}

impl<S: Stream<Item = Bytes>> Chunks<S> {
    fn new(frames: Pin<Box<S>>, silence: Option<Duration>, seat: Option<Seat>) -> Self {
        let silence = silence.map(|period| (period, Box::pin(sleep(period))));
        Self { frames, rest: Bytes::new(), _seat: seat, silence, over: false }
    }

    /// What is next, at most [`CHUNK_BYTES`] of it.
    fn next_chunk(&mut self, context: &mut Context<'_>) -> Option<Bytes> {
        if self.rest.is_empty() {
            self.rest = self.gather(context)?;
        }
        Some(self.rest.split_to(self.rest.len().min(CHUNK_BYTES)))
    }

    /// All frames that are ready, until they are [`CHUNK_BYTES`]; a single one is passed on without a copy.
    fn gather(&mut self, context: &mut Context<'_>) -> Option<Bytes> {
        let mut first: Option<Bytes> = None;
        let mut merged = BytesMut::new();
        while !self.over {
            match self.frames.as_mut().poll_next(context) {
                Poll::Ready(Some(frame)) => match first.take() {
                    None if merged.is_empty() => first = Some(frame),
                    before => {
                        merged.extend_from_slice(&before.unwrap_or_default());
                        merged.extend_from_slice(&frame);
                    }
                },
                Poll::Ready(None) => self.over = true,
                Poll::Pending => break,
            }
            if first.as_ref().map_or(merged.len(), Bytes::len) >= CHUNK_BYTES {
                break;
            }
        }
        first.or_else(|| (!merged.is_empty()).then(|| merged.freeze()))
    }
}

impl<S: Stream<Item = Bytes>> Stream for Chunks<S> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let chunk = this.next_chunk(context);
        if chunk.is_none() && this.over {
            return Poll::Ready(None);
        }
        if let Some((period, timer)) = &mut this.silence {
            if chunk.is_some() {
                timer.as_mut().reset(Instant::now() + *period);
            } else if timer.as_mut().poll(context).is_ready() {
                timer.as_mut().reset(Instant::now() + *period);
                return Poll::Ready(Some(Ok(HEARTBEAT)));
            }
        }
        chunk.map_or(Poll::Pending, |chunk| Poll::Ready(Some(Ok(chunk))))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use futures::stream;

    use super::*;

    async fn chunks(frames: Vec<Bytes>) -> Vec<Bytes> {
        let chunks = Chunks::new(Box::pin(stream::iter(frames)), None, None);
        chunks.map(|chunk| chunk.unwrap_or_default()).collect().await
    }

    #[tokio::test]
    async fn frames_that_are_ready_together_travel_together() {
        let frames = ["a\n\n", "b\n\n", "c\n\n"].map(Bytes::from).to_vec();
        assert_eq!(chunks(frames).await, ["a\n\nb\n\nc\n\n"]);
    }

    #[tokio::test]
    async fn a_chunk_stops_growing_at_its_size() {
        let large = Bytes::from(vec![b'x'; CHUNK_BYTES]);
        assert_eq!(chunks(vec![large.clone(), large.clone()]).await, [large.clone(), large]);
    }

    #[tokio::test]
    async fn a_large_frame_is_sent_in_parts() {
        let large = Bytes::from(vec![b'x'; CHUNK_BYTES * 2 + 1]);
        let sizes: Vec<_> = chunks(vec![large, "a\n\n".into()]).await.iter().map(Bytes::len).collect();
        assert_eq!(sizes, [CHUNK_BYTES, CHUNK_BYTES, 1, 3]);
    }

    #[tokio::test]
    async fn silence_is_filled_with_a_comment() {
        let mut chunks = Chunks::new(Box::pin(stream::pending()), Some(Duration::from_millis(1)), None);
        assert_eq!(chunks.next().await, Some(Ok(HEARTBEAT)));
    }
}
