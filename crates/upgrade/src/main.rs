//! `careen-upgrade`: the commands of the built-in payload, one program that does what it is called. It runs on the host, as
//! every payload does; what it decides is in the library.

mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args();
    let called = words.next().unwrap_or_default();
    let name = called.rsplit('/').next().unwrap_or_default().to_owned();
    run::command(&name, words.collect())
}
