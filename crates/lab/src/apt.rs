//! Which Debian mirror the nodes use: read from the machine's own apt sources, so that no host name has to be
//! written anywhere. Pure, but for [`of_this_machine`].

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process;

/// One archive the machine knows: an address and the suites taken from it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    uri: String,
    suites: Vec<String>,
}

/// What a node's apt is told, taken from the machine's apt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The archive of the release itself.
    pub archive: String,
    /// The archive of the security suite, where the machine knows one.
    pub security: Option<String>,
    /// Lines of apt configuration for the node: proxies and what the mirror needs.
    pub configuration: String,
    /// The proxy for plain http, for debootstrap.
    pub http_proxy: Option<String>,
}

/// Reads the machine's apt sources and configuration.
pub fn of_this_machine(release: &str) -> Result<Mirror> {
    let sources = read_sources()?;
    let dump = process::run(Command::new("apt-config").arg("dump"))?;
    choose(&sources, &dump, release).ok_or_else(|| {
        Error::Refused(format!(
            "no Debian archive for {release} in /etc/apt/sources.list and /etc/apt/sources.list.d: the nodes are \
             made from the machine's own mirror. Add one there; nothing was changed"
        ))
    })
}

fn read_sources() -> Result<Vec<Source>> {
    let directory = Path::new("/etc/apt/sources.list.d");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .chain([PathBuf::from("/etc/apt/sources.list")])
        .collect();
    paths.sort();
    let mut sources = Vec::new();
    for path in paths {
        let parse = match path.extension().and_then(|extension| extension.to_str()) {
            Some("list") => parse_lines,
            Some("sources") => parse_deb822,
            Some(_) | None => continue,
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => sources.extend(parse(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::File { action: "read", path, source }),
        }
    }
    Ok(sources)
}

/// The one-line format: `deb [options] uri suite component…`.
fn parse_lines(text: &str) -> Vec<Source> {
    let one = |line: &str| {
        let mut rest = line.split('#').next()?.trim().strip_prefix("deb ")?.trim_start();
        if let Some(options) = rest.strip_prefix('[') {
            rest = options.split_once(']')?.1.trim_start();
        }
        let mut words = rest.split_whitespace();
        Some(Source { uri: words.next()?.to_owned(), suites: vec![words.next()?.to_owned()] })
    };
    text.lines().filter_map(one).collect()
}

/// The deb822 format: stanzas of `Field: value`, with several URIs and suites each.
fn parse_deb822(text: &str) -> Vec<Source> {
    let without_comments: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut sources = Vec::new();
    for stanza in without_comments.split(|line| line.trim().is_empty()) {
        let words = |field: &str| stanza_words(stanza, field);
        let disabled = words("Enabled").iter().any(|word| matches!(word.as_str(), "no" | "false" | "0"));
        if disabled || !words("Types").iter().any(|kind| kind == "deb") {
            continue;
        }
        let suites = words("Suites");
        sources.extend(words("URIs").into_iter().map(|uri| Source { uri, suites: suites.clone() }));
    }
    sources
}

/// The words of one field, its continuation lines included.
fn stanza_words(stanza: &[&str], field: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut inside = false;
    for line in stanza {
        let value = match line.split_once(':') {
            _ if line.starts_with([' ', '\t']) => line,
            Some((name, value)) => {
                inside = name.eq_ignore_ascii_case(field);
                value
            }
            None => continue,
        };
        if inside {
            words.extend(value.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn choose(sources: &[Source], apt_config: &str, release: &str) -> Option<Mirror> {
    let security_suite = format!("{release}-security");
    let archive =
        with_suite(sources, release).or_else(|| any_archive(sources, |suite| !suite.contains("security")))?;
    let security = with_suite(sources, &security_suite)
        .or_else(|| any_archive(sources, |suite| suite.ends_with("-security")));
    Some(Mirror {
        archive,
        security,
        configuration: passed_on(apt_config),
        http_proxy: setting(apt_config, "Acquire::http::Proxy"),
    })
}

fn with_suite(sources: &[Source], suite: &str) -> Option<String> {
    let holds = |source: &&Source| is_http(&source.uri) && source.suites.iter().any(|other| other == suite);
    sources.iter().find(holds).map(|source| source.uri.clone())
}

/// Any Debian archive with a fitting suite. That it is Debian's shows in its path only.
fn any_archive(sources: &[Source], fits: impl Fn(&str) -> bool) -> Option<String> {
    let is_debian = |uri: &str| {
        let path = uri.splitn(4, '/').nth(3).unwrap_or_default();
        path.split('/').any(|part| part == "debian" || part == "debian-security")
    };
    sources
        .iter()
        .find(|source| {
            is_http(&source.uri) && is_debian(&source.uri) && source.suites.iter().any(|s| fits(s))
        })
        .map(|source| source.uri.clone())
}

fn is_http(uri: &str) -> bool {
    uri.starts_with("http://") || uri.starts_with("https://")
}

/// The settings without which the machine's mirror may not work from a node: proxies, and the checks that a
/// frozen mirror (a snapshot) fails.
fn passed_on(apt_config: &str) -> String {
    const PREFIXES: [&str; 5] =
        ["Acquire::http::", "Acquire::https::", "Acquire::Check-", "Acquire::Retries", "Acquire::Force"];
    apt_config
        .lines()
        .filter(|line| PREFIXES.iter().any(|prefix| line.starts_with(prefix)) && !line.ends_with("\"\";"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn setting(apt_config: &str, name: &str) -> Option<String> {
    let value = apt_config.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" \""))?;
    let value = value.strip_suffix("\";")?;
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb
# a comment inside a stanza
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb deb-src
URIs: http://security.example/debian-security
Suites:
 bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie

Types: deb-src
URIs: http://src.example/debian
Suites: trixie
";

    fn source(uri: &str, suites: &[&str]) -> Source {
        Source { uri: uri.to_owned(), suites: suites.iter().map(|suite| (*suite).to_owned()).collect() }
    }

    #[test]
    fn deb822_stanzas_with_comments_continuations_and_disabled_ones() {
        assert_eq!(
            parse_deb822(DEB822),
            [
                source("http://mirror.example/debian", &["bookworm", "bookworm-updates"]),
                source("http://security.example/debian-security", &["bookworm-security"]),
            ]
        );
    }

    #[test]
    fn one_line_sources_with_options_and_comments() {
        let text = "# deb http://no.example/debian x main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib # why\n\
                    deb-src http://mirror.example/debian bookworm main\n\
                    deb cdrom:[disc]/ bookworm main\n";
        assert_eq!(parse_lines(text)[0], source("http://mirror.example/debian", &["bookworm"]));
        assert_eq!(
            choose(&parse_lines(text), "", "bookworm").unwrap().archive,
            "http://mirror.example/debian"
        );
    }

    #[test]
    fn the_release_and_its_security_suite_each_have_their_own_mirror() {
        let mirror = choose(&parse_deb822(DEB822), "", "bookworm").unwrap();
        assert_eq!(mirror.archive, "http://mirror.example/debian");
        assert_eq!(mirror.security.as_deref(), Some("http://security.example/debian-security"));
    }

    #[test]
    fn another_release_comes_from_any_debian_archive() {
        let mirror = choose(&parse_deb822(DEB822), "", "trixie").unwrap();
        assert_eq!(mirror.archive, "http://mirror.example/debian");
        assert_eq!(mirror.security.as_deref(), Some("http://security.example/debian-security"));
    }

    #[test]
    fn foreign_archives_are_no_debian_mirror() {
        let foreign =
            [source("https://packages.example/apt", &["stable"]), source("file:/debian", &["bookworm"])];
        assert_eq!(choose(&foreign, "", "bookworm"), None);
    }

    #[test]
    fn proxies_and_checks_are_passed_on_and_nothing_else() {
        let dump = "APT::Architecture \"amd64\";\nAcquire::http::Proxy \"http://proxy.example:3128\";\n\
                    Acquire::https \"\";\nAcquire::Check-Valid-Until \"false\";\nAcquire::Languages:: \"none\";\n";
        let mirror = choose(&[source("http://m.example/debian", &["bookworm"])], dump, "bookworm").unwrap();
        assert_eq!(
            mirror.configuration,
            "Acquire::http::Proxy \"http://proxy.example:3128\";\nAcquire::Check-Valid-Until \"false\";\n"
        );
        assert_eq!(mirror.http_proxy.as_deref(), Some("http://proxy.example:3128"));
        assert_eq!(mirror.security, None);
    }
}
