//! Docker images made of root file systems, cached in the machine's engine.
//!
//! The tag carries a hash of everything that went into it, so an image is never out of date: a changed recipe
//! is another tag. Does not start nodes.

use std::fs::File;
use std::process::Command;
use std::sync::Arc;

use crate::apt::{self, Mirror};
use crate::docker::Docker;
use crate::error::Result;
use crate::process;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::tree::{self, BUILD_DIR};

const LABEL_RECIPE: &str = "careen.lab.recipe";

/// Returns the tag of the recipe's image for `release`; builds it where it is missing. `lock` is the machine's.
pub fn ensure(
    docker: &Docker,
    recipe: &Recipe,
    release: &str,
    lock: &Arc<File>,
    progress: Progress,
) -> Result<String> {
    let mirror = apt::of_this_machine(release)?;
    let tag = tag(recipe, release, &mirror);
    let docker = docker.clone().holding(Arc::clone(lock));
    if docker.output(["image", "inspect", &tag])?.status.success() {
        return Ok(tag);
    }
    if mirror.security.is_none() {
        progress
            .say(format!("no security suite for {release} in the machine's apt sources: the nodes get none"));
    }
    tree::build(recipe, release, &mirror, lock, progress)?;
    import(&docker, &tag, progress)?;
    tree::discard_build()?;
    remove_older(&docker, recipe, release, &tag)?;
    Ok(tag)
}

fn tag(recipe: &Recipe, release: &str, mirror: &Mirror) -> String {
    format!("{}:{release}-{}", recipe.repository, recipe.fingerprint(release, mirror))
}

fn import(docker: &Docker, tag: &str, progress: Progress) -> Result<()> {
    progress.say(format!("importing {tag}"));
    // Tagged only when the whole tree has arrived: `docker import` accepts a tar that was cut short.
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--one-file-system", "-C", BUILD_DIR, "-c", "."]);
    let label = format!("LABEL {LABEL_RECIPE}={tag}");
    let id = process::pipe(&mut tar, &mut docker.command(["import", "--change", &label, "-"]))?;
    docker.run(["tag", &id, tag])?;
    Ok(())
}

/// Removes the images of older versions of this recipe, but for those a lab still uses.
fn remove_older(docker: &Docker, recipe: &Recipe, release: &str, keep: &str) -> Result<()> {
    let format = "{{.Repository}}:{{.Tag}}";
    let tags = docker.lines(["image", "ls", recipe.repository, "--format", format])?;
    for tag in outdated(&tags, recipe, release, keep) {
        docker.output(["image", "rm", tag])?;
    }
    let filter = format!("label={LABEL_RECIPE}");
    docker.run(["image", "prune", "--force", "--filter", &filter])?;
    Ok(())
}

fn outdated<'a>(tags: &'a [String], recipe: &Recipe, release: &str, keep: &str) -> Vec<&'a str> {
    let prefix = format!("{}:{release}-", recipe.repository);
    tags.iter().map(String::as_str).filter(|tag| tag.starts_with(&prefix) && *tag != keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_recipes_of_the_same_release_go() {
        let recipe = Recipe::systemd("bookworm");
        let tags: Vec<String> =
            ["bookworm-1", "bookworm-2", "trixie-1"].map(|tag| format!("careen-lab/node:{tag}")).into();
        assert_eq!(
            outdated(&tags, &recipe, "bookworm", "careen-lab/node:bookworm-2"),
            ["careen-lab/node:bookworm-1"]
        );
    }
}
