//! Tables for people. Pure.

use super::Report;
use crate::row::{Bound, Judgement, Row};
use std::fmt::Write as _;

/// The rows of one part of the bench.
pub fn table(rows: &[Row]) -> String {
    let mut text = "| what | goal | figure | |\n| --- | --- | --- | --- |\n".to_owned();
    for row in rows {
        // Writing into a String cannot fail.
        let cells = [cell(&row.what), goal(row), figure(row), cell(&judged(row))];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// Everything that a run has found.
pub fn whole(report: &Report) -> String {
    let Report { command, machine, lasted_seconds, rows } = report;
    let minutes = lasted_seconds / 60;
    let mut text =
        format!("`{command}`, {minutes} min {} s; {}\n", lasted_seconds % 60, machine.in_a_sentence());
    let mut parts: Vec<&str> = rows.iter().map(|row| row.part.as_str()).collect();
    parts.dedup();
    for part in parts {
        let rows: Vec<Row> = rows.iter().filter(|row| row.part == part).cloned().collect();
        let _ = write!(text, "\n### {part}\n\n{}", table(&rows));
    }
    text
}

fn goal(row: &Row) -> String {
    let Some(goal) = row.goal else { return String::new() };
    let (sign, limit) = match goal {
        Bound::AtMost(limit) => ("≤", limit),
        Bound::AtLeast(limit) => ("≥", limit),
        Bound::Below(limit) => ("<", limit),
    };
    format!("{sign} {limit} {}", row.unit).trim_end().to_owned()
}

/// The median, and in brackets what all rounds lie between.
fn figure(row: &Row) -> String {
    let Some(figure) = row.figure else { return String::new() };
    let mut text = format!("{} {}", number(figure), row.unit).trim_end().to_owned();
    let least = row.samples.iter().copied().min_by(f64::total_cmp);
    let most = row.samples.iter().copied().max_by(f64::total_cmp);
    if let (Some(least), Some(most), true) = (least, most, row.samples.len() > 1) {
        let _ = write!(text, " ({} to {})", number(least), number(most));
    }
    text
}

fn judged(row: &Row) -> String {
    let word = match row.judgement {
        Judgement::Met => "met",
        Judgement::Missed => "**missed**",
        Judgement::NoGoal => "",
        Judgement::NotMeasured => "not measured",
    };
    let parts = [Some(word), row.note.as_deref()];
    let said: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    said.join(": ")
}

/// A text that stays in its cell.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

/// Three digits that count, and no more than two behind the point.
fn number(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        large if large >= 100.0 => format!("{number:.0}"),
        middle if middle >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::samples::Samples;

    #[test]
    fn a_row_says_what_goal_figure_and_whether_it_is_met() {
        let rows = [
            Row::plain("p", "bare job", "s", &Samples::of([1.234])),
            Row::judged("p", "careen by it", "×", &Samples::of([3.0, 2.0, 16.0]), Bound::AtMost(2.5)),
            Row::not_measured("p", "Ansible", "s", Some(Bound::Below(1.0)), "no\nssh | here"),
        ];
        assert_eq!(
            table(&rows),
            "| what | goal | figure | |\n| --- | --- | --- | --- |\n\
             | bare job |  | 1.23 s |  |\n\
             | careen by it | ≤ 2.5 × | 3.00 × (2.00 to 16.0) | **missed** |\n\
             | Ansible | < 1 s |  | not measured: no ssh \\| here |\n"
        );
    }

    #[test]
    fn a_report_has_a_table_for_each_part() {
        let rows = vec![
            Row::plain("one", "a", "s", &Samples::of([1.0])),
            Row::plain("one", "b", "s", &Samples::of([0.0])),
            Row::plain("two", "c", "", &Samples::of([1234.5])),
        ];
        let machine = Machine::example();
        let report = Report { command: "make bench".to_owned(), machine, lasted_seconds: 125, rows };
        let text = whole(&report);
        assert!(text.starts_with("`make bench`, 2 min 5 s; "), "{text}");
        assert_eq!(text.matches("| what | goal |").count(), 2, "{text}");
        assert!(text.contains("### two\n\n| what"), "{text}");
        assert!(text.contains("| c |  | 1234 |  |") || text.contains("| c |  | 1235 |  |"), "{text}");
    }
}
