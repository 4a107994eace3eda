//! `careen try` against an engine that is made up: what its container is, what comes out of it, and that it goes.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a test waits for what has to come.
const LIMIT: Duration = Duration::from_secs(60);

/// What an engine was asked, each with its body.
type Asked = Vec<(String, Vec<u8>)>;

/// An engine with careen's image, or without, whose container prints this.
#[derive(Clone)]
struct Engine {
    has_image: bool,
    prints: Vec<(u8, &'static [u8])>,
    /// Whether the container runs until it is sent a signal.
    lingers: bool,
    exit: u8,
    asked: Arc<(Mutex<Asked>, Condvar)>,
}

impl Engine {
    fn new(exit: u8, prints: &[(u8, &'static [u8])]) -> Self {
        Self { has_image: true, prints: prints.to_vec(), lingers: false, exit, asked: Arc::default() }
    }

    /// Listens until the test ends; where.
    fn listen(&self) -> (TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let engine = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let engine = engine.clone();
                std::thread::spawn(move || engine.answer(stream));
            }
        });
        (directory, format!("unix://{}", socket.display()))
    }

    fn answer(&self, mut stream: UnixStream) {
        let (request, body) = read(&stream);
        let (asked, rang) = &*self.asked;
        asked.lock().unwrap().push((request.clone(), body));
        rang.notify_all();
        let (method, path) = request.split_once(' ').unwrap();
        let head = |status: &str| format!("HTTP/1.1 {status}\r\nApi-Version: 1.45\r\nConnection: close\r\n");
        let path = path.split_once("/v1.45").map_or(path, |(_, path)| path);
        let (status, text) = match (method, path) {
            (_, path) if path.contains("/logs") => return self.log(&mut stream, &head("200 OK")),
            (_, path) if path.contains("_ping") => ("200 OK", "OK".to_owned()),
            (_, path) if path.starts_with("/info") => ("200 OK", r#"{"Name":"h1"}"#.to_owned()),
            (_, path) if path.starts_with("/images/") && self.has_image => ("200 OK", "{}".to_owned()),
            ("GET", path) if path.starts_with("/containers/json") => ("200 OK", "[]".to_owned()),
            ("POST", path) if path.starts_with("/containers/create") => {
                ("201 Created", r#"{"Id":"c0ffee"}"#.to_owned())
            }
            ("GET", path) if path.starts_with("/containers/c0ffee/json") => {
                let state = format!(r#"{{"State":{{"Status":"exited","ExitCode":{}}}}}"#, self.exit);
                ("200 OK", state)
            }
            (_, path) if path.starts_with("/containers/c0ffee") => ("200 OK", String::new()),
            (_, _) => ("404 Not Found", r#"{"message":"No such image"}"#.to_owned()),
        };
        let head = head(status);
        let _hung_up =
            stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
    }

    fn log(&self, stream: &mut UnixStream, head: &str) {
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        for (to, bytes) in &self.prints {
            let frame = [&[*to, 0, 0, 0][..], &(bytes.len() as u32).to_be_bytes(), bytes].concat();
            stream.write_all(&frame).unwrap();
        }
        if self.lingers {
            self.wait_for("/kill?");
        }
    }

    /// Waits until it was asked for this; with which words.
    fn wait_for(&self, words: &str) -> String {
        let (asked, rang) = &*self.asked;
        let mut asked = asked.lock().unwrap();
        let until = Instant::now() + LIMIT;
        loop {
            if let Some((request, _)) = asked.iter().find(|(request, _)| request.contains(words)) {
                return request.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nobody asked for {words}: {:?}", requests(&asked));
            asked = rang.wait_timeout(asked, left).unwrap().0;
        }
    }

    fn body_of(&self, words: &str) -> Vec<u8> {
        let asked = self.asked.0.lock().unwrap();
        let found = asked.iter().find(|(request, _)| request.contains(words));
        found.unwrap_or_else(|| panic!("nobody asked for {words}: {:?}", requests(&asked))).1.clone()
    }

    fn requests(&self) -> Vec<String> {
        requests(&self.asked.0.lock().unwrap())
    }
}

fn requests(asked: &Asked) -> Vec<String> {
    asked.iter().map(|(request, _)| request.clone()).collect()
}

/// A request's first line, and its body.
fn read(stream: &UnixStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    reader.read_line(&mut request).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(said) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = said.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (request.trim_end().to_owned(), body)
}

/// A payload with a check and an install, and a library that both read.
fn payload() -> TempDir {
    let payload = tempfile::tempdir().unwrap();
    fs::create_dir(payload.path().join("lib")).unwrap();
    for (name, mode, text) in [
        ("check", 0o755, "#!/bin/sh\n. lib/common\n"),
        ("install", 0o700, "#!/bin/sh\n"),
        ("lib/common", 0o644, "limit=5\n"),
        ("careen.yaml", 0o755, "idempotent: true\n"),
    ] {
        let path = payload.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    payload
}

fn careen(host: &str, payload: &Path, words: &[&str]) -> Command {
    let mut careen = Command::new(env!("CARGO_BIN_EXE_careen"));
    careen.args(["--host", host, "try"]).arg(payload).args(words).env_clear().stdin(Stdio::null());
    careen
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_payload_is_put_into_a_container_and_ends_as_its_command_does() {
    let prints: [(u8, &[u8]); 4] =
        [(1, b"-a\n+\x1b[31mb\n"), (2, b"careen: it runs\n"), (1, b"not en"), (1, b"ded")];
    let engine = Engine::new(2, &prints);
    let (_socket, host) = engine.listen();
    let payload = payload();
    let words = ["-e", "LIMIT=5", "--", "--fast", "two words"];
    let (code, out, err) = told(&careen(&host, payload.path(), &words).output().unwrap());
    assert_eq!((code, out.as_str()), (2, "-a\n+\\u{1b}[31mb\nnot ended\n"), "{err}");
    assert_eq!(err, "careen: it runs\n");
    let created: serde_json::Value = serde_json::from_slice(&engine.body_of("/containers/create")).unwrap();
    assert_eq!(created["Cmd"], serde_json::json!(["check", "--fast", "two words"]));
    assert_eq!(created["HostConfig"]["Binds"], serde_json::json!(["/:/host"]));
    let environment: Vec<&str> =
        created["Env"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let [limit, idempotent, transaction] = environment[..] else { panic!("{environment:?}") };
    assert_eq!((limit, idempotent), ("LIMIT=5", "CAREEN_IDEMPOTENT=1"));
    assert!(transaction.starts_with("CAREEN_TRANSACTION=try-"), "{transaction}");
    let unpacked = tempfile::tempdir().unwrap();
    fs::write(unpacked.path().join("a.tar"), engine.body_of("/archive?path=")).unwrap();
    let tar = Command::new("tar").args(["-xpf", "a.tar"]).current_dir(unpacked.path()).status().unwrap();
    assert!(tar.success());
    let mode = |name: &str| fs::metadata(unpacked.path().join(name)).unwrap().permissions().mode() & 0o777;
    let modes =
        ["install", "install/check", "install/install", "install/lib", "install/lib/common"].map(mode);
    assert_eq!(modes, [0o755, 0o755, 0o700, 0o755, 0o644]);
    let requests = engine.requests();
    assert!(requests.last().unwrap().starts_with("DELETE "), "the container goes: {requests:#?}");
}

#[test]
fn whoever_tries_twice_runs_twice_and_a_program_reads_every_line() {
    let engine = Engine::new(0, &[(1, b"out\n"), (2, b"err\n")]);
    let (_socket, host) = engine.listen();
    let payload = payload();
    let (code, out, _) = told(&careen(&host, payload.path(), &["--format", "json"]).output().unwrap());
    let events: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |number: usize, key: &str| events[number][key].as_str().unwrap_or_default().to_owned();
    assert_eq!((code, events.len()), (0, 3), "{out}");
    assert_eq!(
        (of(0, "event"), of(0, "stream"), of(1, "stream")),
        ("printed".into(), "stdout".into(), "stderr".into())
    );
    assert_eq!(
        (of(2, "event"), of(2, "host"), events[2]["exit"].as_u64()),
        ("end".into(), "h1".into(), Some(0))
    );
    careen(&host, payload.path(), &[]).output().unwrap();
    let asked = engine.asked.0.lock().unwrap();
    let created = asked.iter().filter(|(request, _)| request.contains("/containers/create"));
    let bodies: Vec<&Vec<u8>> = created.map(|(_, body)| body).collect();
    assert!(bodies.len() == 2 && bodies[0] != bodies[1], "each has a transaction of its own");
}

#[test]
fn what_cannot_be_tried_is_told_before_a_container_is_made() {
    let mut engine = Engine::new(0, &[]);
    let (_socket, host) = engine.listen();
    let whole = payload();
    let at = |payload: &Path, words: &[&str]| told(&careen(&host, payload, words).output().unwrap());
    let (code, _, err) = at(whole.path(), &["verify"]);
    assert!(
        code == 2 && err.contains("has no command 'verify': it has check, install; nothing was run"),
        "{err}"
    );
    let (code, _, err) = at(whole.path(), &["install"]);
    assert!(code == 2 && err.contains("whether to run 'install'") && err.contains("say --yes"), "{err}");
    let (code, _, err) = at(&whole.path().join("check"), &[]);
    assert!(code == 2 && err.contains("is no directory: a payload is one"), "{err}");
    let (code, _, err) = at(&whole.path().join("nowhere"), &[]);
    assert!(code == 2 && err.contains("nowhere cannot be read"), "{err}");
    fs::write(whole.path().join("check"), "#!/bin/sh\r\n").unwrap();
    let (code, _, err) = at(whole.path(), &[]);
    assert!(code == 2 && err.contains("CRLF"), "{err}");
    fs::remove_file(whole.path().join("check")).unwrap();
    let (code, _, err) = at(whole.path(), &[]);
    assert!(code == 2 && err.contains("has no command 'check'; it has install; nothing was run"), "{err}");
    fs::write(whole.path().join("careen.yaml"), "idempotent: perhaps\n").unwrap();
    let (code, _, err) = at(whole.path(), &["install", "--yes"]);
    assert!(code == 2 && err.contains("careen.yaml:1:13: 'idempotent' wants true or false"), "{err}");
    engine.has_image = false;
    let (_socket, host) = engine.listen();
    let (code, _, err) = told(&careen(&host, payload().path(), &[]).output().unwrap());
    assert!(code == 1 && err.contains("does not have the image careen/installer:"), "{err}");
    assert!(err.contains("'careen image load' brings"), "{err}");
    let (code, _, err) = told(&careen("unix:///nonexistent", payload().path(), &[]).output().unwrap());
    assert!(code == 7 && err.contains("no docker engine listens"), "{err}");
    let requests = engine.requests();
    assert!(requests.iter().all(|request| !request.contains("/containers/create")), "{requests:#?}");
}

#[test]
fn ctrl_c_stops_the_command_and_the_container_goes() {
    let engine = Engine { lingers: true, ..Engine::new(245, &[(1, b"begins\n")]) };
    let (_socket, host) = engine.listen();
    let payload = payload();
    let mut child: Child = careen(&host, payload.path(), &["install", "--yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "begins\n");
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(engine.wait_for("/kill?").contains("/containers/c0ffee/kill?signal=SIGINT"));
    let (code, _, err) = told(&child.wait_with_output().unwrap());
    assert_eq!(code, 245, "{err}");
    assert!(err.contains("stopping 'install'"), "{err}");
    assert!(engine.wait_for("DELETE ").contains("/containers/c0ffee?force=1&v=1"));
}
