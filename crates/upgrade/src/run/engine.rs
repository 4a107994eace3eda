//! Whether the engine answers, asked without a client: a host need not have one.

use super::fail::{Fail, Silence};
use super::say;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

const SOCKET: &str = "/run/docker.sock";
const LIMIT: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(500);

/// More than any engine says of itself.
const MOST: u64 = 1 << 20;

/// An engine that does not answer within a minute is an error.
pub fn verify() -> Result<(), Fail> {
    let begin = Instant::now();
    loop {
        match ping(Path::new(SOCKET)) {
            Ok(()) => {
                say!("the engine answers");
                return Ok(());
            }
            Err(why) if begin.elapsed() > LIMIT => return Err(Fail::Engine(why)),
            Err(_) => std::thread::sleep(INTERVAL),
        }
    }
}

fn ping(socket: &Path) -> Result<(), Silence> {
    get(socket, "/_ping").map(drop)
}

/// The storage driver in which the running engine has its images; `None` when it does not tell.
pub fn storage_driver() -> Option<String> {
    let info = get(Path::new(SOCKET), "/info").ok()?;
    let info: serde_json::Value = serde_json::from_str(&info).ok()?;
    info.get("Driver")?.as_str().map(str::to_owned)
}

/// What the engine answers, without its head.
fn get(socket: &Path, path: &str) -> Result<String, Silence> {
    let ask = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        // In its version 1.0 an answer comes in one piece.
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.take(MOST).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = ask().map_err(Silence::Unreachable)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        Ok(body.to_owned())
    } else {
        Err(Silence::Refuses(status.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn an_engine_is_asked_and_its_answer_taken_without_the_head() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            for answer in ["HTTP/1.0 200 OK\r\nA: b\r\n\r\n{\"Driver\":\"x\"}", "HTTP/1.0 500 No\r\n\r\nno"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 64];
                let _ = stream.read(&mut asked).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        assert_eq!(get(&socket, "/info").unwrap(), "{\"Driver\":\"x\"}");
        assert_eq!(get(&socket, "/info").unwrap_err().to_string(), "it says 'HTTP/1.0 500 No'");
        server.join().unwrap();
    }
}
