//! Whether the engine answers, asked without a client: a host need not have one.

use super::fail::Fail;
use super::say;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

const SOCKET: &str = "/run/docker.sock";
const LIMIT: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(500);

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

fn ping(socket: &Path) -> Result<(), String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = ask().map_err(|error| error.to_string())?;
    let status = answer.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(format!("it says '{status}'")) }
}
