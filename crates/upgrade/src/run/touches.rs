//! What the installed packages bring, as the package manager knows it.

use super::fail::{Fail, file};
use super::{say, tool};
use crate::engine::Engine;
use crate::manager::Manager;
use crate::touches::{Touching, is_of_interest, note, of_apk, of_dpkg, of_rpm, rpm_format};
use std::fs;

const DPKG: &str = "/var/lib/dpkg/info";
const APK: &str = "/lib/apk/db/installed";

/// The engine of this host. What cannot be read is an error: a package that is not known to touch the engine would be upgraded.
pub fn engine(manager: Manager) -> Result<Engine, Fail> {
    let touching = match manager {
        Manager::Apt => dpkg()?,
        Manager::Dnf | Manager::Zypper => {
            let format = rpm_format();
            of_rpm(&tool::read(tool::command("rpm").args(["-qa", "--queryformat", &format]), &[])?)
        }
        Manager::Apk => {
            let database = fs::read(APK).map_err(file("read", APK))?;
            of_apk(&String::from_utf8_lossy(&database))
        }
    };
    let engine = Engine::new(touching);
    for (name, how) in engine.further() {
        say!("{name} belongs to the container engine here: {how}");
    }
    Ok(engine)
}

/// Some thousand small files: a tenth of a second.
fn dpkg() -> Result<Touching, Fail> {
    let mut touching = Touching::new();
    for entry in fs::read_dir(DPKG).map_err(file("read", DPKG))? {
        let entry = entry.map_err(file("read", DPKG))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_of_interest(&name) {
            continue;
        }
        let text = match fs::read(entry.path()) {
            Ok(text) => text,
            // Its package was removed meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(file("read", entry.path())(error)),
        };
        if let Some((name, how)) = of_dpkg(&name, &String::from_utf8_lossy(&text)) {
            note(&mut touching, name, how);
        }
    }
    Ok(touching)
}
