//! The flags with which a rollout was submitted, as far as they are no defaults: out of what is stored of it. Pure.

use crate::given::name_of;
use crate::spec::{leaving_engines_alone, work};
use crate::{duration, hold, phase_limit};
use careen_contract::object;
use careen_planner::Spec;
use careen_planner::spec::{DrainPolicy, NodeOrder, OnFailure, RebootPolicy};

/// All of them but the image, the command and its arguments, as they can be typed. Of variables the names alone.
pub fn flags(spec: &Spec) -> Vec<String> {
    let default = default_of(spec);
    let mut flags = which(spec);
    flags.extend(pace(spec, &default));
    flags.extend(failures(spec, &default));
    flags.extend(hosts(spec, &default));
    flags.extend(allowed(spec));
    flags.extend(given(spec));
    flags
}

fn default_of(spec: &Spec) -> Spec {
    let mut default = Spec::run(spec.id.clone(), &spec.image);
    if work(spec) == "upgrade" {
        default.reboot = RebootPolicy::Auto;
    }
    if spec.touches_engine { default } else { leaving_engines_alone(default) }
}

fn flag(name: &str, value: impl AsRef<str>) -> String {
    format!("--{name} {}", quoted(value.as_ref()))
}

/// A flag, when its value is another than by default.
fn unless<T: PartialEq>(
    name: &str,
    value: &T,
    default: &T,
    text: impl FnOnce(&T) -> String,
) -> Option<String> {
    (value != default).then(|| flag(name, text(value)))
}

/// As a shell reads it as one word.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%,+!".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn which(spec: &Spec) -> Vec<String> {
    let nodes = spec.selection.nodes.iter().map(|node| flag("node", node));
    let constraints = spec.selection.constraints.iter().map(|one| flag("constraint", one));
    let spread = spec.selection.spread.iter().map(|key| flag("spread", key));
    let exclude = spec.selection.exclude.keys().map(|node| flag("exclude", &node.0));
    nodes.chain(constraints).chain(spread).chain(exclude).collect()
}

fn pace(spec: &Spec, default: &Spec) -> Vec<String> {
    let (policy, usual) = (&spec.policy, &default.policy);
    let all = [
        unless("parallelism", &policy.parallelism, &usual.parallelism, ToString::to_string),
        unless("delay", &policy.delay, &usual.delay, |time| duration::text(*time)),
        unless("monitor", &policy.monitor, &usual.monitor, |time| duration::text(*time)),
        unless("order", &policy.order, &usual.order, |order| order_word(*order).to_owned()),
        unless("canaries", &policy.canaries, &usual.canaries, ToString::to_string),
    ];
    all.into_iter().flatten().collect()
}

fn failures(spec: &Spec, default: &Spec) -> Vec<String> {
    let (policy, usual) = (&spec.policy, &default.policy);
    let action = unless("failure-action", &policy.failure_action, &usual.failure_action, |action| {
        failure_word(*action).to_owned()
    });
    let ratio = unless("max-failure-ratio", &policy.max_failure_ratio, &usual.max_failure_ratio, |ratio| {
        ratio.to_string()
    });
    let timeout = spec.limits.running.map(|time| flag("timeout", duration::text(time)));
    let limits = phase_limit::other_than_by_default(&spec.limits).into_iter();
    let limits =
        limits.map(|(phase, time)| flag("phase-timeout", format!("{phase}={}", duration::text(time))));
    let held = &policy.holds;
    let on_hold =
        unless("on-hold", &held.action, &usual.holds.action, |action| hold::word(*action).to_owned());
    let hold_limit = unless("hold-limit", &held.limit, &usual.holds.limit, |time| duration::text(*time));
    let first = [action, ratio, timeout].into_iter().flatten();
    first.chain(limits).chain(on_hold).chain(hold_limit).collect()
}

fn hosts(spec: &Spec, default: &Spec) -> Vec<String> {
    let restarts = |restarts: &bool| if *restarts { "auto" } else { "never" }.to_owned();
    let all = [
        unless("drain", &spec.drain, &default.drain, |drain| drain_word(*drain).to_owned()),
        unless("reboot", &spec.reboot, &default.reboot, |reboot| reboot_word(*reboot).to_owned()),
        unless("engine-restart", &spec.engine_restart, &default.engine_restart, restarts),
        (!spec.touches_engine).then(|| flag("touches-engine", "no")),
        spec.controller_image.as_ref().map(|image| flag("controller-image", image)),
        spec.respect_inhibitors.then(|| "--respect-inhibitors".to_owned()),
        spec.surge.then(|| "--surge".to_owned()),
    ];
    all.into_iter().flatten().collect()
}

fn allowed(spec: &Spec) -> Vec<String> {
    let all = [
        (spec.allow_quorum_loss, "--allow-quorum-loss"),
        (spec.allow_volume_moves, "--allow-volume-moves"),
        (spec.allow_gaps, "--allow-gaps"),
        (spec.unlock_by_hand, "--unlock-by-hand"),
        (spec.allow_unfit_hosts, "--allow-unfit-hosts"),
    ];
    let all = all.into_iter().filter(|(said, _)| *said).map(|(_, flag)| flag.to_owned());
    let key = spec.unlock_key.iter().map(|key| match key.name.starts_with(object::UNLOCK_KEYS) {
        // The key came with the call, and went with the rollout.
        true => flag("unlock-key-file", "FILE"),
        false => flag("unlock-key-secret", &key.name),
    });
    all.chain(key).collect()
}

fn given(spec: &Spec) -> Vec<String> {
    let given = &spec.given;
    let variables = given.environment.iter().map(|variable| flag("env", name_of(variable)));
    let secrets = given.secrets.iter().map(|secret| flag("secret", &secret.name));
    let configs = given.configs.iter().map(|config| flag("config", &config.name));
    let auth = given.registry_auth.then(|| "--with-registry-auth".to_owned());
    variables.chain(secrets).chain(configs).chain(auth).collect()
}

const fn order_word(order: NodeOrder) -> &'static str {
    match order {
        NodeOrder::WorkersFirst => "workers-first",
        NodeOrder::ManagersFirst => "managers-first",
    }
}

const fn failure_word(action: OnFailure) -> &'static str {
    match action {
        OnFailure::Pause => "pause",
        OnFailure::Continue => "continue",
        OnFailure::Rollback => "rollback",
    }
}

const fn drain_word(drain: DrainPolicy) -> &'static str {
    match drain {
        DrainPolicy::Auto => "auto",
        DrainPolicy::Always => "always",
        DrainPolicy::Never => "never",
    }
}

const fn reboot_word(reboot: RebootPolicy) -> &'static str {
    match reboot {
        RebootPolicy::Never => "never",
        RebootPolicy::Asked => "asked",
        RebootPolicy::Auto => "auto",
        RebootPolicy::Always => "always",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use crate::spec::{of_args, of_upgrade, words_of_upgrade};
    use careen_planner::RolloutId;
    use careen_planner::spec::UnlockKey;
    use clap::Parser;

    fn spec(flags: &str) -> Spec {
        let words = ["careen", "plan", "--image", "i"].into_iter().chain(flags.split_whitespace());
        let Command::Plan(args) = Cli::try_parse_from(words).unwrap().command else { unreachable!() };
        of_args(&args, RolloutId::parse("k3x9").unwrap(), "i@sha256:00")
    }

    #[test]
    fn what_was_given_is_told_as_it_was_given_and_no_default_is() {
        for given in [
            "",
            "--node w1 --node w2 --constraint node.role==worker --spread node.labels.zone",
            "--parallelism 10% --delay 1m --monitor 1h30m --order managers-first --canaries 0",
            "--failure-action rollback --max-failure-ratio 0.25 --timeout 1m30s --phase-timeout rebooting=1h \
             --phase-timeout node-down=2m",
            "--drain always --reboot never --engine-restart never --controller-image c --respect-inhibitors --surge",
            "--on-hold skip --hold-limit 5m",
            "--on-hold wait",
            "--touches-engine no",
            "--drain always --touches-engine no",
            "--allow-quorum-loss --allow-volume-moves --allow-gaps --unlock-by-hand --allow-unfit-hosts",
            "--monitor 0s --reboot always",
        ] {
            let mut given_spec = spec(given);
            if given.contains("--controller-image") {
                given_spec.controller_image = Some("c".into());
            }
            assert_eq!(flags(&given_spec).join(" "), given);
        }
        let mut without = spec("");
        without.selection.exclude.insert(careen_planner::NodeId("w3".into()), "its disk".into());
        assert_eq!(flags(&without), ["--exclude w3"]);
    }

    #[test]
    fn an_upgrade_has_defaults_of_its_own() {
        let of = |flags: &str| {
            let words = ["careen", "upgrade"].into_iter().chain(flags.split_whitespace());
            let Command::Upgrade(args) = Cli::try_parse_from(words).unwrap().command else { unreachable!() };
            let words = words_of_upgrade(&args).unwrap();
            of_upgrade(&args, words, RolloutId::parse("k3x9").unwrap(), "i@sha256:00")
        };
        assert!(flags(&of("")).is_empty() && flags(&of("--engine")).is_empty(), "that is an argument");
        assert_eq!(flags(&of("--reboot never")), ["--reboot never"]);
    }

    #[test]
    fn what_a_shell_would_take_apart_is_quoted_and_no_value_of_a_variable_is_told() {
        let mut spec = spec("");
        spec.selection.nodes = vec!["it's w1;reboot".into()];
        spec.given.environment = vec!["TOKEN=secret".into()];
        spec.given.registry_auth = true;
        spec.unlock_key = Some(UnlockKey { id: "x".into(), name: "careen.unlock-key.k3x9".into() });
        let expected =
            ["--node 'it'\\''s w1;reboot'", "--unlock-key-file FILE", "--env TOKEN", "--with-registry-auth"];
        assert_eq!(flags(&spec), expected);
    }
}
