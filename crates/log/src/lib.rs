//! How careen's programs print their events of `tracing`: one line each whatever is in it, behind the program's prefix. Texts stand in
//! quotes.
//!
//! Each program has its fixed keys: the controller's stand in its `news.rs`, the supervisor's in docs/journal-format.md.

use careen_contract::terminal::neutral;
use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// From now on events go to this writer, each by one write of a line that begins with `prefix`.
pub fn begin(prefix: &'static str, writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) {
    tracing_subscriber::fmt().with_ansi(false).event_format(Line { prefix }).with_writer(writer).init();
}

struct Line {
    prefix: &'static str,
}

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
        writeln!(writer, "{}{}", self.prefix, neutral(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
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
        let line = Line { prefix: "careen-controller: " };
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).event_format(line).with_writer(move || writer.clone());
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
