//! The hosts that everything is measured on: a manager, five workers, and on them what the contenders need.

use crate::ansible::Ansible;
use crate::careen::Careen;
use crate::error::{Error, Result};
use crate::image;
use crate::row::Row;
use crate::samples::Samples;
use crate::ssh::Ssh;
use crate::work::Work;
use careen_lab::{Lab, LabName, Node, Progress, Role, Spec};
use std::path::PathBuf;

/// How many hosts are worked on.
pub const HOSTS: u8 = 5;

/// Seconds for a script on a node: none needs as much.
const SCRIPT_LIMIT: &str = "900";

/// What a run was asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The lab's name.
    pub lab: LabName,
    /// careen's image on this machine's engine.
    pub image: String,
    /// The command line, as it is built on this machine.
    pub program: PathBuf,
    /// Whether it is to be over in a quarter of an hour.
    pub quick: bool,
}

/// The lab with everything in place.
#[derive(Debug)]
pub struct Scene {
    /// Its nodes: the manager, then the workers.
    pub lab: Lab,
    /// careen's image.
    pub image: String,
    /// The same with the payload of the bench.
    pub payload: String,
    /// The key of the hosts.
    pub ssh: Ssh,
    /// Ansible, or why there is none.
    pub ansible: Result<Ansible>,
    /// Where files of this run lie.
    pub work: Work,
    /// Whether it is to be over in a quarter of an hour.
    pub quick: bool,
    /// Where lines about the progress go.
    pub progress: Progress,
}

impl Scene {
    /// Brings the lab up.
    pub fn set(wanted: &Wanted, work: Work, progress: Progress) -> Result<Scene> {
        let mut spec = Spec::new(wanted.lab.clone());
        (spec.managers, spec.workers) = (Some(1), Some(HOSTS));
        let lab = Lab::up(&spec, progress)?;
        let payload = image::payload(&wanted.image, &wanted.lab, &work)?;
        lab.load(&wanted.image, progress)?;
        lab.load(&payload, progress)?;
        let workers: Vec<&Node> = lab.nodes().iter().filter(|node| node.role() == Role::Worker).collect();
        for node in &workers {
            image::shell(node)?;
        }
        let manager = lab.node("n1")?;
        Careen::bring(manager, &wanted.program)?;
        let ssh = Ssh::to(lab.nodes(), &work)?;
        let ansible = Ansible::to(&workers, manager, &ssh, &work, progress);
        if let Err(error) = &ansible {
            progress.say(format!("Ansible is not measured: {}", careen_contract::chain(error)));
        }
        let (image, quick) = (wanted.image.clone(), wanted.quick);
        Ok(Scene { lab, image, payload, ssh, ansible, work, quick, progress })
    }

    /// The manager. Nothing is done to it: the controllers run there.
    pub fn manager(&self) -> Result<&Node> {
        Ok(self.lab.node("n1")?)
    }

    /// The hosts that are worked on.
    pub fn hosts(&self) -> Vec<&Node> {
        self.lab.nodes().iter().filter(|node| node.role() == Role::Worker).collect()
    }

    /// The host that is measured on where one is enough.
    pub fn host(&self) -> Result<&Node> {
        Ok(self.lab.node("n2")?)
    }

    /// `careen` on the manager.
    pub fn careen(&self) -> Result<Careen<'_>> {
        Ok(Careen::of(self.manager()?))
    }

    /// Ansible, where it is there.
    pub fn ansible(&self) -> Result<&Ansible> {
        self.ansible.as_ref().map_err(|error| Error::NoAnsible { why: careen_contract::chain(error) })
    }

    /// What Ansible needed, or why that is not known.
    pub fn ansible_row(&self, part: &str, what: &str, samples: &Samples) -> Row {
        match self.ansible() {
            Ok(_) => Row::plain(part, what, "s", samples),
            Err(error) => Row::not_measured(part, what, "s", None, &careen_contract::chain(&error)),
        }
    }

    /// How often contenders are compared.
    pub fn rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// Runs a script in bash on a node; what it prints.
    pub fn script(&self, node: &Node, script: &str, arguments: &[&str]) -> Result<String> {
        let script = with_waits(script);
        let fixed = ["timeout", "--kill-after=10", SCRIPT_LIMIT, "bash", "-c", &script, "bench"];
        Ok(node.exec([&fixed, arguments].concat())?.ok()?)
    }

    /// Runs a script in bash on a node, which prints so many numbers a round, a line each.
    pub fn numbers<const N: usize>(
        &self,
        node: &Node,
        script: &str,
        arguments: &[&str],
    ) -> Result<Vec<[f64; N]>> {
        let printed = self.script(node, script, arguments)?;
        numbers(&printed).ok_or_else(|| Error::Unexpected {
            what: "a measurement".to_owned(),
            expected: format!("{N} numbers in each line"),
            seen: printed,
        })
    }
}

/// A script in bash that can wait.
pub fn with_waits(script: &str) -> String {
    format!("{}\n{script}", include_str!("../assets/until.sh"))
}

fn numbers<const N: usize>(printed: &str) -> Option<Vec<[f64; N]>> {
    let line = |line: &str| {
        let numbers: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        numbers.ok()?.try_into().ok()
    };
    printed.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_numbers() {
        assert_eq!(numbers("1 2.5\n3 4\n"), Some(vec![[1.0, 2.5], [3.0, 4.0]]));
        assert_eq!(numbers::<2>("1 2 3\n"), None);
        assert_eq!(numbers::<1>("no number\n"), None);
    }
}
