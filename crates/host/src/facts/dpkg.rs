//! The packages of Debian and its relatives, from dpkg-query.

use super::packages::{Broken, Listed, PackageManager, Parsed, is_version, key};

/// What `dpkg-query -W -f` is asked for.
pub const FORMAT: &str = "${db:Status-Abbrev}\\t${Package}\\t${Architecture}\\t${Version}\\n";

enum Status {
    Absent,
    Installed,
    Broken(&'static str),
}

/// Reads the output of `dpkg-query -W -f FORMAT`, with [`FORMAT`].
pub fn parse(output: &str) -> Parsed {
    let mut parsed = Parsed::new(PackageManager::Dpkg);
    // dpkg itself is essential, and of the architecture that the host is built for.
    let native = output.lines().filter_map(fields).find(|(_, package)| package.name == "dpkg");
    let native = native.map(|(_, package)| package.architecture);
    for line in output.lines().filter(|line| !line.is_empty()) {
        match fields(line).and_then(|(abbreviation, package)| Some((status(abbreviation)?, package))) {
            Some((Status::Absent, _)) => {}
            Some((_, package)) if !is_version(package.version) => parsed.not_understood += 1,
            Some((Status::Installed, package)) => {
                parsed.packages.install(key(&package, native), package.version);
            }
            Some((Status::Broken(state), package)) => {
                let broken = Broken { version: package.version.to_owned(), state: state.to_owned() };
                parsed.packages.broken.insert(key(&package, native), broken);
            }
            None => parsed.not_understood += 1,
        }
    }
    parsed
}

fn fields(line: &str) -> Option<(&str, Listed<'_>)> {
    let mut fields = line.split('\t');
    let abbreviation = fields.next()?;
    let package = Listed { name: fields.next()?, architecture: fields.next()?, version: fields.next()? };
    (fields.next().is_none() && !package.name.is_empty()).then_some((abbreviation, package))
}

/// Three letters: what is wanted, what is, and whether it is damaged (dpkg-query(1), `db:Status-Abbrev`).
fn status(abbreviation: &str) -> Option<Status> {
    let mut letters = abbreviation.chars().skip(1);
    let state = letters.next()?;
    if !matches!(letters.next(), None | Some(' ')) {
        return Some(Status::Broken("reinst-required"));
    }
    // Waiting for triggers counts as broken, as in 'dpkg --audit': their work is not done, and dpkg was interrupted.
    Some(match state {
        'n' | 'c' => Status::Absent,
        'i' => Status::Installed,
        'H' => Status::Broken("half-installed"),
        'U' => Status::Broken("unpacked"),
        'F' => Status::Broken("half-configured"),
        'W' => Status::Broken("triggers-awaited"),
        't' => Status::Broken("triggers-pending"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::recorded;
    use super::*;

    #[test]
    fn real_output_is_read_in_full() {
        let output = recorded(include_str!("../../fixtures/facts/dpkg-query.txt"));
        let parsed = parse(output);
        assert_eq!(parsed.not_understood, 0);
        assert_eq!(parsed.packages.installed.len(), output.lines().count());
        assert_eq!(parsed.packages.installed["dpkg"], "1.21.22");
        assert_eq!(parsed.packages.installed["base-passwd"], "3.6.1");
        assert!(parsed.packages.broken.is_empty());
    }

    #[test]
    fn only_what_is_installed_counts_and_what_is_half_done_stands_apart() {
        let cases = [
            ("ii ", Some("installed")),
            ("hi ", Some("installed")),
            ("ri ", Some("installed")),
            ("rc ", None),
            ("un ", None),
            ("iF ", Some("half-configured")),
            ("iU ", Some("unpacked")),
            ("iH ", Some("half-installed")),
            ("iHR", Some("reinst-required")),
            ("iW ", Some("triggers-awaited")),
            ("it ", Some("triggers-pending")),
        ];
        for (abbreviation, expected) in cases {
            let parsed = parse(&format!("{abbreviation}\tdocker.io\tamd64\t20.10.24\n"));
            let installed = parsed.packages.installed.contains_key("docker.io:amd64").then_some("installed");
            let broken = parsed.packages.broken.get("docker.io:amd64").map(|broken| broken.state.as_str());
            assert_eq!((installed.or(broken), parsed.not_understood), (expected, 0), "{abbreviation}");
        }
    }

    #[test]
    fn a_foreign_architecture_is_part_of_the_name() {
        let lines =
            "ii \tlibc6\tamd64\t2.36\nii \tlibc6\ti386\t2.36\nii \ttzdata\tall\t2024a\nii \tdpkg\tamd64\t1\n";
        let names: Vec<String> = parse(lines).packages.installed.into_keys().collect();
        assert_eq!(names, ["dpkg", "libc6", "libc6:i386", "tzdata"]);
    }

    #[test]
    fn lines_of_another_form_are_counted() {
        let lines = "ii \tgood\tall\t1\n\nii \tshort\tall\nii \tlong\tall\t1\t2\n?? \todd\tall\t1\ni\t\tall\t1\n\
                     ii \tnone\tall\t\nii \tblank\tall\t \nX";
        let parsed = parse(lines);
        assert_eq!((parsed.packages.installed.len(), parsed.not_understood), (1, 7));
    }
}
