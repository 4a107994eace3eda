//! Runs programs and turns failures into errors that name the command. Knows nothing of docker.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::{Error, Result};

/// Runs `command` without input and returns its output, whatever its exit status.
pub fn output(command: &mut Command) -> Result<Output> {
    command.output().map_err(|source| Error::Spawn { command: describe(command), source })
}

/// Runs `command` and returns its standard output without the trailing newline; a failure is an error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    Err(failure(command, &output))
}

/// The error for a command that ended with `output`.
pub fn failure(command: &Command, output: &Output) -> Error {
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    Error::Command {
        command: describe(command),
        status: output.status.to_string(),
        stderr: last_lines(&String::from_utf8_lossy(said), 6),
    }
}

/// Runs `left | right` and returns the output of `right`; a failure of either is an error.
pub fn pipe(left: &mut Command, right: &mut Command) -> Result<String> {
    let mut sender = left
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| Error::Spawn { command: describe(left), source })?;
    if let Some(stream) = sender.stdout.take() {
        right.stdin(stream);
    }
    let received = run(right);
    let sent = sender.wait().map_err(|source| Error::Spawn { command: describe(left), source })?;
    let received = received?;
    if sent.success() {
        return Ok(received);
    }
    Err(Error::Command {
        command: describe(left),
        status: sent.to_string(),
        stderr: "its output was cut short".to_owned(),
    })
}

/// The command line for messages; long arguments (scripts) are cut.
pub fn describe(command: &Command) -> String {
    let mut words = vec![shorten(&command.get_program().to_string_lossy())];
    words.extend(command.get_args().map(|arg| shorten(&arg.to_string_lossy())));
    words.join(" ")
}

/// The last `count` lines of `text`, in one string.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// True when a program of this name is on the PATH.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(|dir| Path::new(dir).to_path_buf()))
        .any(|dir| dir.join(program).is_file())
}

fn shorten(word: &str) -> String {
    let line = word.lines().next().unwrap_or_default();
    if line.len() == word.len() && word.len() <= 120 {
        return word.to_owned();
    }
    format!("{}…", line.chars().take(40).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_name_the_command_and_what_it_said() {
        let error = run(Command::new("sh").args(["-c", "echo no disk >&2; exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c echo no disk >&2; exit 3` failed (exit status: 3): no disk");
    }

    #[test]
    fn a_pipe_reports_a_sender_that_failed() {
        let error = pipe(Command::new("sh").args(["-c", "echo half; exit 1"]), &mut Command::new("cat"));
        assert!(error.unwrap_err().to_string().contains("cut short"));
    }

    #[test]
    fn scripts_are_cut_in_messages() {
        let command = describe(Command::new("sh").args(["-c", "first line\nsecond line"]));
        assert_eq!(command, "sh -c first line…");
    }
}
