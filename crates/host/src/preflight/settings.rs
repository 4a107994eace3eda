//! What an engine is told, by its configuration file and its command line: which of that cannot stand in both, and which of it
//! later engines do not take.

use super::Removed;
use serde_json::{Map, Value};
use std::fmt;

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    File,
    Flag,
}

/// One setting, by its name in the file; of a list each entry by itself, of a map each as `NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    key: String,
    value: String,
    from: From,
}

/// Flags whose name in the file is another: the engine's own `NamedOption`s (daemon/command/config.go of moby, and what 20.10
/// had beside them).
const NAMED: [(&str, &str); 18] = [
    ("add-runtime", "runtimes"),
    ("authorization-plugin", "authorization-plugins"),
    ("cdi-spec-dir", "cdi-spec-dirs"),
    ("cluster-store-opt", "cluster-store-opts"),
    ("default-address-pool", "default-address-pools"),
    ("default-network-opt", "default-network-opts"),
    ("default-ulimit", "default-ulimits"),
    ("dns-opt", "dns-opts"),
    ("exec-opt", "exec-opts"),
    ("feature", "features"),
    ("host", "hosts"),
    ("insecure-registry", "insecure-registries"),
    ("label", "labels"),
    ("log-opt", "log-opts"),
    ("node-generic-resource", "node-generic-resources"),
    ("registry-mirror", "registry-mirrors"),
    ("storage-opt", "storage-opts"),
    ("host-gateway-ip", "host-gateway-ips"),
];

/// Flags of one letter.
const SHORT: [(char, &str); 9] = [
    ('b', "bridge"),
    ('D', "debug"),
    ('g', "graph"),
    ('G', "group"),
    ('H', "host"),
    ('l', "log-level"),
    ('p', "pidfile"),
    ('r', "restart"),
    ('s', "storage-driver"),
];

/// Keys whose maps are values of their own; what stands in other maps the engine takes as if it stood beside them
/// (`flatOptions` in daemon/config/config.go).
const FLAT: [&str; 7] = [
    "builder",
    "cluster-store-opts",
    "default-network-opts",
    "default-ulimits",
    "features",
    "log-opts",
    "runtimes",
];

/// May stand in both places (`skipDuplicates`, likewise).
const IN_BOTH: &str = "runtimes";

/// The flags of a command line, by their long names, with their values.
fn flags(arguments: &[String]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for word in arguments {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').unwrap_or((long, ""));
            found.push((name.to_owned(), value.to_owned()));
        } else if let Some(short) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            let letter = short.chars().next().unwrap_or_default();
            let name = SHORT.iter().find(|(known, _)| *known == letter).map_or(short, |(_, name)| *name);
            let value = short.get(letter.len_utf8()..).unwrap_or_default();
            found.push((name.to_owned(), value.trim_start_matches('=').to_owned()));
        } else if let Some((_, value)) = found.last_mut().filter(|(_, value)| value.is_empty()) {
            word.clone_into(value);
        }
    }
    found
}

fn key_of(flag: &str) -> &str {
    NAMED.iter().find(|(name, _)| *name == flag).map_or(flag, |(_, key)| key)
}

/// The file as the engine looks at it when it compares it with its flags.
fn flattened(config: &Map<String, Value>) -> Vec<(&String, &Value)> {
    config
        .iter()
        .flat_map(|(key, value)| match value {
            Value::Object(map) if !FLAT.contains(&key.as_str()) => map.iter().collect::<Vec<_>>(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => {
                vec![(key, value)]
            }
        })
        .collect()
}

/// What stands both in the file and on the command line: no engine starts with that.
pub(super) fn in_both(config: &Map<String, Value>, arguments: &[String]) -> Vec<String> {
    let keys = flattened(config);
    let flags = flags(arguments);
    let mut both: Vec<String> = flags
        .iter()
        .map(|(flag, _)| key_of(flag))
        .filter(|key| *key != IN_BOTH && keys.iter().any(|(there, _)| there == key))
        .map(str::to_owned)
        .collect();
    both.sort();
    both.dedup();
    both
}

/// Keys of the file that are no flag (`skipValidateOptions` in daemon/config/config.go), and flags that `dockerd --help` hides.
const UNSEEN: [&str; 10] = [
    "allow-nondistributable-artifacts",
    "builder",
    "deprecated-key-path",
    "disable-legacy-registry",
    "features",
    "graph",
    "network-diagnostic-port",
    "restart",
    "swarm-raft-election-tick",
    "swarm-raft-heartbeat-tick",
];

/// The keys of the file that an engine with this help knows neither as a flag nor under another name: it does not start with them
/// (`findConfigurationConflicts`, likewise). A help without a flag says nothing.
pub(super) fn unknown(config: &Map<String, Value>, help: &str) -> Vec<String> {
    let flags: Vec<&str> = help
        .lines()
        .filter_map(|line| line.split_whitespace().find_map(|word| word.strip_prefix("--")))
        .collect();
    if flags.is_empty() {
        return Vec::new();
    }
    let known = |key: &str| {
        let by_another = NAMED.iter().any(|(flag, name)| *name == key && flags.contains(flag));
        by_another || flags.contains(&key) || UNSEEN.contains(&key)
    };
    flattened(config).into_iter().filter(|(key, _)| !known(key)).map(|(key, _)| key.clone()).collect()
}

/// Whether a switch is on; a flag without a value is.
pub(super) fn is_on(config: &Map<String, Value>, arguments: &[String], key: &str) -> bool {
    all(config, arguments).iter().any(|setting| {
        let on = |value: &str| matches!(value, "true" | "1" | "t" | "T" | "True" | "TRUE");
        setting.key == key && (on(&setting.value) || setting.from == From::Flag && setting.value.is_empty())
    })
}

/// The value that a flag has, the last where it is there several times.
pub(super) fn flag(arguments: &[String], name: &str) -> Option<String> {
    flags(arguments).into_iter().rev().find(|(flag, _)| flag == name).map(|(_, value)| value)
}

fn all(config: &Map<String, Value>, arguments: &[String]) -> Vec<Setting> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let of_file = flattened(config).into_iter().flat_map(|(key, value)| {
        let values = match value {
            Value::Array(list) => list.iter().map(text).collect(),
            Value::Object(map) => map.iter().map(|(name, value)| format!("{name}={}", text(value))).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![text(value)],
        };
        values.into_iter().map(|value| Setting { key: key.clone(), value, from: From::File })
    });
    let of_flags = flags(arguments).into_iter().map(|(flag, value)| Setting {
        key: key_of(&flag).to_owned(),
        value,
        from: From::Flag,
    });
    of_file.chain(of_flags).collect()
}

/// A setting that an engine does not take any more.
struct Gone {
    key: &'static str,
    /// What its value begins with; anything else is still taken.
    value: &'static str,
    since: u32,
    /// Whether the file may still have it: then only the flag is refused.
    file_may: bool,
    instead: &'static str,
}

const fn gone(key: &'static str, since: u32, instead: &'static str) -> Gone {
    Gone { key, value: "", since, file_may: false, instead }
}

/// All from Docker's list of deprecated features (docs/deprecated.md of docker/cli), by its headings; that an engine does not
/// start with an option that it does not know is in `findConfigurationConflicts`, and in `failed to set log opts`, of moby.
const GONE: [Gone; 10] = [
    // 'Classic Swarm and overlay networks using cluster store'
    gone("cluster-store", 23, "take it out: a swarm needs none"),
    gone("cluster-advertise", 23, "take it out: a swarm needs none"),
    gone("cluster-store-opts", 23, "take it out: a swarm needs none"),
    // '-g and --graph flags on dockerd'
    gone("graph", 23, "say data-root instead"),
    // 'Support for the overlay2.override_kernel_check storage option'
    Gone {
        value: "overlay2.override_kernel_check",
        ..gone("storage-opts", 24, "take it out: it has no effect")
    },
    // 'OOM-score adjust for the daemon'
    gone("oom-score-adjust", 25, "say OOMScoreAdjust= in its unit instead"),
    // 'Logentries logging driver'
    Gone { value: "logentries", ..gone("log-driver", 25, "choose another driver") },
    // 'API CORS headers'
    gone("api-cors-header", 28, "take it out, and put a reverse proxy before the API if you need it"),
    // 'fluentd-async-connect log opt'
    Gone { value: "fluentd-async-connect", ..gone("log-opts", 28, "say fluentd-async instead") },
    // 'Configuration for pushing non-distributable artifacts'; the file's key is among moby's skipValidateOptions
    Gone { file_may: true, ..gone("allow-nondistributable-artifacts", 29, "take it out: it has no effect") },
];

/// The release in which remote access without TLS that is asked for in so many words keeps the engine from starting
/// ('Unauthenticated TCP connections').
const TLS_WANTED: u32 = 27;

/// A setting with which an engine of a later release does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// What is set, and where.
    pub what: String,
    /// The release that refuses it.
    pub removed: Removed,
    /// What to do about it.
    pub instead: &'static str,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, gone from engine {} on: {}", self.what, self.removed, self.instead)
    }
}

/// What of an engine's settings some release does not take. `file` is the path of its configuration.
pub(super) fn dropped(config: &Map<String, Value>, arguments: &[String], file: &str) -> Vec<Dropped> {
    let settings = all(config, arguments);
    let whence = |setting: &Setting| match setting.from {
        From::File => format!("'{}' in {file}", setting.key),
        From::Flag => format!("the flag for '{}' in docker.service", setting.key),
    };
    let mut found: Vec<Dropped> = Vec::new();
    for setting in &settings {
        let fits = |gone: &&Gone| {
            gone.key == setting.key
                && setting.value.starts_with(gone.value)
                && !(gone.file_may && setting.from == From::File)
        };
        found.extend(GONE.iter().find(fits).map(|gone| {
            let value = if gone.value.is_empty() { String::new() } else { format!(" ({})", gone.value) };
            Dropped {
                what: whence(setting) + &value,
                removed: Removed::of(gone.since),
                instead: gone.instead,
            }
        }));
    }
    let refuses_tls =
        settings.iter().find(|set| matches!(set.key.as_str(), "tls" | "tlsverify") && set.value == "false");
    let is_remote = |host: &str| {
        host.strip_prefix("tcp://")
            .is_some_and(|rest| !["localhost", "127.0.0.1", "[::1]"].iter().any(|own| rest.starts_with(own)))
    };
    if let Some(setting) = refuses_tls
        && settings.iter().any(|set| set.key == "hosts" && is_remote(&set.value))
    {
        found.push(Dropped {
            what: format!("{} (false) with a host over tcp", whence(setting)),
            removed: Removed::of(TLS_WANTED),
            instead: "give the engine certificates, or no tcp host",
        });
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn flags_are_told_by_their_long_names() {
        let found = flags(&words(
            "-H fd:// --host=tcp://0.0.0.0:2376 -D --live-restore -l=debug -Hunix:///x --dns 8.8.8.8",
        ));
        let expected = [
            ("host", "fd://"),
            ("host", "tcp://0.0.0.0:2376"),
            ("debug", ""),
            ("live-restore", ""),
            ("log-level", "debug"),
            ("host", "unix:///x"),
            ("dns", "8.8.8.8"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_stands_in_both_is_found_under_either_name() {
        for (file, flags, both) in [
            (r#"{"hosts": ["tcp://0.0.0.0:2376"]}"#, "-H fd://", "hosts"),
            (r#"{"debug": true, "labels": []}"#, "-D --label a=b", "debug labels"),
            (r#"{"log-opts": {"max-size": "1m"}}"#, "--log-opt max-size=1m --log-opt max-file=2", "log-opts"),
            (r#"{"proxies": {"http-proxy": "x"}}"#, "--http-proxy x", "http-proxy"),
            (r#"{"runtimes": {}}"#, "--add-runtime a=b", ""),
            (r#"{"log-opts": {"debug": "1"}}"#, "--debug", ""),
            ("{}", "-H fd://", ""),
        ] {
            assert_eq!(in_both(&config(file), &words(flags)).join(" "), both, "{file} {flags}");
        }
    }

    #[test]
    fn a_switch_may_be_on_at_either_place() {
        let on = |file: &str, flags: &str| is_on(&config(file), &words(flags), "live-restore");
        assert!(
            on(r#"{"live-restore": true}"#, "")
                && on("{}", "--live-restore")
                && on("{}", "--live-restore=true -D")
        );
        assert!(
            !on(r#"{"live-restore": false}"#, "") && !on("{}", "--live-restore=false") && !on("{}", "-D")
        );
    }

    #[test]
    fn what_later_engines_refuse_is_named_with_its_release() {
        for (file, flags, expected) in [
            (r#"{"cluster-store": "consul://x"}"#, "--cluster-store-opt a=b", "23.0 23.0"),
            (r#"{"graph": "/data"}"#, "", "23.0"),
            ("{}", "-g /data", "23.0"),
            (r#"{"storage-opts": ["overlay2.override_kernel_check=true", "overlay2.size=1G"]}"#, "", "24.0"),
            ("{}", "--oom-score-adjust=-500", "25.0"),
            (r#"{"log-driver": "logentries"}"#, "", "25.0"),
            (r#"{"log-driver": "json-file"}"#, "", ""),
            (r#"{"api-cors-header": "*"}"#, "", "28.0"),
            (r#"{"log-opts": {"fluentd-async-connect": "true"}}"#, "", "28.0"),
            (r#"{"allow-nondistributable-artifacts": []}"#, "", ""),
            (r#"{"allow-nondistributable-artifacts": ["r"]}"#, "", ""),
            ("{}", "--allow-nondistributable-artifacts r", "29.0"),
            (r#"{"hosts": ["tcp://0.0.0.0:2375"], "tls": false}"#, "", "27.0"),
            (r#"{"hosts": ["tcp://localhost:2375"], "tls": false}"#, "", ""),
            (r#"{"hosts": ["tcp://0.0.0.0:2375"]}"#, "", ""),
        ] {
            let found = dropped(&config(file), &words(flags), "/etc/docker/daemon.json");
            let releases: Vec<String> = found.iter().map(|one| one.removed.to_string()).collect();
            assert_eq!(releases.join(" "), expected, "{file} {flags}");
        }
        let [one] = &dropped(&config(r#"{"graph": "/d"}"#), &[], "/etc/docker/daemon.json")[..] else {
            panic!()
        };
        assert_eq!(
            one.to_string(),
            "'graph' in /etc/docker/daemon.json, gone from engine 23.0 on: say data-root instead"
        );
    }
}
