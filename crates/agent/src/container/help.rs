//! A payload's help: the one command that needs neither a transaction nor, if it is plain text, a host.

use crate::files;
use crate::payload::Source;
use crate::say::say;
use crate::signals::with_signals_unblocked;
use careen_contract::payload::HELP_COMMAND;
use std::io::Write;
use std::process::Command;

const GENERAL: &str = "\
This is a careen installer image. Run one of its commands on this host:

  docker run --rm -v /:/host IMAGE [COMMAND [ARGS...]]

or on every host of a swarm:

  docker service create --name NAME --mode global --restart-condition none \\
    --mount type=bind,source=/,target=/host IMAGE [COMMAND [ARGS...]]
";

/// Prints the help where there is no host to run it on. A script is run if the image has its interpreter; the base has
/// none, so that else the comment at the script's head is shown, which is where authors explain themselves.
pub fn print_in_container(source: Option<&Source>) {
    let Some(source) = source else { return general(&[]) };
    let help = source.path().join(HELP_COMMAND);
    let Ok(bytes) = files::read(&help) else { return general(&source.commands().unwrap_or_default()) };
    let is_program = bytes.starts_with(b"#!") || bytes.starts_with(b"\x7fELF");
    if !is_program {
        return print(&bytes);
    }
    let ran = with_signals_unblocked(&mut Command::new(&help)).status().is_ok();
    if !ran {
        print(head_comment(&String::from_utf8_lossy(&bytes)).as_bytes());
        general(&source.commands().unwrap_or_default());
    }
}

/// Runs the help on the host and returns its exit code. It is run from the image, where it lies, and leaves nothing on
/// the host.
pub fn run_on_host(source: &Source) -> u8 {
    let help = source.path().join(HELP_COMMAND);
    let Ok(bytes) = files::read(&help) else {
        general(&source.commands().unwrap_or_default());
        return 0;
    };
    let is_program = bytes.starts_with(b"#!") || bytes.starts_with(b"\x7fELF");
    if !is_program {
        print(&bytes);
        return 0;
    }
    let kept_open = source.keep_open_on_exec();
    let ran = kept_open.and_then(|()| {
        with_signals_unblocked(&mut Command::new(&help))
            .env("PATH", careen_contract::settings::COMMAND_PATH)
            .status()
    });
    match ran {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX),
        Err(error) => {
            say(format_args!("the payload's help cannot be run on this host: {error}"));
            print(head_comment(&String::from_utf8_lossy(&bytes)).as_bytes());
            general(&source.commands().unwrap_or_default());
            126
        }
    }
}

fn general(commands: &[String]) {
    print(GENERAL.as_bytes());
    if !commands.is_empty() {
        print(format!("\nCommands of this image: {}\n", commands.join(", ")).as_bytes());
    }
}

fn print(bytes: &[u8]) {
    let mut stdout = std::io::stdout();
    let newline: &[u8] = if bytes.is_empty() || bytes.ends_with(b"\n") { b"" } else { b"\n" };
    // Nobody may be listening: then there is nobody to help.
    let _ = stdout.write_all(bytes).and_then(|()| stdout.write_all(newline)).and_then(|()| stdout.flush());
}

/// The comment lines behind a script's first line, without their marks.
fn head_comment(script: &str) -> String {
    let comment = script.lines().skip(1).map_while(|line| line.strip_prefix('#'));
    comment.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scripts_head_explains_it() {
        let script = "#!/bin/sh\n# Upgrades this host.\n#\n#   install  does it\n\necho '# not this'\n";
        assert_eq!(head_comment(script), "Upgrades this host.\n\n  install  does it\n");
        assert_eq!(head_comment("#!/bin/sh\necho\n"), "");
    }
}
