//! Text for terminals: nothing that came from a host or the swarm reaches the terminal with its control characters.

use anstyle::{AnsiColor, Style};
use careen_contract::terminal::is_harmful;
pub use careen_contract::terminal::{log_line, neutral};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// How many characters of a line are shown: names that others chose have no end.
const LONGEST_LINE: usize = 8000;

/// The widest name of a service, a container or a volume: Swarm takes no service with a longer one, of others there is no end.
const SERVICE_NAME: usize = 128;

/// A service's name, or what a task mounts, as a line has room for it.
pub fn service_name(name: &str) -> String {
    short(name, SERVICE_NAME)
}

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Without colour or weight.
    Plain,
    /// Green: what is well.
    Good,
    /// What waits, or that one should know.
    Warn,
    /// What is not well.
    Bad,
    /// Dimmed: what matters less.
    Dim,
}

impl Look {
    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Dim => Style::new().dimmed(),
        }
    }
}

/// How many columns of a terminal a text takes: a wide character takes two, a combining one none.
pub fn width(text: &str) -> usize {
    text.width()
}

/// A text with blanks behind it, so that it takes so many columns.
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The first of several names, and how many more there are.
pub fn first_of(names: &[impl AsRef<str>], most: usize) -> String {
    let shown = names.iter().take(most).map(AsRef::as_ref).collect::<Vec<&str>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A text as a cell has room for it: what does harm made visible, and cut where it is wider than so many columns.
pub fn short(text: &str, columns: usize) -> String {
    // A visible character takes no more than ten columns, so that no more of the text can be needed.
    let safe = neutral(&text.chars().take(columns + 1).collect::<String>());
    if width(&safe) <= columns && text.chars().count() <= columns {
        return safe;
    }
    let mut cut = String::new();
    for c in safe.chars() {
        if width(&cut) + width(c.encode_utf8(&mut [0; 4])) >= columns {
            break;
        }
        cut.push(c);
    }
    cut + "…"
}

/// The widest name of a host: no Linux host has a longer one, and what an engine says may have.
const HOST_NAME: usize = 64;

/// A host's name, as a line has room for it.
pub fn host_name(name: &str) -> String {
    short(name, HOST_NAME)
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    text: String,
    look: Look,
}

impl Span {
    /// Neutralised, whatever it is.
    pub fn new(look: Look, text: impl AsRef<str>) -> Self {
        Self { text: neutral(text.as_ref()), look }
    }

    fn width(&self) -> usize {
        width(&self.text)
    }
}

impl From<&str> for Span {
    fn from(text: &str) -> Self {
        Self::new(Look::Plain, text)
    }
}

impl From<String> for Span {
    fn from(text: String) -> Self {
        Self::new(Look::Plain, text)
    }
}

/// A text that is made line by line.
#[derive(Debug, Clone)]
pub struct Page {
    colour: bool,
    /// How wide the terminal is, where there is one.
    columns: Option<usize>,
    /// Whether lines are broken that are wider.
    breaks: bool,
    /// Whether lines are cut that nobody reads to their end.
    cuts: bool,
    text: String,
}

impl Page {
    /// An empty page; `colour` says whether looks are shown.
    pub fn new(colour: bool) -> Self {
        Self { colour, columns: None, breaks: false, cuts: false, text: String::new() }
    }

    /// The same for a terminal of so many columns.
    #[must_use]
    pub fn within(self, columns: Option<usize>) -> Self {
        Self { columns, ..self }
    }

    /// From here on lines are broken between words, or are not: what is to be copied must not be.
    pub const fn break_lines(&mut self, breaks: bool) {
        self.breaks = breaks;
    }

    /// From here on lines that are longer than 8,000 characters are cut: on a page about nodes and services, not of what hosts printed.
    pub const fn cut_lines(&mut self) {
        self.cuts = true;
    }

    /// Adds a line of one piece.
    pub fn line(&mut self, text: impl Into<Span>) {
        self.spans(&[text.into()]);
    }

    /// Adds an empty line.
    pub fn gap(&mut self) {
        self.text.push('\n');
    }

    /// Adds a line of several pieces, with nothing between them.
    pub fn spans(&mut self, spans: &[Span]) {
        match self.columns.filter(|_| self.breaks) {
            Some(columns) => broken(spans, columns).iter().for_each(|line| self.whole(line)),
            None => self.whole(spans),
        }
    }

    fn whole(&mut self, spans: &[Span]) {
        let mut left = if self.cuts { LONGEST_LINE } else { usize::MAX };
        for span in spans {
            self.paint_within(span, &mut left);
        }
        self.text.push('\n');
    }

    /// Adds a piece as far as there is room for so many characters, and takes its own from them.
    fn paint_within(&mut self, span: &Span, left: &mut usize) {
        match span.text.char_indices().nth(*left) {
            None => {
                *left -= span.text.chars().count();
                self.paint(span);
            }
            Some(_) if *left == 0 => {}
            Some((end, _)) => {
                *left = 0;
                self.paint(&Span { text: span.text[..end].to_owned() + "…", look: span.look });
            }
        }
    }

    /// Whether these rows, as a table, are no wider than the terminal. Where there is none, anything has room.
    pub fn has_room_for(&self, rows: &[Vec<Span>]) -> bool {
        let Some(columns) = self.columns else { return true };
        let widths = widths(rows);
        let blanks = 2 * widths.len().saturating_sub(1);
        widths.iter().sum::<usize>() + blanks <= columns
    }

    /// Adds rows with columns of equal width, two blanks between them; the last column is as wide as it is.
    pub fn table(&mut self, rows: &[Vec<Span>]) {
        let widths = widths(rows);
        for row in rows {
            let last = row.iter().rposition(|span| !span.text.is_empty());
            for (column, span) in row.iter().enumerate().take(last.map_or(0, |last| last + 1)) {
                let mut left = if self.cuts { LONGEST_LINE } else { usize::MAX };
                self.paint_within(span, &mut left);
                if Some(column) != last {
                    self.text.extend(std::iter::repeat_n(' ', widths[column] - span.width() + 2));
                }
            }
            self.text.push('\n');
        }
    }

    /// The text of all its lines.
    pub fn into_text(self) -> String {
        self.text
    }

    fn paint(&mut self, span: &Span) {
        let style = if self.colour && !span.text.is_empty() { span.look.style() } else { Style::new() };
        let _infallible = write!(self.text, "{style}{}{style:#}", span.text);
    }
}

/// How wide the columns of a table are.
fn widths(rows: &[Vec<Span>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(Span::width).max();
    (0..columns).map(|column| width(column).unwrap_or(0)).collect()
}

/// A line as lines of so many columns, broken between words; what follows the first stands below what the first says.
fn broken(spans: &[Span], columns: usize) -> Vec<Vec<Span>> {
    let mut rest: Vec<(char, Look)> =
        spans.iter().flat_map(|span| span.text.chars().map(|c| (c, span.look))).collect();
    let hang = hang(&rest.iter().map(|(c, _)| *c).collect::<String>()).min(columns / 2);
    let mut lines = Vec::new();
    while let Some(at) = break_at(&rest, columns, hang) {
        let behind = rest.split_off(at);
        lines.push(joined(&rest));
        // The blank at which it is broken is not needed.
        rest = std::iter::repeat_n((' ', Look::Plain), hang).chain(behind.into_iter().skip(1)).collect();
    }
    lines.push(joined(&rest));
    lines
}

/// Where the line is broken: at the last blank that is near enough, else at the first one; `None` of one that is not broken.
fn break_at(line: &[(char, Look)], columns: usize, hang: usize) -> Option<usize> {
    let ends = line.iter().scan(0, |end, (c, _)| {
        *end += width(c.encode_utf8(&mut [0; 4]));
        Some(*end)
    });
    let ends: Vec<usize> = ends.collect();
    if ends.last().is_none_or(|end| *end <= columns) {
        return None;
    }
    // A blank may stand right behind the last column.
    let blanks = (hang + 1..line.len()).filter(|at| line[*at].0 == ' ' && line[*at - 1].0 != ' ');
    let near = |at: &usize| ends[*at] <= columns + 1;
    blanks.clone().rfind(near).or_else(|| blanks.clone().next())
}

/// Where a line goes on that is broken: below the text behind its label, or a little behind where it begins.
fn hang(text: &str) -> usize {
    let begins = text.len() - text.trim_start_matches(' ').len();
    let label = text.find("  ").map(|label| label + text[label..].len() - text[label..].trim_start().len());
    match (begins, label) {
        (0, Some(label)) if label <= LABEL => label,
        (LABEL.., _) => begins,
        _ => begins + 4,
    }
}

/// How wide labels are in front of what they are about, such as `payload  `.
const LABEL: usize = 9;

fn joined(line: &[(char, Look)]) -> Vec<Span> {
    let runs = line.chunk_by(|a, b| a.1 == b.1);
    runs.map(|run| Span { text: run.iter().map(|(c, _)| *c).collect(), look: run[0].1 }).collect()
}

/// JSON in which the characters that [`neutral`] makes visible are escaped; it says the same.
pub fn json_line(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    Ok(escape_json(&serde_json::to_string(value)?))
}

/// The same, indented, with a newline at its end.
pub fn json_page(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    Ok(escape_json(&serde_json::to_string_pretty(value)?) + "\n")
}

/// An event, with its newline. Its keys are in alphabetical order, whatever the order of the fields.
pub fn json_event(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    Ok(json_line(&serde_json::to_value(value)?)? + "\n")
}

/// Events, a line each, with the time at which they are told. Their keys are in alphabetical order then.
pub fn timed(events: &str, time: jiff::Timestamp) -> Result<String, serde_json::Error> {
    let timed = |line: &str| {
        let mut event: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line)?;
        event.entry("time").or_insert_with(|| time.to_string().into());
        json_event(&event)
    };
    events.lines().map(timed).collect()
}

/// A time as it stands in front of lines: to the second.
pub fn in_front(time: jiff::Timestamp) -> String {
    format!("{}  ", time.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

/// Outside of strings JSON has none of these characters but the newlines of its layout.
fn escape_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_harmful(c) {
            let _infallible = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// A time span in its largest two units.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_without_them() {
        assert_eq!(json_line(&"a\x1b\u{9b}\u{202e}").unwrap(), r#""a\u001b\u009b\u202e""#);
        let page = json_page(&serde_json::json!({ "a": "b\n" })).unwrap();
        assert_eq!(page, "{\n  \"a\": \"b\\n\"\n}\n");
    }

    #[test]
    fn lines_are_broken_between_words_and_go_on_below_their_text() {
        let on = |columns, spans: &[Span]| {
            let mut page = Page::new(false).within(Some(columns));
            page.break_lines(true);
            page.spans(spans);
            page.into_text()
        };
        let label = || [Span::new(Look::Warn, "at risk  "), "one two three four five".into()];
        assert_eq!(on(40, &label()), "at risk  one two three four five\n");
        assert_eq!(on(20, &label()), "at risk  one two\n         three four\n         five\n");
        assert_eq!(on(12, &["  w1 (worker), drained".into()]), "  w1 (worker),\n      drained\n");
        assert_eq!(on(8, &["a-word-without-a-blank".into()]), "a-word-without-a-blank\n");
        assert_eq!(on(6, &["a long-long-word b".into()]), "a long-long-word\n   b\n");
        let mut page = Page::new(true).within(Some(12));
        page.spans(&label());
        assert_eq!(page.into_text().lines().count(), 1, "it may be something to copy");
        let mut page = Page::new(true).within(Some(12));
        page.break_lines(true);
        page.spans(&[Span::new(Look::Bad, "one two three")]);
        assert_eq!(page.into_text(), "\x1b[31mone two\x1b[0m\n    \x1b[31mthree\x1b[0m\n");
    }

    #[test]
    fn columns_are_aligned_with_and_without_colours() {
        let rows = [
            vec![Span::from("w1"), Span::new(Look::Good, "done"), Span::from("")],
            vec![Span::from("worker"), Span::new(Look::Bad, "failed"), Span::from("here")],
        ];
        let mut page = Page::new(false);
        page.table(&rows);
        assert_eq!(page.into_text(), "w1      done\nworker  failed  here\n");
        let mut page = Page::new(true);
        page.table(&rows);
        assert_eq!(page.into_text(), "w1      \x1b[32mdone\x1b[0m\nworker  \x1b[31mfailed\x1b[0m  here\n");
    }

    #[test]
    fn columns_are_aligned_where_characters_are_wide_or_have_no_width() {
        let rows = [
            vec![Span::from("ホスト"), Span::from("done")],
            vec![Span::from("cafe\u{301}"), Span::from("done")],
            vec![Span::from("worker"), Span::from("failed")],
        ];
        let mut page = Page::new(false);
        page.table(&rows);
        assert_eq!(page.into_text(), "ホスト  done\ncafe\u{301}    done\nworker  failed\n");
        assert_eq!(padded("ホスト", 8), "ホスト  ");
        assert_eq!(padded("worker", 2), "worker");
    }

    #[test]
    fn a_cell_is_no_wider_than_it_may_be_whatever_a_name_is() {
        for (text, expected) in [
            ("w1", "w1"),
            ("12345678", "12345678"),
            ("123456789", "1234567…"),
            ("ホストホスト", "ホスト…"),
            ("a\u{1b}[2Jb", "a\\u{1b}…"),
            ("", ""),
        ] {
            assert_eq!(short(text, 8), expected, "{text}");
        }
        let long = "\u{1b}]0;x\u{7}".repeat(2_500);
        assert!(width(&short(&long, 40)) <= 40 && !short(&long, 40).contains('\u{1b}'));
        assert!(width(&short(&"e\u{301}".repeat(5_000), 40)) <= 40);
    }

    #[test]
    fn spans_of_time() {
        let texts = [59, 61, 3661, 90_000].map(span);
        assert_eq!(texts, ["59 s", "1 min", "1 h 1 min", "1 d 1 h"]);
    }
}
