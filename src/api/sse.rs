//! Frames as `text/event-stream`: pulled, never pushed, so that a slow reader costs its cursor and no more.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use futures::Stream;
use tokio::time::{Instant, Sleep, sleep};

/// Frames that are ready together are sent as one chunk of about this many bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// A comment; every client passes it over.
const HEARTBEAT: Bytes = Bytes::from_static(b": heartbeat\n\n");

/// Answers 200 with `frames`, which end the response when they end. After `silence` without a frame a comment
/// is sent, so that proxies keep the connection and a client that left is noticed.
pub fn response(frames: impl Stream<Item = Bytes> + 'static, silence: Option<Duration>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(Chunks::new(Box::pin(frames), silence))
}

/// Merges frames, and fills silence.
struct Chunks<S> {
    frames: Pin<Box<S>>,
    silence: Option<(Duration, Pin<Box<Sleep>>)>,
    over: bool,
}

impl<S: Stream<Item = Bytes>> Chunks<S> {
    fn new(frames: Pin<Box<S>>, silence: Option<Duration>) -> Self {
        let silence = silence.map(|period| (period, Box::pin(sleep(period))));
        Self { frames, silence, over: false }
    }

    /// All frames that are ready, up to [`CHUNK_BYTES`]; a single one is passed on without a copy.
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
        let chunk = this.gather(context);
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
        let chunks = Chunks::new(Box::pin(stream::iter(frames)), None);
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
    async fn silence_is_filled_with_a_comment() {
        let mut chunks = Chunks::new(Box::pin(stream::pending()), Some(Duration::from_millis(1)));
        assert_eq!(chunks.next().await, Some(Ok(HEARTBEAT)));
    }
}
