//! `careen image push` against an engine that is made up: credentials from a program, errors that come behind a 200.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::io::{BufRead, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// What the engine was asked: method and path, and the credentials that came along.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

fn answer(stream: UnixStream, asked: &Asked, pushed: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = (&mut reader).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let request = lines.next().unwrap_or_default();
    let auth = lines.filter_map(|line| line.to_lowercase().starts_with("x-registry-auth:").then_some(line));
    let auth = auth.last().and_then(|line| Some(line.split_once(": ")?.1.to_owned())).unwrap_or_default();
    let body = match &request {
        ping if ping.contains("_ping") => "OK",
        info if info.contains("/info") => r#"{"Name":"h1","Swarm":{"LocalNodeState":"inactive"}}"#,
        push if push.contains("/push") => pushed,
        _ => "",
    };
    asked.lock().unwrap().push((request, auth));
    careen_testing::answer(stream, "200 OK", body.as_bytes());
}

/// Pushes, with a docker config and a program that has credentials.
fn push(
    pushed: &'static str,
    flags: &[&str],
    config: &str,
    program: &str,
) -> (Output, Vec<(String, String)>) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let listener = UnixListener::bind(path("docker.sock")).unwrap();
    let asked = Asked::default();
    let heard = Arc::clone(&asked);
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|stream| answer(stream, &heard, pushed))
    });
    std::fs::write(path("config.json"), config).unwrap();
    careen_testing::program(&path("docker-credential-test"), program);
    let output = Command::new(env!("CARGO_BIN_EXE_careen"))
        .args(["image", "push", "r.example:5000", "--host"])
        .arg(format!("unix://{}", path("docker.sock").display()))
        .args(flags)
        .env_clear()
        .env("DOCKER_CONFIG", directory.path())
        .env("PATH", format!("{}:/usr/bin:/bin", directory.path().display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let asked = asked.lock().unwrap().clone();
    (output, asked)
}

const STORE: &str = r#"{"credsStore":"test"}"#;
const PROGRAM: &str = "#!/bin/sh\n[ \"$1 $(cat)\" = 'get r.example:5000' ] || exit 1\n\
    echo '{\"ServerURL\":\"r.example:5000\",\"Username\":\"u\",\"Secret\":\"hush\"}'\n";
const DONE: &str = "{\"status\":\"Pushed\",\"progressDetail\":{},\"id\":\"l1\"}\r\n\
    {\"progressDetail\":{},\"aux\":{\"Tag\":\"1\",\"Digest\":\"sha256:11\",\"Size\":1}}\r\n";

#[test]
fn a_push_has_the_programs_credentials_and_tells_the_digest() {
    let (output, asked) = push(DONE, &["--image", "u:1", "--format", "json"], STORE, PROGRAM);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["image"], "r.example:5000/u@sha256:11");
    let (request, auth) = asked.last().unwrap();
    assert!(request.starts_with("POST /v1.41/images/r.example:5000/u/push?tag=1 "), "{request}");
    // {"password":"hush","serveraddress":"r.example:5000","username":"u"}
    let expected =
        "eyJwYXNzd29yZCI6Imh1c2giLCJzZXJ2ZXJhZGRyZXNzIjoici5leGFtcGxlOjUwMDAiLCJ1c2VybmFtZSI6InUifQ==";
    assert_eq!(auth, expected);
    assert!(
        asked.iter().any(|(request, _)| request.contains("/images/u:1/tag?repo=r.example%3A5000%2Fu&tag=1"))
    );
}

#[test]
fn an_error_behind_a_200_is_an_error() {
    let refused = "{\"status\":\"Preparing\",\"id\":\"l1\"}\r\n{\"errorDetail\":{\"message\":\"denied\"},\"error\":\"denied\"}\r\n";
    let (output, _) = push(refused, &[], "{}", "");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(stderr.contains("not pushed: denied") && stderr.contains("docker login"), "{stderr}");
}

#[test]
fn a_program_that_fails_is_named_and_nothing_is_pushed() {
    let (output, asked) = push(DONE, &[], STORE, "#!/bin/sh\necho 'the keychain is locked'\nexit 1\n");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("docker-credential-test") && stderr.contains("keychain is locked"), "{stderr}");
    assert!(asked.iter().all(|(request, _)| !request.contains("/images/")), "{asked:?}");
    let (output, _) =
        push(DONE, &[], STORE, "#!/bin/sh\necho 'credentials not found in native keychain'\nexit 1\n");
    assert_eq!(output.status.code(), Some(0), "none are needed");
}

#[test]
fn a_program_that_is_missing_or_prints_rubbish_is_named_and_its_answer_is_not_shown() {
    let missing = r#"{"credHelpers":{"r.example:5000":"not-there"}}"#;
    let named = r#"{"credsStore":"../test"}"#;
    let rubbish = "#!/bin/sh\necho hush\n";
    for (config, program, helper, why) in [
        (missing, PROGRAM, "docker-credential-not-there", "no such program in PATH"),
        (named, PROGRAM, "docker-credential-../test", "no name of a program"),
        (STORE, rubbish, "docker-credential-test", "its answer is no JSON"),
        (STORE, "#!/bin/sh\necho '{}'\n", "docker-credential-test", "no Username and Secret"),
        (STORE, "#!/bin/sh\nexit 2\n", "docker-credential-test", "said nothing, exit status: 2"),
    ] {
        let (output, asked) = push(DONE, &[], config, program);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(helper) && stderr.contains(why) && !stderr.contains("hush"), "{stderr}");
        assert!(asked.iter().all(|(request, _)| !request.contains("/images/")), "{asked:?}");
    }
}
