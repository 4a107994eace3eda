//! Programs of the host.

use super::fail::Fail;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

/// What every program is told: nobody is there to answer, nothing is to be restarted but by careen, and the words are
/// those that are parsed.
const ENVIRONMENT: [(&str, &str); 11] = [
    ("LC_ALL", "C.UTF-8"),
    ("LANGUAGE", "C"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBIAN_PRIORITY", "critical"),
    ("UCF_FORCE_CONFFOLD", "1"),
    ("NEEDRESTART_SUSPEND", "1"),
    ("NEEDRESTART_MODE", "l"),
    ("APT_LISTCHANGES_FRONTEND", "none"),
    ("APT_LISTBUGS_FRONTEND", "none"),
    ("PAGER", "cat"),
    ("SYSTEMD_PAGER", ""),
];

/// Starts a program with nobody to answer it.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.envs(ENVIRONMENT).stdin(Stdio::null());
    command
}

/// Its standard output; its failure is an error, unless the status is among those that are answers too.
pub fn read(command: &mut Command, answers: &[i32]) -> Result<String, Fail> {
    let output = output(command)?;
    let is_answer =
        output.status.success() || output.status.code().is_some_and(|code| answers.contains(&code));
    if !is_answer {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        let said = if said.is_empty() { String::new() } else { format!(":\n{said}") };
        return Err(Fail::Tool { words: words(command), status: output.status.to_string(), said });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Both its outputs, whatever it ended with.
pub fn output(command: &mut Command) -> Result<Output, Fail> {
    command.output().map_err(|source| start(command, source))
}

/// Runs it with its output going where ours goes.
pub fn run(command: &mut Command) -> Result<(), Fail> {
    let status = command.status().map_err(|source| start(command, source))?;
    if status.success() {
        return Ok(());
    }
    Err(Fail::Tool { words: words(command), status: status.to_string(), said: String::new() })
}

/// Runs it with its output going where ours goes, and keeps what it said on standard error for who has to tell its failure.
pub fn run_and_keep(command: &mut Command) -> Result<(), (Fail, String)> {
    let tell = |command: &Command, source| (start(command, source), String::new());
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(|source| tell(command, source))?;
    let mut said = String::new();
    for line in child.stderr.take().into_iter().flat_map(|lines| BufReader::new(lines).split(b'\n')) {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line);
        eprintln!("{line}");
        said.push_str(&line);
        said.push('\n');
    }
    let status = child.wait().map_err(|source| tell(command, source))?;
    match status.success() {
        true => Ok(()),
        false => {
            let fail = Fail::Tool { words: words(command), status: status.to_string(), said: String::new() };
            Err((fail, said))
        }
    }
}

fn start(command: &Command, source: std::io::Error) -> Fail {
    Fail::Start { program: command.get_program().to_string_lossy().into_owned(), why: source }
}

/// The program and its last words: in between lie options that are always the same.
fn words(command: &Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let plain: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
    let verb = plain.iter().rposition(|arg| arg.contains("::")).map_or(0, |last| last + 1);
    format!("'{program} {}'", plain[verb..].join(" "))
}
