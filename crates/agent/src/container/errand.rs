//! An agent that is asked for something else than a payload's command: to uninstall careen (`careen uninstall`), or to say what the host
//! is (`careen facts`). It creates no transaction: that would lie in what is removed, or be a trace of a question.

use super::{HOST, host, inquiry};
use crate::facts;
use crate::say;
use crate::stop::Stop;
use crate::uninstall::carry_out;
use careen_contract::AgentExit;
use careen_contract::answer::Answer;
use careen_contract::errand::Errand;
use serde_json::Value;
use std::path::Path;

/// Does what these words ask for, and answers.
pub fn asked(words: &[&str]) -> u8 {
    let play = || match Errand::of_words(words) {
        Some(Errand::Uninstall { dry_run }) => uninstall(dry_run),
        Some(Errand::Facts) => tell_facts(),
        Some(Errand::Command) | None => {
            let words = words.join(" ");
            Err(Stop::refused(format_args!("this careen-agent does not know what '{words}' asks for")))
        }
    };
    inquiry::or_say_so(play).unwrap_or_else(|stop| stop.exit.code())
}

fn uninstall(dry_run: bool) -> Result<u8, Stop> {
    enter()?;
    let belongings = carry_out(dry_run)?;
    // A list of names always is JSON.
    answer(serde_json::to_value(&belongings).ok())
}

fn tell_facts() -> Result<u8, Stop> {
    enter()?;
    answer(serde_json::to_value(facts::tell()).ok())
}

fn enter() -> Result<(), Stop> {
    if !host::is_mounted(Path::new(HOST)) {
        return Err(Stop::new(AgentExit::NoHost, format_args!("the host's root is not mounted at {HOST}")));
    }
    host::check(Path::new(HOST))?;
    host::enter(Path::new(HOST))
}

fn answer(result: Option<Value>) -> Result<u8, Stop> {
    say::answer(&Answer::Answered { exit: 0, why: None, result, notes: Vec::new(), lines: 0 });
    Ok(0)
}
