use super::*;

fn well() -> HostFacts {
    HostFacts {
        engine: Ok(EngineSays { driver: "overlay2".into(), ..EngineSays::default() }),
        installed: Some("26.1.5+dfsg1".into()),
        daemon_json: DaemonJson::Well,
        dpkg: Dpkg::Well,
        unlock: Unlock::NotAsked,
    }
}

fn driver(name: &str) -> Result<EngineSays, String> {
    Ok(EngineSays { driver: name.into(), ..EngineSays::default() })
}

const RESTARTS: Ahead = Ahead { engine_start: true, unlock_by_hand: false, allow_unfit: false };
const STAYS_UP: Ahead = Ahead { engine_start: false, ..RESTARTS };
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
    let table: [(&str, HostFacts, [bool; 3]); 9] = [
        ("cannot be asked", HostFacts { engine: Err("denied".into()), ..well() }, [true, true, true]),
        ("live-restore", HostFacts { engine: Ok(live), ..well() }, [true, false, false]),
        ("live-restore", HostFacts { daemon_json: DaemonJson::LiveRestore, ..well() }, [true, false, false]),
        ("daemon.json", HostFacts { daemon_json: invalid, ..well() }, [true, false, false]),
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
fn configuration_files() {
    assert_eq!(DaemonJson::of("{}", None), DaemonJson::Well);
    assert_eq!(DaemonJson::of(" \n", Some("EOF".into())), DaemonJson::Well);
    assert_eq!(DaemonJson::of(r#"{"live-restore": true}"#, None), DaemonJson::LiveRestore);
    assert_eq!(DaemonJson::of(r#"{"live-restore": false}"#, None), DaemonJson::Well);
    let why = |text: &str, refused: Option<&str>| match DaemonJson::of(text, refused.map(str::to_owned)) {
        DaemonJson::Invalid { why } => why,
        other => panic!("{other:?}"),
    };
    assert!(why("{\"debug\": true,}", None).contains("line 1"));
    assert!(why("[]", None).contains("object"));
    assert!(why(r#"{"deebug": true}"#, Some("unknown key deebug")).contains("deebug"));
}

#[test]
fn packages_that_dpkg_can_and_cannot_configure() {
    let list = |abbreviation: &str| format!("ii \tdpkg\tamd64\t1.21\n{abbreviation}\thello\tamd64\t1.0\n");
    let refuses = || Err("dependency problems".to_owned());
    assert_eq!(dpkg_state(&list("ii "), refuses), Dpkg::Well);
    for mendable in ["iF ", "iU ", "iW ", "it "] {
        assert_eq!(dpkg_state(&list(mendable), || Ok(())), Dpkg::Mendable);
        assert_eq!(dpkg_state(&list(mendable), refuses), Dpkg::Broken { why: "dependency problems".into() });
    }
    for lost in ["iH ", "iUR", "iFR"] {
        let Dpkg::Broken { why } = dpkg_state(&list(lost), || Ok(())) else { panic!("{lost}") };
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
