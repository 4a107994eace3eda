//! The picture of a rollout that goes on, redrawn in place: a line for each node at work, and a bar over all.
//!
//! Forty lines do what is needed here; a progress library would bring five crates for it.

use super::Screen;
use crate::args::Format;
use crate::console::Console;
use crate::error::Failure;
use crate::follow::Change;
use crate::render::events::{Changes, Tails};
use crate::render::text::{Look, Page, Span, span};
use crate::render::{held, print, status, words};
use crate::view::Standing;
use careen_planner::NodeId;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many nodes at work are shown.
const SHOWN: usize = 12;

/// After how many seconds without a line it is said for how long nothing came.
const QUIET: u64 = 60;

/// How wide the bar is.
const BAR: usize = 18;

/// The picture. `last_lines` is what hosts printed last.
/// What is at work has the time since it is where it is, and what is held the time since it is held: they move while nothing
/// else does, and so does the time of `followed` behind the bar.
pub fn picture(
    standing: &Standing,
    last_lines: &BTreeMap<NodeId, String>,
    followed: Duration,
    colour: bool,
) -> String {
    let mut page = Page::new(colour);
    page.cut_lines();
    let works: Vec<_> = standing.nodes.iter().filter(|node| node.works() || node.held.is_some()).collect();
    let rows = works.iter().take(SHOWN).map(|node| {
        let age = node.held.map(|held| held.lasted).or(node.age);
        let age = age.map(|age| span(age.as_secs())).unwrap_or_default();
        let then = node.held.as_ref().map(|held| format!("{}; ", held::then(held))).unwrap_or_default();
        let hold = words::detail(node).map(|text| standing.with_names(&text)).unwrap_or_default();
        let hold = format!("{then}{hold}");
        // What keeps it says most; where nothing does, what its host prints.
        let kept = node.hold.as_ref().is_some_and(|hold| !words::is_routine(hold) || words::is_drain(hold));
        let quiet = node.printed.as_ref().is_some_and(|printed| printed.seconds >= QUIET);
        let words = match (kept, quiet) {
            (true, _) => hold,
            (false, true) => words::printed(node).unwrap_or(hold),
            (false, false) => last_lines.get(&node.node).cloned().unwrap_or(hold),
        };
        vec![
            Span::from(format!("  {}", node.shown)),
            Span::new(status::look(node), words::state(node)),
            age.into(),
            Span::new(Look::Dim, words),
        ]
    });
    page.table(&rows.collect::<Vec<_>>());
    if works.len() > SHOWN {
        page.line(format!("  and {} more", works.len() - SHOWN));
    }
    let totals = standing.totals();
    page.line(format!(
        "{} {}  {}",
        bar(totals.done + totals.failed + totals.skipped + totals.gone, totals.nodes),
        clock(followed.as_secs()),
        status::totals(&totals),
    ));
    page.into_text()
}

/// It moves with each look, also where nothing else does.
fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        hours => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

fn bar(through: usize, of: usize) -> String {
    let full = (through * BAR).checked_div(of).unwrap_or(BAR);
    format!("[{}{}]", "=".repeat(full), " ".repeat(BAR - full))
}

/// What anstyle has no word for: lines that are too long are cut, or go on in the next line.
const CUT: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// The cursor goes so many lines up, to their beginning, and all below it goes.
fn back(lines: usize) -> String {
    format!("\x1b[{lines}A\r\x1b[J")
}

/// What one look at a rollout brought.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct News<'a> {
    pub changes: &'a [Change],
    /// `None` when no look has shown the rollout yet.
    pub standing: Option<&'a Standing>,
    pub tails: &'a Tails,
}

/// Where standard error is drawn on: how many lines the picture has that is there.
#[derive(Debug, Default)]
pub struct Canvas {
    lines: usize,
    /// When the following began, by the console's clock.
    began: Option<Duration>,
}

impl Canvas {
    /// Shows what is new: as lines, or on a terminal as lines above the picture.
    pub fn show(
        &mut self,
        news: News<'_>,
        format: Format,
        console: &mut impl Console,
    ) -> Result<(), Failure> {
        let changes = Changes(news.changes, console.time());
        let followed = console.now().saturating_sub(*self.began.get_or_insert_with(|| console.now()));
        if format == Format::Json || !console.is_live() {
            return print(&changes, format, console);
        }
        let Some(standing) = news.standing else { return Ok(()) };
        let last = news.tails.iter().filter_map(|(node, tail)| Some((node.clone(), tail.back()?.clone())));
        let colour = console.colours().err;
        let mut above = Page::new(colour);
        changes.text(&mut above);
        let picture = picture(standing, &last.collect(), followed, colour);
        let drawn = self.draw(&above.into_text(), &picture);
        Ok(console.err(&drawn)?)
    }

    /// Takes the picture away, for what is to stay.
    pub fn wipe(&mut self, console: &mut impl Console) -> Result<(), Failure> {
        let erased = self.erase();
        if erased.is_empty() { Ok(()) } else { Ok(console.err(&erased)?) }
    }

    /// What to write so that the picture that is there is replaced, with `above` staying above it. Lines that are too
    /// long are cut by the terminal itself, so that the picture has as many lines as are counted here.
    fn draw(&mut self, above: &str, picture: &str) -> String {
        let erased = self.erase();
        self.lines = picture.lines().count();
        format!("{erased}{above}{CUT}{picture}{WRAP}")
    }

    /// What to write so that the picture is gone.
    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.lines) {
            0 => String::new(),
            lines => back(lines),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, cluster, spec};
    use careen_planner::observed::Printed;
    use careen_planner::{NodeState, Watch};

    #[test]
    fn a_line_for_each_node_at_work_and_a_bar() {
        let mut observed = cluster();
        at(&mut observed.nodes[1], NodeState::Done, None);
        at(&mut observed.nodes[2], NodeState::Running { drained: true }, None);
        let (standing, _) = crate::view::look(&observed, &spec(), &Watch::default(), Duration::ZERO).unwrap();
        let ages = BTreeMap::from([(NodeId("w2".into()), Duration::from_secs(61))]);
        let last = BTreeMap::from([(NodeId("w2".into()), "Unpacking \x1b[2Jlibc6".to_owned())]);
        assert_eq!(
            picture(&standing.with_ages(&ages), &last, Duration::ZERO, false),
            "  w2  running  1 min  Unpacking \\u{1b}[2Jlibc6\n\
             [====              ] 0:00  1 of 4 nodes done, 1 at work, 2 waiting\n"
        );
    }

    #[test]
    fn the_clock_moves_while_nothing_else_does() {
        assert_eq!([0, 59, 61, 3_725].map(clock), ["0:00", "0:59", "1:01", "1:02:05"]);
        let (standing, _) =
            crate::view::look(&cluster(), &spec(), &Watch::default(), Duration::ZERO).unwrap();
        let at = |seconds| picture(&standing, &BTreeMap::new(), Duration::from_secs(seconds), false);
        assert_ne!(at(5), at(6));
    }

    #[test]
    fn a_host_that_prints_nothing_any_more_is_told_as_that() {
        let mut observed = cluster();
        at(&mut observed.nodes[2], NodeState::Running { drained: false }, None);
        let (mut standing, _) =
            crate::view::look(&observed, &spec(), &Watch::default(), Duration::ZERO).unwrap();
        let last = BTreeMap::from([(NodeId("w2".into()), "Unpacking".to_owned())]);
        for (seconds, told) in
            [(59, "Unpacking"), (60, "printed nothing for 1 min, and last: Continue? [Y/n]")]
        {
            let w2 = standing.nodes.iter_mut().find(|node| node.hostname == "w2").unwrap();
            w2.printed = Some(Printed { line: "Continue? [Y/n] ".into(), seconds });
            let picture = picture(&standing, &last, Duration::from_secs(61), false);
            assert!(picture.lines().next().unwrap().ends_with(told), "{picture}");
        }
    }

    #[test]
    fn a_picture_replaces_the_one_before() {
        let mut canvas = Canvas::default();
        assert_eq!(canvas.draw("", "a\nb\n"), "\x1b[?7la\nb\n\x1b[?7h");
        assert_eq!(canvas.draw("news\n", "c\n"), "\x1b[2A\r\x1b[Jnews\n\x1b[?7lc\n\x1b[?7h");
        assert_eq!(canvas.erase(), "\x1b[1A\r\x1b[J");
        assert_eq!(canvas.erase(), "");
    }
}
