//! The controller's own log: events of `tracing` on standard error, one line each whatever is in it.
//!
//! The keys are always the same: `rollout`, `controller` (this process), `node` (its id), `state` (where it is in the rollout), `hold`
//! (why it does not go on), `action` (of the planner), `error`. Texts stand in quotes.

use careen_contract::terminal::neutral;
use std::fmt;
use std::io;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Events go to standard error from now on.
pub fn begin() {
    tracing_subscriber::fmt().with_ansi(false).event_format(Line).with_writer(io::stderr).init();
}

struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        // What hosts, engines and the swarm say is in it.
        writeln!(writer, "careen-controller: {}", neutral(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).event_format(Line).with_writer(move || writer.clone());
        tracing::subscriber::with_default(subscriber.finish(), || {
            tracing::warn!(error = ?"gone\n\u{1b}[2J", "the swarm does not answer");
            tracing::error!("no swarm: \u{1b}[2J\ncareen-controller: the rollout is over");
        });
        let lines = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            lines,
            "careen-controller: the swarm does not answer error=\"gone\\n\\u{1b}[2J\"\n\
             careen-controller: no swarm: \\x1b[2J\\u{a}careen-controller: the rollout is over\n"
        );
    }
}
