//! A part of a whole.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The unit in which a ratio is counted.
const ONE: u64 = 1_000_000;

/// A part of a whole, from 0 to 1, in millionths: 0.29 of 100 are 29, which floats do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Ratio(u32);

impl Ratio {
    /// None of the whole: a single one is more.
    pub const NOTHING: Self = Self(0);

    /// Whether so many of a whole are more than this part of it.
    pub fn is_less_than(self, some: usize, whole: usize) -> bool {
        some as u128 * u128::from(ONE) > u128::from(self.0) * whole as u128
    }
}

/// What is no ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a ratio is a number from 0 to 1 with at most six decimals, such as 0.2")]
pub struct NoRatio;

impl FromStr for Ratio {
    type Err = NoRatio;

    fn from_str(text: &str) -> Result<Self, NoRatio> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
            return Err(NoRatio);
        }
        let millionths: u64 = format!("{decimals:0<6}").parse().map_err(|_| NoRatio)?;
        let whole: u64 = whole.parse().map_err(|_| NoRatio)?;
        let all = whole.checked_mul(ONE).and_then(|all| all.checked_add(millionths));
        let all = all.filter(|all| *all <= ONE).and_then(|all| u32::try_from(all).ok());
        all.map(Self).ok_or(NoRatio)
    }
}

/// As it is stored: a number.
impl TryFrom<f64> for Ratio {
    type Error = NoRatio;

    fn try_from(number: f64) -> Result<Self, NoRatio> {
        format!("{number:.6}").parse()
    }
}

impl From<Ratio> for f64 {
    fn from(ratio: Ratio) -> Self {
        Self::from(ratio.0) / ONE as Self
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f64::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(text: &str) -> Ratio {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_no_ratio_is_an_error() {
        for text in ["", ".", "0.", ".5", "-0.1", "+0.1", "1.000001", "2", "nan", "0.1234567", "1e-1", "0,2"]
        {
            assert_eq!(text.parse::<Ratio>(), Err(NoRatio), "{text}");
        }
        for stored in ["1.5", "-1", "null", "\"0.5\""] {
            assert!(serde_json::from_str::<Ratio>(stored).is_err(), "{stored}");
        }
        assert_eq!(
            (ratio("1"), ratio("1.0"), ratio("0.25").to_string()),
            (Ratio(1_000_000), Ratio(1_000_000), "0.25".into())
        );
    }
}
