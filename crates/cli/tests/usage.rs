//! The binary, from outside: exit codes and what errors say, with engines that are not there or are not a manager's.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

fn careen(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_careen"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

fn code_and_error(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

fn run(command: &mut Command) -> (i32, String) {
    code_and_error(&command.output().unwrap())
}

/// An engine that says of itself what the test wants.
fn engine(info: &'static str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            reader.read_line(&mut request).unwrap();
            let mut header = String::from("x");
            while !header.trim().is_empty() {
                header.clear();
                reader.read_line(&mut header).unwrap();
            }
            let body = if request.contains("_ping") { "OK" } else { info };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let host = format!("unix://{}", socket.display());
    (directory, host)
}

#[test]
fn a_wrong_call_exits_with_2_and_says_what_is_allowed() {
    for (args, hint) in [
        (&["frobnicate"][..], "unrecognized subcommand"),
        (&["run"], "--image"),
        (&["run", "--image", "i", "--frobnicate"], "--frobnicate"),
        (&["plan", "--image", "i", "--parallelism", "0"], "at least 1"),
        (&["plan", "--image", "i", "--reboot", "perhaps"], "never, asked, auto, always"),
        (&["upgrade", "--reboot", "asked"], "auto, never, always"),
        (&["upgrade", "--plan", "--yes"], "cannot be used with"),
        (&["status", "--format", "yaml"], "text, json"),
        (
            &["status", "--format", "{{.ID}}"],
            "templates are not read; write json, which has every field (jq picks from it), or table",
        ),
        (&["ls", "--format", "table {{.ID}}\t{{.Name}}"], "write json"),
        (&["upgrade", "-f", "careen.yaml"], "unexpected argument '-f'"),
        (&["retry"], "<NODE>"),
        (&["restore"], "<NODE>"),
        (&["restore", "w1", "--local"], "--local"),
        (&["status", "--host", "npipe://x"], "write unix:///PATH, tcp://NAME:PORT or ssh://USER@NAME"),
        (&["status", "--host", "ssh://root:secret@m1"], "a password cannot be given"),
        (&["status", "--host", "tcp://m1", "--context", "prod"], "--host and --context"),
    ] {
        let (code, error) = run(&mut careen(args));
        assert_eq!(code, 2, "{args:?}: {error}");
        assert!(error.contains(hint), "{args:?}: {error}");
    }
    assert_eq!(run(&mut careen(&["--help"])).0, 0);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = careen(&["completion", shell]).output().unwrap();
        assert_eq!(script.status.code(), Some(0));
        let text = String::from_utf8(script.stdout).unwrap();
        assert!(text.contains("__complete") || text.contains("restore"), "{shell}");
    }
    let candidates = careen(&["__complete", "rest"]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&candidates.stdout).starts_with("restore\t"),
        "every command is completed"
    );
}

#[test]
fn what_is_wrong_in_a_file_exits_with_2_and_is_told_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("careen.yaml");
    let path = path.to_str().unwrap();
    std::fs::write(path, "image: i\ndeploy:\n  update_config:\n    paralellism: 2\n").unwrap();
    let (code, error) = run(&mut careen(&["run", "-f", path]));
    assert_eq!(code, 2, "{error}");
    let told = ":4:5: unknown key 'deploy.update_config.paralellism': did you mean 'parallelism'?; nothing was changed";
    assert!(error.contains(&format!("{path}{told}")), "{error}");
    let (code, error) = run(&mut careen(&["--format", "json", "plan", "--file", path]));
    let json: serde_json::Value = serde_json::from_str(&error).unwrap();
    assert_eq!((code, &json["event"], &json["exit"]), (2, &"error".into(), &2.into()), "{error}");
    // A right one gets as far as the engine, in front of a flag that is typed.
    std::fs::write(path, "image: i\ncommand: [check, --fast]\n").unwrap();
    let (code, error) =
        run(&mut careen(&["--host", "unix:///nowhere/x.sock", "plan", "-f", path, "--image", "j"]));
    assert_eq!(code, 7, "{error}");
    assert_eq!(run(&mut careen(&["plan", "-f", "/nowhere/careen.yaml"])).0, 2);
    let mut piped = careen(&["plan", "-f", "-"]);
    std::fs::write(path, "imag: i\n").unwrap();
    let (code, error) = run(piped.stdin(std::fs::File::open(path).unwrap()));
    assert_eq!((code, error.contains("careen: -:1:1: unknown key 'imag'")), (2, true), "{error}");
}

#[test]
fn no_manager_exits_with_7_and_says_where_to_go() {
    let empty = tempfile::tempdir().unwrap();
    let nowhere = format!("unix://{}/docker.sock", empty.path().display());
    let (code, error) = run(&mut careen(&["status", "--host", &nowhere]));
    assert_eq!(code, 7);
    assert!(
        error.contains("no docker engine listens at") && error.contains("\n  run careen on a manager"),
        "{error}"
    );

    let worker = r#"{"Name":"w1\u001b[2J","Swarm":{"NodeID":"n1","LocalNodeState":"active","ControlAvailable":false,"RemoteManagers":[{"NodeID":"n2"}]}}"#;
    let (_directory, host) = engine(worker);
    let (code, error) = run(careen(&["status"]).env("DOCKER_HOST", &host));
    assert_eq!(code, 7);
    assert!(error.contains("is a worker of its swarm"), "{error}");
    assert!(!error.contains('\x1b'), "a host's name does nothing to the terminal: {error:?}");

    let (_directory, host) = engine(r#"{"Name":"h1","Swarm":{"LocalNodeState":"inactive"}}"#);
    let (code, error) = run(&mut careen(&["plan", "--image", "i", "--host", &host]));
    assert_eq!((code, error.contains("h1 is in no swarm")), (7, true), "{error}");
}

#[test]
fn a_socket_that_one_may_not_use_is_said_to_be_so() {
    let (directory, host) = engine("{}");
    let socket = directory.path().join("docker.sock");
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o600)).unwrap();
    let mut command = Command::new(readable_copy(directory.path()));
    command.args(["status", "--host", &host]).env_clear().stdin(Stdio::null());
    // Root may use every socket: the test needs somebody else, and only root can be that.
    if std::fs::metadata(&socket).map(|meta| std::os::unix::fs::MetadataExt::uid(&meta)).unwrap() != 0 {
        return;
    }
    let (code, error) = run(command.uid(65534).gid(65534));
    assert_eq!(code, 7);
    assert!(error.contains("you may not use the docker socket"), "{error}");
}

/// The binary where everybody may run it. Another process copies it: one of this test's own that is started at that moment
/// would inherit the file open for writing, and the copy could not be executed ("text file busy").
fn readable_copy(directory: &Path) -> PathBuf {
    std::fs::set_permissions(directory, PermissionsExt::from_mode(0o755)).unwrap();
    let copy = directory.join("careen");
    let mut install = Command::new("install");
    install.args(["-m", "755", env!("CARGO_BIN_EXE_careen")]).arg(&copy);
    assert!(install.status().unwrap().success());
    copy
}
