//! The least of an HTTP/1.1 client: one connection, kept alive, so that making load costs next to nothing.

use std::io;
use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that is opened when it is needed.
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    unread: BytesMut,
}

/// How the end of a body is known.
enum Framing {
    Chunked,
    Length(usize),
}

/// What a response says before its body.
struct Head {
    status: u16,
    framing: Framing,
    closes: bool,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, unread: BytesMut::new() }
    }

    /// Sends a whole request and hands on the body of the answer as it comes; gives the status.
    pub(crate) async fn send(&mut self, request: &[u8], mut on_body: impl FnMut(&[u8])) -> io::Result<u16> {
        let answered = self.exchange(request, &mut on_body).await;
        if answered.is_err() {
            self.stream = None;
        }
        answered
    }

    /// Sends a whole request; gives the status and the body as text.
    pub(crate) async fn fetch(&mut self, request: &[u8]) -> io::Result<(u16, String)> {
        let mut body = Vec::new();
        let status = self.send(request, |bytes| body.extend_from_slice(bytes)).await?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    async fn exchange(&mut self, request: &[u8], on_body: &mut impl FnMut(&[u8])) -> io::Result<u16> {
        let reused = self.stream.is_some();
        if !reused {
            self.connect().await?;
        }
        self.stream()?.write_all(request).await?;
        if let Err(error) = self.fill().await {
            // The server may close a connection at rest at the very moment it is used again.
            if !reused {
                return Err(error);
            }
            self.connect().await?;
            self.stream()?.write_all(request).await?;
        }
        let head = self.head().await?;
        match head.framing {
            Framing::Chunked => self.chunks(on_body).await?,
            Framing::Length(length) => self.body(length, on_body).await?,
        }
        if head.closes {
            self.stream = None;
        }
        Ok(head.status)
    }

    /// Connects anew, which [`Client::send`] otherwise does when it must.
    pub(crate) async fn connect(&mut self) -> io::Result<()> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        self.unread.clear();
        self.stream = Some(stream);
        Ok(())
    }

    fn stream(&mut self) -> io::Result<&mut TcpStream> {
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Waits for at least one more byte.
    async fn fill(&mut self) -> io::Result<()> {
        self.unread.reserve(4096);
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        match stream.read_buf(&mut self.unread).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// One line, without its end.
    async fn line(&mut self) -> io::Result<BytesMut> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.unread.split_to(end);
                self.unread.advance(2);
                return Ok(line);
            }
            self.fill().await?;
        }
    }

    async fn head(&mut self) -> io::Result<Head> {
        let first = self.line().await?;
        let status = text(&first)?.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut head =
            Head { status: status.ok_or_else(malformed)?, framing: Framing::Length(0), closes: false };
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(head);
            }
            let line = text(&line)?.to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("transfer-encoding", "chunked")) => head.framing = Framing::Chunked,
                Some(("content-length", length)) => {
                    head.framing = Framing::Length(length.parse().map_err(|_| malformed())?);
                }
                Some(("connection", "close")) => head.closes = true,
                _ => {}
            }
        }
    }

    async fn chunks(&mut self, on_body: &mut impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            let line = self.line().await?;
            let size = usize::from_str_radix(text(&line)?, 16).map_err(|_| malformed())?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(());
            }
            self.body(size, on_body).await?;
            self.line().await?;
        }
    }

    async fn body(&mut self, length: usize, on_body: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let mut missing = length;
        while missing > 0 {
            if self.unread.is_empty() {
                self.fill().await?;
            }
            let now = self.unread.split_to(missing.min(self.unread.len()));
            missing -= now.len();
            on_body(&now);
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| malformed())
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP")
}

/// A request with a body, as bytes.
pub(crate) fn post(path: &str, token: &str, content_type: &str, body: &str) -> Vec<u8> {
    request("POST", path, token, content_type, body)
}

/// The same with another method.
pub(crate) fn request(method: &str, path: &str, token: &str, content_type: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A request without a body, as bytes.
pub(crate) fn get(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
}
