//! The payload contract, with nothing but `docker run`.

use crate::support::{File, assert_contains, eventually, host, swarm};

#[test]
fn the_default_command_is_install_and_its_exit_status_is_the_containers() {
    let host = host();
    let image = host.script("#!/bin/sh\necho done on $(hostname); exit ${RC:-0}\n");
    let ran = host.run(&image).go().expect(0);
    assert_eq!(ran.text(), format!("done on {}\n", host.name()), "it ran on the host, not in the container");
    host.run(&image).env("RC", "7").go().expect(7);
    host.run(&image).env("RC", "255").go().expect(255);
    host.run(&image).command(&["install"]).env("RC", "3").go().expect(3);
}

#[test]
fn a_command_that_a_signal_kills_exits_like_in_a_shell() {
    let host = host();
    let image = host.script("#!/bin/sh\nkill -SEGV $$\n");
    let ran = host.run(&image).go().expect(128 + 11);
    assert_contains(&ran.stderr, "was killed by signal 11");
}

#[test]
fn arguments_arrive_unchanged() {
    let host = host();
    let image = host.script("#!/bin/sh\nprintf '<%s>' \"$@\"\n");
    let words =
        ["install", "a b", "", "it's \"quoted\"", "$HOME `id` \\ *", "--flag=-e", "ünï", "line\nbreak", "-"];
    let ran = host.run(&image).command(&words).go().expect(0);
    let expected: String = words[1..].iter().map(|word| format!("<{word}>")).collect();
    assert_eq!(ran.text(), expected);
}

#[test]
fn a_command_gets_the_contracts_environment_and_the_operators() {
    let host = host();
    let image = host.image(&[File::script(
        "check",
        "#!/bin/sh\nenv -0 | sort -z | tr '\\0' '\\n'; pwd; ls -d $CAREEN_STATE $CAREEN_SECRETS; careen-agent file --help\n",
    )]);
    let ran = host
        .run(&image)
        .env("CAREEN_RUN", "tuesday night")
        .env("HTTP_PROXY", "http://proxy:3128")
        .env("CAREEN_NODE_NAME", "forged")
        .command(&["check"])
        .go()
        .expect(0);
    let (text, id) = (ran.text(), ran.transaction());
    let node_id = host.must("docker info -f '{{.Swarm.NodeID}}'");
    let role = host.role().to_string();
    let binary = host.must("dirname $(readlink /usr/local/sbin/careen-agent)");
    let binary = binary.trim();
    for line in [
        "CAREEN_RUN=tuesday night",
        "HTTP_PROXY=http://proxy:3128",
        "DEBIAN_FRONTEND=noninteractive",
        "CAREEN_ATTEMPT=1",
        "CAREEN_COMMAND=check",
        "HOME=/root",
        &format!("PATH={binary}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        "  --check              change nothing; exit with 2 if something would change",
        "CAREEN_STATE=/var/lib/careen/state",
        "/var/lib/careen/state",
        &format!("CAREEN_TRANSACTION={id}"),
        &format!("CAREEN_NODE_ID={}", node_id.trim()),
        &format!("CAREEN_NODE_NAME={}", host.name()),
        &format!("CAREEN_NODE_ROLE={role}"),
        &format!("CAREEN_SECRETS=/run/careen/secrets/{id}"),
        &format!("/var/lib/careen/transactions/{id}/payload"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not a line of:\n{text}");
    }
    assert!(!text.contains("HOSTNAME="), "the container's own name is not the host's:\n{text}");

    let ran = host.run(&image).env("DEBIAN_FRONTEND", "readline").command(&["check"]).go().expect(0);
    assert_contains(&ran.text(), "DEBIAN_FRONTEND=readline\n");
}

#[test]
fn a_payload_finds_the_helpers_on_a_host_where_the_link_is_somebody_elses() {
    let host = host();
    host.must(
        "rm -f /usr/local/sbin/careen-agent; printf '#!/bin/sh\\nexit 77\\n' > /usr/local/sbin/careen-agent",
    );
    let image = host.script("#!/bin/sh\nset -eu\ncareen-agent file --content new /run/careen-test-file\ncat /run/careen-test-file\n");
    let ran = host.run(&image).go();
    host.must("rm -f /usr/local/sbin/careen-agent /run/careen-test-file");
    let text = ran.expect(0).text();
    assert!(text.ends_with("new"), "{text}");
    host.run(&image).go().expect(0);
    host.must("rm -f /run/careen-test-file; careen-agent --version");
}

#[test]
fn standard_input_is_null_unless_a_terminal_is_attached() {
    let host = host();
    let image = host.script("#!/bin/sh\ntest -t 0 && echo terminal; cat; echo end\n");
    let ran = host.run(&image).go_with_input(b"not for the command\n").expect(0);
    assert_eq!(ran.text(), "end\n");
}

#[test]
fn a_terminal_reaches_the_command_with_its_keys() {
    let host = host();
    let image = host.script("#!/bin/sh\ntest -t 0 && test -t 1 && until test \"$(stty size)\" = '33 77'; do sleep 0.05; done; echo sized; read line && echo \"got $line\"\n");
    let ran = host.must(&format!(
        "printf 'typed\\n' | timeout 60 script -qec 'stty rows 33 cols 77; docker run --rm -it --label careen.test=1 -v /:/host {}' /dev/null",
        image.name()
    ));
    assert_contains(&ran, "sized");
    assert_contains(&ran, "got typed");
}

#[test]
fn both_streams_stay_apart_and_come_byte_for_byte() {
    let host = host();
    let image = host.script("#!/bin/sh\nprintf '\\377\\376\\000out' ; printf '\\200err\\033[1m' >&2\n");
    let ran = host.run(&image).go().expect(0);
    assert_eq!(ran.stdout, b"\xff\xfe\x00out");
    assert_contains(&ran.stderr, "err\u{1b}[1m");
}

#[test]
fn output_is_seen_while_the_command_runs_and_in_order() {
    let host = host();
    let image = host.script("#!/bin/sh\necho one; until test -e /run/careen-test-go; do sleep 0.05; done; echo ' two' >&2; echo three\n");
    host.must("rm -f /run/careen-test-go");
    let container = host.run(&image).start();
    container.await_log("one");
    host.must("touch /run/careen-test-go");
    let ran = container.wait().expect(0);
    host.must("rm -f /run/careen-test-go");
    assert_eq!(ran.text(), "one\nthree\n");
    assert_contains(&ran.stderr, " two\n");
}

#[test]
fn without_slash_host_the_help_is_printed_and_nothing_runs() {
    let host = host();
    let script = host.image(&[
        File::script("install", "#!/bin/sh\necho ran\n"),
        File::script("help", "#!/bin/sh\n# Upgrades the host.\necho never run here\n"),
    ]);
    let ran = host.run(&script).mount(None).go().expect(255);
    assert_contains(&ran.text(), "Upgrades the host.");
    assert_contains(&ran.text(), "Commands of this image: help, install");
    assert_contains(&ran.stderr, "-v /:/host");

    let text = host.image(&[File::new("help", 0o644, b"Plain words.")]);
    let ran = host.run(&text).mount(None).go().expect(255);
    assert_eq!(ran.text(), "Plain words.\n");
}

#[test]
fn help_runs_on_the_host_and_leaves_no_transaction() {
    let host = host();
    let image = host.image(&[
        File::script("install", "#!/bin/sh\necho ran\n"),
        File::script("help", "#!/bin/sh\ncat \"$(dirname \"$0\")/words\"; exit 3\n"),
        File::new("words", 0o644, b"see the manual\n"),
    ]);
    let before = host.must("careen-agent list 2>/dev/null | wc -l");
    let ran = host.run(&image).command(&["help"]).go().expect(3);
    assert_eq!(ran.text(), "see the manual\n");
    assert_eq!(host.must("careen-agent list 2>/dev/null | wc -l"), before);
}

#[test]
fn an_unknown_command_says_which_exist_and_prints_the_help() {
    let host = host();
    let image = host.image(&[
        File::script("install", "#!/bin/sh\necho ran\n"),
        File::script("help", "#!/bin/sh\necho the help\n"),
        File::new("README", 0o644, b"no command\n"),
    ]);
    let ran = host.run(&image).command(&["instal"]).go().expect(254);
    assert_contains(&ran.stderr, "no command 'instal'; it has: help, install");
    assert_eq!(ran.text(), "the help\n");
    let ran = host.run(&image).command(&["../../bin/true"]).go().expect(254);
    assert_contains(&ran.stderr, "is no command name");
}

#[test]
fn an_empty_payload_says_how_to_build_one() {
    let host = host();
    let image = host.image(&[]);
    let ran = host.run(&image).go().expect(254);
    assert_contains(&ran.stderr, "ADD install /install/install");
}

#[test]
fn a_payload_brings_its_files_links_and_modes_and_is_gone_afterwards() {
    let host = host();
    let image = host.image(&[
        File::script("install", "#!/bin/sh\n./tool && stat -c %a tool data && pwd\n"),
        File::script("tool", "#!/bin/sh\ncat data\n"),
        File::new("data", 0o640, b"data\n"),
    ]);
    let ran = host.run(&image).go().expect(0);
    let text = ran.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["data", "755", "640"]);
    assert_eq!(host.must(&format!("test -e {} || echo gone", lines[3])), "gone\n");
}

#[test]
fn a_swarm_secret_is_on_a_tmpfs_while_the_command_runs_and_gone_afterwards() {
    let swarm = swarm();
    let image = swarm.script("#!/bin/sh\nwc -c < $CAREEN_SECRETS/password; stat -c '%a %u' $CAREEN_SECRETS/password; stat -f -c %T $CAREEN_SECRETS\n");
    swarm
        .manager()
        .sh("docker secret rm careen-test; printf hunter2 | docker secret create careen-test -")
        .expect("a secret");
    swarm.service(
        "secretive",
        &["--restart-condition=none", "--secret", "source=careen-test,target=password"],
        &image,
        &[],
    );
    let logs = eventually("the service's log", || {
        let logs = swarm.docker(&["service", "logs", "--raw", "secretive"]);
        if logs.contains("tmpfs") { Ok(logs) } else { Err(logs) }
    });
    assert_contains(&logs, "7\n400 0\ntmpfs");
    swarm.docker(&["service", "rm", "secretive"]);
    swarm.docker(&["secret", "rm", "careen-test"]);
    // That nothing is left in /run/careen/secrets is checked when the lease ends; the disk must not have it either.
    for node in swarm.nodes() {
        assert_eq!(node.sh("grep -rl hunter2 /var/lib/careen; true").expect("grep").stdout, "");
    }
}
