//! HTTP as far as careen speaks it.

use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::sync::Arc;

/// Answers that are longer come in chunks, as those of Go's server do: of a list that was encoded at once, in one chunk.
const IN_ONE_PIECE: usize = 2048;

/// What is asked.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    /// The parts of the path behind the API's version.
    pub path: Vec<String>,
    pub query: BTreeMap<String, String>,
    pub body: Value,
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Arc<Vec<u8>>,
}

impl Answer {
    pub fn of(status: u16, body: &Value) -> Self {
        Self { status, body: Arc::new(body.to_string().into_bytes()) }
    }

    pub fn message(status: u16, text: &str) -> Self {
        Self::of(status, &serde_json::json!({ "message": text }))
    }
}

/// The next request; `None` when the other side has closed.
pub fn read(from: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut path: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
    if path.first().is_some_and(|part| part.starts_with("v1.")) {
        path.remove(0);
    }
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(name, value)| (name.to_owned(), decoded(value))).collect();
    let length = length(from)?;
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Some(Request { method, path, query, body }))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Reads the headers, and says how long the body is.
fn length(from: &mut impl BufRead) -> io::Result<usize> {
    let mut length = 0;
    loop {
        let mut header = String::new();
        if from.read_line(&mut header)? == 0 || header.trim().is_empty() {
            return Ok(length);
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
}

/// Writes an answer, and says how many bytes it had.
pub fn write(to: &mut impl Write, answer: &Answer, is_head: bool) -> io::Result<u64> {
    let Answer { status, body } = answer;
    let start = format!("HTTP/1.1 {status} X\r\nApi-Version: 1.45\r\nContent-Type: application/json\r\n");
    let (chunk, end) = if body.len() > IN_ONE_PIECE {
        (format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len()), "\r\n0\r\n\r\n")
    } else {
        (format!("Content-Length: {}\r\n\r\n", body.len()), "")
    };
    to.write_all(format!("{start}{chunk}").as_bytes())?;
    if !is_head {
        to.write_all(body)?;
        to.write_all(end.as_bytes())?;
    }
    Ok((start.len() + chunk.len() + body.len() + end.len()) as u64)
}

/// Begins an answer that goes on.
pub fn begin_stream(to: &mut impl Write) -> io::Result<()> {
    to.write_all(b"HTTP/1.1 200 X\r\nApi-Version: 1.45\r\nTransfer-Encoding: chunked\r\n\r\n")
}

/// A part of an answer that goes on.
pub fn write_chunk(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
    to.write_all(bytes)?;
    to.write_all(b"\r\n")
}
