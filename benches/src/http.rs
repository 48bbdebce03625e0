//! One HTTP/1.1 connection of the generator: ready-made request bytes out, one response in.
//!
//! Written by hand because the generator shares the cores with the server it measures: a general
//! client costs as much per request as the server. It knows keep-alive, `Content-Length` and
//! nothing else; it must not know SQS.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of the longest response accepted: ten messages of 1 MiB, escaped.
const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// Bytes of the read buffer to begin with: a receive of ten messages of 1 KiB fits.
const BUFFER_BYTES: usize = 16 << 10;

/// A keep-alive connection with at most one request in flight.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

/// What came back. Valid until the next request.
#[derive(Debug)]
pub struct Response<'a> {
    /// The HTTP status code.
    pub status: u16,
    /// The body, whole.
    pub body: &'a [u8],
}

impl Connection {
    /// Connects, with Nagle's algorithm off.
    pub async fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: BytesMut::new() })
    }

    /// Sends one request and reads its response.
    pub async fn call(&mut self, request: &[u8]) -> io::Result<Response<'_>> {
        self.send(request).await?;
        self.response().await
    }

    /// Sends one request; [`Connection::response`] must follow.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await
    }

    /// Reads the response of the request sent last.
    ///
    /// Fails with `UnexpectedEof` when the server hangs up, `InvalidData` when this is not a
    /// response with a `Content-Length`.
    pub async fn response(&mut self) -> io::Result<Response<'_>> {
        self.buffer.clear();
        let head = loop {
            self.read_more().await?;
            if let Some(head) = Head::parse(&self.buffer)? {
                break head;
            }
        };
        let end = head.bytes + head.content_length;
        if RESPONSE_BYTES_MAX < end {
            return Err(invalid("the response is too long"));
        }
        while self.buffer.len() < end {
            self.read_more().await?;
        }
        Ok(Response { status: head.status, body: &self.buffer[head.bytes..end] })
    }

    async fn read_more(&mut self) -> io::Result<()> {
        // Reserved only now: an idle long poll must not cost the generator a buffer.
        if self.buffer.capacity() == 0 {
            self.stream.readable().await?;
            self.buffer.reserve(BUFFER_BYTES);
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// A response head: its length in bytes, and what of it matters.
struct Head {
    bytes: usize,
    status: u16,
    content_length: usize,
}

impl Head {
    /// `None` while the head is incomplete.
    fn parse(buffer: &[u8]) -> io::Result<Option<Head>> {
        let Some(end) = memmem::find(buffer, b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&buffer[..end]).map_err(|_| invalid("a binary head"))?;
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| invalid("no HTTP/1.1 status line"))?;
        let content_length = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .ok_or_else(|| invalid("no content-length"))?;
        Ok(Some(Head { bytes: end + 4, status, content_length }))
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_complete() {
        let response = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 12\r\ndate: x\r\n\r\nbody";
        for cut in 0..response.len() - 4 {
            assert!(Head::parse(&response[..cut]).unwrap().is_none());
        }
        let head = Head::parse(response).unwrap().unwrap();
        assert_eq!((head.status, head.content_length, head.bytes), (400, 12, response.len() - 4));
    }

    #[test]
    fn a_head_without_a_length_is_refused() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
