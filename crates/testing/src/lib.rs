//! What tests of several crates share.

#![expect(clippy::unwrap_used, reason = "a test that cannot set the scene has failed")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Command;

/// Arguments are pairs of a path and a content.
const WRITE: &str = r#"
while [ $# -gt 0 ]; do
	printf %s "$2" > "$1" && chmod 755 "$1" || exit
	shift 2
done
"#;

/// Writes a program that the test will execute.
///
/// # Panics
///
/// When it cannot be written.
pub fn program(path: &Path, content: impl AsRef<OsStr>) {
    programs([(path, content)]);
}

/// Writes programs that the test will execute, all by one other process. If this one wrote them, a child that another of its
/// threads starts at that moment would inherit the open file, and until that child has executed its own program nobody could
/// execute this one: "Text file busy".
///
/// # Panics
///
/// When one cannot be written.
pub fn programs<P: AsRef<Path>, C: AsRef<OsStr>>(all: impl IntoIterator<Item = (P, C)>) {
    let mut writer = Command::new("sh");
    writer.args(["-c", WRITE, "sh"]);
    for (path, content) in all {
        writer.arg(path.as_ref()).arg(content);
    }
    let status = writer.status();
    assert!(matches!(&status, Ok(status) if status.success()), "programs cannot be written: {status:?}");
}

/// Reads a request: its first line, and its body. All of it: what is left unread when the stream is closed resets the connection.
///
/// # Panics
///
/// When it is none.
pub fn request(stream: &mut impl Read) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(told) = line.to_lowercase().strip_prefix("content-length:") {
            length = told.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (first.trim().to_owned(), body)
}

/// Answers a request as an engine of API 1.41, and hangs up. In one piece: who has read the head may have hung up before the body comes;
/// that, too, is no concern of the engine's.
pub fn answer(mut stream: impl Write, status: &str, body: &[u8]) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    let _hung_up = stream.write_all(&[head.as_bytes(), body].concat());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a program that the test itself writes this fails within some dozens.
    #[test]
    fn a_program_can_be_executed_at_once_while_others_start_children() {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let directory = directory.path();
                scope.spawn(move || {
                    for number in 0..50 {
                        let path = directory.join(format!("{thread}-{number}"));
                        program(&path, "#!/bin/sh\nexit 7\n");
                        assert_eq!(Command::new(&path).status().unwrap().code(), Some(7));
                    }
                });
            }
        });
    }
}
