//! What `careen facts` tells in lines: why hosts want restarts, what is not known and why, who said nothing; what waits; in which
//! versions hosts differ. What several hosts say alike is told once. Pure.

use crate::fleet::{FleetHost, Skew, SkewVersion, drifting};
use crate::render::text::{Look, Page, Span, first_of, host_name, short};
use careen_contract::facts::{FileSystemRoom, HostFacts, PendingPackage, PendingPackages, RestartNeed};

/// So many hosts stand in a line, and so many packages of one host.
const HOSTS: usize = 6;
const PACKAGES: usize = 12;

/// A file system with less room than this, in percent, is named.
pub const LITTLE_ROOM: u64 = 10;

/// So many lines of one kind.
const LINES: usize = 8;

/// So many columns a name or a reason may take.
const WORDS: usize = 200;
const NAME: usize = 60;

/// How long ago, in the largest unit.
pub fn age(at: u64, since: u64) -> String {
    match at.saturating_sub(since) {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Hosts that said nothing, with the reason.
pub fn silent(hosts: &[FleetHost<'_>], page: &mut Page) {
    for (host, why) in hosts.iter().filter_map(|host| Some((host, host.why_silent()?))) {
        let name = host_name(&host.asked.hostname);
        page.spans(&[format!("{name}  ").into(), Span::new(Look::Warn, short(&why, WORDS))]);
    }
}

/// What is said of hosts beside their rows.
pub fn told(hosts: &[FleetHost<'_>], page: &mut Page) {
    let mut sections: Vec<(&str, Vec<(String, String)>)> = Vec::new();
    let mut section = |label: &'static str, of: &dyn Fn(&HostFacts) -> Vec<String>| {
        let of_host = |host: &FleetHost<'_>| {
            let name = host_name(&host.asked.hostname);
            let words = host.facts().map(of).unwrap_or_default();
            words.into_iter().map(|words| (short(&words, WORDS), name.clone())).collect::<Vec<_>>()
        };
        sections.push((label, hosts.iter().flat_map(of_host).collect()));
    };
    section("reboot", &|facts| why(facts.reboot.as_ref()));
    section("engine", &|facts| why(facts.engine_restart.as_ref()));
    section("room", &|facts| {
        let little = facts.room.iter().flatten().filter(|one| one.free_percent() < LITTLE_ROOM);
        little.map(room).collect()
    });
    section("drift", &|facts| {
        drifting(facts).into_iter().flatten().map(|one| format!("{} is {}", one.name, one.state)).collect()
    });
    section("unknown", &|facts| facts.unknown.iter().map(|(field, why)| format!("{field}: {why}")).collect());
    section("note", &|facts| facts.notes.clone());
    if sections.iter().any(|(_, said)| !said.is_empty()) {
        page.gap();
    }
    sections.into_iter().for_each(|(label, said)| lines(label, &grouped(said), page));
}

fn why(need: Option<&RestartNeed>) -> Vec<String> {
    need.map(|need| need.why.clone()).unwrap_or_default()
}

fn room(room: &FileSystemRoom) -> String {
    let paths = first_of(&room.paths, HOSTS);
    let of_inodes = room.inodes.zip(room.inodes_free).is_some_and(|(all, free)| {
        u128::from(free) * u128::from(room.bytes) < u128::from(room.bytes_free) * u128::from(all)
    });
    let of = if of_inodes { "inodes" } else { "bytes" };
    format!("{}% of the {of} are free at {paths}", room.free_percent())
}

/// What is said alike once, with all who say it, in the order in which it was said first.
fn grouped(said: Vec<(String, String)>) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (words, host) in said {
        match groups.iter_mut().find(|(known, _)| *known == words) {
            Some((_, hosts)) => hosts.push(host),
            None => groups.push((words, vec![host])),
        }
    }
    groups
}

fn lines(label: &str, groups: &[(String, Vec<String>)], page: &mut Page) {
    let labelled = |text: String| format!("{label:<9}{text}");
    for (words, hosts) in groups.iter().take(LINES) {
        page.line(labelled(format!("{}: {words}", first_of(hosts, HOSTS))));
    }
    let more = groups.len().saturating_sub(LINES);
    if more > 0 {
        page.line(labelled(format!("and {more} more: --format json has all of them")));
    }
}

/// All hosts in one line.
pub fn total(hosts: &[FleetHost<'_>]) -> String {
    let facts: Vec<&HostFacts> = hosts.iter().filter_map(FleetHost::facts).collect();
    let count = |is: &dyn Fn(&HostFacts) -> bool| facts.iter().filter(|facts| is(facts)).count();
    let reboots = count(&|facts| facts.reboot.as_ref().is_some_and(|need| need.needed));
    let restarts = count(&|facts| facts.engine_restart.as_ref().is_some_and(|need| need.needed));
    let pending = || facts.iter().filter_map(|facts| facts.pending.as_ref());
    let packages: u64 = pending().map(|pending| pending.packages).sum();
    let security: u64 = pending().filter_map(|pending| pending.security).sum();
    let parts = [
        wanting(reboots, "wants a reboot", "want a reboot"),
        wanting(restarts, "wants its engine restarted", "want their engines restarted"),
        (packages > 0).then(|| packages_wait(packages, Some(security))),
    ];
    let answered = format!("{} of {} hosts answered", facts.len(), hosts.len());
    [Some(answered)].into_iter().chain(parts).flatten().collect::<Vec<_>>().join("; ")
}

fn wanting(hosts: usize, one: &str, many: &str) -> Option<String> {
    match hosts {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{hosts} {many}")),
    }
}

fn packages_wait(packages: u64, security: Option<u64>) -> String {
    let all = match packages {
        0 => return "nothing waits".to_owned(),
        1 => "1 package waits".to_owned(),
        many => format!("{many} packages wait"),
    };
    match security {
        Some(0) => all,
        Some(security) => format!("{all}, {security} for security"),
        None => format!("{all}; which are for security is not known"),
    }
}

/// `--behind`: what waits on each host.
pub fn behind(hosts: &[FleetHost<'_>], page: &mut Page) {
    for (host, facts) in hosts.iter().filter_map(|host| Some((host, host.facts()?))) {
        let name = host_name(&host.asked.hostname);
        match &facts.pending {
            Some(pending) => {
                page.line(format!(
                    "{name}  {}; {}",
                    packages_wait(pending.packages, pending.security),
                    lists(pending, facts.at)
                ));
                names(pending, page);
            }
            None => {
                let why = facts
                    .why_unknown(careen_contract::facts::field::PENDING)
                    .unwrap_or("it said nothing of it");
                let words = Span::new(Look::Warn, format!("not known: {}", short(why, WORDS)));
                page.spans(&[format!("{name}  ").into(), words]);
            }
        }
    }
}

fn lists(pending: &PendingPackages, at: u64) -> String {
    match pending.lists_at {
        Some(lists) => format!("its lists were fetched {} ago", age(at, lists)),
        None => "when its lists were fetched is not known".to_owned(),
    }
}

fn names(pending: &PendingPackages, page: &mut Page) {
    let shown = pending.names.len().min(PACKAGES);
    let more = pending.packages.saturating_sub(shown as u64);
    let name = |one: &PendingPackage| {
        let gone = if one.to.is_none() { " (removed)" } else { "" };
        format!("{}{gone}", short(&one.name, NAME))
    };
    let of = |security: bool| -> Vec<String> {
        pending.names[..shown].iter().filter(|one| one.security == security).map(name).collect()
    };
    let (security, mut others) = (of(true), of(false));
    let behind = (more > 0).then(|| format!("and {more} more"));
    if !security.is_empty() {
        let behind =
            behind.clone().filter(|_| others.is_empty()).map_or(String::new(), |more| format!(", {more}"));
        page.spans(&[
            "    ".into(),
            Span::new(Look::Warn, "for security: "),
            format!("{}{behind}", security.join(", ")).into(),
        ]);
    }
    if !others.is_empty() {
        others.extend(behind);
        page.line(format!("    {}", others.join(", ")));
    }
}

/// `--skew`: the versions, that of most hosts first.
pub fn skews(skews: &[Skew<'_>], page: &mut Page) {
    let header = ["OF", "VERSION", "HOSTS"].map(|text| Span::new(Look::Dim, text)).to_vec();
    let rows = skews.iter().flat_map(|skew| {
        let hosts: usize = skew.versions.iter().map(|one| one.hosts.len()).sum();
        skew.versions.iter().enumerate().map(move |(number, one)| {
            let of = if number == 0 { skew.of } else { "" };
            vec![of.into(), skew_version(one, number), who(one, hosts).into()]
        })
    });
    let rows: Vec<Vec<Span>> = [header].into_iter().chain(rows).collect();
    page.table(&rows);
}

fn skew_version(one: &SkewVersion<'_>, number: usize) -> Span {
    match &one.version {
        None => Span::new(Look::Warn, "not known"),
        Some(version) => Span::new(if number == 0 { Look::Plain } else { Look::Warn }, short(version, NAME)),
    }
}

fn who(one: &SkewVersion<'_>, hosts: usize) -> String {
    let names: Vec<String> = one.hosts.iter().map(|asked| host_name(&asked.hostname)).collect();
    match names.len() {
        all if all == hosts => format!("all {hosts}"),
        many if many > HOSTS => format!("{many} of {hosts}: {}", first_of(&names, HOSTS)),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hosts_say_alike_is_told_once_and_much_is_folded() {
        let said = |many: usize| -> Vec<(String, String)> {
            (0..many)
                .flat_map(|n| [(format!("r{n}"), "a".to_owned()), (format!("r{n}"), "b".to_owned())])
                .collect()
        };
        let mut page = Page::new(false);
        lines("reboot", &grouped(said(2)), &mut page);
        assert_eq!(page.into_text(), "reboot   a, b: r0\nreboot   a, b: r1\n");
        let mut page = Page::new(false);
        lines("note", &grouped(said(LINES + 3)), &mut page);
        assert!(page.into_text().ends_with("note     and 3 more: --format json has all of them\n"));
    }

    #[test]
    fn ages_are_in_their_largest_unit_and_a_clock_that_goes_back_makes_none_negative() {
        assert_eq!([100, 160, 8000, 900_000].map(|at| age(at, 100)), ["0 s", "1 min", "2 h", "10 d"]);
        assert_eq!(age(5, 100), "0 s");
    }

    #[test]
    fn a_file_system_without_inodes_left_is_told_as_that() {
        let full = FileSystemRoom {
            paths: vec!["/var".into()],
            bytes: 1000,
            bytes_free: 900,
            inodes: Some(100),
            inodes_free: Some(1),
        };
        assert_eq!(room(&full), "1% of the inodes are free at /var");
    }
}
