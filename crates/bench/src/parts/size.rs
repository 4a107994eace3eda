//! What travels to every host: careen's image, beside one with a shell and the docker client.

use crate::error::Result;
use crate::image::{self, SHELL_WITH_DOCKER};
use crate::row::{Bound, Row};
use crate::samples::Samples;
use crate::scene::Scene;

pub const ABOUT: &str = "careen's image, beside the smallest with a shell and the docker client";

const PART: &str = "size";

pub fn measure(scene: &Scene) -> Result<Vec<Row>> {
    let host = scene.host()?;
    image::shell_with_docker(host)?;
    let ours = Samples::of([image::size(host, &scene.image)?]);
    let other = Samples::of([image::size(host, SHELL_WITH_DOCKER)?]);
    Ok(vec![
        Row::plain(PART, "shell and docker client", "MiB", &other),
        Row::plain(PART, "careen's image", "MiB", &ours),
        Row::judged(PART, "careen by shell and docker client", "×", &ours.over(&other), Bound::Below(1.0)),
    ])
}
