//! Files as people write them, and as they should not.

use super::*;
use crate::args::{Command as Verb, RolloutArgs};
use clap::FromArgMatches;
use std::time::Duration;

/// What `careen plan -f FILE` with such flags behind it is, once its file is read.
fn plan(text: &str, typed: &str) -> Result<RolloutArgs, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("careen.yaml");
    std::fs::write(&path, text).unwrap();
    let call = format!("careen --format json plan -f {} {typed}", path.display());
    let call: Vec<OsString> = call.split_whitespace().map(OsString::from).collect();
    let matches = Cli::command().try_get_matches_from(&call).map_err(|error| error.to_string())?;
    let plain =
        |error: UnusableFile| error.to_string().replace(&format!("{}/", directory.path().display()), "");
    let all = words(&call, &matches).map_err(plain)?.unwrap();
    let matches = Cli::command().try_get_matches_from(all).map_err(|error| error.to_string())?;
    let Verb::Plan(args) = Cli::from_arg_matches(&matches).unwrap().command else { unreachable!() };
    Ok(args)
}

const WHOLE: &str = r#"# the whole language
image: registry.example/update:1
command: ["check", "--fast", "two words"]
environment:
  A: 1
  B: "two words"
  PRICE: 5$$
env_file: vars
secrets:
  - db
  - source: key
    target: /etc/app/key
    uid: "33"
    mode: 0400
configs: [app.conf]
deploy:
  placement:
    constraints:
      - node.role == worker
  update_config:
    parallelism: 10%
    delay: 10s
    failure_action: continue
    monitor: 1m
    max_failure_ratio: 0.25
x-careen:
  node: [w1, w2]
  exclude: w3
  canaries: 2
  drain: always
  engine-restart: never
  phase-timeout: { rebooting: 30m }
  allow-gaps: true
  allow-unfit-hosts: false
  force: true
x-mine: { anything: goes }
"#;

#[test]
fn every_word_of_the_file_is_a_flag() {
    let args = plan(WHOLE, "").unwrap();
    assert_eq!(args.image.as_deref(), Some("registry.example/update:1"));
    assert_eq!((args.command.as_str(), args.args.join("|")), ("check", "--fast|two words".to_owned()));
    assert_eq!(args.given.environment, ["A=1", "B=two words", "PRICE=5$"]);
    let env_file = &args.given.environment_files[0];
    assert!(env_file.is_absolute() && env_file.ends_with("vars"), "{env_file:?}");
    let key = &args.given.secrets[1];
    assert_eq!(
        (key.name.as_str(), key.target.as_str(), key.uid.as_str(), key.mode),
        ("key", "/etc/app/key", "33", 0o400)
    );
    assert_eq!(
        (args.given.secrets[0].name.as_str(), args.given.configs[0].name.as_str()),
        ("db", "app.conf")
    );
    let how = &args.how;
    assert_eq!(how.which.constraints, ["node.role == worker"]);
    assert_eq!((how.parallelism.to_string(), how.delay), ("10%".to_owned(), Duration::from_secs(10)));
    assert_eq!(
        (how.failure_action, how.monitor),
        (crate::args::FailureAction::Continue, Duration::from_secs(60))
    );
    assert_eq!(how.max_failure_ratio.to_string(), "0.25");
    assert_eq!(
        (how.which.nodes.join(" "), how.exclude.join(" "), how.canaries),
        ("w1 w2".into(), "w3".into(), 2)
    );
    assert_eq!(
        (how.drain, how.engine_restart),
        (crate::args::Drain::Always, crate::args::EngineRestart::Never)
    );
    assert_eq!(how.phase_timeouts, [crate::phase_limit::parse("rebooting=30m").unwrap()]);
    assert!(how.allow_gaps && !how.allow_unfit_hosts && args.force);
}

#[test]
fn flags_that_are_typed_win() {
    let args =
        plan(WHOLE, "--parallelism 3 --node m1 --image other --env A=2 --env C=3 --drain never").unwrap();
    assert_eq!((args.how.parallelism.to_string(), args.how.which.nodes.join(" ")), ("3".into(), "m1".into()));
    assert_eq!((args.image.as_deref(), args.how.drain), (Some("other"), crate::args::Drain::Never));
    // Of two variables of one name the later counts.
    assert_eq!(args.given.environment, ["A=1", "B=two words", "PRICE=5$", "A=2", "C=3"]);
    let command =
        |typed: &str| plan(WHOLE, typed).map(|args| format!("{} {}", args.command, args.args.join(" ")));
    assert_eq!(command("-- --slow").unwrap(), "check --slow");
    assert_eq!(command("--command verify").unwrap(), "verify ");
    assert_eq!(command("--command verify -- a").unwrap(), "verify a");
    // What cannot stand beside it goes, too.
    let args = plan("x-careen: { script: fix.sh }\n", "--dir payload").unwrap();
    assert!(args.given.script.is_none() && args.given.dir.is_some());
    let args = plan("x-careen: { unlock-key-secret: key }\nimage: i\n", "--unlock-key-file f").unwrap();
    assert!(args.how.unlock_key_secret.is_none() && args.how.unlock_key_file.is_some());
    assert!(plan("image: i\n", "").unwrap().args.is_empty());
    assert_eq!(
        plan("deploy: {update_config: {parallelism: 2}}\n", "--image i").unwrap().how.parallelism.to_string(),
        "2"
    );
}

#[test]
fn environments_are_written_in_both_of_composes_ways() {
    let of = |text: &str| plan(&format!("image: i\n{text}"), "").map(|args| args.given.environment.join("|"));
    assert_eq!(of("environment: [A=1, 'B=x=y', C]\n").unwrap(), "A=1|B=x=y|C");
    assert_eq!(of("environment: {A: true, B: , C: ~, D: ''}\n").unwrap(), "A=true|B|C|D=");
    assert_eq!(of("environment:\n  A: |\n    two\n    lines\n").unwrap(), "A=two\nlines\n");
    // A shared part, written once.
    assert_eq!(of("x-shared: &shared {A: 1}\nenvironment: *shared\n").unwrap(), "A=1");
}

#[test]
fn names_are_taken_whatever_is_in_them() {
    let long = "x".repeat(10_000);
    let text = format!("image: i\nx-careen:\n  node: ['it''s', \"a\\tb\\u00e9\", '{long}', -w1]\n");
    let args = plan(&text, "").unwrap();
    assert_eq!(args.how.which.nodes, ["it's", "a\tbé", &long, "-w1"]);
}

/// What is wrong, and what is told of it behind the file's name.
const WRONG: &[(&str, &str)] = &[
    ("", "1:1: there is nothing in the file"),
    ("# nothing\n", "1:1: there is nothing in the file"),
    ("image\n", "1:1: a file is made of lines 'KEY: VALUE', and here is a text"),
    ("image: i\nimagee: j\n", "2:1: unknown key 'imagee': did you mean 'image'?"),
    ("image: i\nnonsense: j\n", "2:1: unknown key 'nonsense'; there are command, configs, deploy, "),
    ("image: i\nx-carren: {}\n", "2:1: unknown key 'x-carren': did you mean 'x-careen'?"),
    ("image: i\nsecret: [a]\n", "2:1: unknown key 'secret': did you mean 'secrets'?"),
    ("image: i\nx-careen:\n  canary: 1\n", "3:3: unknown key 'x-careen.canary': did you mean 'canaries'?"),
    (
        "image: i\nx-careen:\n  delay: 1s\n",
        "3:3: 'x-careen.delay': in a file this is deploy.update_config.delay",
    ),
    ("image: i\nx-careen:\n  yes: true\n", "3:3: unknown key 'x-careen.yes'"),
    (
        "image: i\ndeploy:\n  update_config:\n    order: start-first\n",
        "4:5: 'deploy.update_config.order': start-first",
    ),
    ("services:\n  web: {}\n", "1:1: 'services': a file describes one rollout"),
    ("image: i\nimage: j\n", "2:1: the key 'image' is there already, in line 1"),
    ("image: [a]\n", "1:8: 'image' wants a text or a number, and here is a list"),
    ("image:\n", "1:6: 'image' wants a text or a number, and here is nothing"),
    ("image: i\ndeploy: fast\n", "2:9: 'deploy' wants a mapping, and here is a text"),
    ("image: i\nsecrets: db\n", "2:10: 'secrets' wants a list, and here is a text"),
    ("image: i\nsecrets:\n  - sauce: db\n", "3:5: unknown key 'secrets.sauce': did you mean 'source'?"),
    ("image: i\nsecrets: [{source: db, mode: 9}]\n", "2:11: 'secrets': a mode is octal: 0400"),
    (
        "image: i\nx-careen: {allow-gaps: yes}\n",
        "2:24: 'x-careen.allow-gaps' wants true or false, and here is a text",
    ),
    ("image: i\nx-careen: {drain: maybe}\n", "2:19: 'x-careen.drain': it is one of auto, always, never"),
    ("image: i\ndeploy:\n  update_config: {parallelism: 0}\n", "3:32: 'deploy.update_config.parallelism': "),
    ("image: i\ndeploy:\n  update_config: {delay: 5}\n", "3:26: 'deploy.update_config.delay': "),
    (
        "image: i\nx-careen: {phase-timeout: {dancing: 5m}}\n",
        "2:37: 'x-careen.phase-timeout.dancing': 'dancing' is no phase",
    ),
    ("image: i\nx-careen: {script: a, dir: b}\n", "2:"),
    ("image: i\ncommand: sh -c 'x'\n", "2:10: 'command': quotes and backslashes are not read here"),
    ("image: i\ncommand: []\n", "2:10: 'command' wants the name of a command"),
    ("image: i\ncommand: ../sh\n", "2:10: 'command': "),
    ("image: i:${TAG}\n", "1:8: 'image' has a '$': variables are not replaced here"),
    ("image: i\nenvironment: [A=$B]\n", "2:15: 'environment' has a '$'"),
    ("image: i\nenvironment: {'A=B': c}\n", "2:15: 'environment.A=B': a name has no '='"),
    (
        "image: i\nenvironment: {A: [b]}\n",
        "2:18: 'environment.A' wants a text or a number, and here is a list",
    ),
    ("image: i\ndeploy:\n\tplacement: {}\n", "3:1: YAML is indented with blanks, and this line has a tab"),
    ("image: i\ndeploy:\n  <<: {}\n", "3:3: 'deploy.<<': mappings are not merged"),
    ("image: !!str i\n", "1:14: tags ('!…') are not read"),
    ("image: *there\n", "1:8: this is not YAML: "),
    ("image: &a [*a]\n", "1:12: an alias ('*…') names what it is part of"),
    ("image: i\n---\nimage: j\n", "2:1: a file is one document, and here a second one begins"),
    ("image: 'i\n", ": this is not YAML: "),
    ("image: [i\n", ": this is not YAML: "),
    ("? [a]\n: b\n", "1:3: a key is a name, and here is a list"),
];

/// What is told of a wrong file; nothing is done, and it fits on a screen.
fn told(text: &str) -> String {
    let shown: String = text.chars().take(200).collect();
    let error = plan(text, "").map(drop).expect_err(&shown);
    let is_whole = error.starts_with("careen.yaml:") && error.ends_with("; nothing was changed");
    assert!(is_whole && error.len() < 800, "{shown}\n  {error}");
    error
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let mut others = Vec::new();
    for (text, expected) in WRONG {
        let error = told(text);
        if !error.contains(expected) {
            others.push(format!("{text}  {expected}\n  {error}"));
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
    let nested = format!("image: {}{}\n", "[".repeat(200), "]".repeat(200));
    assert!(told(&nested).contains("1:39: lists and mappings are nested more than 32 deep"));
    let long_key = format!("image: i\n{}: 1\n", "k".repeat(10_000));
    assert!(told(&long_key).contains("2:10001: this is not YAML"));
    let long_key = format!("image: i\n{}: 1\n", "k".repeat(1000));
    assert!(told(&long_key).contains("2:1: unknown key 'kkk"));
    let error = plan("deploy: {}\n", "").unwrap_err();
    assert!(error.contains("names no payload"), "{error}");
}

#[test]
fn a_billion_laughs_are_refused_at_once() {
    let mut text = String::from("x-a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..12 {
        let above = level - 1;
        let nine = vec![format!("*a{above}"); 9].join(", ");
        text += &format!("x-a{level}: &a{level} [{nine}]\n");
    }
    let error = plan(&(text + "image: i\n"), "").unwrap_err();
    assert!(error.contains("with all its aliases") && error.contains("more than 10000 values"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let of = |path: &str| {
        let call: Vec<OsString> = ["careen", "run", "-f", path].map(OsString::from).to_vec();
        let matches = Cli::command().try_get_matches_from(&call).unwrap();
        words(&call, &matches).unwrap_err()
    };
    assert_eq!(of("/nowhere/careen.yaml").to_string(), "cannot read /nowhere/careen.yaml");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("careen.yaml");
    std::fs::write(&path, b"image: \xff\n").unwrap();
    assert!(matches!(of(path.to_str().unwrap()), UnusableFile::Unreadable { .. }));
    std::fs::write(&path, "#".repeat(LONGEST + 1)).unwrap();
    assert!(of(path.to_str().unwrap()).to_string().contains("more than 1024 KiB"));
}

#[test]
fn the_sample_of_the_documents_is_taken() {
    let document = include_str!("../../../../docs/cli.md");
    let sample = document.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let args = plan(sample, "").unwrap();
    assert_eq!((args.args.join(" "), args.how.canaries, args.how.allow_gaps), ("--fast".into(), 2, true));
    assert_eq!(args.given.environment, ["RELEASE=trixie", "TOKEN"]);
}

#[test]
fn every_word_of_compose_is_a_flag_that_there_is() {
    let keys = Keys::of(&Cli::command());
    let found: Vec<&str> =
        keys.all().map(|(path, _)| path).filter(|path| !path.starts_with(keys::OWN)).collect();
    assert_eq!(found.len(), 12, "{found:?}");
}

#[test]
fn whatever_is_in_a_file_it_is_read_or_refused() {
    let keys = Keys::of(&Cli::command());
    let read =
        |text: &str| yaml::parse(text).and_then(|root| flags::of(&root, &keys, Path::new(""))).map(drop);
    let ends: Vec<usize> = WHOLE.char_indices().map(|(at, _)| at).collect();
    let mut refused = 0;
    for at in ends {
        refused += usize::from(read(&WHOLE[..at]).is_err());
        for put in ["\t", ":", "-", "[", "}", "\"", "*a", "&a ", "|", "%", "\r", "\0", "\u{85}", "é", "? "] {
            refused += usize::from(read(&format!("{}{put}{}", &WHOLE[..at], &WHOLE[at..])).is_err());
        }
    }
    assert!(refused > 1000, "{refused}");
}
