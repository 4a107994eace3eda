//! What becomes of an engine that was told to stop: decided from what systemd shows of its unit, apart from asking it.
//!
//! A stop is a job of systemd's, which goes on when nobody waits for it any more. So it is waited for, and what hangs in
//! it is killed at last: an engine that is neither up nor down can be neither used nor started.

use careen_host::journal::EngineOutcome;
use std::time::Duration;

/// The properties of a unit that are looked at.
pub const PROPERTIES: &str = "ActiveState,SubState,Job,TimeoutStopUSec";

/// From the stop's beginning until what hangs beside the engine (a program of `ExecStop=`) is killed, at least. An engine
/// gives its containers 10 s each, all at once, unless they have a grace period of their own.
const HELPER_LIMIT: Duration = Duration::from_secs(5 * 60);
/// From the stop's beginning until the engine itself is killed, at least.
const ENGINE_LIMIT: Duration = Duration::from_secs(10 * 60);
/// What systemd does at its own time limits takes a while too.
const MARGIN: Duration = Duration::from_secs(60);
/// systemd's own time limit runs for the helper, for the engine, and once more behind SIGKILL.
const OWN_LIMITS: u32 = 3;

/// A unit as `systemctl show` tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    active: String,
    sub: String,
    has_job: bool,
    /// `TimeoutStopSec=`; `None` when systemd would wait for ever, or does not say.
    stop_limit: Option<Duration>,
}

/// What to do about a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Wait: it is on its way.
    Wait,
    Stopped,
    /// Nothing is stopping it: the stop was refused, or somebody has started it again.
    Left,
    /// Kill what systemd runs to stop it.
    KillHelper,
    KillEngine,
    GiveUp,
}

/// What was done about a stop that hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Killed {
    #[default]
    Nothing,
    /// What systemd runs to stop the engine.
    Helper,
    Engine,
}

impl Unit {
    /// Reads the lines `Property=value` of `systemctl show`.
    pub fn parse(shown: &str) -> Self {
        let value = |name: &str| {
            let mut pairs = shown.lines().filter_map(|line| line.split_once('='));
            pairs.find(|(property, _)| *property == name).map_or("", |(_, value)| value.trim())
        };
        Self {
            active: value("ActiveState").to_owned(),
            sub: value("SubState").to_owned(),
            has_job: !["", "0"].contains(&value("Job")),
            stop_limit: parse_time_span(value("TimeoutStopUSec")),
        }
    }

    /// One that cannot be looked at: it may be on its way.
    pub fn unknown() -> Self {
        Self {
            active: "of unknown state".into(),
            sub: "systemd does not answer".into(),
            has_job: true,
            stop_limit: None,
        }
    }

    /// Whether it is on its way down: what it runs may end at any moment.
    pub fn is_stopping(&self) -> bool {
        self.active == "deactivating"
    }

    /// Its state in words.
    pub fn state(&self) -> String {
        format!("{} ({})", self.active, self.sub)
    }

    /// What to do about a stop that began so long ago, behind what was done already.
    pub fn next(&self, since: Duration, killed: Killed) -> Step {
        match (self.active.as_str(), self.has_job) {
            ("inactive" | "failed", false) => Step::Stopped,
            // The stop waits for another job, or the unit is on its way.
            (_, true) | ("deactivating", false) => self.limited(since, killed),
            (_, false) => Step::Left,
        }
    }

    fn limited(&self, since: Duration, killed: Killed) -> Step {
        let own = self.stop_limit.unwrap_or_default();
        let helper = HELPER_LIMIT.max(own + MARGIN);
        let engine = ENGINE_LIMIT.max(own * OWN_LIMITS + MARGIN);
        match killed {
            _ if since >= engine + MARGIN => Step::GiveUp,
            Killed::Nothing | Killed::Helper if since >= engine => Step::KillEngine,
            Killed::Nothing if since >= helper => Step::KillHelper,
            Killed::Nothing | Killed::Helper | Killed::Engine => Step::Wait,
        }
    }
}

/// What came of a restart whose stop did not go well, when the engine that is there answers and takes part.
pub fn outcome_when_up(words: String, is_the_same: bool, is_stopping: bool) -> EngineOutcome {
    match (is_the_same, is_stopping) {
        (false, _) => EngineOutcome::Up,
        (true, false) => EngineOutcome::Refused { reason: format!("{words}; the engine runs on as it was") },
        (true, true) => {
            EngineOutcome::Down { words: format!("{words}; it still answers, and may end at any moment") }
        }
    }
}

/// A time span as systemd prints it: `1min 30s`, `infinity`. `None` for what is not bounded or not understood.
fn parse_time_span(text: &str) -> Option<Duration> {
    let part = |word: &str| {
        let digits = word.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = word[..digits].parse().ok()?;
        let unit = match &word[digits..] {
            "us" => Duration::from_micros(1),
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "min" => Duration::from_secs(60),
            "h" => Duration::from_secs(60 * 60),
            "d" => Duration::from_secs(24 * 60 * 60),
            _ => return None,
        };
        unit.checked_mul(u32::try_from(number).ok()?)
    };
    let mut words = text.split_whitespace().peekable();
    words.peek()?;
    words.try_fold(Duration::ZERO, |sum, word| sum.checked_add(part(word)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * 60;

    fn unit(active: &str, job: &str, limit: &str) -> Unit {
        Unit::parse(&format!("TimeoutStopUSec={limit}\nActiveState={active}\nSubState=stop\nJob={job}\n"))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_unit_is_read_as_systemd_shows_it() {
        // Recorded on systemd 252, with and without a job.
        let stopping = "TimeoutStopUSec=1min 30s\nActiveState=deactivating\nSubState=stop\nJob=111\n";
        let shown = Unit::parse(stopping);
        assert_eq!((shown.has_job, shown.stop_limit), (true, Some(seconds(90))));
        assert!(shown.is_stopping());
        assert_eq!(shown.state(), "deactivating (stop)");
        let up = Unit::parse("TimeoutStopUSec=infinity\nActiveState=active\nSubState=running\nJob=\n");
        assert_eq!((up.has_job, up.stop_limit, up.is_stopping()), (false, None, false));
        assert_eq!(Unit::parse(""), Unit::default());
    }

    #[test]
    fn time_spans_are_read() {
        let table = [
            ("1min 30s", Some(90_000)),
            ("500ms", Some(500)),
            ("1h 2min 3s 4ms", Some(3_723_004)),
            ("2d", Some(172_800_000)),
            ("infinity", None),
            ("", None),
            ("90", None),
            ("9999999999s", None),
        ];
        for (text, milliseconds) in table {
            assert_eq!(parse_time_span(text), milliseconds.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn a_stop_is_waited_for_while_it_is_on_its_way() {
        let table = [
            ("deactivating", "7", Step::Wait),
            ("deactivating", "", Step::Wait),
            ("active", "7", Step::Wait),
            ("inactive", "7", Step::Wait),
            ("inactive", "", Step::Stopped),
            ("failed", "", Step::Stopped),
            ("active", "", Step::Left),
            ("activating", "", Step::Left),
            ("reloading", "", Step::Left),
            ("", "", Step::Left),
        ];
        for (active, job, step) in table {
            let found = unit(active, job, "1min 30s").next(seconds(100), Killed::Nothing);
            assert_eq!(found, step, "{active} {job}");
        }
    }

    #[test]
    fn what_hangs_is_killed_the_helper_before_the_engine() {
        let table = [
            ("infinity", 299, Killed::Nothing, Step::Wait),
            ("infinity", 300, Killed::Nothing, Step::KillHelper),
            ("infinity", 300, Killed::Helper, Step::Wait),
            ("infinity", 600, Killed::Helper, Step::KillEngine),
            ("infinity", 600, Killed::Nothing, Step::KillEngine),
            ("infinity", 600, Killed::Engine, Step::Wait),
            ("infinity", 660, Killed::Engine, Step::GiveUp),
            // systemd has time limits of its own: it comes first.
            ("1min 30s", 300, Killed::Nothing, Step::KillHelper),
            ("30min", 30 * 60, Killed::Nothing, Step::Wait),
            ("30min", 31 * 60, Killed::Nothing, Step::KillHelper),
            ("30min", 91 * 60, Killed::Helper, Step::KillEngine),
            ("30min", 92 * 60, Killed::Engine, Step::GiveUp),
        ];
        for (limit, since, killed, step) in table {
            let found = unit("deactivating", "7", limit).next(seconds(since), killed);
            assert_eq!(found, step, "{limit} {since} {killed:?}");
        }
        assert_eq!(unit("inactive", "", "infinity").next(seconds(HOUR), Killed::Engine), Step::Stopped);
        assert_eq!(Unit::unknown().next(seconds(299), Killed::Nothing), Step::Wait);
        assert_eq!(
            Unit::unknown().next(seconds(HOUR), Killed::Nothing),
            Step::GiveUp,
            "not waited for without end"
        );
    }

    #[test]
    fn only_an_engine_that_was_left_alone_is_refused() {
        let outcome = |same, stopping| outcome_when_up("it failed".into(), same, stopping);
        assert_eq!(outcome(false, false), EngineOutcome::Up, "another process: it was restarted");
        assert_eq!(outcome(false, true), EngineOutcome::Up);
        assert!(matches!(outcome(true, false), EngineOutcome::Refused { .. }));
        assert!(matches!(outcome(true, true), EngineOutcome::Down { .. }), "it may end at any moment");
    }
}
