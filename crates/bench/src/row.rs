//! One figure, what it should be, and whether it is. Pure.
//!
//! This is what `target/bench/bench.json` is made of, and what a program beside this one prints to have its rows among them
//! ([`crate::others`]).

use crate::samples::Samples;
use serde::{Deserialize, Serialize};

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// Less than this.
    Below(f64),
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Bound::AtMost(limit) => figure <= limit,
            Bound::AtLeast(limit) => figure >= limit,
            Bound::Below(limit) => figure < limit,
        }
    }
}

/// What came of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// The figure is as it should be.
    Met,
    /// It is not.
    Missed,
    /// It has no goal: others are compared with it.
    NoGoal,
    /// There is no figure; the row says why.
    NotMeasured,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The part of the bench that it belongs to.
    pub part: String,
    /// What was measured.
    pub what: String,
    /// What the figure counts: `s`, `ms`, `×`, `MiB`, `%`, …
    pub unit: String,
    /// The median of the samples.
    pub figure: Option<f64>,
    /// One for each round.
    #[serde(default)]
    pub samples: Vec<f64>,
    /// What the figure should be, in its unit.
    pub goal: Option<Bound>,
    /// Whether it is.
    pub judgement: Judgement,
    /// Why there is no figure, or what a reader has to know of it.
    #[serde(default)]
    pub note: Option<String>,
}

impl Row {
    /// A figure that others are compared with.
    pub fn plain(part: &str, what: &str, unit: &str, samples: &Samples) -> Row {
        let judgement = match samples.median() {
            Some(_) => Judgement::NoGoal,
            None => Judgement::NotMeasured,
        };
        Row {
            part: part.to_owned(),
            what: what.to_owned(),
            unit: unit.to_owned(),
            figure: samples.median(),
            samples: samples.all().to_vec(),
            goal: None,
            judgement,
            note: None,
        }
    }

    /// A figure with a goal.
    pub fn judged(part: &str, what: &str, unit: &str, samples: &Samples, goal: Bound) -> Row {
        let row = Row::plain(part, what, unit, samples);
        let judgement = match row.figure {
            Some(figure) if goal.holds(figure) => Judgement::Met,
            Some(_) => Judgement::Missed,
            None => Judgement::NotMeasured,
        };
        Row { goal: Some(goal), judgement, ..row }
    }

    /// What could not be measured, and why.
    pub fn not_measured(part: &str, what: &str, unit: &str, goal: Option<Bound>, why: &str) -> Row {
        let row = Row::plain(part, what, unit, &Samples::default());
        Row { goal, note: Some(why.to_owned()), ..row }
    }

    /// The same row with something that a reader has to know.
    #[must_use]
    pub fn noting(self, note: &str) -> Row {
        Row { note: Some(note.to_owned()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_up_to_its_limit() {
        for (goal, figure, judgement) in [
            (Bound::AtMost(2.0), 2.0, Judgement::Met),
            (Bound::AtMost(2.0), 2.1, Judgement::Missed),
            (Bound::AtLeast(2.0), 2.0, Judgement::Met),
            (Bound::AtLeast(2.0), 1.9, Judgement::Missed),
            (Bound::Below(1.0), 1.0, Judgement::Missed),
            (Bound::Below(1.0), 0.9, Judgement::Met),
        ] {
            let row = Row::judged("part", "what", "×", &Samples::of([figure]), goal);
            assert_eq!(row.judgement, judgement, "{goal:?} {figure}");
        }
    }

    #[test]
    fn without_a_figure_nothing_is_met() {
        let none = Samples::default();
        assert_eq!(Row::judged("p", "w", "s", &none, Bound::AtMost(1.0)).judgement, Judgement::NotMeasured);
        assert_eq!(Row::plain("p", "w", "s", &none).judgement, Judgement::NotMeasured);
        let row = Row::not_measured("p", "w", "s", None, "no ssh here");
        assert_eq!((row.judgement, row.note.as_deref()), (Judgement::NotMeasured, Some("no ssh here")));
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let row = Row::judged("p", "w", "×", &Samples::of([1.5, 2.5]), Bound::AtMost(2.5)).noting("note");
        let text = serde_json::to_string(&row).unwrap();
        assert!(text.contains(r#""goal":{"at-most":2.5},"judgement":"met""#), "{text}");
        assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), row);
    }
}
