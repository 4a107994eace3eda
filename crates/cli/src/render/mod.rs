//! What commands show, as text and as JSON. A [`Screen`] is one result, one event or one line, made of typed values; [`print()`] writes
//! it where it belongs, in the format that was asked for. Nothing else in the crate knows a format, beside the flag itself.
//!
//! - [`results`]: what `plan`, `status`, `why` and `image push` answer; [`events`]: what is said while something is done;
//!   [`notes`]: lines for people alone, and questions; [`failure`]: a command that failed
//! - [`status`], [`status_json`], [`plan_page`] (with what is at risk, and the waves), [`why`], [`left`], [`controller`]: the pages and the JSON behind those
//! - [`enforce`]: what is enforced, and how hosts are; [`answers`]: what hosts answer to `ask`; [`uninstall`]: what careen has on them
//! - [`history`], [`record`], [`listed`]: what is remembered of rollouts that are over
//! - [`mod@parity`]: who ended with other versions than the first one
//! - [`live`]: the picture of a rollout that goes on
//! - [`words`]: states, holds and failures as sentences, with each [`step`] that comes next
//! - [`text`]: the terminal: colours, columns, and nothing that does harm to it
//!
//! Everything here but [`print()`] and [`live::Canvas`] is pure.

pub mod answers;
pub mod controller;
pub mod enforce;
pub mod events;
pub mod failure;
mod held;
pub mod history;
pub mod left;
pub mod listed;
pub mod live;
pub mod notes;
pub mod parity;
pub mod plan_page;
mod plan_risks;
mod plan_waves;
mod probe;
pub mod record;
pub mod results;
mod routine;
pub mod status;
pub mod status_json;
pub mod step;
pub mod text;
mod time;
pub mod uninstall;
pub mod why;
pub mod words;

use crate::args::Format;
use crate::backend::Stream;
use crate::console::Console;
use crate::error::Failure;
use text::Page;

/// One thing that a command shows.
pub trait Screen {
    /// Puts on a page what people read.
    fn text(&self, page: &mut Page);

    /// What programs read, with the newline at its end; empty where they are told nothing.
    fn json(&self) -> serde_json::Result<String>;

    /// Whether it is an event: programs read when it was told.
    fn is_event(&self) -> bool {
        false
    }

    /// Where people read it. Programs read everything from standard output.
    fn stream(&self) -> Stream {
        Stream::Stdout
    }
}

/// Writes a screen where it belongs.
pub fn print(screen: &impl Screen, format: Format, console: &mut impl Console) -> Result<(), Failure> {
    let colours = console.colours();
    match (format, screen.stream()) {
        (Format::Json, _) if screen.is_event() => {
            let timed = text::timed(&screen.json()?, console.time())?;
            write(console, Stream::Stdout, &timed)
        }
        (Format::Json, _) => write(console, Stream::Stdout, &screen.json()?),
        (Format::Text, Stream::Stdout) => {
            let columns = console.columns();
            write(console, Stream::Stdout, &on_page(screen, colours.out, columns))
        }
        (Format::Text, Stream::Stderr) => write(console, Stream::Stderr, &on_page(screen, colours.err, None)),
    }
}

fn on_page(screen: &impl Screen, colour: bool, columns: Option<usize>) -> String {
    let mut page = Page::new(colour).within(columns);
    screen.text(&mut page);
    page.into_text()
}

fn write(console: &mut impl Console, stream: Stream, text: &str) -> Result<(), Failure> {
    match stream {
        _ if text.is_empty() => {}
        Stream::Stdout => console.out(text)?,
        Stream::Stderr => console.err(text)?,
    }
    Ok(())
}
