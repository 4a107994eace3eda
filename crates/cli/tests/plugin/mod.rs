//! The binary as docker calls it: through a link of the plugin's name, with docker's own flags in front.

use crate::engines::{Engine, manager};
use crate::{Caller, Said};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{fs, os, process};

/// A call of careen by docker.
struct Docker {
    caller: Caller,
    plugin: PathBuf,
}

impl Docker {
    fn new() -> Self {
        let caller = Caller::new();
        let directory = caller.docker().join("cli-plugins");
        fs::create_dir_all(&directory).unwrap();
        let plugin = directory.join("docker-careen");
        os::unix::fs::symlink(env!("CARGO_BIN_EXE_careen"), &plugin).unwrap();
        Self { caller, plugin }
    }

    fn says(&self, args: &[&str]) -> Said {
        self.caller.says_as(&self.plugin, args)
    }
}

#[test]
fn docker_is_told_what_the_plugin_is() {
    let said = Docker::new().says(&["docker-cli-plugin-metadata"]);
    assert_eq!(said.code, 0, "{}", said.error);
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told["SchemaVersion"], "0.1.0");
    for key in ["Vendor", "Version", "ShortDescription"] {
        assert!(told[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {told}");
    }
}

#[test]
fn help_and_errors_name_the_command_as_docker_has_it() {
    let docker = Docker::new();
    for args in [&["careen", "--help"][..], &["careen", "plan", "--help"]] {
        let said = docker.says(args);
        assert_eq!(said.code, 0);
        assert!(said.out.contains("Usage: docker careen "), "{}", said.out);
    }
    docker.says(&["careen", "frobnicate"]).is(2, &["unrecognized subcommand", "docker careen"]);
}

#[test]
fn dockers_own_completion_is_answered() {
    let said = Docker::new().says(&["__complete", "careen", "rest"]);
    assert!(
        said.code == 0 && said.out.starts_with("restore\t") && said.out.ends_with("\n:4\n"),
        "{}",
        said.out
    );
    let said = Docker::new().says(&["__completeNoDesc", "careen", "plan", "--drain", "al"]);
    assert_eq!(said.out, "always\n:4\n");
}

#[test]
fn dockers_own_flags_say_which_engine_is_asked() {
    let (engine, docker) = (Engine::on_tcp(manager("m1")), Docker::new());
    docker.says(&["--host", &engine.host(), "careen", "status"]).reached();
    docker.says(&["careen", "status", "--host", &engine.host()]).reached();
    docker.caller.context("prod", &engine.host(), None);
    docker.says(&["-c", "prod", "--log-level", "debug", "careen", "status"]).reached();
    docker.says(&["--context", "far", "careen", "status"]).is(2, &["no docker context 'far'"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let directory = elsewhere.path().display().to_string();
    let args = ["--config", &directory, "--context", "prod", "careen", "status"];
    docker.says(&args).is(2, &["no docker context 'prod'"]);
    docker.says(&["--tlscacert", "ca.pem", "careen", "status"]).is(2, &["--tlscacert", "DOCKER_CERT_PATH"]);
}

#[test]
fn a_plugin_ends_when_docker_does() {
    ends_with_docker("", "front");
}

/// In the background of a script a process ignores Ctrl-C, and is still not left behind.
#[test]
fn a_plugin_in_the_background_ends_when_docker_does() {
    ends_with_docker("trap '' INT;", "background");
}

fn ends_with_docker(before: &str, name: &str) {
    // An engine that takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("tcp://{}", silent.local_addr().unwrap());
    let name = format!("careen_test_{name}_{}", process::id());
    let socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let docker = Docker::new();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{before} exec \"$0\" \"$@\"")]).arg(&docker.plugin);
    command.args(["--host", &host, "careen", "status"]).env_clear().stdin(Stdio::null());
    let mut plugin = command.env("DOCKER_CLI_PLUGIN_SOCKET", format!("@{name}")).spawn().unwrap();
    let (connection, _) = socket.accept().unwrap();
    let _engine = silent.accept().unwrap();
    assert!(plugin.try_wait().unwrap().is_none(), "it waits for the engine");
    drop((connection, socket));
    // Of its own accord it ends otherwise: without an answer it gives the engine up.
    assert_eq!(plugin.wait().unwrap().signal(), Some(15));
}
