//! The images that the contenders need: careen's with the payload of the bench, and small ones with a shell.

use crate::error::{Error, Result, file_error};
use crate::work::Work;
use careen_lab::{Docker, LabName, Node};

/// An image with a shell, `true` and `chroot`: what a bare job runs.
pub const SHELL: &str = "bench/shell";

/// The same with the docker client: what does an agent's work without careen.
pub const SHELL_WITH_DOCKER: &str = "bench/shell-docker";

const IN_SHELL: [&str; 3] = ["/bin/dash", "/bin/true", "/usr/sbin/chroot"];

/// The commands of the payload.
const COMMANDS: [(&str, &str); 6] = [
    ("begin", include_str!("../assets/payload/begin")),
    ("check", include_str!("../assets/payload/check")),
    ("nothing", include_str!("../assets/payload/nothing")),
    ("pour", include_str!("../assets/payload/pour")),
    ("restart", include_str!("../assets/payload/restart")),
    ("say", include_str!("../assets/payload/say")),
];

/// Builds careen's image with the payload of the bench, on this machine's engine; its name.
pub fn payload(base: &str, lab: &LabName, work: &Work) -> Result<String> {
    for (name, text) in COMMANDS {
        work.write(&format!("payload/install/{name}"), text, 0o755)?;
    }
    work.write("payload/Dockerfile", &format!("FROM {base}\nCOPY install /install\n"), 0o644)?;
    let image = payload_name(lab);
    let context = work.file("payload").to_string_lossy().into_owned();
    let mut build = Docker::local().command(["build", "--quiet", "--tag", &image, &context]);
    // The builder that every engine has.
    let built = build.env("DOCKER_BUILDKIT", "0").output();
    let built = built.map_err(|source| Error::Spawn { what: "docker build".to_owned(), source })?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        let last = said.trim().lines().last().unwrap_or_default().to_owned();
        return Err(Error::Failed {
            what: "docker build".to_owned(),
            status: built.status.to_string(),
            last,
        });
    }
    std::fs::remove_dir_all(work.file("payload")).map_err(file_error("remove", &work.file("payload")))?;
    Ok(image)
}

/// What it is called: each lab has its own.
pub fn payload_name(lab: &LabName) -> String {
    format!("careen-bench/payload:{lab}")
}

/// Makes the image with a shell on a host, out of the host's own programs.
pub fn shell(node: &Node) -> Result<()> {
    make(node, SHELL, &IN_SHELL)
}

/// The one with the docker client.
pub fn shell_with_docker(node: &Node) -> Result<()> {
    make(node, SHELL_WITH_DOCKER, &[&IN_SHELL[..], &["/usr/bin/docker"]].concat())
}

/// Its size on a host's engine, in MiB.
pub fn size(node: &Node, image: &str) -> Result<f64> {
    let seen = node.docker(["image", "inspect", "--format", "{{.Size}}", image])?.ok()?;
    let bytes: f64 = seen.trim().parse().map_err(|_| Error::Unexpected {
        what: format!("the size of {image}"),
        expected: "a number".to_owned(),
        seen: seen.trim().to_owned(),
    })?;
    Ok(bytes / 1024.0 / 1024.0)
}

fn make(node: &Node, name: &str, programs: &[&str]) -> Result<()> {
    let words = ["bash", "-c", include_str!("../assets/shell-image.sh"), "bench", name];
    node.exec(words.iter().chain(programs))?.ok()?;
    Ok(())
}
