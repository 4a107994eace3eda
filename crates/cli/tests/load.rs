//! `careen image load` against an engine that is made up: what it is sent, and what it says to that.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use careen_cli::carried::{self, NotLoaded};
use careen_engine::Engine;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// What the engine was asked, with the body's first bytes.
type Asked = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

fn answer(mut stream: UnixStream, asked: &Asked, said: &str, image: Option<&str>) {
    let (request, body) = careen_testing::request(&mut stream);
    let (status, text) = match (&request, image) {
        (ping, _) if ping.contains("_ping") => (200, "OK"),
        (info, _) if info.contains("/info") => (200, r#"{"Name":"h1","Architecture":"x86_64"}"#),
        (load, _) if load.starts_with("POST") && load.contains("/images/load?") => (200, said),
        (_, Some(image)) => (200, image),
        (_, None) => (404, r#"{"message":"No such image"}"#),
    };
    asked.lock().unwrap().push((request, body));
    careen_testing::answer(stream, &format!("{status} x"), text.as_bytes());
}

/// An engine that says this to an archive, and has this image of careen's.
fn engine(said: &'static str, image: Option<&'static str>) -> (TempDir, Asked) {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("docker.sock")).unwrap();
    let asked = Asked::default();
    let heard = Arc::clone(&asked);
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|stream| answer(stream, &heard, said, image))
    });
    (directory, asked)
}

const IMAGE: &str = r#"{"Id":"sha256:22","Architecture":"amd64"}"#;
const LOADED: &str = "{\"stream\":\"Loaded image: careen/installer:0.1.0\\n\"}\r\n";

#[test]
fn the_archive_is_sent_as_it_is_and_the_image_is_looked_for() {
    let (directory, asked) = engine(LOADED, Some(IMAGE));
    let engine = Engine::connect_to(&directory.path().join("docker.sock")).unwrap();
    let archive = b"\x1f\x8b archive".repeat(100_000);
    let loaded = carried::load(&engine, Some(&archive)).unwrap();
    assert_eq!((loaded.id.as_str(), loaded.architecture.as_str()), ("sha256:22", "amd64"));
    let asked = asked.lock().unwrap();
    let (request, body) = asked.iter().find(|(request, _)| request.starts_with("POST")).unwrap();
    assert!(request.starts_with("POST /v1.41/images/load?quiet=1 "), "{request}");
    assert!(*body == archive, "{} bytes of {}", body.len(), archive.len());
}

#[test]
fn an_engine_that_refuses_or_has_nothing_afterwards_is_told_as_that() {
    let full = "{\"errorDetail\":{\"message\":\"no space left on device\"},\"error\":\"no space left on device\"}\r\n";
    let (directory, _asked) = engine(full, Some(IMAGE));
    let of = |directory: &TempDir| Engine::connect_to(&directory.path().join("docker.sock")).unwrap();
    let refused = carried::load(&of(&directory), Some(b"x")).unwrap_err();
    assert!(matches!(&refused, NotLoaded::Refused { message } if message == "no space left on device"));
    let (directory, _asked) = engine(LOADED, None);
    assert!(matches!(carried::load(&of(&directory), Some(b"x")), Err(NotLoaded::NotThere)));
    assert!(matches!(carried::load(&of(&directory), None), Err(NotLoaded::NoneCarried)));
}

#[test]
fn a_careen_that_carries_no_image_says_so_and_what_to_do() {
    let (directory, asked) = engine(LOADED, None);
    let host = format!("unix://{}", directory.path().join("docker.sock").display());
    for (words, what) in [
        (&["image", "load"][..], "is not loaded: this careen carries no image"),
        (
            &["image", "push", "r.example"],
            "is not pushed: this engine does not have it, and this careen carries none",
        ),
    ] {
        let mut careen = Command::new(env!("CARGO_BIN_EXE_careen"));
        careen.args(words).args(["--host", &host]).env_clear().stdin(Stdio::null());
        let output = careen.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(what) && error.contains("'make dist' builds one"), "{error}");
    }
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|(request, _)| !request.contains("/images/load")), "{asked:?}");
}
