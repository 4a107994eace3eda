//! How numbers are shown: one row for each, with its goal and whether that was met.

/// What a number should be.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    None,
    AtMost(f64),
    AtLeast(f64),
}

/// Rows under a headline.
pub struct Table(String);

impl Table {
    pub fn new(headline: &str) -> Self {
        Self(format!("{headline:<62}{:>9}{:>9}{:>9}  goal (median)\n", "median", "9 of 10", "worst"))
    }

    /// One row. Its worst is the greatest, or the least where more is better.
    pub fn row(&mut self, name: &str, samples: impl IntoIterator<Item = f64>, goal: Goal) {
        let mut samples: Vec<f64> = samples.into_iter().collect();
        samples.sort_by(f64::total_cmp);
        if matches!(goal, Goal::AtLeast(_)) {
            samples.reverse();
        }
        let at = |part: usize| samples.get(samples.len().saturating_sub(1) * part / 100).copied();
        let [median, most, worst] = [50, 90, 100].map(|part| at(part).unwrap_or(f64::NAN));
        let goal = match goal {
            Goal::None => String::new(),
            Goal::AtMost(limit) => format!("  <= {limit}{}", missed(median <= limit)),
            Goal::AtLeast(limit) => format!("  >= {limit}{}", missed(median >= limit)),
        };
        let row = format!("{name:<62}{median:>9.2}{most:>9.2}{worst:>9.2}{goal}");
        self.0 += &format!("{}\n", row.trim_end());
    }

    pub fn text(self) -> String {
        self.0
    }
}

fn missed(met: bool) -> &'static str {
    if met { "" } else { "  MISSED" }
}
