//! careen-agent: one static binary in three places.
//!
//! - In an installer container it is the *agent* (`run`): makes sure that the payload's command runs exactly once on the
//!   host, follows it, exits with its result. See [`container`].
//! - On the host it is the *supervisor* (`supervise`): owns the transaction. See [`supervisor`].
//! - In a helper container it is the way from the one to the other where systemd's bus is closed (`helper`). See
//!   [`helper`].
//!
//! It is synchronous, resolves no names, and talks to unix sockets only.

mod boot;
mod container;
mod durable;
mod edit;
mod engine_process;
mod engine_restart;
mod expectation;
mod facts;
mod files;
mod go;
mod helper;
mod hold;
mod host_view;
mod journal;
mod layout;
mod lock;
mod machine;
mod machine_command;
mod manifest;
mod memory;
mod operator;
mod others;
mod payload;
mod readiness;
mod resume;
mod say;
mod signals;
mod stop;
mod supervisor;
mod sweep;
mod tool;
mod transactions;
mod uninstall;
mod unit;
mod watch;
mod withdraw;

use anyhow::{Context, bail};
use careen_contract::TransactionId;
use careen_contract::chain;
use careen_contract::entry::HostEntry;
use careen_contract::errand;
use careen_contract::settings;
use careen_contract::standing;
use careen_upgrade::run::is_command;
use layout::TransactionDir;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
careen-agent: runs installer payloads on a host, exactly once, and lets nothing take them down

On the host:
  careen-agent list                  the transactions of this host
  careen-agent show ID               what one is and what happened to it, as JSON lines
  careen-agent logs [-f] ID          what its command wrote
  careen-agent cancel [--now] ID     stop its command
  careen-agent sweep [--all]         remove old output, or forget all closed transactions
  careen-agent facts                 what the host is made of and whether it wants a restart, as JSON
  careen-agent machine               whether what careen keeps here is this machine's own, as JSON
  careen-agent machine new|keep      say that this is another machine than the one it was copied from, or the same
  careen-agent uninstall [--dry-run] remove all that careen has on this host, or only say what that is
  careen-agent --version

Payload helpers, for scripts:
  careen-agent file --help           give a file its content, mode and owner, atomically
  careen-agent json-merge --help     merge keys into a JSON file

In an installer image (its ENTRYPOINT):
  careen-agent run [COMMAND [ARGS...]]
  careen-agent enforce [ARGS...]     keep the host as the payload wants it, until the container is stopped
";

/// Words that were not understood.
const USAGE_EXIT: u8 = 2;
/// Anything else that went wrong for a person on the host.
const FAILED_EXIT: u8 = 1;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let called = args.next().unwrap_or_default();
    let args: Vec<OsString> = args.collect();
    let words: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    // The payload of `careen upgrade` is this program, too, under the names of its commands: so a host gets one and not two.
    if let Some(command) =
        Path::new(&called).file_name().and_then(OsStr::to_str).filter(|name| is_command(name))
    {
        return careen_upgrade::run::command(command, words);
    }
    careen_log::begin(say::PREFIX, || say::Events);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", ..] => container::run(args[1..].to_vec()).into(),
        ["supervise", way, id] => done(supervise(way, id, None)),
        ["supervise", way, id, agent] => done(supervise(way, id, Some(agent))),
        [errand::ASKED, rest @ ..] => container::asked(rest).into(),
        ["uninstall"] => done(uninstall::by_hand(false)),
        ["uninstall", "--dry-run"] => done(uninstall::by_hand(true)),
        ["file", ..] => edit::file(&args[1..]).into(),
        ["json-merge", ..] => edit::json_merge(&args[1..]).into(),
        [standing::ENFORCE, ..] => container::enforce(args[1..].to_vec()).into(),
        ["gate"] => done(container::wait_as_a_gate().map(|()| 0)),
        ["helper", ..] => done(help_in(&words[1..])),
        ["resume"] => done(resume::run(Path::new(layout::ROOT)).map(|()| 0)),
        ["list"] => done(operator::list().map(|()| 0)),
        ["show", id] => done(operator::show(id).map(|()| 0)),
        ["logs", id] => done(operator::logs(id, false).map(|()| 0)),
        ["logs", "-f" | "--follow", id] => done(operator::logs(id, true).map(|()| 0)),
        ["sweep"] => done(operator::sweep(sweep::Keep::BY_DEFAULT).map(|()| 0)),
        ["sweep", "--all"] => done(operator::sweep(sweep::Keep::NOTHING).map(|()| 0)),
        ["facts"] => done(operator::facts().map(|()| 0)),
        ["machine"] => done(machine_command::show(Path::new(layout::ROOT)).map(|()| 0)),
        ["machine", "keep"] => done(machine_command::keep(Path::new(layout::ROOT)).map(|()| 0)),
        ["machine", "new"] => done(machine_command::new(Path::new(layout::ROOT)).map(|()| 0)),
        ["cancel", id] => done(operator::cancel(id, false).map(|()| 0)),
        ["cancel", "--now", id] => done(operator::cancel(id, true).map(|()| 0)),
        ["--version" | "-V"] => {
            println!("careen-agent {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        ["--help" | "-h" | "help"] => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        // A derived Dockerfile that set ENTRYPOINT to the bare binary: no host has a payload at /install.
        _ if files::is_directory(settings::DEFAULT_PAYLOAD) => container::run(args).into(),
        _ => {
            eprint!("{USAGE}");
            USAGE_EXIT.into()
        }
    }
}

fn done(result: anyhow::Result<u8>) -> ExitCode {
    match result {
        Ok(code) => code.into(),
        Err(error) => {
            say::say(format_args!("{error:#}"));
            FAILED_EXIT.into()
        }
    }
}

/// `agent` is the one of a rollout whose go this is.
fn supervise(way: &str, id: &str, agent: Option<&str>) -> anyhow::Result<u8> {
    let Ok(HostEntry::Only(way)) = HostEntry::parse(way) else { bail!("'{way}' is no way into a host") };
    let root = Path::new(layout::ROOT);
    let go = agent.map(str::parse).transpose().context("AGENT is a number")?;
    let directory = TransactionDir::new(root, &TransactionId::parse(id)?);
    // Its log is the only place that tells why: what happened to the transaction is in the journal.
    Ok(supervisor::run(way, root, &directory, go).unwrap_or_else(|error| {
        tracing::error!(error = chain(error.as_ref()), "cannot go on");
        FAILED_EXIT
    }))
}

fn help_in(args: &[&str]) -> anyhow::Result<u8> {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let said = helper::run(&args)?;
    println!("{said}");
    Ok(0)
}
