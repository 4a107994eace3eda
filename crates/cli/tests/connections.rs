//! Which engine the binary asks, over real sockets: unix, TCP, TLS with certificates made here, and a program in the place of ssh.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

mod completion;
mod engines;
mod plugin;

use careen_cli::connect::{self, Connected, Managers, NoManager, Surroundings};
use careen_cli::docker_context::Wishes;
use careen_engine::{ApiPath, EngineError};
use engines::{Authority, Engine, Https, manager};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A call of careen in an empty environment, with a docker directory of its own.
struct Caller {
    home: TempDir,
    variables: Vec<(&'static str, String)>,
}

struct Said {
    code: i32,
    out: String,
    error: String,
}

impl Caller {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    fn docker(&self) -> std::path::PathBuf {
        self.home.path().join(".docker")
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    fn says(&self, args: &[&str]) -> Said {
        self.says_as(Path::new(env!("CARGO_BIN_EXE_careen")), args)
    }

    /// The same of the binary under another name.
    fn says_as(&self, program: &Path, args: &[&str]) -> Said {
        let mut command = Command::new(program);
        command.args(args).env_clear().env("HOME", self.home.path()).stdin(Stdio::null());
        let output = command.envs(self.variables.iter().cloned()).output().unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            error: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asks for the status, which says of an engine without rollouts that there is none.
    fn asks(&self, args: &[&str]) -> Said {
        self.says(&[&["status"], args].concat())
    }

    /// Writes a context as `docker context create` does.
    fn context(&self, name: &str, host: &str, certificates: Option<&Path>) {
        use sha2::{Digest, Sha256};
        let id: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
        let meta = self.docker().join("contexts/meta").join(&id);
        fs::create_dir_all(&meta).unwrap();
        let text = format!(
            r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
        );
        fs::write(meta.join("meta.json"), text).unwrap();
        if let Some(from) = certificates {
            let tls = self.docker().join("contexts/tls").join(&id).join("docker");
            fs::create_dir_all(&tls).unwrap();
            for name in ["ca.pem", "cert.pem", "key.pem"] {
                fs::copy(from.join(name), tls.join(name)).unwrap();
            }
        }
    }
}

impl Said {
    fn reached(&self) {
        assert_eq!(self.code, 0, "{}{}", self.out, self.error);
        assert!(self.out.contains("no rollout"), "{}", self.out);
    }

    fn is(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}{}", self.out, self.error);
        for words in words {
            assert!(self.error.contains(words), "'{words}' is missing: {}", self.error);
        }
    }
}

#[test]
fn an_engine_behind_a_port_is_asked_by_flag_and_by_variable() {
    let engine = Engine::on_tcp(manager("m1"));
    Caller::new().asks(&["--host", &engine.host()]).reached();
    Caller::new().with("DOCKER_HOST", engine.host()).asks(&[]).reached();
}

#[test]
fn a_context_is_taken_by_flag_by_variable_and_by_use() {
    let engine = Engine::on_tcp(manager("m1"));
    let caller = Caller::new();
    caller.context("prod", &engine.host(), None);
    caller.asks(&["--context", "prod"]).reached();
    fs::write(caller.docker().join("config.json"), r#"{"currentContext":"prod"}"#).unwrap();
    caller.asks(&[]).reached();
    // The flag beats DOCKER_HOST, and DOCKER_HOST the variable.
    let caller = caller.with("DOCKER_HOST", "unix:///nowhere/docker.sock").with("DOCKER_CONTEXT", "prod");
    caller.asks(&["--context", "prod"]).reached();
    caller.asks(&[]).is(7, &["no docker engine listens at /nowhere/docker.sock"]);
}

#[test]
fn a_context_that_does_not_exist_is_named_with_those_that_do() {
    let caller = Caller::new();
    caller.context("lab", "unix:///nowhere/docker.sock", None);
    caller.asks(&["--context", "prod"]).is(2, &["no docker context 'prod'", "there are: lab"]);
    let caller = caller.with("DOCKER_CONTEXT", "prod");
    caller.asks(&[]).is(2, &["no docker context 'prod'", "docker context ls"]);
}

#[test]
fn the_first_manager_that_can_be_asked_is_asked_and_the_others_are_named() {
    let worker = Engine::on_tcp(engines::worker("w1"));
    let engine = Engine::on_unix(manager("m2"));
    let args = ["--host", "tcp://127.0.0.1:1", "--host", &worker.host(), "--host", &engine.host()];
    let said = Caller::new().asks(&args);
    said.reached();
    said.is(0, &["no docker engine listens at tcp://127.0.0.1:1; trying the next host", "w1 is a worker"]);
    let none = Caller::new().asks(&args[..4]);
    none.is(7, &["none of the 2 hosts can be asked", "tcp://127.0.0.1:1", "w1 is a worker"]);
}

#[test]
fn hosts_in_front_of_the_command_and_behind_it_are_both_asked() {
    let engine = Engine::on_tcp(manager("m1"));
    let nobody = "tcp://127.0.0.1:1";
    for (front, behind) in [(nobody, engine.host()), (&*engine.host(), nobody.to_owned())] {
        let said = Caller::new().says(&["--host", front, "status", "--host", &behind]);
        said.reached();
        assert_eq!(said.error.contains("trying the next host"), front == nobody, "{}", said.error);
    }
    let none = Caller::new().says(&["-H", nobody, "status", &format!("-H={nobody}")]);
    none.is(7, &["none of the 2 hosts can be asked"]);
    let said = Caller::new().says(&["--host", nobody, "image", "push", "r.example", "-H", nobody]);
    said.is(7, &["none of the 2 hosts can be asked"]);
}

#[test]
fn the_next_manager_is_one_of_the_same_swarm() {
    let (first, other) = (Engine::on_unix(manager("m1")), Engine::on_tcp(manager("x1").elsewhere()));
    let next = Engine::on_tcp(manager("m2"));
    let hosts = [&first, &other, &next].map(Engine::host).to_vec();
    let wishes = Wishes { hosts, ..Wishes::default() };
    let mut managers = Managers::new(connect::routes(&wishes, &Surroundings::default()).unwrap());
    let name = |connected: &Connected| connected.engine.info().unwrap().name;
    assert_eq!(name(&managers.connect().unwrap()), "m1");
    let replaced = managers.replace().unwrap().unwrap();
    assert_eq!(name(&replaced), "m2");
    assert!(
        matches!(&replaced.passed[..], [NoManager::OtherSwarm { at }] if at == "x1"),
        "{:?}",
        replaced.passed
    );
    // In turn: the first one comes again.
    assert_eq!(name(&managers.replace().unwrap().unwrap()), "m1");
    let only = Wishes { hosts: vec![first.host()], ..Wishes::default() };
    let mut only = Managers::new(connect::routes(&only, &Surroundings::default()).unwrap());
    only.connect().unwrap();
    assert!(only.replace().unwrap().is_none());
}

#[test]
fn a_stream_that_tells_nothing_is_not_waited_for_over_tcp_and_tls() {
    let authority = Authority::new();
    let certificates = tempfile::tempdir().unwrap();
    authority.write_client(certificates.path());
    let of_tls = Surroundings {
        certificates: Some(certificates.path().to_owned()),
        tls: true,
        verify: true,
        ..Surroundings::default()
    };
    let open = (Engine::on_tcp(manager("m1")), Surroundings::default());
    let closed = (Engine::on_tls(manager("m1"), &Https::of(&authority)), of_tls);
    for (engine, around) in [open, closed] {
        let wishes = Wishes { hosts: vec![engine.host()], ..Wishes::default() };
        let connected = connect::any_engine(&connect::routes(&wishes, &around).unwrap()).unwrap();
        let events = ApiPath::events(&serde_json::json!({}));
        let error = connected.get_bytes_within(&events, Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
        // The connection that broke off is not used again.
        assert_eq!(connected.info().unwrap().name, "m1");
        assert_eq!(connected.info().unwrap().name, "m1");
    }
}

#[test]
fn tls_works_with_certificates_that_both_sides_trust() {
    let authority = Authority::new();
    let engine = Engine::on_tls(manager("m1"), &Https::of(&authority));
    let caller = Caller::new().with("DOCKER_TLS_VERIFY", "1");
    authority.write_client(&caller.docker());
    caller.asks(&["--host", &engine.host()]).reached();
    // As a context has them, and with a directory of their own.
    let elsewhere = Caller::new();
    elsewhere.context("prod", &engine.host(), Some(&caller.docker()));
    elsewhere.asks(&["--context", "prod"]).reached();
    let path = caller.docker().display().to_string();
    let named = elsewhere.with("DOCKER_TLS_VERIFY", "1").with("DOCKER_CERT_PATH", path);
    named.asks(&["--host", &engine.host()]).reached();
}

/// What is said of an engine with these certificates to a caller of this authority.
fn distrusted(https: &Https, of: &Authority) -> Said {
    let engine = Engine::on_tls(manager("m1"), https);
    let caller = Caller::new().with("DOCKER_TLS_VERIFY", "1");
    of.write_client(&caller.docker());
    caller.asks(&["--host", &engine.host()])
}

#[test]
fn a_certificate_that_cannot_be_trusted_is_said_to_be_expired_unknown_or_anothers() {
    let authority = Authority::new();
    let of = || Https::of(&authority);
    distrusted(&of().expired(), &authority).is(7, &["has expired: it was valid until 2020-01-01"]);
    distrusted(&of().for_name("m9.example"), &authority).is(7, &["other names than '127.0.0.1': m9.example"]);
    distrusted(&of(), &Authority::new()).is(7, &["from an authority that", "ca.pem does not have"]);
}

#[test]
fn an_engine_that_wants_a_client_certificate_says_so_or_why_it_refuses_one() {
    let authority = Authority::new();
    let engine = Engine::on_tls(manager("m1"), &Https::of(&authority));
    let caller = Caller::new().with("DOCKER_TLS_VERIFY", "1");
    authority.write_client(&caller.docker());
    fs::remove_file(caller.docker().join("cert.pem")).unwrap();
    caller.asks(&["--host", &engine.host()]).is(7, &["wants a client certificate", "has no cert.pem"]);
    // One of somebody else's.
    Authority::new().write_client(&caller.docker());
    authority.write(&caller.docker());
    caller.asks(&["--host", &engine.host()]).is(7, &["refuses the client certificate"]);
}

#[test]
fn tls_on_one_side_alone_is_said_to_be_that() {
    let authority = Authority::new();
    let open = Engine::on_tcp(manager("m1"));
    let caller = Caller::new().with("DOCKER_TLS_VERIFY", "1");
    authority.write_client(&caller.docker());
    caller.asks(&["--host", &open.host()]).is(7, &["speaks no TLS", "DOCKER_TLS_VERIFY"]);
    let closed = Engine::on_tcp(engines::wants_tls());
    Caller::new().asks(&["--host", &closed.host()]).is(7, &["speaks TLS alone", "DOCKER_TLS_VERIFY=1"]);
}

#[test]
fn certificates_that_are_missing_or_broken_are_a_wrong_call() {
    let caller = Caller::new().with("DOCKER_TLS_VERIFY", "1");
    caller.asks(&["--host", "tcp://127.0.0.1:1"]).is(2, &["ca.pem cannot be read", "DOCKER_CERT_PATH"]);
    Authority::new().write_client(&caller.docker());
    fs::write(caller.docker().join("key.pem"), "torn").unwrap();
    caller.asks(&["--host", "tcp://127.0.0.1:1"]).is(2, &["key.pem has no private key"]);
}

#[test]
fn an_engine_that_is_too_old_is_said_to_be_so() {
    let engine = Engine::on_tcp(manager("m1").speaking("1.37"));
    Caller::new().asks(&["--host", &engine.host()]).is(1, &["1.37", "1.41"]);
}

/// A caller who finds this script in the place of ssh.
fn with_ssh(script: &str) -> Caller {
    let caller = Caller::new();
    let directory = caller.home.path().join("bin");
    fs::create_dir(&directory).unwrap();
    let said = format!("#!/bin/sh\necho \"$@\" >> '{}/calls'\n{script}\n", directory.display());
    careen_testing::program(&directory.join("ssh"), said);
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    caller.with("PATH", path)
}

#[test]
fn ssh_joins_the_engine_as_dockers_does() {
    let engine = Engine::on_unix(manager("m1"));
    let caller = with_ssh(&engine.bridge());
    caller.asks(&["--host", "ssh://root@m1:2222"]).reached();
    let calls = fs::read_to_string(caller.home.path().join("bin/calls")).unwrap();
    let call = "-l root -p 2222 -o ConnectTimeout=15 -o BatchMode=yes -T -- m1 docker system dial-stdio";
    assert!(calls.lines().all(|line| line == call) && !calls.is_empty(), "{calls}");
    caller.context("prod", "ssh://m1", None);
    caller.asks(&["--context", "prod"]).reached();
}

#[test]
fn an_ssh_that_does_not_lead_to_an_engine_says_why_in_its_own_words() {
    for (script, words) in [
        ("echo 'Host key verification failed.' >&2; exit 255", &["does not trust the host's key"][..]),
        (
            "echo 'root@m1: Permission denied (publickey,password).' >&2; exit 255",
            &["without asking for a password", "(publickey,password)", "ssh-add"],
        ),
        (
            "echo 'ssh: connect to host m1 port 22: Connection refused' >&2; exit 255",
            &["port 22: Connection refused"],
        ),
        ("echo \"docker: 'dial-stdio' is not a docker command.\" >&2; exit 1", &["older than 18.09"]),
        ("echo 'sh: docker: not found' >&2; exit 127", &["no docker command"]),
        ("exit 0", &["ssh://root@m1"]),
    ] {
        let said = with_ssh(script).asks(&["--host", "ssh://root@m1"]);
        said.is(7, &[&["ssh://root@m1"], words].concat());
    }
    let nothing = Caller::new().with("PATH", "/nowhere");
    nothing.asks(&["--host", "ssh://m1"]).is(7, &["the program ssh does not start"]);
}
