//! How the engine would start again: asked of the installed dockerd, with the flags and variables that its unit gives it.

use crate::others::HostFiles;
use crate::tool;
use careen_contract::chain;
use careen_host::facts::restart::Answer;
use careen_host::facts::version_of_dockerd;
use careen_host::preflight::{
    DaemonJson, Dropped, Files as _, Start, Told, Unit, Verdict, config_file, docker_service, major,
};
use std::time::Duration;

/// The first release whose `dockerd` can be asked whether it would start.
const VALIDATES_SINCE: u32 = 23;

/// How long it may take.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What was found out.
pub struct Found {
    /// The version of the dockerd that would be started.
    pub installed: Option<String>,
    /// What its unit says.
    pub unit: Unit,
    /// What it is told, judged.
    pub daemon_json: DaemonJson,
    /// What of that later engines refuse.
    pub dropped: Vec<Dropped>,
}

/// Looks at the unit, at the program that it names, and at that program's configuration.
pub fn look() -> Found {
    let unit = docker_service(&HostFiles);
    let start = match &unit {
        Unit::Starts(start) => start.clone(),
        Unit::None | Unit::Broken { .. } | Unit::Unclear { .. } => {
            Start { program: "dockerd".to_owned(), ..Start::default() }
        }
    };
    let installed = tool::output(&start.program, &["--version"], &mut Vec::new());
    let installed = installed.as_deref().and_then(version_of_dockerd);
    let path = config_file(&start.arguments);
    let text = match HostFiles.read(&path) {
        Ok(text) => text,
        Err(error) => {
            let daemon_json = DaemonJson::Invalid { why: format!("{path}: {error}") };
            return Found { installed, unit, daemon_json, dropped: Vec::new() };
        }
    };
    let told = Told { path: &path, text: text.as_deref(), arguments: &start.arguments };
    let dropped = told.dropped();
    let daemon_json = DaemonJson::of(told, verdict(&start, installed.as_deref()));
    Found { installed, unit, daemon_json, dropped }
}

fn verdict(start: &Start, installed: Option<&str>) -> Verdict {
    if installed.and_then(major).is_none_or(|major| major < VALIDATES_SINCE) {
        let help = tool::told(&start.program, &["--help"], &start.environment, TIME_LIMIT).ok();
        let help = help.filter(|answer| answer.status == 0).map(|answer| answer.output);
        return Verdict::NotAsked { help };
    }
    let arguments: Vec<&str> = start.arguments.iter().map(String::as_str).chain(["--validate"]).collect();
    match tool::told(&start.program, &arguments, &start.environment, TIME_LIMIT) {
        Ok(Answer { status: 0, .. }) => Verdict::Accepted,
        Ok(Answer { output, .. }) => Verdict::Refused { why: in_one_line(&output) },
        Err(error) => Verdict::Refused { why: chain(&error) },
    }
}

/// A reason is one line in a list and in a report. The engine's help, which follows a flag that it does not know, says nothing.
fn in_one_line(output: &str) -> String {
    let lines = output.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("See '")).collect();
    if lines.is_empty() { "dockerd --validate failed without a word".to_owned() } else { lines.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A dockerd that accepts what the script does.
    fn asked(script: &str, arguments: &[&str]) -> Verdict {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("dockerd");
        careen_testing::program(&program, format!("#!/bin/sh\n{script}\n"));
        let start = Start {
            program: program.display().to_string(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            environment: BTreeMap::from([("NOTE".to_owned(), "of the unit".to_owned())]),
        };
        verdict(&start, Some("26.1.5"))
    }

    #[test]
    fn the_installed_engine_is_asked_with_its_units_flags_and_variables() {
        let script = r#"[ "$*" = "-H fd:// --validate" ] && [ "$NOTE" = "of the unit" ]"#;
        assert_eq!(asked(script, &["-H", "fd://"]), Verdict::Accepted);
        let help = "echo 'unknown flag: --graph' >&2; echo \"See 'dockerd --help'.\"; echo; echo 'Usage:  dockerd'; exit 125";
        assert_eq!(asked(help, &["--graph", "/x"]), Verdict::Refused { why: "unknown flag: --graph".into() });
        assert!(matches!(asked("exit 1", &[]), Verdict::Refused { why } if why.contains("without a word")));
    }

    #[test]
    fn an_engine_that_knows_no_validation_is_not_asked() {
        let start = Start { program: "/no/such/dockerd".into(), ..Start::default() };
        for version in [Some("20.10.24+dfsg1"), Some("dev"), None] {
            assert_eq!(verdict(&start, version), Verdict::NotAsked { help: None }, "{version:?}");
        }
        assert!(matches!(verdict(&start, Some("23.0.0")), Verdict::Refused { .. }));
    }
}
