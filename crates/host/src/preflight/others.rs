//! Who else is about to act on a host, or does: a shutdown that is scheduled, a package manager at work, a program that asks
//! for no shutdown, a person at the console. Each is named with its time; none is passed over without a word.

use super::unit::{Files, variables};
use jiff::Timestamp;
use std::fmt;
use std::time::Duration;

/// systemd-logind writes it for `shutdown TIME`.
const SCHEDULED: &str = "/run/systemd/shutdown/scheduled";
/// One file for each inhibitor; what ends with `.ref` is its pipe.
const INHIBITORS: &str = "/run/systemd/inhibit";
/// One file for each login session, likewise.
const SESSIONS: &str = "/run/systemd/sessions";

/// Where systemd keeps the processes of its services: cgroup v2, then v1.
const SERVICES: [&str; 2] = ["/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/systemd/system.slice"];

/// Services that change packages by themselves, and have no processes when they do not. (unattended-upgrades.service is none of
/// them: it only waits for a shutdown.)
const UPDATERS: [&str; 13] = [
    "apt-daily-upgrade.service",
    "apt-daily.service",
    "dnf-automatic-download.service",
    "dnf-automatic-install.service",
    "dnf-automatic-notifyonly.service",
    "dnf-automatic.service",
    "dnf-system-upgrade.service",
    "dnf5-automatic.service",
    "dnf5-offline-transaction.service",
    "packagekit-offline-update.service",
    "rpm-ostreed-automatic.service",
    "systemd-sysupdate.service",
    "transactional-update.service",
];

/// How long a package manager that works is waited for before the host is refused: careen's own `upgrade` waits as long for
/// dpkg's lock.
pub const UPDATER_LIMIT: Duration = Duration::from_secs(600);

/// Somebody beside careen who acts on a host, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Somebody {
    /// The host goes down by itself.
    Shutdown {
        /// `reboot`, `poweroff`, `halt`, `kexec`.
        mode: String,
        /// When; `None` when that cannot be read.
        at: Option<Timestamp>,
    },
    /// Something changes packages.
    Updater {
        /// Its service, or its process.
        what: String,
        /// Since when, where that is known.
        since: Option<Timestamp>,
    },
    /// A program asks for no shutdown meanwhile.
    Inhibitor {
        who: String,
        why: String,
        /// Since when, where that is known.
        since: Option<Timestamp>,
    },
    /// Somebody is logged in at the machine itself.
    Person {
        user: String,
        terminal: String,
        /// Since when, where that is known.
        since: Option<Timestamp>,
    },
}

/// Everybody who can be seen in the host's files.
pub fn look(files: &dyn Files) -> Vec<Somebody> {
    let of = |directory: &str, of_text: fn(&str, Option<Timestamp>) -> Option<Somebody>| {
        let mut names = files.list(directory);
        names.retain(|name| !name.ends_with(".ref"));
        names.sort();
        let one = |name: String| {
            let path = format!("{directory}/{name}");
            of_text(&files.read(&path).ok()??, files.since(&path))
        };
        names.into_iter().filter_map(one).collect::<Vec<_>>()
    };
    let shutdown = files.read(SCHEDULED).ok().flatten().and_then(|text| shutdown(&text));
    let mut found: Vec<Somebody> = shutdown.into_iter().collect();
    found.extend(UPDATERS.iter().filter_map(|service| updater(files, service)));
    found.extend(of(INHIBITORS, inhibitor));
    found.extend(of(SESSIONS, person));
    found
}

/// A service of which a process lives.
fn updater(files: &dyn Files, service: &str) -> Option<Somebody> {
    let lives = |directory: &&String| {
        let processes = files.read(&format!("{directory}/cgroup.procs")).ok().flatten();
        processes.is_some_and(|processes| !processes.trim().is_empty())
    };
    let directories = SERVICES.map(|place| format!("{place}/{service}"));
    let directory = directories.iter().find(lives)?;
    Some(Somebody::Updater { what: service.to_owned(), since: files.since(directory) })
}

/// `USEC=` is the time, in millionths of a second since 1970; `MODE=` begins with `dry-` where only people are told.
fn shutdown(text: &str) -> Option<Somebody> {
    let mode = value(text, "MODE")?;
    let at = value(text, "USEC").and_then(|micros| Timestamp::from_microsecond(micros.parse().ok()?).ok());
    (!mode.starts_with("dry-")).then_some(Somebody::Shutdown { mode, at })
}

/// Those that only delay a shutdown for some seconds are no reason to wait.
fn inhibitor(text: &str, since: Option<Timestamp>) -> Option<Somebody> {
    let blocks = value(text, "MODE").is_none_or(|mode| mode.starts_with("block"));
    let what = value(text, "WHAT")?;
    let told = |name| value(text, name).map(|text| unescaped(&text)).unwrap_or_default();
    (blocks && what.split(':').any(|what| what == "shutdown")).then(|| Somebody::Inhibitor {
        who: told("WHO"),
        why: told("WHY"),
        since,
    })
}

/// A user (not a greeter, not a session manager) at a seat or at a terminal of the machine's own.
fn person(text: &str, since: Option<Timestamp>) -> Option<Somebody> {
    let is_user = value(text, "CLASS").is_some_and(|class| {
        matches!(
            class.as_str(),
            "user" | "user-early" | "user-light" | "user-early-light" | "user-incomplete"
        )
    });
    let is_here =
        value(text, "REMOTE").as_deref() == Some("0") && value(text, "STATE").as_deref() != Some("closing");
    let terminal = value(text, "TTY").unwrap_or_default();
    let seat = value(text, "SEAT").unwrap_or_default();
    let at_machine = !seat.is_empty() || terminal.starts_with("tty") || terminal.starts_with("hvc");
    if !(is_user && is_here && at_machine) {
        return None;
    }
    let began =
        value(text, "REALTIME").and_then(|micros| Timestamp::from_microsecond(micros.parse().ok()?).ok());
    let terminal = if terminal.is_empty() { seat } else { terminal };
    Some(Somebody::Person { user: value(text, "USER")?, terminal, since: began.or(since) })
}

fn value(text: &str, name: &str) -> Option<String> {
    variables(text).into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

/// logind writes blanks and other bytes as `\x20`, twice escaped where the value is quoted, too.
fn unescaped(text: &str) -> String {
    let text = text.replace("\\\\", "\\");
    let mut plain = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("\\x") {
        plain.extend_from_slice(&rest.as_bytes()[..at]);
        match rest.get(at + 2..at + 4).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &rest[at + 4..];
            }
            None => {
                plain.extend_from_slice(b"\\x");
                rest = &rest[at + 2..];
            }
        }
    }
    plain.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&plain).into_owned()
}

/// What may come of the work, for whom that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manners {
    /// Whether the host is worked on at all.
    pub works: bool,
    /// Whether the host may be rebooted or its engine restarted.
    pub goes_down: bool,
    /// Whether inhibitors and people at the console are waited for (`--respect-inhibitors`).
    pub respects: bool,
}

/// What is waited for now, in words; `None` when nothing is. A package manager is waited for up to [`UPDATER_LIMIT`], for it ends
/// by itself; what only its operator can end is waited for as long as the phase lasts, where that was asked for.
pub fn wait_for(found: &[Somebody], manners: Manners, waited: Duration) -> Option<String> {
    let waits = |somebody: &&Somebody| match somebody {
        Somebody::Shutdown { .. } => false,
        Somebody::Updater { .. } => manners.works && waited < UPDATER_LIMIT,
        Somebody::Inhibitor { .. } | Somebody::Person { .. } => {
            manners.works && manners.goes_down && manners.respects
        }
    };
    let names: Vec<String> = found.iter().filter(waits).map(ToString::to_string).collect();
    (!names.is_empty()).then(|| names.join("; "))
}

impl fmt::Display for Somebody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since =
            |since: &Option<Timestamp>| since.map(|since| format!(", since {since:.0}")).unwrap_or_default();
        match self {
            Self::Shutdown { mode, at: Some(at) } => {
                write!(f, "a shutdown of this host ({mode}) is scheduled for {at:.0}")
            }
            Self::Shutdown { mode, at: None } => write!(f, "a shutdown of this host ({mode}) is scheduled"),
            Self::Updater { what, since: began } => {
                write!(f, "{what} changes packages on this host{}", since(began))
            }
            Self::Inhibitor { who, why, since: began } => {
                write!(f, "{who} asks for no shutdown of this host ({why}){}", since(began))
            }
            Self::Person { user, terminal, since: began } => {
                write!(f, "{user} is logged in at this host's console ({terminal}){}", since(began))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::unit::tests::Host;
    use super::*;

    const TIME: &str = "1764165600000000";

    fn words(files: &[(&str, &str)]) -> Vec<String> {
        look(&Host(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_scheduled_shutdown_has_its_time() {
        let scheduled = format!("USEC={TIME}\nWARN_WALL=1\nMODE=reboot\nWALL_MESSAGE=new\\x20kernel\n");
        let expected = "a shutdown of this host (reboot) is scheduled for 2025-11-26T14:00:00Z";
        assert_eq!(words(&[(SCHEDULED, &scheduled)]), [expected]);
        assert_eq!(words(&[(SCHEDULED, "USEC=1\nMODE=dry-reboot\n")]), [""; 0]);
        assert_eq!(words(&[(SCHEDULED, "MODE=halt\n")]), ["a shutdown of this host (halt) is scheduled"]);
    }

    #[test]
    fn inhibitors_that_block_a_shutdown_count() {
        let file = |what: &str, mode: &str| {
            format!(
                "# This is private data. Do not parse.\nWHAT={what}\nMODE={mode}\nUID=0\nPID=7\nWHO=backup\\x20job\nWHY=\"night\\\\x20run\"\nFIFO=/run/systemd/inhibit/1.ref\n"
            )
        };
        let blocks = file("shutdown:sleep", "block");
        let weak = file("shutdown", "block-weak");
        let (delay, sleep) = (file("shutdown", "delay"), file("sleep:idle", "block"));
        let found = words(&[
            ("/run/systemd/inhibit/1", &blocks),
            ("/run/systemd/inhibit/1.ref", ""),
            ("/run/systemd/inhibit/2", &delay),
            ("/run/systemd/inhibit/3", &sleep),
            ("/run/systemd/inhibit/4", &weak),
        ]);
        assert_eq!(found, ["backup job asks for no shutdown of this host (night run)"; 2]);
    }

    #[test]
    fn people_at_the_console_count_and_those_elsewhere_do_not() {
        let file = |user: &str, remote: u8, class: &str, rest: &str| {
            format!(
                "UID=0\nUSER={user}\nACTIVE=1\nSTATE=active\nREMOTE={remote}\nTYPE=tty\nCLASS={class}\n{rest}REALTIME={TIME}\n"
            )
        };
        let console = file("root", 0, "user", "SEAT=seat0\nTTY=tty1\n");
        let ssh = file("admin", 1, "user", "TTY=pts/0\n");
        let (greeter, cron) =
            (file("gdm", 0, "greeter", "SEAT=seat0\nTTY=tty1\n"), file("root", 0, "background", ""));
        let serial = file("ann", 0, "user", "TTY=ttyS0\n");
        let files = [console, ssh, greeter, cron, serial];
        let paths: Vec<String> = (0..files.len()).map(|number| format!("{SESSIONS}/{number}")).collect();
        let host: Vec<(&str, &str)> =
            paths.iter().map(String::as_str).zip(files.iter().map(String::as_str)).collect();
        let expected = [
            "root is logged in at this host's console (tty1), since 2025-11-26T14:00:00Z",
            "ann is logged in at this host's console (ttyS0), since 2025-11-26T14:00:00Z",
        ];
        assert_eq!(words(&host), expected);
    }

    #[test]
    fn a_service_that_changes_packages_is_there_while_its_processes_live() {
        let path = "/sys/fs/cgroup/system.slice/apt-daily-upgrade.service/cgroup.procs";
        assert_eq!(words(&[(path, "812\n")]), ["apt-daily-upgrade.service changes packages on this host"]);
        assert_eq!(words(&[(path, "")]), [""; 0]);
        let old = "/sys/fs/cgroup/systemd/system.slice/dnf-automatic.service/cgroup.procs";
        assert_eq!(words(&[(old, "812\n")]).len(), 1);
    }

    #[test]
    fn who_is_waited_for() {
        let updater = Somebody::Updater { what: "apt-daily.service".into(), since: None };
        let inhibitor = Somebody::Inhibitor { who: "backup".into(), why: "night".into(), since: None };
        let person = Somebody::Person { user: "root".into(), terminal: "tty1".into(), since: None };
        let shutdown = Somebody::Shutdown { mode: "reboot".into(), at: None };
        let usual = Manners { works: true, goes_down: true, respects: false };
        let polite = Manners { respects: true, ..usual };
        let now = Duration::ZERO;
        let table = [
            (&updater, usual, now, true),
            (&updater, usual, UPDATER_LIMIT, false),
            (&updater, Manners { works: false, ..polite }, now, false),
            (&inhibitor, usual, now, false),
            (&inhibitor, polite, UPDATER_LIMIT, true),
            (&inhibitor, Manners { goes_down: false, ..polite }, now, false),
            (&person, usual, now, false),
            (&person, polite, now, true),
            (&shutdown, polite, now, false),
        ];
        for (somebody, manners, waited, waits) in table {
            let found = wait_for(std::slice::from_ref(somebody), manners, waited);
            assert_eq!(found.is_some(), waits, "{somebody} {manners:?}");
        }
        assert!(wait_for(&[inhibitor, person], polite, now).is_some_and(|why| why.contains("; ")));
    }
}
