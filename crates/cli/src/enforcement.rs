//! Flags become an enforcement. Pure.

use crate::args::{EnforcePayload, EnforceWhat, GivenArgs};
use careen_contract::payload_manifest::PayloadManifest;
use careen_planner::enforcement::hosts::EnforcedHost;
use careen_planner::enforcement::{DEFAULT_INTERVAL, Damage};
use careen_planner::{Enforcement, EnforcementState, FoundEnforcement, Spec};
use std::path::Path;
use std::time::Duration;

/// What a payload says of itself, where no flag says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct FromPayload {
    pub name: Option<String>,
    pub owns: Vec<String>,
    pub interval: Option<Duration>,
}

impl From<PayloadManifest> for FromPayload {
    fn from(manifest: PayloadManifest) -> Self {
        let PayloadManifest { name, owns, interval, idempotent: _ } = manifest;
        let owns = owns.iter().map(ToString::to_string).collect();
        Self { name: name.map(|name| name.to_string()), owns, interval }
    }
}

/// An enforcement as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnforcementLook {
    /// What lies in the swarm of it.
    pub found: FoundEnforcement,
    /// The hosts that are meant, as far as its config says which those are.
    pub hosts: Vec<EnforcedHost>,
    /// The contract that its image is made for, where that is not the one of this careen.
    pub other_protocol: Option<String>,
}

impl EnforcementLook {
    /// Whether everything is as it should be: each host, and what lies in the swarm.
    pub fn is_well(&self) -> bool {
        self.found.damage().is_none() && self.hosts.iter().all(EnforcedHost::is_in_sync)
    }

    /// What is not as careen left it.
    pub fn damage(&self) -> Option<Damage> {
        self.found.damage()
    }

    /// What it is, and how, where that can be understood.
    pub fn spec(&self) -> Option<(&Enforcement, &EnforcementState)> {
        self.found.spec()
    }
}

/// A payload that is named twice: what was given the second time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is a second payload: one image, and one directory or script")]
pub struct SecondPayload(pub String);

/// The image and the files of the payload, wherever on the line they stand. The second one of a kind is said.
pub fn payload_of(what: &EnforceWhat) -> Result<(Option<String>, GivenArgs), SecondPayload> {
    payload_among(what.payload.as_ref(), what.image.as_deref(), &what.given)
}

/// The same, from what stands where a payload may, and from the flags.
pub fn payload_among(
    payload: Option<&EnforcePayload>,
    image: Option<&str>,
    given: &GivenArgs,
) -> Result<(Option<String>, GivenArgs), SecondPayload> {
    let (mut image, mut given) = (image.map(str::to_owned), given.clone());
    match payload {
        None => {}
        Some(EnforcePayload::Image(name)) if image.is_none() => image = Some(name.clone()),
        Some(EnforcePayload::Directory(path)) if given.dir.is_none() && given.script.is_none() => {
            given.dir = Some(path.clone());
        }
        Some(EnforcePayload::Image(given)) => return Err(SecondPayload(given.clone())),
        Some(EnforcePayload::Directory(path)) => return Err(SecondPayload(path.display().to_string())),
    }
    Ok((image, given))
}

/// The enforcement that the flags describe. What the payload says of itself counts where no flag does. The rollout's spec has the
/// pinned image and what hosts get besides it.
pub fn of_args(what: &EnforceWhat, payload: &FromPayload, spec: &Spec, by: &str) -> Enforcement {
    let name = what.name.clone().or_else(|| payload.name.clone());
    let owns = if what.owns.is_empty() { payload.owns.clone() } else { what.owns.clone() };
    Enforcement {
        name: name.unwrap_or_else(|| name_of(what)),
        version: String::new(),
        image: spec.image.clone(),
        image_name: spec.image_name.clone(),
        payload: spec.payload.clone(),
        args: what.args.clone(),
        given: spec.given.clone(),
        owns,
        interval: what.interval.or(payload.interval).unwrap_or(DEFAULT_INTERVAL),
        constraints: what.constraints.clone(),
        by: by.to_owned(),
    }
}

/// What it is called, when nobody says it: the last part of its directory's or its image's name.
fn name_of(what: &EnforceWhat) -> String {
    let of_path = |path: &Path| {
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        whole.file_stem().map(|name| name.to_string_lossy().into_owned())
    };
    let image = match &what.payload {
        Some(EnforcePayload::Directory(path)) => return plain(&of_path(path).unwrap_or_default()),
        Some(EnforcePayload::Image(image)) => Some(image),
        None => what.image.as_ref(),
    };
    let brought = what.given.dir.as_deref().or(what.given.script.as_deref()).and_then(of_path);
    let of_image = || {
        let last = image.map(|image| image.rsplit('/').next().unwrap_or_default()).unwrap_or_default();
        last.split([':', '@']).next().unwrap_or_default().to_owned()
    };
    plain(&brought.unwrap_or_else(of_image))
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace(['_', '.', ' '], "-").trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use careen_planner::RolloutId;
    use clap::Parser;

    fn what(flags: &str) -> EnforceWhat {
        let words = ["careen", "enforce"].into_iter().chain(flags.split_whitespace());
        let Command::Enforce(args) = Cli::try_parse_from(words).unwrap().command else { unreachable!() };
        assert!(args.command.is_none(), "{flags}");
        args.what
    }

    fn of(flags: &str) -> Enforcement {
        let spec = Spec::run(RolloutId::parse("k3x9").unwrap(), "i@sha256:00");
        of_args(&what(flags), &FromPayload::default(), &spec, "me")
    }

    #[test]
    fn every_flag_reaches_the_enforcement() {
        let all = of(
            "r.example/sysctl:1 --name tuned --interval 5m --owns /etc/a --owns /etc/b/ --constraint node.role==worker -- --fast",
        );
        assert_eq!((all.name.as_str(), all.interval), ("tuned", Duration::from_secs(300)));
        assert_eq!(
            (all.owns.join(" "), all.constraints.join(" ")),
            ("/etc/a /etc/b/".into(), "node.role==worker".into())
        );
        assert_eq!(
            (all.args.join(" "), all.by.as_str(), all.image.as_str()),
            ("--fast".into(), "me", "i@sha256:00")
        );
        assert_eq!(of("i").interval, DEFAULT_INTERVAL);
    }

    #[test]
    fn what_the_payload_says_of_itself_counts_where_no_flag_does() {
        let payload = FromPayload {
            name: Some("own".into()),
            owns: vec!["/etc/own".into()],
            interval: Some(Duration::from_secs(60)),
        };
        let spec = Spec::run(RolloutId::parse("k3x9").unwrap(), "i@sha256:00");
        let of = |flags: &str| of_args(&what(flags), &payload, &spec, "me");
        assert_eq!((of("i").name.as_str(), of("i").owns.len(), of("i").interval.as_secs()), ("own", 1, 60));
        let flags = of("i --name mine --owns /etc/mine --interval 2m");
        assert_eq!((flags.name.as_str(), flags.owns.concat().as_str()), ("mine", "/etc/mine"));
        assert_eq!(flags.interval.as_secs(), 120);
    }

    #[test]
    fn it_is_called_as_its_image_or_its_directory() {
        for (flags, name) in [
            ("sysctl", "sysctl"),
            ("r.example:5000/team/Sys_ctl:1", "sys-ctl"),
            ("--image r.example/x@sha256:00", "x"),
            ("./no-such/motd.d", "motd"),
            ("--dir /srv/app", "app"),
            ("--script ./fix.sh", "fix"),
        ] {
            assert_eq!(of(flags).name, name, "{flags}");
        }
    }

    #[test]
    fn a_directory_begins_with_a_dot_or_a_slash_and_one_payload_is_enough() {
        let of = |flags: &str| payload_of(&what(flags));
        let (image, given) = of("./x --image base").unwrap();
        assert_eq!((image.as_deref(), given.dir.as_deref()), (Some("base"), Some(Path::new("./x"))));
        assert_eq!(of("base --dir ./x").unwrap().0.as_deref(), Some("base"));
        assert_eq!(of("one --image two").unwrap_err(), SecondPayload("one".into()));
        assert!(of("/one --dir two").is_err() && of("./one --script two").is_err());
    }

    #[test]
    fn a_command_is_no_payload_and_nothing_is_no_call() {
        let parse = |line: &str| Cli::try_parse_from(line.split_whitespace());
        for line in
            ["careen enforce ls", "careen enforce status", "careen enforce status sysctl --wait --timeout 5m"]
        {
            let Command::Enforce(args) = parse(line).unwrap().command else { unreachable!() };
            assert!(args.command.is_some() && args.what.payload.is_none(), "{line}");
        }
        for line in [
            "careen enforce",
            "careen enforce pause",
            "careen enforce status --timeout 5m",
            "careen enforce -x",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
