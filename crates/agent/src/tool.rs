//! Runs one of the host's tools, for a limited time, and takes what it writes.
//!
//! Whatever of the host is asked goes through here: a tool that hangs must not hang a transaction.

use crate::files::{self, Descriptor};
use crate::readiness;
use crate::signals::with_signals_unblocked;
use careen_contract::chain;
use careen_contract::settings::COMMAND_PATH;
use careen_host::facts::restart::Answer;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A tool that has not answered within this waits for something that may not come (a lock, a network).
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// More than any package list; a tool that writes more has gone wrong.
const OUTPUT_LIMIT: usize = 32 * 1024 * 1024;

/// Why a tool did not do what was asked. `called` is what was called, in words for people.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The host has no such program.
    #[error("{called} is not installed")]
    NotThere { called: String },
    /// It is there, and the kernel does not start it.
    #[error("{called} cannot be started")]
    CannotStart { called: String, source: io::Error },
    /// It ended with another status than 0; `said` is what it wrote to both its streams.
    #[error("{called} failed with status {status}: {said}")]
    Failed { called: String, status: i32, said: String },
    /// A signal ended it.
    #[error("{called} ended with {status}")]
    Killed { called: String, status: ExitStatus },
    /// It was stopped at its time limit.
    #[error("{called} did not answer in time and was stopped")]
    TooLate { called: String },
    /// It was stopped because it wrote too much.
    #[error("{called} wrote more than {OUTPUT_LIMIT} bytes and was stopped")]
    TooMuch { called: String },
    /// What it says cannot be read.
    #[error("{called} {why}")]
    Unread { called: String, why: io::Error },
}

/// How a call went wrong, before it is said which call.
enum Trouble {
    CannotStart(io::Error),
    Killed(ExitStatus),
    TooLate,
    TooMuch,
    Unread(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(why: io::Error) -> Self {
        Self::Unread(why)
    }
}

impl Trouble {
    fn of(self, called: String) -> ToolError {
        match self {
            Self::CannotStart(source) => ToolError::CannotStart { called, source },
            Self::Killed(status) => ToolError::Killed { called, status },
            Self::TooLate => ToolError::TooLate { called },
            Self::TooMuch => ToolError::TooMuch { called },
            Self::Unread(why) => ToolError::Unread { called, why },
        }
    }
}

/// Where the host has a program of this name.
pub fn find_program(name: &str) -> Option<PathBuf> {
    COMMAND_PATH.split(':').map(|directory| Path::new(directory).join(name)).find(|path| files::is_file(path))
}

/// Which file this is, and in which state: while that is the same, the program says the same of itself.
pub fn file_state(path: &Path) -> Option<String> {
    let found = files::metadata(path).ok()?;
    let changed = (found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec());
    Some(format!("{} {:?}", path.display(), (found.dev(), found.ino(), found.size(), changed)))
}

/// Runs a tool that must succeed; otherwise the error has its words.
pub fn must(words: &[&str], limit: Duration) -> Result<(), ToolError> {
    let called = format!("'{}'", words.join(" "));
    let Some(path) = find_program(words[0]) else { return Err(ToolError::NotThere { called }) };
    match run_to_exit(&mut Command::new(path), &words[1..], &BTreeMap::new(), limit) {
        Ok(Answer { status: 0, .. }) => Ok(()),
        Ok(Answer { status, output }) => {
            Err(ToolError::Failed { called, status, said: output.trim().to_owned() })
        }
        Err(trouble) => Err(trouble.of(called)),
    }
}

/// How a tool ended that was started with these variables, and what it wrote to both its streams. `program` may be a path. Its
/// arguments are nobody else's to read, so no error repeats them.
pub fn told(
    program: &str,
    arguments: &[&str],
    environment: &BTreeMap<String, String>,
    limit: Duration,
) -> Result<Answer, ToolError> {
    let called = program.to_owned();
    let Some(path) = find_program(program) else { return Err(ToolError::NotThere { called }) };
    run_to_exit(&mut Command::new(path), arguments, environment, limit).map_err(|trouble| trouble.of(called))
}

/// How a tool ended and what it wrote, if the host has it.
pub fn ask(program: &str, arguments: &[&str]) -> Result<Option<Answer>, ToolError> {
    match find_program(program) {
        None => Ok(None),
        Some(path) => run(&mut Command::new(path), arguments, TIME_LIMIT)
            .map(Some)
            .map_err(|trouble| trouble.of(spelled(program, arguments))),
    }
}

/// What a tool wrote, if the host has it and it succeeded; a failure becomes a note.
pub fn output(program: &str, arguments: &[&str], notes: &mut Vec<String>) -> Option<String> {
    match ask(program, arguments) {
        Ok(Some(Answer { status: 0, output })) => Some(output),
        Ok(Some(Answer { status, .. })) => {
            notes.push(format!("{} exited with {status}", spelled(program, arguments)));
            None
        }
        Ok(None) => None,
        Err(error) => {
            notes.push(chain(&error));
            None
        }
    }
}

fn spelled(program: &str, arguments: &[&str]) -> String {
    // The formats that package managers are asked for say nothing to a person.
    let words = arguments.iter().take_while(|word| !word.contains(['$', '%']));
    [program].into_iter().chain(words.copied()).collect::<Vec<_>>().join(" ")
}

fn run(command: &mut Command, arguments: &[&str], limit: Duration) -> Result<Answer, Trouble> {
    let deadline = Instant::now() + limit;
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = start(command.args(arguments), &BTreeMap::new())?;
    let ended = read(&mut child, deadline).and_then(|output| Ok((output, wait(&mut child, deadline)?)));
    answer(&mut child, ended)
}

/// As [`run`], with both streams, and not to their end: a daemon that the tool started may keep them.
fn run_to_exit(
    command: &mut Command,
    arguments: &[&str],
    environment: &BTreeMap<String, String>,
    limit: Duration,
) -> Result<Answer, Trouble> {
    let deadline = Instant::now() + limit;
    let words = memfd_create("words", MFdFlags::MFD_CLOEXEC).map_err(io::Error::other)?;
    let mut words = Descriptor::from(words);
    let both = words.try_clone().and_then(|stdout| Ok((stdout, words.try_clone()?)));
    let (stdout, stderr) = both?;
    command.stdout(stdout).stderr(stderr);
    let mut child = start(command.args(arguments), environment)?;
    let ended = wait(&mut child, deadline).and_then(|status| {
        let mut output = Vec::new();
        words.rewind()?;
        words.take(OUTPUT_LIMIT as u64).read_to_end(&mut output)?;
        Ok((output, status))
    });
    answer(&mut child, ended)
}

fn start(command: &mut Command, environment: &BTreeMap<String, String>) -> Result<Child, Trouble> {
    command.env_clear().envs(environment).env("PATH", COMMAND_PATH).env("LC_ALL", "C").current_dir("/");
    command.stdin(Stdio::null()).process_group(0);
    with_signals_unblocked(command).spawn().map_err(Trouble::CannotStart)
}

fn answer(child: &mut Child, ended: Result<(Vec<u8>, ExitStatus), Trouble>) -> Result<Answer, Trouble> {
    let (output, status) = ended.inspect_err(|_| stop(child))?;
    let status = status.code().ok_or(Trouble::Killed(status))?;
    Ok(Answer { status, output: String::from_utf8_lossy(&output).into_owned() })
}

/// Reads the tool's standard output to its end.
fn read(child: &mut Child, deadline: Instant) -> Result<Vec<u8>, Trouble> {
    let mut output = Vec::new();
    let Some(stdout) = &mut child.stdout else { return Ok(output) };
    let mut piece = [0; 16 * 1024];
    loop {
        if readiness::wait(&[stdout.as_fd()], Some(deadline))? == [true] {
            match stdout.read(&mut piece) {
                Ok(0) => return Ok(output),
                Ok(length) => output.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        if output.len() > OUTPUT_LIMIT {
            return Err(Trouble::TooMuch);
        }
        check(deadline)?;
    }
}

/// Waits for the end of a tool: mostly that is a moment, so it is looked for often, and ever less so.
fn wait(child: &mut Child, deadline: Instant) -> Result<ExitStatus, Trouble> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        check(deadline)?;
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn check(deadline: Instant) -> Result<(), Trouble> {
    if Instant::now() < deadline { Ok(()) } else { Err(Trouble::TooLate) }
}

/// Kills the tool with all that it started. It is not reaped before, so its id is still its own.
fn stop(child: &mut Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL); // its group may have ended already
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_where_commands_are_looked_for() {
        assert!(find_program("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find_program("no-such-program"), None);
    }

    /// In words, as people see it.
    fn shell(script: &str, limit: Duration) -> Result<Answer, String> {
        run(&mut Command::new("/bin/sh"), &["-c", script], limit)
            .map_err(|trouble| chain(&trouble.of("it".to_owned())))
    }

    #[test]
    fn status_and_output_are_taken_in_a_clean_environment() {
        let answer = shell("echo \"$LC_ALL:$HOME:$PWD\"; echo lost >&2; exit 7", TIME_LIMIT);
        assert_eq!(answer, Ok(Answer { status: 7, output: "C::/\n".into() }));
    }

    #[test]
    fn a_tool_that_must_succeed_is_quoted_when_it_does_not() {
        let must = |words: &[&str], limit| must(words, limit).map_err(|error| chain(&error));
        assert_eq!(must(&["true"], TIME_LIMIT), Ok(()));
        let failed = must(&["sh", "-c", "echo one; echo two >&2; exit 3"], TIME_LIMIT).unwrap_err();
        assert!(failed.ends_with("failed with status 3: one\ntwo"), "{failed}");
        // What stays behind with the tool's streams in its hands is not waited for.
        assert_eq!(must(&["sh", "-c", "setsid sleep 60 & exit 0"], Duration::from_secs(30)), Ok(()));
        assert_eq!(must(&["no-such-tool"], TIME_LIMIT), Err("'no-such-tool' is not installed".into()));
    }

    #[test]
    fn a_tool_is_given_variables_and_both_its_streams_are_taken() {
        let environment = BTreeMap::from([("SECRET".to_owned(), "s".to_owned())]);
        let answer = told("/bin/sh", &["-c", "echo $SECRET; echo x >&2; exit 3"], &environment, TIME_LIMIT);
        assert_eq!(answer.unwrap(), Answer { status: 3, output: "s\nx\n".into() });
        let missing = told("no-such-tool", &["--password=x"], &environment, TIME_LIMIT).unwrap_err();
        assert_eq!(missing.to_string(), "no-such-tool is not installed");
    }

    #[test]
    fn more_output_than_a_pipe_holds_is_read() {
        let answer = shell("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done", TIME_LIMIT);
        assert_eq!(answer.map(|answer| answer.output.len()), Ok(220_000));
    }

    #[test]
    fn a_tool_that_hangs_is_stopped_with_what_it_started() {
        let limit = Duration::from_millis(200);
        for script in ["sleep 60", "sleep 60 & sleep 60", "exec >&-; sleep 60", "while :; do echo y; done"] {
            let began = Instant::now();
            let answer = shell(script, limit);
            assert_eq!(answer, Err("it did not answer in time and was stopped".into()), "{script}");
            assert!(began.elapsed() < Duration::from_secs(10), "{script}");
        }
    }

    #[test]
    fn a_tool_that_is_killed_or_missing_is_told_apart() {
        assert!(shell("kill -9 $$", TIME_LIMIT).is_err_and(|words| words.contains("signal")));
        assert_eq!(ask("no-such-tool", &[]).unwrap(), None);
        let mut notes = Vec::new();
        assert_eq!(output("false", &["-f", "${x}"], &mut notes), None);
        assert_eq!(notes, ["false -f exited with 1"]);
    }
}
