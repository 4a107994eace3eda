//! `docker run` of an installer image, as an operator types it.

use super::eventually;
use super::image::Image;
use careen_lab::Node;
use std::process::{Command, Stdio};

/// A `docker run` that is being put together.
pub struct Run<'a> {
    node: &'a Node,
    image: String,
    mount: Option<String>,
    options: Vec<String>,
    command: Vec<String>,
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ran {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Fails unless it exited with this code.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        let text = self.text();
        let shown: String = text.chars().take(2000).collect();
        assert_eq!(self.status, status, "stdout: {shown}\nstderr: {}", self.stderr);
        self
    }

    /// The transaction's id, out of the agent's last line.
    #[track_caller]
    pub fn transaction(&self) -> String {
        let found =
            self.stderr.rsplit_once("transaction ").map(|(_, rest)| rest.split([',', ' ', '\n']).next());
        found.flatten().unwrap_or_else(|| panic!("no transaction in: {}", self.stderr)).to_owned()
    }
}

impl<'a> Run<'a> {
    pub fn new(node: &'a Node, image: &Image) -> Self {
        let mount = Some("/:/host".to_owned());
        Self { node, image: image.name().to_owned(), mount, options: Vec::new(), command: Vec::new() }
    }

    /// Instead of `-v /:/host`: another mount, or none.
    pub fn mount(mut self, mount: Option<&str>) -> Self {
        self.mount = mount.map(str::to_owned);
        self
    }

    /// Adds an environment variable.
    pub fn env(self, name: &str, value: &str) -> Self {
        self.option("-e").option(&format!("{name}={value}"))
    }

    /// Adds any option.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// The payload's command and its arguments.
    pub fn command(mut self, words: &[&str]) -> Self {
        self.command = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    fn args(&self, detached: bool) -> Vec<String> {
        let mut args: Vec<String> = vec!["run".into(), "--label".into(), "careen.test=1".into()];
        args.push(if detached { "--detach".into() } else { "--rm".into() });
        args.extend(self.mount.iter().flat_map(|mount| ["-v".to_owned(), mount.clone()]));
        args.extend(self.options.clone());
        args.push(self.image.clone());
        args.extend(self.command.clone());
        args
    }

    /// Runs it in the foreground, to its end.
    pub fn go(self) -> Ran {
        finish(&mut self.node.api().without_limit().command(self.args(false)))
    }

    /// Runs it with these bytes on standard input.
    pub fn go_with_input(self, input: &[u8]) -> Ran {
        use std::io::Write;
        let mut command = self.option("-i").prepared();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker");
        // The container may not read it at all: that is what the test is about.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        collect(child.wait_with_output().expect("docker run ends"))
    }

    fn prepared(self) -> Command {
        self.node.api().without_limit().command(self.args(false))
    }

    /// Starts it in the background.
    #[track_caller]
    pub fn start(self) -> Container<'a> {
        let started = finish(&mut self.node.api().without_limit().command(self.args(true))).expect(0);
        Container { node: self.node, id: started.text().trim().to_owned() }
    }
}

fn finish(command: &mut Command) -> Ran {
    collect(command.output().expect("docker is installed"))
}

fn collect(output: std::process::Output) -> Ran {
    let status = output.status.code().expect("docker was not killed");
    Ran { status, stdout: output.stdout, stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
}

/// A container in the background.
pub struct Container<'a> {
    node: &'a Node,
    id: String,
}

impl Container<'_> {
    /// `docker VERB [OPTIONS] CONTAINER`.
    #[track_caller]
    pub fn docker(&self, words: &[&str]) -> Ran {
        let args = [words, &[self.id.as_str()]].concat();
        finish(&mut self.node.api().without_limit().command(args))
    }

    /// Both streams, as the engine has them now.
    pub fn logs(&self) -> String {
        let logs = self.docker(&["logs"]);
        logs.text() + &logs.stderr
    }

    /// Waits until this text is in the logs.
    #[track_caller]
    pub fn await_log(&self, text: &str) {
        eventually(&format!("{text:?} in the container's log"), || {
            let logs = self.logs();
            if logs.contains(text) { Ok(()) } else { Err(logs) }
        });
    }

    /// Waits for its end, removes it, and returns what it said and its exit code.
    #[track_caller]
    pub fn wait(self) -> Ran {
        let code = self.docker(&["wait"]).expect(0).text().trim().parse().expect("docker wait prints a code");
        let logs = self.docker(&["logs"]);
        self.docker(&["rm", "-f"]);
        Ran { status: code, ..logs }
    }
}
