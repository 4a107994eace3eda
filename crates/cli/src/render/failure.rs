//! How a command that failed says so: what happened and what to do next.

use crate::args::Format;
use crate::error::Failure;
use crate::render::text::{json_event, neutral};
use careen_contract::chain;
use serde::Serialize;

#[derive(Serialize)]
#[serde(tag = "event", rename = "error")]
struct FailureJson {
    error: String,
    exit: u8,
    next: Option<&'static str>,
}

/// What is printed to standard error, for people or as one line of JSON.
pub fn text(failure: &Failure, format: Format) -> String {
    let error = chain(failure);
    match format {
        Format::Text => {
            let next = failure.next().map_or_else(String::new, |next| format!("  {next}\n"));
            format!("careen: {}\n{next}", neutral(&error))
        }
        Format::Json => {
            let json = FailureJson { error, exit: failure.exit().code(), next: failure.next() };
            // Texts and a number: there is nothing in it that JSON cannot say.
            json_event(&json).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::NoManager;

    #[test]
    fn an_error_says_what_to_do_next_as_text_and_as_json() {
        let failure = Failure::from(NoManager::Worker { name: "w\u{1b}3".into() });
        assert_eq!(
            text(&failure, Format::Text),
            "careen: w\\u{1b}3 is a worker of its swarm, and only managers can be asked\n  run careen on a manager's \
             host; 'docker node ls' there lists them\n"
        );
        let json: serde_json::Value = serde_json::from_str(&text(&failure, Format::Json)).unwrap();
        assert_eq!((&json["event"], &json["exit"]), (&"error".into(), &7.into()));
        assert_eq!(json["next"], failure.next().unwrap());
        assert!(text(&Failure::Declined, Format::Json).contains(r#""next":null"#));
    }
}
