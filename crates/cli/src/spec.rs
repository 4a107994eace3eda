//! Flags become a rollout's spec. Pure.

use crate::args::{AskArgs, EnforceUpdateArgs, UpgradeArgs, UpgradeReboot, WhichArgs};
use crate::args::{Drain, EngineRestart, FailureAction, HowArgs, Order, Reboot, RolloutArgs, TouchesEngine};
use crate::{hold, phase_limit};
use careen_planner::moves::Moves;
use careen_planner::spec::{DrainPolicy, Limits, NodeOrder, Policy, RebootPolicy, Selection};
use careen_planner::{Enforcement, RolloutId, Spec};
use careen_upgrade::options::{InvalidOptions, Options};
use std::collections::BTreeMap;

/// Where careen's own image has the payload of `upgrade`.
const UPGRADE_PAYLOAD: &str = "/upgrade";

/// The rollout that the flags describe. `image` is what `--image` was pinned to.
pub fn of_args(args: &RolloutArgs, id: RolloutId, image: &str) -> Spec {
    let spec = Spec {
        command: args.command.clone(),
        args: args.args.clone(),
        reboot: match args.reboot {
            Reboot::Never => RebootPolicy::Never,
            Reboot::Asked => RebootPolicy::Asked,
            Reboot::Auto => RebootPolicy::Auto,
            Reboot::Always => RebootPolicy::Always,
        },
        // That a reboot follows is certain, whatever `prepare` finds.
        restarts: args.reboot == Reboot::Always,
        force: args.force,
        ..of_how(&args.how, id, image)
    };
    if args.touches_engine == Some(TouchesEngine::No) { leaving_engines_alone(spec) } else { spec }
}

/// Whether it counts what the image says of its payload: nobody has said otherwise, and the payload is the image's own.
pub fn heeds_the_image(args: &RolloutArgs) -> bool {
    let its_own = args.given.script.is_none() && args.given.dir.is_none();
    its_own && args.touches_engine.is_none() && matches!(args.reboot, Reboot::Never | Reboot::Asked)
}

/// The same where no command ends an engine: nothing is restarted for what it asks, and nothing drained unless somebody says so.
pub fn leaving_engines_alone(spec: Spec) -> Spec {
    Spec {
        touches_engine: false,
        engine_restart: false,
        drain: match spec.drain {
            DrainPolicy::Auto => DrainPolicy::Never,
            DrainPolicy::Always | DrainPolicy::Never => spec.drain,
        },
        reboot: match spec.reboot {
            RebootPolicy::Asked => RebootPolicy::Never,
            RebootPolicy::Never | RebootPolicy::Auto | RebootPolicy::Always => spec.reboot,
        },
        ..spec
    }
}

/// What is asked of the hosts, in a rollout's words: there is no rollout.
pub fn of_question(args: &AskArgs, id: RolloutId, image: &str) -> Spec {
    let WhichArgs { nodes, constraints } = args.which.clone();
    Spec {
        command: args.command.clone(),
        args: args.args.clone(),
        selection: Selection { nodes, constraints, ..Selection::default() },
        ..Spec::run(id, image)
    }
}

/// The same with the payload of `upgrade`.
pub fn of_question_about_upgrades(args: &AskArgs, id: RolloutId, image: &str) -> Spec {
    Spec { payload: Some(UPGRADE_PAYLOAD.to_owned()), ..of_question(args, id, image) }
}

/// What the flags of `upgrade` tell its payload.
pub fn words_of_upgrade(args: &UpgradeArgs) -> Result<Vec<String>, InvalidOptions> {
    let options = Options {
        engine: args.engine,
        security_only: args.security_only,
        packages: args.packages.clone(),
        experimental: args.experimental,
        may_go: args.may_go.clone(),
        any_may_go: args.any_may_go,
    };
    Ok(options.check()?.to_args())
}

/// The rollout of the built-in payload, which is told these words.
pub fn of_upgrade(args: &UpgradeArgs, words: Vec<String>, id: RolloutId, image: &str) -> Spec {
    Spec {
        payload: Some(UPGRADE_PAYLOAD.to_owned()),
        args: words,
        reboot: match args.reboot {
            UpgradeReboot::Auto => RebootPolicy::Auto,
            UpgradeReboot::Never => RebootPolicy::Never,
            UpgradeReboot::Always => RebootPolicy::Always,
        },
        restarts: args.reboot == UpgradeReboot::Always,
        // Its `prepare` looks for itself, and costs no more than its `check`; a reboot may be due where no package waits.
        force: true,
        ..of_how(&args.how, id, image)
    }
}

/// The rollout that brings hosts to a new version of an enforcement. Nothing is drained or restarted unless somebody says so.
pub fn of_update(args: &EnforceUpdateArgs, new: &Enforcement, moves: Moves, id: RolloutId) -> Spec {
    let spec = of_how(&args.how, id, &new.image);
    let selection = Selection { constraints: new.constraints.clone(), ..spec.selection };
    Spec {
        image_name: new.image_name.clone(),
        payload: new.payload.clone(),
        args: new.args.clone(),
        given: new.given.clone(),
        reboot: RebootPolicy::Never,
        selection,
        moves: Some(moves),
        ..spec
    }
}

/// What a rollout does, in one word for people.
pub fn work(spec: &Spec) -> &str {
    match spec.payload.as_deref() {
        Some(UPGRADE_PAYLOAD) if spec.command == "install" => "upgrade",
        Some(_) | None => &spec.command,
    }
}

fn of_how(how: &HowArgs, id: RolloutId, image: &str) -> Spec {
    Spec {
        selection: Selection {
            nodes: how.which.nodes.clone(),
            constraints: how.which.constraints.clone(),
            spread: how.spread.clone(),
            // Labels of nodes say the rest.
            exclude: BTreeMap::new(),
        },
        policy: policy(how),
        drain: match how.drain {
            Drain::Auto => DrainPolicy::Auto,
            Drain::Always => DrainPolicy::Always,
            Drain::Never => DrainPolicy::Never,
        },
        engine_restart: how.engine_restart == EngineRestart::Auto,
        allow_quorum_loss: how.allow_quorum_loss,
        allow_volume_moves: how.allow_volume_moves,
        allow_gaps: how.allow_gaps,
        surge: how.surge,
        unlock_by_hand: how.unlock_by_hand,
        allow_unfit_hosts: how.allow_unfit_hosts,
        respect_inhibitors: how.respect_inhibitors,
        limits: Limits { running: how.timeout, ..phase_limit::apply(&how.phase_timeouts) },
        ..Spec::run(id, image)
    }
}

fn policy(args: &HowArgs) -> Policy {
    Policy {
        order: match args.order {
            Order::WorkersFirst => NodeOrder::WorkersFirst,
            Order::ManagersFirst => NodeOrder::ManagersFirst,
        },
        canaries: args.canaries,
        parallelism: args.parallelism,
        delay: args.delay,
        monitor: args.monitor,
        failure_action: match args.failure_action {
            FailureAction::Pause => careen_planner::spec::OnFailure::Pause,
            FailureAction::Continue => careen_planner::spec::OnFailure::Continue,
            FailureAction::Rollback => careen_planner::spec::OnFailure::Rollback,
        },
        max_failure_ratio: args.max_failure_ratio,
        holds: hold::policy(&args.holds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command, EnforceCommand};
    use careen_planner::Parallelism;
    use careen_planner::on_hold::{HoldPolicy, OnHold};
    use careen_planner::testing::enforcement;
    use clap::Parser;
    use std::time::Duration;

    fn spec(flags: &str) -> Result<Spec, clap::Error> {
        let words = ["careen", "plan", "--image", "i"].into_iter().chain(flags.split_whitespace());
        let Command::Plan(args) = Cli::try_parse_from(words)?.command else { unreachable!() };
        Ok(of_args(&args, RolloutId::parse("k3x9").unwrap(), "i@sha256:00"))
    }

    #[test]
    fn no_flags_mean_the_planners_defaults() {
        assert_eq!(spec("").unwrap(), Spec::run(RolloutId::parse("k3x9").unwrap(), "i@sha256:00"));
    }

    #[test]
    fn every_flag_reaches_the_spec() {
        let spec = spec(
            "--command check --node w1 --node w2 --constraint node.role==worker --constraint node.labels.a!=b \
             --spread node.labels.zone --parallelism 3 --delay 1m --monitor 1h30m --failure-action rollback \
             --max-failure-ratio 0.25 --order managers-first --canaries 2 --drain always --reboot always \
             --engine-restart never --allow-quorum-loss --allow-volume-moves --allow-gaps --unlock-by-hand --allow-unfit-hosts \
             --respect-inhibitors --surge --force --timeout 90s --on-hold skip --hold-limit 5m \
             --phase-timeout node-down=2m --phase-timeout rebooting=1h -- --fast now",
        )
        .unwrap();
        assert_eq!(
            (spec.command.as_str(), spec.args),
            ("check", vec!["--fast".to_owned(), "now".to_owned()])
        );
        let selection = Selection {
            nodes: vec!["w1".into(), "w2".into()],
            constraints: vec!["node.role==worker".into(), "node.labels.a!=b".into()],
            spread: Some("node.labels.zone".into()),
            exclude: BTreeMap::new(),
        };
        assert_eq!(spec.selection, selection);
        let policy = Policy {
            order: NodeOrder::ManagersFirst,
            canaries: 2,
            parallelism: Parallelism::Nodes(3),
            delay: Duration::from_secs(60),
            monitor: Duration::from_secs(5400),
            failure_action: careen_planner::spec::OnFailure::Rollback,
            max_failure_ratio: "0.25".parse().unwrap(),
            holds: HoldPolicy { action: OnHold::Skip, limit: Duration::from_secs(300) },
        };
        assert_eq!(spec.policy, policy);
        assert_eq!((spec.drain, spec.reboot), (DrainPolicy::Always, RebootPolicy::Always));
        assert!(!spec.engine_restart && spec.restarts);
        assert!(spec.allow_quorum_loss && spec.allow_volume_moves && spec.allow_gaps && spec.unlock_by_hand);
        assert!(spec.allow_unfit_hosts && spec.respect_inhibitors && spec.surge && spec.force);
        let limits = Limits {
            running: Some(Duration::from_secs(90)),
            node_down: Duration::from_secs(120),
            rebooting: Duration::from_secs(3600),
            ..Limits::default()
        };
        assert_eq!(spec.limits, limits);
    }

    #[test]
    fn a_part_of_the_nodes_reaches_the_spec() {
        let part = spec("--parallelism 10%").unwrap();
        assert_eq!((part.policy.parallelism.to_string(), part.policy.parallelism.of(59)), ("10%".into(), 5));
    }

    #[test]
    fn a_command_that_leaves_the_engine_alone_goes_the_short_way() {
        let promised = spec("--touches-engine no").unwrap();
        assert!(careen_planner::short::is_short(&promised) && !promised.touches_engine);
        let drained = spec("--touches-engine no --drain always").unwrap();
        assert!(!careen_planner::short::is_short(&drained));
        let unsaid = spec("--drain never --reboot never --engine-restart never").unwrap();
        assert!(careen_planner::short::is_short(&unsaid) && unsaid.touches_engine);
        assert!(!careen_planner::short::is_short(&spec("--drain never").unwrap()), "it may ask for a reboot");
    }

    #[test]
    fn a_bad_value_is_an_error_that_says_what_is_allowed() {
        for (flags, hint) in [
            ("--parallelism 0", "at least 1"),
            ("--parallelism 0%", "from 1% to 100%"),
            ("--parallelism 101%", "from 1% to 100%"),
            ("--parallelism many", "5, or a part of them such as 10%"),
            ("--parallelism=-1", "--parallelism"),
            ("--max-failure-ratio 1.5", "from 0 to 1"),
            ("--max-failure-ratio nan", "from 0 to 1"),
            ("--delay 5", "90s, 10m or 1h30m"),
            ("--monitor=-5s", "90s, 10m or 1h30m"),
            ("--timeout 0s", "leave --timeout out"),
            ("--phase-timeout 5m", "PHASE=DURATION"),
            ("--phase-timeout dancing=5m", "there are entering, preparing,"),
            ("--phase-timeout running=5m", "--timeout"),
            ("--phase-timeout rebooting=5", "90s, 10m or 1h30m"),
            ("--phase-timeout rebooting=0s", "leave rebooting out"),
            ("--constraint zone", "KEY==VALUE"),
            ("--spread zone", "node.labels.NAME"),
            ("--spread node.labels.zone==a", "node.labels.NAME"),
            ("--failure-action stop", "pause, continue, rollback"),
            ("--order random", "workers-first, managers-first"),
            ("--drain maybe", "auto, always, never"),
            ("--reboot wanted", "never, asked, auto, always"),
            ("--engine-restart always", "auto, never"),
            ("--touches-engine yes", "maybe, no"),
            ("--command ../sh", "directly below /install"),
            ("--format yaml", "text, json"),
        ] {
            let error = spec(flags).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{flags}");
            assert!(error.to_string().contains(hint), "{flags}: {error}");
        }
        assert!(Cli::try_parse_from(["careen", "run"]).unwrap_err().to_string().contains("--image"));
        assert!(Cli::try_parse_from(["careen", "run", "--image", "i", "--local", "--detach"]).is_err());
    }

    #[test]
    fn an_update_drains_and_restarts_nothing_unless_somebody_says_so() {
        let parse = |flags: &str| {
            let words = ["careen", "enforce", "update", "sysctl"].into_iter().chain(flags.split_whitespace());
            let Command::Enforce(args) = Cli::try_parse_from(words)?.command else { unreachable!() };
            let Some(EnforceCommand::Update(args)) = args.command else { unreachable!() };
            let moves = Moves { enforcement: "sysctl".into(), from: "a".into(), to: "b".into() };
            let new = Enforcement { constraints: vec!["node.role==worker".into()], ..enforcement() };
            Ok::<Spec, clap::Error>(of_update(&args, &new, moves, RolloutId::parse("k3x9").unwrap()))
        };
        let spec = parse("sysctl:2 --canaries 2 --parallelism 25%").unwrap();
        assert!(careen_planner::short::is_short(&spec) && spec.touches_engine, "a script may do anything");
        assert_eq!((spec.policy.canaries, spec.command.as_str()), (2, "install"));
        assert_eq!(spec.selection.constraints, ["node.role==worker"], "who is meant takes part");
        assert_eq!(spec.moves.unwrap().to, "b");
        let spec = parse("./motd --drain auto --engine-restart auto").unwrap();
        assert!(!careen_planner::short::is_short(&spec) && spec.drain == DrainPolicy::Auto);
        for wrong in ["--node w1", "--back --detach", "--back sysctl:2"] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
        assert!(parse("--back").is_ok());
    }

    fn upgrade(flags: &str) -> Result<Spec, InvalidOptions> {
        let words = ["careen", "upgrade"].into_iter().chain(flags.split_whitespace());
        let Command::Upgrade(args) = Cli::try_parse_from(words).unwrap().command else { unreachable!() };
        Ok(of_upgrade(&args, words_of_upgrade(&args)?, RolloutId::parse("k3x9").unwrap(), "i@sha256:00"))
    }

    #[test]
    fn an_upgrade_is_a_rollout_of_the_built_in_payload() {
        let plain = Spec::run(RolloutId::parse("k3x9").unwrap(), "i@sha256:00");
        let plain =
            Spec { payload: Some("/upgrade".into()), reboot: RebootPolicy::Auto, force: true, ..plain };
        assert_eq!(upgrade("").unwrap(), plain);
        let spec = upgrade(
            "--engine --package vim --package runc --security-only --experimental --allow-removal old --allow-removals \
             --reboot always --node w1",
        );
        let spec = spec.unwrap();
        let args = "--engine --security-only --experimental --allow-removals --package vim --package runc --allow-removal old";
        assert_eq!(spec.args.join(" "), args);
        assert!(spec.reboot == RebootPolicy::Always && spec.restarts && spec.selection.nodes == ["w1"]);
        assert_eq!(upgrade("--package runc"), Err(InvalidOptions::Engine("runc".into())));
        assert_eq!(upgrade("--package vim-"), Err(InvalidOptions::Name("vim-".into())));
    }
}
