//! Puts the installer image into the program, where its archive is named: `make dist` does. Every other build goes without.

use std::path::PathBuf;

/// The file with the image: an archive as `docker load` takes it.
const ARCHIVE: &str = "CAREEN_IMAGE_ARCHIVE";

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-env-changed={ARCHIVE}");
    println!("cargo::rerun-if-changed=build.rs");
    let named = std::env::var_os(ARCHIVE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let carried = match named.map(std::fs::canonicalize).transpose()? {
        Some(path) => {
            println!("cargo::rerun-if-changed={}", path.display());
            format!("Some(include_bytes!({:?}))", path.display().to_string())
        }
        None => "None".to_owned(),
    };
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    std::fs::write(out.join("carried.rs"), carried)
}
