//! On which nodes a rollout's image is, and on which it runs, as far as that is known before they are asked.

use crate::ids::NodeId;
use crate::needs::Platform;
use crate::observed::{Node, Observed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// What is known of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// What people call it.
    pub name: String,
    /// The platforms that it is made for; none when nobody knows.
    pub platforms: Vec<Platform>,
    /// Whether no registry has it under this digest, so that no node can pull it.
    pub in_no_registry: bool,
    /// Nodes whose engines have it.
    pub on: BTreeSet<NodeId>,
    /// Nodes whose engines do not have it, and cannot pull it.
    pub missing_on: BTreeSet<NodeId>,
}

/// Nodes on which the image cannot run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct OtherPlatform {
    pub image: String,
    /// What it is made for, as `linux/amd64`.
    pub platforms: Vec<String>,
    /// The nodes' names, each with its own platform.
    pub nodes: Vec<String>,
}

/// Nodes that have to have the image themselves, for no registry has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct NotPullable {
    pub image: String,
    /// Names of those that do not have it.
    pub missing_on: Vec<String>,
    /// Names of those of which nobody knows.
    pub unknown: Vec<String>,
}

impl ImageFacts {
    /// Those of these nodes that the image is not made for.
    pub fn other_platform(&self, observed: &Observed, nodes: &BTreeSet<NodeId>) -> Option<OtherPlatform> {
        let platform = |node: &Node| Platform { os: node.os.clone(), arch: node.arch.clone() };
        let runs = |node: &Node| {
            node.arch.is_empty() || self.platforms.iter().any(|one| one.runs_on(&platform(node)))
        };
        let others = meant(observed, nodes).filter(|node| !runs(node));
        let nodes: Vec<String> =
            others.map(|node| format!("{} ({})", node.hostname, in_words(&platform(node)))).collect();
        let known = !self.platforms.is_empty() && !nodes.is_empty();
        let platforms = self.platforms.iter().map(in_words).collect();
        known.then(|| OtherPlatform { image: self.name.clone(), platforms, nodes })
    }

    /// Those of these nodes that do not have it or may not, where they cannot pull it.
    pub fn not_pullable(&self, observed: &Observed, nodes: &BTreeSet<NodeId>) -> Option<NotPullable> {
        let names = |is_one: &dyn Fn(&NodeId) -> bool| -> Vec<String> {
            meant(observed, nodes).filter(|node| is_one(&node.id)).map(|node| node.hostname.clone()).collect()
        };
        let missing_on = names(&|node| self.missing_on.contains(node));
        let unknown = names(&|node| !self.on.contains(node) && !self.missing_on.contains(node));
        let wanted = self.in_no_registry && !(missing_on.is_empty() && unknown.is_empty());
        wanted.then(|| NotPullable { image: self.name.clone(), missing_on, unknown })
    }
}

fn meant<'a>(observed: &'a Observed, nodes: &'a BTreeSet<NodeId>) -> impl Iterator<Item = &'a Node> {
    observed.nodes.iter().filter(|node| nodes.contains(&node.id))
}

/// `linux/amd64`, in docker's words for images.
fn in_words(platform: &Platform) -> String {
    let arch = match platform.arch.as_str() {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}/{arch}", platform.os)
}

impl fmt::Display for OtherPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { image, platforms, nodes } = self;
        write!(
            f,
            "the image {image} is made for {} and does not run on {}: leave them out with --constraint \
             node.platform.arch==ARCH or --exclude NODE, or name an image that is made for them, too",
            platforms.join(", "),
            nodes.join(", ")
        )
    }
}

impl fmt::Display for NotPullable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { image, missing_on, unknown } = self;
        write!(f, "no registry that is known here has the image {image}")?;
        if !missing_on.is_empty() {
            write!(f, "; {} cannot get it", missing_on.join(", "))?;
        }
        if !unknown.is_empty() {
            write!(f, "; whether {} have it is not known here (--probe asks them)", unknown.join(", "))?;
        }
        let load = match image.starts_with("careen/installer:") {
            true => "'careen image load --host ssh://NODE'".to_owned(),
            false => format!("'docker save {image} | ssh NODE docker load'"),
        };
        write!(f, ". 'careen image push REGISTRY' brings it to a registry for all of them, {load} to one")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{manager, worker};

    fn cluster() -> (Observed, BTreeSet<NodeId>) {
        let mut arm = worker("w2");
        arm.arch = "aarch64".into();
        let left_out = Node { arch: "riscv64".into(), ..worker("w3") };
        let nodes = vec![manager("m1"), worker("w1"), arm, left_out];
        let meant = ["m1", "w1", "w2"].map(|id| NodeId(id.into())).into();
        (Observed { nodes, ..Observed::default() }, meant)
    }

    fn platform(arch: &str) -> Platform {
        Platform { os: "linux".into(), arch: arch.into() }
    }

    fn ids(names: &[&str]) -> BTreeSet<NodeId> {
        names.iter().map(|name| NodeId((*name).into())).collect()
    }

    #[test]
    fn nodes_of_another_platform_are_named_and_what_nobody_knows_is_no_reason() {
        let (observed, meant) = cluster();
        let of = |platforms: &[Platform]| {
            let facts =
                ImageFacts { name: "u:1".into(), platforms: platforms.to_vec(), ..ImageFacts::default() };
            facts.other_platform(&observed, &meant)
        };
        let refused = of(&[platform("amd64")]).unwrap();
        assert_eq!(refused.nodes, ["w2 (linux/arm64)"]);
        assert!(
            refused.to_string().starts_with("the image u:1 is made for linux/amd64 and does not run on w2")
        );
        assert_eq!(of(&[platform("amd64"), platform("arm64")]), None);
        assert_eq!(of(&[]), None, "nobody knows");
    }

    #[test]
    fn nodes_that_cannot_pull_are_named_with_what_is_known_of_them() {
        let (observed, meant) = cluster();
        let mut facts = ImageFacts {
            name: "careen/installer:0.1.0".into(),
            in_no_registry: true,
            on: ids(&["m1"]),
            ..ImageFacts::default()
        };
        let told = facts.not_pullable(&observed, &meant).unwrap();
        assert_eq!((told.missing_on.len(), &told.unknown[..]), (0, &["w1".to_owned(), "w2".to_owned()][..]));
        assert!(told.to_string().contains("'careen image load --host ssh://NODE'"), "{told}");
        facts.on.extend(ids(&["w2"]));
        facts.missing_on = ids(&["w1"]);
        let told = facts.not_pullable(&observed, &meant).unwrap();
        assert!(told.unknown.is_empty() && told.to_string().contains("; w1 cannot get it."), "{told}");
        facts.name = "update".into();
        let told = facts.not_pullable(&observed, &meant).unwrap().to_string();
        assert!(told.contains("'docker save update | ssh NODE docker load'"), "{told}");
        facts.on.extend(ids(&["w1"]));
        facts.missing_on.clear();
        assert_eq!(facts.not_pullable(&observed, &meant), None, "each has it");
        facts.on.clear();
        facts.in_no_registry = false;
        assert_eq!(facts.not_pullable(&observed, &meant), None, "they pull it");
    }
}
