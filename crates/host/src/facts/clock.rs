//! What adjtimex(2) says of the host's clock.

use careen_contract::facts::ClockState;

/// Nothing has set the clock by another one for too long, or ever.
const UNSYNCHRONIZED: i32 = 0x0040;
/// Whoever keeps it leaves the rest of its offset to the kernel: only then `offset` tells anything.
const PHASE_LOCKED: i32 = 0x0001;
/// `offset` is in nanoseconds.
const NANOSECONDS: i32 = 0x2000;
/// The state in which the clock is not kept.
const ERROR: i32 = 5;

/// What the call gives: its return value, and fields of `struct timex`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct ClockReading {
    pub state: i32,
    pub status: i32,
    pub offset: i64,
    /// In microseconds.
    pub max_error: i64,
}

impl ClockReading {
    /// What it means.
    pub fn judged(self) -> ClockState {
        let is_kept = self.status & PHASE_LOCKED != 0;
        let divisor = if self.status & NANOSECONDS != 0 { 1000 } else { 1 };
        ClockState {
            in_sync: self.status & UNSYNCHRONIZED == 0 && self.state != ERROR,
            offset_us: is_kept.then_some(self.offset / divisor),
            max_error_us: Some(self.max_error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_word_is_taken_and_an_offset_only_where_it_has_one() {
        // Recorded: systemd-timesyncd that keeps it; chrony, which leaves no offset to the kernel; a virtual machine without any.
        let kept = ClockReading { state: 0, status: 0x2001, offset: -1_234_567, max_error: 289_000 };
        assert_eq!(
            kept.judged(),
            ClockState { in_sync: true, offset_us: Some(-1234), max_error_us: Some(289_000) }
        );
        let chrony = ClockReading { state: 0, status: 0x2000, offset: 0, max_error: 5000 };
        assert_eq!(chrony.judged(), ClockState { in_sync: true, offset_us: None, max_error_us: Some(5000) });
        let alone = ClockReading { state: 5, status: 0x0040, offset: 0, max_error: 16_000_000 };
        assert!(!alone.judged().in_sync);
        // A leap second is announced: nothing is wrong.
        assert!(ClockReading { state: 1, status: 0x2011, ..kept }.judged().in_sync);
        // In microseconds by an old kernel's word.
        assert_eq!(ClockReading { status: 1, offset: 42, ..kept }.judged().offset_us, Some(42));
    }
}
