//! The packages of Red Hat, SUSE and their relatives, from rpm.

use super::packages::{Listed, PackageManager, Parsed, is_version, key};

/// What `rpm -qa --qf` is asked for. `EPOCHNUM` is 0, not `(none)`, for a package without an epoch.
pub const FORMAT: &str = "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t%{ARCH}\\n";

/// Reads the output of `rpm -qa --qf FORMAT`, with [`FORMAT`]. An epoch of 0 is left out of the version, as rpm and dnf
/// do. Several versions of one name are usual: kernels are installed side by side.
pub fn parse(output: &str) -> Parsed {
    let mut parsed = Parsed::new(PackageManager::Rpm);
    let native = output.lines().filter_map(fields).find(|package| package.name == "rpm");
    let native = native.map(|package| package.architecture);
    for line in output.lines().filter(|line| !line.is_empty()) {
        match fields(line) {
            Some(package) => parsed.packages.install(key(&package, native), package.version),
            None => parsed.not_understood += 1,
        }
    }
    parsed
}

fn fields(line: &str) -> Option<Listed<'_>> {
    let mut fields = line.split('\t');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let version = fields.next()?;
    let architecture = fields.next()?;
    let (epoch, rest) = version.split_once(':')?;
    let is_listed = epoch.parse::<u32>().is_ok() && is_version(rest) && fields.next().is_none();
    let version = version.strip_prefix("0:").unwrap_or(version);
    is_listed.then_some(Listed { name, architecture, version })
}

#[cfg(test)]
mod tests {
    use super::super::tests::recorded;
    use super::*;

    #[test]
    fn recorded_packages_are_read_in_full() {
        let parsed = parse(recorded(include_str!("../../fixtures/facts/rpm-qa.txt")));
        assert_eq!(parsed.not_understood, 0);
        let installed = parsed.packages.installed;
        assert_eq!(installed["kernel"], "5.14.0-503.15.1.el9_5 5.14.0-70.13.1.el9_0");
        assert_eq!(installed["nginx"], "1:1.24.0-4.module_el9.5.0+122+220a1c6b.alma.1");
        assert_eq!(installed["dnf"], "4.14.0-17.el9.alma.1");
        assert_eq!(installed["glibc:i686"], "2.34-125.el9_5.1");
        assert_eq!(installed["podman"], "6:5.2.2~rc1-1.el9");
        assert_eq!(installed["gpg-pubkey"], "350947f8-63cbd015");
        assert_eq!(
            installed.len(),
            10,
            "two kernels stand under one name, a foreign architecture under its own"
        );
    }

    #[test]
    fn several_versions_stand_in_one_order_whatever_the_order_of_the_output() {
        let one = parse("kernel\t0:5-2\tx86_64\nkernel\t0:5-1\tx86_64\nkernel\t0:5-1\tx86_64\n");
        let other = parse("kernel\t0:5-1\tx86_64\nkernel\t0:5-2\tx86_64\n");
        assert_eq!(one, other);
        assert_eq!(one.packages.installed["kernel:x86_64"], "5-1 5-2");
    }

    #[test]
    fn lines_of_another_form_are_counted() {
        let lines = "good\t0:1-1\tnoarch\nerror: rpmdb: BDB0113 Thread died\nno-epoch\t1-1\tnoarch\n\
                     none\t(none):1-1\tnoarch\nlong\t0:1-1\tnoarch\tx\n\t0:1-1\tnoarch\nnothing\t0:\tnoarch\n";
        let parsed = parse(lines);
        assert_eq!((parsed.packages.installed.len(), parsed.not_understood), (1, 6));
    }
}
