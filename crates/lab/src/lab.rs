//! A lab as a whole.

use std::collections::BTreeSet;

use crate::docker::Docker;
use crate::error::{Error, Result};
use crate::holder::Holder;
use crate::names::{LABEL, LabName, NodeName, Spec};
use crate::node::Node;
use crate::parallel;
use crate::process;
use crate::progress::Progress;
use crate::testrepo::file_error;
use crate::up;

/// A lab and its nodes.
#[derive(Debug, Clone)]
pub struct Lab {
    name: LabName,
    nodes: Vec<Node>,
}

impl Lab {
    /// Makes the lab, or brings it to what is wanted; does nothing where all is well. Returns when all nodes are
    /// ready in their swarm.
    pub fn up(spec: &Spec, progress: Progress) -> Result<Lab> {
        up::up(spec, progress)?;
        Lab::open(&spec.name)
    }

    /// An existing lab, whatever state it is in.
    pub fn open(name: &LabName) -> Result<Lab> {
        let holder = Holder::new(Docker::local());
        let observed = if crate::engine::answers() { holder.observe(name)? } else { Vec::new() };
        if observed.is_empty() {
            return Err(Error::NoSuchLab { name: name.to_string() });
        }
        let nodes = observed.into_iter().map(|node| Node::new(node.identity, &holder)).collect();
        Ok(Lab { name: name.clone(), nodes })
    }

    /// The name that it was made with.
    pub fn name(&self) -> &LabName {
        &self.name
    }

    /// All nodes, in order of their numbers.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node, by name.
    pub fn node(&self, name: &str) -> Result<&Node> {
        let wanted = name.parse::<NodeName>().ok();
        self.nodes.iter().find(|node| Some(node.name()) == wanted).ok_or_else(|| Error::NoSuchNode {
            lab: self.name.to_string(),
            node: name.to_owned(),
            nodes: self.nodes.iter().map(|node| node.name().to_string()).collect::<Vec<_>>().join(", "),
        })
    }

    /// Brings an image of the machine's engine into every node that does not have it. No registry is involved:
    /// services that use it want `--no-resolve-image`.
    pub fn load(&self, image: &str, progress: Progress) -> Result<()> {
        let id = image_id(&Docker::local(), image)?.ok_or_else(|| {
            Error::Refused(format!(
                "the machine's engine has no image {image}; nothing was loaded. Build or pull it on this machine first"
            ))
        })?;
        let has = parallel::for_each(&self.nodes, 3, |node| image_id(&node.api(), image))?;
        let lacking: Vec<&Node> = self
            .nodes
            .iter()
            .zip(has)
            .filter(|(_, has)| has.as_ref() != Some(&id))
            .map(|(node, _)| node)
            .collect();
        if lacking.is_empty() {
            progress.say(format!("every node has {image}"));
            return Ok(());
        }
        let directory = std::path::Path::new("/var/tmp");
        let archive =
            tempfile::NamedTempFile::new_in(directory).map_err(file_error("create a file in", directory))?;
        let path = archive.path().to_string_lossy().into_owned();
        // By name, not by id: the name must arrive too.
        Docker::local().run(["save", "--output", &path, image])?;
        parallel::for_each(&lacking, 2, |node| {
            node.api().without_limit().run(["load", "--quiet", "--input", &path])?;
            progress.say(format!("{}: loaded {image}", node.name()));
            Ok(())
        })?;
        Ok(())
    }
}

/// The names of all labs of this machine, half-made ones included.
pub fn all(docker: &Docker) -> Result<BTreeSet<String>> {
    let label = format!("{{{{.Label \"{LABEL}\"}}}}");
    let filter = format!("label={LABEL}");
    let mut names = BTreeSet::new();
    for list in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
        let words = list.iter().copied().chain(["--filter", &filter, "--format", &label]);
        names.extend(docker.lines(words)?);
    }
    Ok(names)
}

fn image_id(docker: &Docker, image: &str) -> Result<Option<String>> {
    let words = ["image", "inspect", "--format", "{{.Id}}", image];
    let output = docker.output(words)?;
    if output.status.success() {
        return Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()));
    }
    if String::from_utf8_lossy(&output.stderr).contains("No such image") {
        return Ok(None);
    }
    Err(process::failure(&docker.command(words), &output))
}
