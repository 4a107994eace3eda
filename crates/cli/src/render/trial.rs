//! What a payload does that is tried: what it prints, line by line, and how it ends.

use super::Screen;
use crate::backend::Stream;
use crate::render::text::{Page, json_event, log_line};
use serde::Serialize;
use std::fmt;

/// A line that the command, or the agent around it, printed.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Printed<'a> {
    pub stream: Stream,
    pub text: &'a str,
}

/// What is said beside it, to people alone.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the texts below say when each is shown")]
pub enum Beside<'a> {
    Stopping { command: &'a str },
    NoOutput { why: &'a str },
    ContainerStays { container: &'a str, why: &'a str },
}

/// How it ended.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Tried<'a> {
    pub command: &'a str,
    pub host: &'a str,
    pub exit: u8,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum TrialJson<'a> {
    Printed { stream: &'static str, text: &'a str },
    End { command: &'a str, host: &'a str, exit: u8 },
}

impl Screen for Printed<'_> {
    fn is_event(&self) -> bool {
        true
    }

    fn text(&self, page: &mut Page) {
        page.line(log_line(self.text));
    }

    fn json(&self) -> serde_json::Result<String> {
        let stream = match self.stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        json_event(&TrialJson::Printed { stream, text: self.text })
    }

    fn stream(&self) -> Stream {
        self.stream
    }
}

impl fmt::Display for Beside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopping { command } => {
                write!(f, "stopping '{command}'; Ctrl-C once more leaves, and it is stopped all the same")
            }
            Self::NoOutput { why } => {
                write!(f, "what it prints does not come any more ({why}); waiting for its end")
            }
            Self::ContainerStays { container, why } => {
                write!(f, "the container {container} stays: {why}; 'docker rm -f {container}' removes it")
            }
        }
    }
}

impl Screen for Beside<'_> {
    fn text(&self, page: &mut Page) {
        page.line(self.to_string());
    }

    fn json(&self) -> serde_json::Result<String> {
        Ok(String::new())
    }

    fn stream(&self) -> Stream {
        Stream::Stderr
    }
}

impl Screen for Tried<'_> {
    fn is_event(&self) -> bool {
        true
    }

    /// The agent has said it.
    fn text(&self, _: &mut Page) {}

    fn json(&self) -> serde_json::Result<String> {
        let Self { command, host, exit } = *self;
        json_event(&TrialJson::End { command, host, exit })
    }

    fn stream(&self) -> Stream {
        Stream::Stderr
    }
}
