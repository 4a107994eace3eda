//! What a few measurements of one thing say together. Pure.

/// Measurements of one thing, in the order of the rounds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// One for each round.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Samples {
        Samples(samples.into_iter().collect())
    }

    /// The one in the middle; of an even number the mean of the two there. `None` without any.
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        if sorted.len() % 2 == 1 {
            return Some(upper);
        }
        Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, upper))
    }

    /// Each by the one of the same round: what the machine did in it met both.
    pub fn over(&self, floor: &Samples) -> Samples {
        self.with(floor, |one, floor| one / floor)
    }

    /// What each is more than the one of the same round.
    pub fn beyond(&self, floor: &Samples) -> Samples {
        self.with(floor, |one, floor| one - floor)
    }

    /// Each by the same number.
    pub fn by(&self, number: f64) -> Samples {
        Samples::of(self.0.iter().map(|one| one / number))
    }

    /// All of them, in the order of the rounds.
    pub fn all(&self) -> &[f64] {
        &self.0
    }

    fn with(&self, other: &Samples, of: fn(f64, f64) -> f64) -> Samples {
        Samples::of(self.0.iter().zip(&other.0).map(|(one, other)| of(*one, *other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        for (samples, median) in [
            (&[][..], None),
            (&[3.0][..], Some(3.0)),
            (&[9.0, 1.0][..], Some(5.0)),
            (&[9.0, 1.0, 2.0][..], Some(2.0)),
            (&[4.0, 1.0, 2.0, 9.0][..], Some(3.0)),
        ] {
            assert_eq!(Samples::of(samples.iter().copied()).median(), median, "{samples:?}");
        }
    }

    #[test]
    fn rounds_are_compared_with_themselves() {
        let (slow, floor) = (Samples::of([4.0, 30.0]), Samples::of([2.0, 10.0]));
        assert_eq!(slow.over(&floor).all(), [2.0, 3.0]);
        assert_eq!(slow.beyond(&floor).all(), [2.0, 20.0]);
        assert_eq!(slow.by(2.0).all(), [2.0, 15.0]);
    }
}
