//! The engine's configuration file with the flags that its unit gives it, read as far as that can be without the engine's own
//! judgement.

use super::settings::{Dropped, dropped, flag, in_both, is_on, unknown};
use serde_json::{Map, Value};

/// Where an engine looks for its configuration, unless a flag says otherwise.
const USUAL: &str = "/etc/docker/daemon.json";

/// How the engine's configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum DaemonJson {
    /// There is none, or one that is well.
    Well,
    /// It turns live-restore on.
    LiveRestore,
    /// An engine would not start with it.
    Invalid { why: String },
}

/// What `dockerd --validate` said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Verdict {
    /// The installed one cannot be asked: it is older than 23.0, or nobody knows how it would be started.
    NotAsked {
        /// What `dockerd --help` says, where that could be asked.
        help: Option<String>,
    },
    /// It would start with this.
    Accepted,
    Refused {
        /// Why, in its words.
        why: String,
    },
}

/// What an engine is told when it starts.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The path of its configuration, see [`config_file`].
    pub path: &'a str,
    /// The text there; `None` when there is no such file.
    pub text: Option<&'a str>,
    /// The flags that its unit gives it.
    pub arguments: &'a [String],
}

/// Where the engine that is started with these flags has its configuration.
pub fn config_file(arguments: &[String]) -> String {
    flag(arguments, "config-file").filter(|path| path.starts_with('/')).unwrap_or_else(|| USUAL.to_owned())
}

/// Why a file is no configuration of an engine.
#[derive(Debug, thiserror::Error)]
enum NoConfiguration {
    #[error("{path}: it is no JSON object")]
    NoObject { path: String },
    #[error("{path}: it is no JSON: {why}")]
    NoJson { path: String, why: serde_json::Error },
}

impl Told<'_> {
    /// The file's keys; nothing for an engine that takes an empty file for none.
    fn keys(&self) -> Result<Map<String, Value>, NoConfiguration> {
        // Since 24.0 engines take a byte order mark.
        let text = self.text.unwrap_or_default().trim_start_matches('\u{feff}');
        if text.trim().is_empty() {
            return Ok(Map::new());
        }
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(keys)) => Ok(keys),
            Ok(_) => Err(NoConfiguration::NoObject { path: self.path.to_owned() }),
            Err(why) => Err(NoConfiguration::NoJson { path: self.path.to_owned(), why }),
        }
    }

    /// Why an engine that cannot be asked would not start with it, as far as that is known without it.
    fn against(&self, keys: &Map<String, Value>, help: Option<&str>) -> Vec<String> {
        let both = in_both(keys, self.arguments);
        let both = (!both.is_empty()).then(|| {
            format!(
                "{} is both in {} and on the command line in docker.service: remove it from one of them",
                both.join(", "),
                self.path
            )
        });
        let unknown = help.map(|help| unknown(keys, help)).unwrap_or_default();
        let unknown = (!unknown.is_empty()).then(|| {
            format!("{} has {}, which the installed dockerd does not know", self.path, unknown.join(", "))
        });
        let marked = self.text.is_some_and(|text| text.starts_with('\u{feff}'));
        let marked = marked.then(|| format!("{} begins with a byte order mark", self.path));
        both.into_iter().chain(unknown).chain(marked).collect()
    }

    /// Which of it some later engine refuses.
    pub fn dropped(&self) -> Vec<Dropped> {
        self.keys().map(|keys| dropped(&keys, self.arguments, self.path)).unwrap_or_default()
    }
}

impl DaemonJson {
    /// From what the engine is told, and from what `dockerd --validate` said of it, where that could be asked.
    pub fn of(told: Told<'_>, verdict: Verdict) -> Self {
        let keys = match (told.keys(), verdict) {
            (Err(error), _) => return Self::Invalid { why: error.to_string() },
            (Ok(_), Verdict::Refused { why }) => return Self::Invalid { why },
            (Ok(keys), Verdict::NotAsked { help }) => {
                let why = told.against(&keys, help.as_deref());
                if !why.is_empty() {
                    return Self::Invalid { why: why.join("; ") };
                }
                keys
            }
            (Ok(keys), Verdict::Accepted) => keys,
        };
        match is_on(&keys, told.arguments, "live-restore") {
            true => Self::LiveRestore,
            false => Self::Well,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, flags: &str, verdict: Verdict) -> DaemonJson {
        let arguments: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
        DaemonJson::of(Told { path: USUAL, text: Some(text), arguments: &arguments }, verdict)
    }

    fn not_asked() -> Verdict {
        Verdict::NotAsked { help: None }
    }

    fn why(text: &str, flags: &str, verdict: Verdict) -> String {
        let found = of(text, flags, verdict);
        let DaemonJson::Invalid { why } = found else { panic!("{found:?}") };
        why
    }

    #[test]
    fn configuration_files() {
        let refused = || Verdict::Refused { why: "unknown key deebug".into() };
        let plain = |text: &str| of(text, "", not_asked());
        assert_eq!(plain("{}"), DaemonJson::Well);
        assert_eq!(plain(" \n"), DaemonJson::Well);
        assert_eq!(plain(r#"{"live-restore": true}"#), DaemonJson::LiveRestore);
        assert_eq!(plain(r#"{"live-restore": false}"#), DaemonJson::Well);
        assert_eq!(of("{}", "--live-restore", Verdict::Accepted), DaemonJson::LiveRestore);
        assert!(why("{\"debug\": true,}", "", not_asked()).contains("line 1"));
        assert!(why("[]", "", not_asked()).contains("object"));
        assert!(why(r#"{"deebug": true}"#, "", refused()).contains("deebug"));
    }

    #[test]
    fn an_engine_that_cannot_be_asked_is_checked_for_what_stands_at_both_places() {
        let file = r#"{"hosts": ["tcp://0.0.0.0:2376"]}"#;
        let words = why(file, "-H fd://", not_asked());
        assert!(
            words.starts_with("hosts is both in /etc/docker/daemon.json and on the command line"),
            "{words}"
        );
        assert_eq!(of(file, "-H fd://", Verdict::Accepted), DaemonJson::Well, "it knows better");
        assert_eq!(of("\u{feff}{}", "", Verdict::Accepted), DaemonJson::Well);
        assert!(why("\u{feff}{}", "", not_asked()).contains("byte order mark"));
        let help = "Options:\n  -D, --debug    Enable debug mode\n      --storage-opt list   Storage driver options\n";
        let helps = || Verdict::NotAsked { help: Some(help.to_owned()) };
        let words =
            why(r#"{"deebug": true, "debug": true, "storage-opts": ["a=b"], "features": {}}"#, "", helps());
        assert_eq!(words, "/etc/docker/daemon.json has deebug, which the installed dockerd does not know");
        assert_eq!(of(r#"{"deebug": true}"#, "", not_asked()), DaemonJson::Well, "nobody knows");
    }

    #[test]
    fn a_flag_may_name_another_file() {
        let at = |flags: &str| config_file(&flags.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(at("-H fd:// --config-file /etc/dockerd.json -D"), "/etc/dockerd.json");
        assert_eq!(at("--config-file=/etc/d.json"), "/etc/d.json");
        assert_eq!(at("-H fd://"), USUAL);
    }
}
