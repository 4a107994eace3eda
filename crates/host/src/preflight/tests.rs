use super::*;

fn well() -> HostFacts {
    HostFacts {
        engine: EngineAnswer::Says(EngineSays { driver: "overlay2".into(), ..EngineSays::default() }),
        installed: Some("26.1.5+dfsg1".into()),
        unit: Unit::None,
        daemon_json: DaemonJson::Well,
        dropped: Vec::new(),
        dpkg: Dpkg::Well,
        unlock: Unlock::NotAsked,
        memory: Lasting::Lasts,
        others: Vec::new(),
        selinux: Selinux::Lenient,
        systemd: Some(252),
    }
}

fn driver(name: &str) -> EngineAnswer {
    EngineAnswer::Says(EngineSays { driver: name.into(), ..EngineSays::default() })
}

/// What an engine of 28.0 refuses.
fn dropped() -> Vec<Dropped> {
    Told { path: "/etc/docker/daemon.json", text: Some(r#"{"api-cors-header": "*"}"#), arguments: &[] }
        .dropped()
}

const RESTARTS: Ahead =
    Ahead { engine_start: true, reboot: true, works: true, unlock_by_hand: false, allow_unfit: false };
const STAYS_UP: Ahead = Ahead { engine_start: false, reboot: false, ..RESTARTS };
const ANYHOW: Ahead = Ahead { allow_unfit: true, ..RESTARTS };

#[test]
fn a_host_that_is_well_is_fit() {
    assert_eq!(judge(&well(), RESTARTS), Findings::default());
}

/// Each fault, and whether it refuses: when the engine may be started, when it may not, when everything is allowed.
#[test]
fn what_refuses_and_when() {
    let live = EngineSays { live_restore: true, ..EngineSays::default() };
    let invalid = DaemonJson::Invalid { why: "no".into() };
    let masked = Unit::Broken { why: "it is masked".into() };
    let shell = Unit::Unclear { why: "a shell".into() };
    let forgets = Lasting::Forgets { why: "is on a tmpfs".into() };
    let enforcing = Selinux::Enforcing { agent: String::new() };
    let shutdown = Somebody::Shutdown { mode: "reboot".into(), at: None };
    let updater = Somebody::Updater { what: "apt-daily.service".into(), since: None };
    let person = Somebody::Person { user: "root".into(), terminal: "tty1".into(), since: None };
    let table: [(&str, HostFacts, [bool; 3]); 20] = [
        (
            "cannot be asked",
            HostFacts { engine: EngineAnswer::Silent { why: "denied".into() }, ..well() },
            [true, true, true],
        ),
        ("live-restore", HostFacts { engine: EngineAnswer::Says(live), ..well() }, [true, false, false]),
        ("live-restore", HostFacts { daemon_json: DaemonJson::LiveRestore, ..well() }, [true, false, false]),
        ("configuration", HostFacts { daemon_json: invalid, ..well() }, [true, false, false]),
        ("it is masked", HostFacts { unit: masked, ..well() }, [true, false, false]),
        ("cannot be told (a shell)", HostFacts { unit: shell, ..well() }, [false, false, false]),
        (
            "engine 28.0.1 that is installed would not start with 'api-cors-header'",
            HostFacts { dropped: dropped(), installed: Some("28.0.1".into()), ..well() },
            [true, false, false],
        ),
        ("gone from engine 28.0 on", HostFacts { dropped: dropped(), ..well() }, [false, false, false]),
        ("on a tmpfs", HostFacts { memory: forgets, ..well() }, [true, false, false]),
        ("SELinux is enforcing", HostFacts { selinux: enforcing, ..well() }, [true, true, false]),
        ("systemd 219", HostFacts { systemd: Some(219), ..well() }, [true, true, false]),
        ("systemd 239", HostFacts { systemd: Some(239), ..well() }, [false, false, false]),
        ("shutdown -c", HostFacts { others: vec![shutdown], ..well() }, [true, true, false]),
        ("apt-daily.service", HostFacts { others: vec![updater], ..well() }, [true, true, false]),
        ("--respect-inhibitors", HostFacts { others: vec![person], ..well() }, [false, false, false]),
        ("no storage driver 'aufs'", HostFacts { engine: driver("aufs"), ..well() }, [true, false, false]),
        (
            "from engine 25.0 on",
            HostFacts { engine: driver("devicemapper"), installed: Some("24.0.7".into()), ..well() },
            [false, false, false],
        ),
        ("dpkg", HostFacts { dpkg: Dpkg::Broken { why: "x".into() }, ..well() }, [true, true, false]),
        ("not the key", HostFacts { unlock: Unlock::Wrong, ..well() }, [true, false, false]),
        ("autolocked", HostFacts { unlock: Unlock::Missing, ..well() }, [true, false, false]),
    ];
    for (words, facts, refuses) in table {
        for (ahead, expected) in [RESTARTS, STAYS_UP, ANYHOW].into_iter().zip(refuses) {
            let found = judge(&facts, ahead);
            assert_eq!(!found.problems.is_empty(), expected, "{words}: {ahead:?} {found:?}");
            if words == "--respect-inhibitors" && ahead == STAYS_UP {
                assert_eq!(found, Findings::default(), "nobody at the console minds");
                continue;
            }
            let [one] = &[&found.problems[..], &found.warnings[..]].concat()[..] else { panic!("{found:?}") };
            assert!(one.to_string().contains(words), "{one}");
        }
    }
}

#[test]
fn what_is_no_fault() {
    let by_hand = Ahead { unlock_by_hand: true, ..RESTARTS };
    let missing = HostFacts { unlock: Unlock::Missing, ..well() };
    for (facts, ahead) in [
        (HostFacts { dpkg: Dpkg::Mendable, ..well() }, RESTARTS),
        (HostFacts { unlock: Unlock::Right, ..well() }, RESTARTS),
        (missing, by_hand),
        (HostFacts { installed: None, ..well() }, RESTARTS),
        (HostFacts { engine: driver("btrfs"), ..well() }, RESTARTS),
    ] {
        assert_eq!(judge(&facts, ahead), Findings::default(), "{facts:?}");
    }
}

#[test]
fn packages_that_dpkg_can_and_cannot_configure() {
    let list = |abbreviation: &str| format!("ii \tdpkg\tamd64\t1.21\n{abbreviation}\thello\tamd64\t1.0\n");
    let refuses = || Some("dependency problems".to_owned());
    assert_eq!(dpkg_state(&list("ii "), refuses), Dpkg::Well);
    for mendable in ["iF ", "iU ", "iW ", "it "] {
        assert_eq!(dpkg_state(&list(mendable), || None), Dpkg::Mendable);
        assert_eq!(dpkg_state(&list(mendable), refuses), Dpkg::Broken { why: "dependency problems".into() });
    }
    for lost in ["iH ", "iUR", "iFR"] {
        let Dpkg::Broken { why } = dpkg_state(&list(lost), || None) else { panic!("{lost}") };
        assert!(why.contains("hello"), "{why}");
    }
    assert_eq!(dpkg_state("", refuses), Dpkg::Well, "a host without dpkg");
}

#[test]
fn whose_root_a_containers_root_is() {
    let hosts = "         0          0 4294967295\n";
    assert!(is_hosts_root(hosts, hosts));
    let remapped = "         0     100000      65536\n";
    assert!(!is_hosts_root(remapped, "         0 4294967295 4294967295\n"));
    assert!(is_hosts_root(remapped, remapped), "a host that is a container itself");
    assert!(!is_hosts_root("", hosts));
}

#[test]
fn what_only_looks_is_not_refused_for_others_and_says_nothing_of_them() {
    let others = vec![Somebody::Shutdown { mode: "reboot".into(), at: None }];
    let looks = Ahead { engine_start: false, reboot: false, works: false, ..RESTARTS };
    assert_eq!(judge(&HostFacts { others, ..well() }, looks), Findings::default());
    let strict = HostFacts { selinux: Selinux::Enforcing { agent: String::new() }, ..well() };
    assert!(judge(&strict, looks).problems.is_empty());
}

#[test]
fn a_host_of_which_nobody_knows_whether_it_forgets_is_warned_of_where_it_may_be_rebooted() {
    let unknown = HostFacts { memory: Lasting::Unknown { why: "is on an aufs (/)".into() }, ..well() };
    let found = judge(&unknown, RESTARTS);
    let (problems, warnings) = (found.problems.len(), found.warnings.len());
    assert_eq!((problems, warnings), (0, 1));
    assert!(found.warnings[0].to_string().contains("is on an aufs (/)"));
    assert_eq!(judge(&unknown, STAYS_UP), Findings::default());
}

#[test]
fn an_engine_that_would_come_is_held_against_what_it_is_told() {
    let found = |version: &str, driver| {
        let found = against_engine(version, &dropped(), driver);
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(found("5:27.5.1-1~debian.12~bookworm", Some("overlay2")), [""; 0]);
    let [setting] = &found("5:28.0.4-1~debian.12~bookworm", None)[..] else { panic!() };
    assert!(
        setting.contains("5:28.0.4-1~debian.12~bookworm that would come would not start with"),
        "{setting}"
    );
    let [setting, driver] = &found("29.1.0", Some("devicemapper"))[..] else { panic!() };
    assert!(setting.contains("take it out") && driver.contains("has no storage driver 'devicemapper'"));
}
