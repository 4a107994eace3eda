//! Lines as they stand when somebody presses the key.

use super::*;
use crate::args::Cli;
use clap::CommandFactory;

fn of(line: &str) -> Completion {
    complete(&Cli::command(), &line.split(' ').map(str::to_owned).collect::<Vec<_>>())
}

fn words(line: &str) -> Vec<String> {
    of(line).candidates.into_iter().map(|candidate| candidate.word).collect()
}

#[test]
fn commands_flags_and_listed_values_come_from_the_definition() {
    assert_eq!(words("re"), ["resume", "retry", "restore"]);
    assert!(words("").contains(&"upgrade".to_owned()) && words("-H tcp://m1 pl") == ["plan"]);
    assert_eq!(words("image "), ["load", "push"]);
    assert_eq!(words("enforce s"), ["status", "stop"]);
    assert_eq!(words("plan --dr"), ["--drain"]);
    assert_eq!(words("plan --drain "), ["auto", "always", "never"]);
    assert_eq!(words("plan --drain=a"), ["--drain=auto", "--drain=always"]);
    assert_eq!(words("status --format j"), ["json"]);
    assert_eq!(words("completion b"), ["bash"]);
    let flags = words("run --image i --node w1 --");
    assert!(!flags.contains(&"--image".to_owned()), "it is given");
    for flag in ["--node", "--host", "--yes", "--help", "--file"] {
        assert!(flags.contains(&flag.to_owned()), "{flag}");
    }
}

#[test]
fn names_are_sought_where_a_node_or_a_rollout_is_meant() {
    for (line, sought) in [
        ("retry ", Sought::Nodes),
        ("restore w", Sought::Nodes),
        ("logs ", Sought::Nodes),
        ("why ", Sought::Nodes),
        ("plan --node ", Sought::Nodes),
        ("plan --image i --exclude=w", Sought::Nodes),
        ("show ", Sought::Rollouts),
        ("show k3x9 ", Sought::Nodes),
        ("enforce status ", Sought::Enforcements),
        ("enforce pause s", Sought::Enforcements),
        ("enforce ", Sought::Nothing),
        ("enforce ./", Sought::Directories),
        ("plan --script ", Sought::Files),
        ("plan -f ", Sought::Files),
        ("plan --dir ", Sought::Directories),
        ("plan -- ", Sought::Files),
        ("plan --delay ", Sought::Nothing),
        ("status ", Sought::Nothing),
        ("", Sought::Nothing),
    ] {
        assert_eq!(of(line).sought, sought, "{line}");
    }
}

#[test]
fn the_line_says_which_engine_is_asked() {
    let found = of("--host tcp://m1 -H tcp://m2 --context=prod retry ");
    assert_eq!((found.hosts.join(" "), found.context.as_deref()), ("tcp://m1 tcp://m2".into(), Some("prod")));
}

#[test]
fn the_answer_is_cobras() {
    let names = ["w1", "w2", "m1", "two words", "bad\nname"].map(str::to_owned);
    assert_eq!(answer(&of("retry w"), &names, true), "w1\nw2\n:4\n");
    assert_eq!(answer(&of("plan --node=m"), &names, true), "--node=m1\n:4\n");
    assert_eq!(answer(&of("stat"), &[], true), "status\tShow where the rollout stands\n:4\n");
    assert_eq!(answer(&of("stat"), &[], false), "status\n:4\n");
    assert_eq!(answer(&of("plan --script "), &[], false), ":0\n");
}

#[test]
fn only_the_shells_words_ask() {
    let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
    assert_eq!(asked(&words("careen __complete why ")), Some((vec!["why".into(), String::new()], true)));
    assert_eq!(asked(&words("careen __completeNoDesc x")), Some((vec!["x".into()], false)));
    assert_eq!(asked(&words("careen why __complete")), None);
}
