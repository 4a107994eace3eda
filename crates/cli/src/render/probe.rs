//! What hosts said to `--probe`, in a plan. Pure.

use super::answers::unreachable;
use crate::render::text::{Look, Page, Span};
use careen_contract::pending::Pending;
use careen_contract::report::Restart;
use careen_planner::NodeId;
use careen_planner::probe::{Probe, Probed};
use serde::Serialize;

/// So many names of what waits are shown for a host.
const SHOWN: usize = 8;

/// All hosts in one line.
pub fn total(probe: &Probe) -> String {
    let total = probe.total();
    let mut parts = Vec::new();
    let mut part =
        |count: usize, words: String| parts.extend((count > 0).then(|| format!("{count} {words}")));
    let waits = [
        (total.packages > 0).then(|| packages(total.packages, total.security)),
        (total.download_bytes > 0).then(|| format!("{} to download", size(total.download_bytes))),
    ];
    let waits: Vec<String> = waits.into_iter().flatten().collect();
    let waits = if waits.is_empty() { String::new() } else { format!(": {}", waits.join(", ")) };
    part(total.waiting, format!("with something to do{waits}"));
    part(total.restarting, "of them with a restart of engine or host".to_owned());
    part(total.in_sync, "with nothing to do".to_owned());
    part(total.refusing, "that would not begin".to_owned());
    part(total.unknown, "of which nothing is known".to_owned());
    parts.join("; ")
}

/// What one host says, below its name.
pub fn lines(probed: &Probed, page: &mut Page) {
    let mut line = |look: Look, label: &'static str, text: String| {
        page.spans(&["      ".into(), Span::new(look, label), text.into()]);
    };
    match probed {
        Probed::InSync => line(Look::Good, "nothing to do", String::new()),
        Probed::Waits(pending) => line(Look::Plain, "", waits(pending)),
        Probed::Refuses { why, .. } => line(Look::Bad, "would not begin: ", in_one_line(why)),
        Probed::Fails { why } => line(Look::Warn, "not known: ", in_one_line(why)),
        Probed::Silent(why) => line(Look::Warn, "not asked: ", unreachable(why)),
    }
    let Some(pending) = probed.pending().filter(|pending| !pending.names.is_empty()) else { return };
    for name in pending.names.iter().take(SHOWN) {
        line(Look::Dim, "  ", name.clone());
    }
    let more = pending.names.len().saturating_sub(SHOWN) as u64 + pending.more;
    if more > 0 {
        line(Look::Dim, "  ", format!("and {more} more"));
    }
}

fn waits(pending: &Pending) -> String {
    let restarts = match pending.restarts.as_deref() {
        None => None,
        Some([]) => Some("no restart is expected".to_owned()),
        Some(restarts) => Some(format!("restarts {}", named(restarts))),
    };
    let parts = [
        pending.packages.map(|count| packages(count, pending.security.unwrap_or(0))),
        pending.download_bytes.map(|bytes| format!("{} to download", size(bytes))),
        restarts,
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "something to do".to_owned() } else { parts.join(", ") }
}

fn named(restarts: &[Restart]) -> String {
    let name = |restart: &Restart| match restart {
        Restart::Engine => "the engine",
        Restart::Reboot => "the host",
    };
    restarts.iter().map(name).collect::<Vec<_>>().join(" and ")
}

fn packages(count: u64, security: u64) -> String {
    let packages = if count == 1 { "1 package".to_owned() } else { format!("{count} packages") };
    match security {
        0 => packages,
        _ => format!("{packages}, {security} for security"),
    }
}

/// In MB, as package managers say it.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `probe` of `careen plan --format json`: a host's answer.
#[derive(Debug, Serialize)]
pub struct HostProbe<'a> {
    node: &'a str,
    /// `in-sync`, `waits`, `refuses`, `fails` or `unreachable`.
    state: &'static str,
    why: Option<String>,
    pending: Option<&'a Pending>,
}

/// All of them.
pub fn json<'a>(probe: &'a Probe) -> Vec<HostProbe<'a>> {
    let host = |(node, probed): (&'a NodeId, &'a Probed)| {
        let (state, why) = match probed {
            Probed::InSync => ("in-sync", None),
            Probed::Waits(_) => ("waits", None),
            Probed::Refuses { why, .. } => ("refuses", Some(why.clone())),
            Probed::Fails { why } => ("fails", Some(why.clone())),
            Probed::Silent(why) => ("unreachable", Some(unreachable(why))),
        };
        HostProbe { node: &node.0, state, why, pending: probed.pending() }
    };
    probe.0.iter().map(host).collect()
}
