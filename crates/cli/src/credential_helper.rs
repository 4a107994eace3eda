//! Programs that have credentials: `docker-credential-NAME get`, with the server on their standard input and JSON on their output.

use serde_json::Value;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// How long one may take: it may ask a server, or somebody to unlock a key.
const LIMIT: Duration = Duration::from_secs(60);

/// More than any credentials are, in bytes.
const LONGEST: u64 = 64 * 1024;

/// How often it is looked whether a program that has said everything has ended.
const LOOK: Duration = Duration::from_millis(20);

/// So many characters of what a program says are shown.
const SHOWN: usize = 300;

/// What a program says instead of credentials when it has none.
const NONE: &str = "credentials not found";

/// What is wrong with a program that has credentials. What it answered is never said: it may be a password.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum HelperFailed {
    /// A program is found by its name alone, and not by a path.
    #[error("that is no name of a program")]
    Name,
    #[error("there is no such program in PATH")]
    Missing,
    /// It does not start, or its answer cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// In its own words.
    #[error("{said}")]
    Said { said: String },
    /// It said nothing.
    #[error("it said nothing, {status}")]
    Silent { status: ExitStatus },
    #[error("it did not answer within {} s, and was stopped", .limit.as_secs())]
    Slow { limit: Duration },
    #[error("its answer is longer than 64 KiB")]
    TooLong,
    /// The parser's words could quote what is in it.
    #[error("its answer is no JSON")]
    NoJson,
    #[error("its answer has no Username and Secret")]
    NoFields,
}

/// What a program has for a server.
pub(crate) struct Login {
    /// `<token>` where the secret is a token.
    pub username: String,
    pub secret: String,
}

/// Asks a program; `None` when it has nothing for the server.
pub(crate) fn ask(helper: &str, server: &str) -> Result<Option<Login>, HelperFailed> {
    if helper.contains(['/', '\0']) {
        return Err(HelperFailed::Name);
    }
    ask_within(Command::new(format!("docker-credential-{helper}")).arg("get"), server, LIMIT)
}

fn ask_within(program: &mut Command, server: &str, limit: Duration) -> Result<Option<Login>, HelperFailed> {
    let program = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut program = program.spawn().map_err(|error| {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        if is_missing { HelperFailed::Missing } else { HelperFailed::Io(error) }
    })?;
    let answered = answer(&mut program, server, limit);
    if answered.is_err() {
        // It may have ended meanwhile. Nobody is left behind, and nobody is waited for that cannot be killed.
        let _ended = program.kill().and_then(|()| program.wait());
    }
    let (status, bytes) = answered?;
    let text = String::from_utf8_lossy(&bytes);
    if status.success() { login(&text) } else { no_login(&text, status) }
}

/// How it ended, and what it printed.
fn answer(program: &mut Child, server: &str, limit: Duration) -> Result<(ExitStatus, Vec<u8>), HelperFailed> {
    let deadline = Instant::now() + limit;
    if let Some(mut input) = program.stdin.take() {
        // One that does not read it says so in its own words.
        let _best_effort = input.write_all(server.as_bytes());
    }
    let (sender, receiver) = channel();
    if let Some(output) = program.stdout.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = output.take(LONGEST + 1).read_to_end(&mut bytes).map(|_| bytes);
            let _nobody_waits_any_more = sender.send(read);
        });
    }
    let bytes = receiver.recv_timeout(limit).map_err(|_| HelperFailed::Slow { limit })??;
    if bytes.len() as u64 > LONGEST {
        return Err(HelperFailed::TooLong);
    }
    loop {
        match program.try_wait()? {
            Some(status) => return Ok((status, bytes)),
            None if Instant::now() >= deadline => return Err(HelperFailed::Slow { limit }),
            None => thread::sleep(LOOK),
        }
    }
}

fn login(text: &str) -> Result<Option<Login>, HelperFailed> {
    let answer: Value = serde_json::from_str(text).map_err(|_| HelperFailed::NoJson)?;
    let field = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    let (Some(username), Some(secret)) = (field("Username"), field("Secret")) else {
        return Err(HelperFailed::NoFields);
    };
    Ok((!username.is_empty() && !secret.is_empty()).then_some(Login { username, secret }))
}

/// A program that fails prints its error where credentials would be, and no credentials.
fn no_login(text: &str, status: ExitStatus) -> Result<Option<Login>, HelperFailed> {
    let said: String = text.trim().chars().take(SHOWN).collect();
    match said {
        said if said.contains(NONE) => Ok(None),
        said if said.is_empty() => Err(HelperFailed::Silent { status }),
        said => Err(HelperFailed::Said { said }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(script: &str, limit: Duration) -> Result<Option<(String, String)>, String> {
        let asked = ask_within(Command::new("sh").args(["-c", script]), "r.example", limit);
        let pair = asked.map(|login| login.map(|login| (login.username, login.secret)));
        pair.map_err(|error| error.to_string())
    }

    #[test]
    fn an_answer_is_a_login_or_none() {
        let long = Duration::from_secs(60);
        let pair = |name: &str, secret: &str| Ok(Some((name.to_owned(), secret.to_owned())));
        let json = r#"printf '{"ServerURL":"%s","Username":"u","Secret":"s"}' "$(cat)""#;
        assert_eq!(says(json, long), pair("u", "s"));
        assert_eq!(says(r#"echo '{"Username":"<token>","Secret":"t"}'"#, long), pair("<token>", "t"));
        // One that does not read its input.
        assert_eq!(says(r#"exec <&-; echo '{"Username":"u","Secret":"s"}'"#, long), pair("u", "s"));
        assert_eq!(says(r#"echo '{"Username":"","Secret":""}'"#, long), Ok(None));
        assert_eq!(says("echo 'credentials not found in native keychain'; exit 1", long), Ok(None));
    }

    #[test]
    fn what_is_wrong_with_a_program_is_said_and_not_what_it_answered() {
        let long = Duration::from_secs(60);
        for (script, said) in [
            ("echo 'the keychain is locked'; exit 1", "the keychain is locked"),
            ("exit 3", "it said nothing, exit status: 3"),
            ("kill -9 $$", "it said nothing, signal: 9 (SIGKILL)"),
            ("echo hush", "its answer is no JSON"),
            ("printf '\\377\\376'", "its answer is no JSON"),
            ("true", "its answer is no JSON"),
            (r#"echo '["hush"]'"#, "its answer has no Username and Secret"),
            (r#"echo '{"Username":"u","Secret":7}'"#, "its answer has no Username and Secret"),
            ("yes", "its answer is longer than 64 KiB"),
        ] {
            assert_eq!(says(script, long), Err(said.to_owned()), "{script}");
        }
        assert_eq!(
            ask("careen-is-not-there", "r.example").err().unwrap().to_string(),
            "there is no such program in PATH"
        );
        assert!(matches!(ask("../x", "r.example"), Err(HelperFailed::Name)));
    }

    #[test]
    fn a_program_that_does_not_answer_or_does_not_end_is_stopped() {
        let began = Instant::now();
        for script in ["exec sleep 600", r#"echo '{}'; exec >&-; exec sleep 600"#] {
            let said = says(script, Duration::from_millis(100));
            assert_eq!(said, Err("it did not answer within 0 s, and was stopped".to_owned()), "{script}");
        }
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}
