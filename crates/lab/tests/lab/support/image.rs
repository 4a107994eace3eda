//! Payload images, built where they are used.

use careen_lab::Node;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The image that payloads are built from, as their Dockerfiles say.
const BASE: &str = "careen/installer";

/// The image under test: another one than `make image` builds where `CAREEN_TEST_IMAGE` names it.
pub fn base() -> &'static str {
    static IMAGE: LazyLock<String> =
        LazyLock::new(|| std::env::var("CAREEN_TEST_IMAGE").unwrap_or_else(|_| format!("{BASE}:latest")));
    &IMAGE
}

/// A file of a payload.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    name: &'a str,
    mode: u32,
    content: &'a [u8],
}

impl<'a> File<'a> {
    /// An executable script for the host's shell.
    pub fn script(name: &'a str, content: &'a str) -> Self {
        Self::new(name, 0o755, content.as_bytes())
    }

    /// Any file.
    pub fn new(name: &'a str, mode: u32, content: &'a [u8]) -> Self {
        Self { name, mode, content }
    }
}

/// An image on a node's engine. It stays there until the lab goes down: tests run by the hundred, nodes live shortly.
#[derive(Debug)]
pub struct Image {
    name: String,
}

impl Image {
    /// Builds an image of these files, which lie in `install/` of the build context.
    #[track_caller]
    pub fn build(node: &Node, dockerfile: &str, files: &[File<'_>]) -> Self {
        let context = tempfile::tempdir().expect("a directory for the build context");
        fs::create_dir(context.path().join("install")).expect("a directory for the payload");
        for file in files {
            write(&context.path().join("install").join(file.name), file);
        }
        Self::build_context(node, dockerfile, context.path(), &content_name(dockerfile, files))
    }

    /// Builds an image of a directory.
    #[track_caller]
    pub fn build_context(node: &Node, dockerfile: &str, context: &Path, name: &str) -> Self {
        Self::build_with(node, dockerfile, context, name, &[])
    }

    /// As [`build_context`](Self::build_context), with options of `docker build`.
    #[track_caller]
    pub fn build_with(node: &Node, dockerfile: &str, context: &Path, name: &str, options: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let dockerfiles = tempfile::tempdir().expect("a directory for the Dockerfile");
        let path = dockerfiles.path().join(format!("Dockerfile.{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let dockerfile = dockerfile.replace(&format!("FROM {BASE}\n"), &format!("FROM {}\n", base()));
        fs::write(&path, dockerfile).expect("the Dockerfile is written");
        let (path, context) = (path.display().to_string(), context.display().to_string());
        // The old builder: BuildKit is a plugin that Debian's docker.io does not bring.
        let words = [&["build", "-q", "-t", name, "-f", &path][..], options, &[context.as_str()]].concat();
        let mut command = node.api().without_limit().command(words);
        let output = command.env("DOCKER_BUILDKIT", "0").output().expect("docker is installed");
        assert!(output.status.success(), "docker build: {}", String::from_utf8_lossy(&output.stderr));
        Self { name: name.to_owned() }
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn write(path: &Path, file: &File<'_>) {
    fs::write(path, file.content).expect("a payload file is written");
    fs::set_permissions(path, fs::Permissions::from_mode(file.mode)).expect("its mode is set");
}

/// The same payload has the same name on every node.
fn content_name(dockerfile: &str, files: &[File<'_>]) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hash = DefaultHasher::new();
    dockerfile.hash(&mut hash);
    files.iter().for_each(|file| (file.name, file.mode, file.content).hash(&mut hash));
    format!("careen-test:{:016x}", hash.finish())
}
