//! What shells are told: with an engine that answers, one that does not, and none.

use crate::Caller;
use crate::engines::{Engine, manager};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn names_come_from_the_swarm_and_an_error_is_no_name() {
    let engine = Engine::on_tcp(manager("m1"));
    let caller = Caller::new();
    for (words, expected) in [
        (&["retry", ""][..], "m1\n:4\n"),
        (&["retry", "w"], ":4\n"),
        (&["plan", "--node=m"], "--node=m1\n:4\n"),
        (&["show", ""], ":4\n"),
    ] {
        let host = engine.host();
        let said = caller.says(&[&["__complete", "--host", &host], words].concat());
        assert_eq!((said.code, said.out.as_str(), said.error.as_str()), (0, expected, ""), "{words:?}");
    }
    for host in ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "nonsense://x", "ssh://root:secret@m1"] {
        let said = caller.says(&["__complete", "--host", host, "retry", ""]);
        assert_eq!((said.code, said.out.as_str(), said.error.as_str()), (0, ":4\n", ""), "{host}");
    }
}

#[test]
fn an_engine_that_does_not_answer_is_not_waited_for() {
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("tcp://{}", silent.local_addr().unwrap());
    let began = Instant::now();
    let said = Caller::new().says(&["__complete", "--host", &host, "retry", ""]);
    assert_eq!((said.code, said.out.as_str(), said.error.as_str()), (0, ":4\n", ""));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

/// What bash offers behind a line, with the script that careen prints.
fn bash(line: &str) -> Vec<String> {
    let careen = env!("CARGO_BIN_EXE_careen");
    let script = format!(
        "source <({careen} completion bash)\nCOMP_LINE=$1 COMP_POINT=${{#1}}\n_careen {careen} 2>/dev/null\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", &script, "bash", line]).env_clear().stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn bash_offers_what_careen_says() {
    assert_eq!(bash("careen rest"), ["restore"]);
    assert_eq!(bash("careen plan --drain "), ["auto", "always", "never"]);
    // Of a word with a '=' bash replaces what stands behind it.
    assert_eq!(bash("careen plan --drain=a"), ["auto", "always"]);
    let engine = Engine::on_tcp(manager("m1"));
    assert_eq!(bash(&format!("careen --host {} retry ", engine.host())), ["m1"]);
    assert!(bash("careen retry ").is_empty());
}
