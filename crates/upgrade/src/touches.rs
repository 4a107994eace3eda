//! Which packages belong to the container engine by what they bring: its units, its programs, or scripts that start, stop or
//! restart it. A name says that of known packages only; a vendor's own build, or a toolkit whose script restarts the engine
//! behind its upgrade, has any name.

use std::collections::BTreeMap;
use std::fmt;

/// The engine's units.
const UNITS: [&str; 3] = ["docker.service", "docker.socket", "containerd.service"];

/// The same as services are called in scripts.
const SERVICES: [&str; 3] = ["docker", "dockerd", "containerd"];

/// Programs that act on a service which is named behind them.
const ACTORS: [&str; 9] = [
    "systemctl",
    "service",
    "invoke-rc.d",
    "rc-service",
    "deb-systemd-invoke",
    "try-restart",
    "pkill",
    "killall",
    "start-stop-daemon",
];

/// What an engine is made of.
const PROGRAMS: [&str; 7] =
    ["dockerd", "docker-proxy", "docker-runc", "containerd", "docker-containerd", "containerd-shim", "runc"];

/// How a package touches the engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum How {
    /// It brings a piece of it: a unit or a program.
    Has(String),
    /// A script of it acts on the engine.
    Names { script: String, unit: String },
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Has(path) => write!(f, "it has {path}"),
            Self::Names { script, unit } => write!(f, "its {script} names {unit}"),
        }
    }
}

/// Packages of a host that touch the engine.
pub type Touching = BTreeMap<String, How>;

/// Takes in how a package touches it. That it brings a piece of it says most.
pub fn note(touching: &mut Touching, name: String, how: How) {
    let known = touching.entry(name).or_insert_with(|| how.clone());
    if how < *known {
        *known = how;
    }
}

/// How a file makes its package a part of the engine.
fn of_file(path: &str) -> Option<How> {
    let mut parts = path.rsplit('/');
    let (name, folder, above) =
        (parts.next()?, parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_unit = folder == "system" && above == "systemd" && UNITS.contains(&name);
    let is_drop_in = above == "system" && UNITS.iter().any(|unit| folder.strip_suffix(".d") == Some(unit));
    let is_program = matches!(folder, "bin" | "sbin") && PROGRAMS.iter().any(|program| is_it(name, program));
    let is_script = folder == "init.d" && SERVICES.contains(&name);
    (is_unit || is_drop_in || is_program || is_script).then(|| How::Has(path.to_owned()))
}

/// `containerd-shim-runc-v2` is a `containerd-shim`, `runc-tool` is no `runc`.
fn is_it(name: &str, program: &str) -> bool {
    name == program || program.ends_with("shim") && name.starts_with(program)
}

/// How a script makes its package a part of the engine: `kind` is its name.
fn of_script(kind: &str, text: &str) -> Option<How> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let unit = lines.into_iter().find_map(touched_by)?;
    Some(How::Names { script: kind.to_owned(), unit: unit.to_owned() })
}

/// The unit that a line of a script names, as such or behind a program that acts on services.
fn touched_by(line: &str) -> Option<&str> {
    let words = || line.split(|c: char| c.is_whitespace() || "\"'`;&|(){}=<>,".contains(c));
    let unit = words().find(|word| UNITS.contains(word));
    let mut behind = words().skip_while(|word| !is_actor(word));
    unit.or_else(|| behind.find(|word| SERVICES.contains(word)))
}

fn is_actor(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    ACTORS.contains(&name) || word.starts_with("/etc/init.d/") && SERVICES.contains(&name)
}

/// A file of dpkg's own about a package: `NAME.list` is the list of its files, `NAME.postinst` and others are scripts. Files of
/// other kinds say nothing.
pub fn of_dpkg(file: &str, text: &str) -> Option<(String, How)> {
    let (package, kind) = file.rsplit_once('.')?;
    let how = match kind {
        "list" => text.lines().find_map(of_file),
        "preinst" | "postinst" | "prerm" | "postrm" => of_script(kind, text),
        _ => None,
    }?;
    Some((crate::names::plain(package).to_owned(), how))
}

/// Which of dpkg's files about packages are to be read: what else is there says nothing, and is much.
pub fn is_of_interest(file: &str) -> bool {
    file.rsplit_once('.')
        .is_some_and(|(_, kind)| matches!(kind, "list" | "preinst" | "postinst" | "prerm" | "postrm"))
}

/// What stands in front of each package in an answer of rpm's.
const MARK: &str = "=careen= ";

/// What rpm is asked for, for [`of_rpm`]: every package with its files and its scripts, triggers among them.
pub fn rpm_format() -> String {
    const SCRIPTS: [&str; 6] = ["PRETRANS", "PREIN", "POSTIN", "PREUN", "POSTUN", "POSTTRANS"];
    let scripts: String = SCRIPTS.iter().map(|tag| format!("%{{{tag}}}\\n")).collect();
    let triggers = "[%{TRIGGERSCRIPTS}\\n]";
    format!("{MARK}%{{NAME}}\\n[=file= %{{FILENAMES}}\\n]{scripts}{triggers}")
}

/// The packages that touch the engine, of rpm's answer.
pub fn of_rpm(text: &str) -> Touching {
    let packages = text.split(MARK).filter_map(|package| {
        let (name, rest) = package.split_once('\n')?;
        let files = rest.lines().filter_map(|line| line.strip_prefix("=file= "));
        let scripts: Vec<&str> = rest.lines().filter(|line| !line.starts_with("=file= ")).collect();
        let how =
            files.into_iter().find_map(of_file).or_else(|| of_script("scriptlet", &scripts.join("\n")))?;
        Some((name.trim().to_owned(), how))
    });
    packages.collect()
}

/// The packages that touch the engine by their files, of apk's database. It keeps scripts elsewhere, packed.
pub fn of_apk(database: &str) -> Touching {
    let packages = database.split("\n\n").filter_map(|package| {
        let name = package.lines().find_map(|line| line.strip_prefix("P:"))?;
        let mut folder = "";
        let how = package.lines().find_map(|line| {
            folder = line.strip_prefix("F:").unwrap_or(folder);
            of_file(&format!("/{folder}/{}", line.strip_prefix("R:")?))
        })?;
        Some((name.to_owned(), how))
    });
    packages.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_with_the_engines_units_or_programs_belongs_to_it_whatever_its_name() {
        for path in [
            "/lib/systemd/system/docker.service",
            "/usr/lib/systemd/system/docker.socket",
            "/usr/lib/systemd/system/containerd.service",
            "/etc/systemd/system/docker.service.d/proxy.conf",
            "/usr/lib/systemd/system/containerd.service.d/10-limits.conf",
            "/etc/init.d/docker",
            "/usr/bin/dockerd",
            "/usr/sbin/runc",
            "/usr/bin/containerd-shim-runc-v2",
        ] {
            assert_eq!(of_file(path), Some(How::Has(path.into())));
        }
        for path in [
            "/usr/bin/docker",
            "/usr/bin/crun",
            "/usr/bin/runcon",
            "/lib/systemd/system/podman.service",
            "/lib/systemd/system/docker-registry.service",
            "/usr/share/doc/x/docker.service",
            "/usr/lib/systemd/user/docker.service",
            "/usr/share/bash-completion/completions/dockerd",
            "/.",
            "",
        ] {
            assert_eq!(of_file(path), None, "{path}");
        }
    }

    #[test]
    fn a_script_that_acts_on_the_engine_is_told_from_one_that_speaks_of_it() {
        for line in [
            "systemctl restart docker",
            "  /usr/bin/systemctl try-restart docker.service || :",
            "deb-systemd-invoke $_dh_action 'containerd.service' >/dev/null || true",
            "deb-systemd-helper unmask 'docker.socket' >/dev/null",
            "invoke-rc.d docker restart || exit 1",
            "if service containerd status; then",
            "pkill -SIGHUP dockerd",
            "/etc/init.d/docker reload; [ -x /sbin/x ] && systemctl reload \"docker\"",
        ] {
            assert!(matches!(of_script("postinst", line), Some(How::Names { .. })), "{line}");
        }
        for line in [
            "# systemctl restart docker",
            "groupadd --system docker",
            "systemctl restart docker-registry.service",
            "systemctl daemon-reload",
            "echo 'docker was installed'",
            "chown root:docker /run/docker.sock",
            "docker run --rm x systemctl",
            "",
        ] {
            assert_eq!(of_script("postinst", line), None, "{line}");
        }
    }

    #[test]
    fn a_piece_of_the_engine_says_more_than_a_script() {
        let names = How::Names { script: "postinst".into(), unit: "docker.service".into() };
        let has = How::Has("/usr/bin/dockerd".into());
        for both in [[names.clone(), has.clone()], [has.clone(), names]] {
            let mut touching = Touching::new();
            both.into_iter().for_each(|how| note(&mut touching, "acme".into(), how));
            assert_eq!(touching["acme"], has);
        }
    }

    #[test]
    fn what_each_package_manager_knows_is_read() {
        let toolkit =
            |kind: &str, text: &str| of_dpkg(&format!("nvidia-container-toolkit:amd64.{kind}"), text);
        let (name, how) = toolkit("postinst", "#!/bin/sh\nset -e\nsystemctl try-restart docker\n").unwrap();
        assert_eq!(format!("{name}: {how}"), "nvidia-container-toolkit: its postinst names docker");
        assert_eq!(toolkit("md5sums", "x /lib/systemd/system/docker.service"), None);
        assert_eq!(
            of_dpkg("acme-engine.list", "/.\n/usr\n/usr/bin/dockerd\n"),
            Some(("acme-engine".into(), How::Has("/usr/bin/dockerd".into())))
        );
        assert!(is_of_interest("libc6:amd64.postinst") && !is_of_interest("libc6:amd64.symbols"));

        // Recorded on rpm 4.18, of packages that a test made.
        let rpm = "=careen= acme-toolkit\n=file= /etc/acme\n(none)\n(none)\n\
                   /usr/bin/systemctl try-restart docker.service || :\n(none)\n(none)\n(none)\nsystemctl reload docker\n\
                   =careen= drop-in\n=file= /etc/acme\n=file= /usr/lib/systemd/system/docker.service.d/x.conf\n(none)\n(none)\n\
                   (none)\n(none)\n(none)\n(none)\n\
                   =careen= plainone\n(none)\n(none)\n(none)\n(none)\n(none)\n(none)\n";
        let found = of_rpm(rpm);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["acme-toolkit", "drop-in"]);
        assert_eq!(found["acme-toolkit"].to_string(), "its scriptlet names docker.service");
        assert!(rpm_format().starts_with("=careen= %{NAME}\\n[=file= %{FILENAMES}\\n]%{PRETRANS}"));

        let apk = "P:musl\nV:1\nF:lib\nR:libc.so\n\nP:acme-engine\nF:usr\nF:usr/bin\nR:acme\nR:dockerd\n";
        let how = How::Has("/usr/bin/dockerd".into());
        assert_eq!(of_apk(apk), Touching::from([("acme-engine".into(), how)]));
    }
}
