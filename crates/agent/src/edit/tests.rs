use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A directory whose files nobody else can exchange.
fn directory() -> TempDir {
    let directory = tempfile::Builder::new().tempdir().unwrap();
    chmod(directory.path(), 0o755);
    directory
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    files::at::own_user() == 0
}

fn words(options: &[&str], path: &Path) -> Vec<String> {
    options.iter().map(|word| (*word).to_owned()).chain([path.display().to_string()]).collect()
}

/// What `file` comes to, and what it prints.
fn run(options: &[&str], path: &Path) -> Result<(u8, String), EditError> {
    let mut out = Vec::new();
    let code = do_file(&words(options, path), &mut out)?;
    Ok((code, String::from_utf8(out).unwrap()))
}

fn refused(options: &[&str], path: &Path) -> String {
    chain(&run(options, path).unwrap_err())
}

fn merge(options: &[&str], path: &Path, patch: &str) -> Result<(u8, String), EditError> {
    let source = directory();
    let patch_file = source.path().join("patch.json");
    std::fs::write(&patch_file, patch).unwrap();
    let mut words = words(options, path);
    words.push(patch_file.display().to_string());
    let mut out = Vec::new();
    let code = do_merge(&words, &mut out)?;
    Ok((code, String::from_utf8(out).unwrap()))
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

/// Nothing but these files is there.
#[track_caller]
fn assert_names(directory: &TempDir, names: &[&str]) {
    let entries = std::fs::read_dir(directory.path()).unwrap();
    let mut found: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, names);
}

#[test]
fn a_file_gets_its_content_once_and_a_check_only_tells() {
    let directory = directory();
    let path = directory.path().join("motd");
    let (code, shown) = run(&["--check", "--content", "hello\n"], &path).unwrap();
    assert_eq!(code, 2);
    assert!(
        shown.starts_with("--- /dev/null\n+++ ") && shown.ends_with("@@ -0,0 +1 @@\n+hello\n"),
        "{shown}"
    );
    assert_names(&directory, &[]);

    assert_eq!(run(&["--content", "hello\n"], &path).unwrap(), (0, shown));
    assert_eq!((text(&path).as_str(), mode(&path)), ("hello\n", 0o644));
    for options in
        [&["--content", "hello\n"][..], &["--check", "--content", "hello\n", "--changed-exit", "9"]]
    {
        assert_eq!(run(options, &path).unwrap(), (0, String::new()), "nothing is left to do");
    }
    let (code, _) = run(&["--content", "other\n", "--changed-exit", "9"], &path).unwrap();
    assert_eq!(code, 9);
    assert_names(&directory, &["motd"]);
}

#[test]
fn mode_and_owner_count_as_a_change_and_are_kept_where_nothing_is_said() {
    let directory = directory();
    let path = directory.path().join("key");
    std::fs::write(&path, "a\n").unwrap();
    chmod(&path, 0o640);
    run(&["--content", "b\n"], &path).unwrap();
    assert_eq!(mode(&path), 0o640, "kept");
    let (code, shown) = run(&["--check", "--mode", "0600"], &path).unwrap();
    assert_eq!((code, shown), (2, format!("mode of {}: 0640 → 0600\n", path.display())));
    run(&["--mode", "0600"], &path).unwrap();
    assert_eq!((mode(&path), text(&path).as_str()), (0o600, "b\n"));
    if is_root() {
        let (_, shown) = run(&["--owner", "4242:4343"], &path).unwrap();
        assert!(shown.starts_with("owner of ") && shown.ends_with(" → 4242:4343\n"), "{shown}");
        run(&["--content", "c\n"], &path).unwrap();
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (4242, 4343, 0o600), "kept");
    }
    let missing = refused(&["--mode", "0600"], &directory.path().join("none"));
    assert!(missing.contains("does not exist, and without --src or --content"), "{missing}");
}

#[test]
fn a_backup_has_what_was_replaced_with_its_mode() {
    let directory = directory();
    let path = directory.path().join("conf");
    run(&["--backup", "--content", "1"], &path).unwrap();
    assert_names(&directory, &["conf"]);
    chmod(&path, 0o600);
    run(&["--backup", "--content", "2", "--mode", "0644"], &path).unwrap();
    run(&["--backup=~", "--content", "3"], &path).unwrap();
    run(&["--backup=~", "--content", "3"], &path).unwrap();
    assert_names(&directory, &["conf", "conf.before-careen", "conf~"]);
    let backup = directory.path().join("conf.before-careen");
    assert_eq!((text(&backup).as_str(), mode(&backup)), ("1", 0o600));
    assert_eq!(text(&directory.path().join("conf~")), "2");
}

#[test]
fn a_validation_sees_the_new_content_before_anything_is_replaced() {
    let directory = directory();
    let path = directory.path().join("it's.conf");
    std::fs::write(&path, "old\n").unwrap();
    let good = format!("grep -q new %s && grep -q old '{}'/*.conf", directory.path().display());
    run(&["--validate", &good, "--content", "new\n"], &path).unwrap();
    assert_eq!(text(&path), "new\n");

    let error =
        run(&["--validate", "echo no good; cat %s >&2; exit 7", "--content", "bad\n"], &path).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let words = chain(&error);
    assert!(words.contains("(status 7)") && words.contains("no good\nbad"), "{words}");
    assert_eq!(text(&path), "new\n");
    assert_names(&directory, &["it's.conf"]);
    let (code, _) = run(&["--check", "--validate", "exit 7; %s", "--content", "bad\n"], &path).unwrap();
    assert_eq!(code, 2, "a check makes no file for it");
}

#[test]
fn a_secret_is_not_printed_with_no_diff() {
    let directory = directory();
    let path = directory.path().join("secret");
    let (_, shown) = run(&["--no-diff", "--content", "hush\n"], &path).unwrap();
    assert_eq!(shown, format!("changed: {}\n", path.display()));
}

#[test]
fn a_link_is_followed_when_that_is_asked_for_and_only_root_can_have_put_it() {
    let directory = directory();
    let (link, file) = (directory.path().join("link"), directory.path().join("file"));
    std::fs::write(&file, "old\n").unwrap();
    symlink("./file", &link).unwrap();
    let words = refused(&["--content", "new\n"], &link);
    assert!(words.contains("is a link to ./file") && words.contains("--follow"), "{words}");
    run(&["--follow", "--content", "new\n"], &link).unwrap();
    assert_eq!(text(&file), "new\n");
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink(), "it is a link still");

    chmod(directory.path(), 0o1777);
    let words = refused(&["--follow", "--content", "x\n"], &link);
    assert!(words.contains("somebody else than root may have put there"), "{words}");
    symlink(directory.path(), directory.path().join("up")).unwrap();
    let words = refused(&["--content", "x\n"], &directory.path().join("up/file"));
    assert!(words.contains("/up is a link that somebody else"), "{words}");
    chmod(directory.path(), 0o755);
    run(&["--content", "x\n"], &directory.path().join("up/file")).unwrap();
    assert_eq!(text(&file), "x\n", "a directory's link of our own is a way like another");
}

#[test]
fn links_in_a_circle_and_ways_upwards_end() {
    let directory = directory();
    symlink("b", directory.path().join("a")).unwrap();
    symlink("a", directory.path().join("b")).unwrap();
    let words = refused(&["--follow", "--content", "x"], &directory.path().join("a"));
    assert!(words.contains("more than 40 links"), "{words}");
    let words = refused(&["--content", "x"], &directory.path().join("c/../d"));
    assert!(words.contains("'..'"), "{words}");
    symlink("..", directory.path().join("up")).unwrap();
    let words = refused(&["--follow", "--content", "x"], &directory.path().join("up"));
    assert!(words.ends_with("is a directory"), "{words}");
}

#[test]
fn a_directory_that_everybody_can_write_is_refused_but_for_the_sticky_bit() {
    let directory = directory();
    let path = directory.path().join("file");
    chmod(directory.path(), 0o777);
    let words = refused(&["--content", "x"], &path);
    assert!(words.contains("has no sticky bit"), "{words}");
    chmod(directory.path(), 0o1777);
    run(&["--content", "x"], &path).unwrap();
    if is_root() {
        // Somebody else's file: who names the owner knows whose it is.
        std::os::unix::fs::chown(&path, Some(4242), None).unwrap();
        let words = refused(&["--content", "y"], &path);
        assert!(words.contains("belongs to somebody else"), "{words}");
        run(&["--content", "y", "--owner", "0:0"], &path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), 0);
    }
    std::fs::hard_link(&path, directory.path().join("other")).unwrap();
    let words = refused(&["--content", "z"], &path);
    assert!(words.contains("has another name"), "{words}");
}

#[test]
fn in_a_users_own_directory_no_link_is_followed() {
    if !is_root() {
        eprintln!("skipped: only root makes directories of others");
        return;
    }
    let directory = directory();
    let home = directory.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let secret = directory.path().join("secret");
    std::fs::create_dir(&secret).unwrap();
    symlink(&secret, home.join(".ssh")).unwrap();
    std::os::unix::fs::chown(&home, Some(4242), Some(4242)).unwrap();
    let words = refused(&["--content", "x"], &home.join(".ssh/authorized_keys"));
    assert!(words.contains(".ssh is a link that somebody else"), "{words}");
    std::fs::remove_file(home.join(".ssh")).unwrap();
    std::fs::create_dir(home.join(".ssh")).unwrap();
    run(&["--content", "x", "--owner", "4242:4242", "--mode", "600"], &home.join(".ssh/authorized_keys"))
        .unwrap();
}

#[test]
fn what_is_no_regular_file_is_told_and_nothing_waits_for_it() {
    let directory = directory();
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let words = refused(&["--content", "x"], &fifo);
    assert!(words.contains("is a pipe, a socket or a device, not a regular file"), "{words}");
    let words = refused(&["--content", "x"], directory.path());
    assert!(words.contains("is a directory, not a regular file"), "{words}");
    let words = refused(&["--content", "x"], &directory.path().join("none/file"));
    assert!(words.contains("none does not exist: make it first"), "{words}");
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let words = refused(&["--content", "x"], &file.join("below"));
    assert!(words.ends_with("file is no directory"), "{words}");
    let words = refused(&["--content", "x"], Path::new(&format!("{}/", directory.path().display())));
    assert!(words.contains("a directory by its last '/'"), "{words}");
}

#[test]
fn a_file_that_is_too_large_is_told_on_both_sides() {
    let directory = directory();
    let (large, small) = (directory.path().join("large"), directory.path().join("small"));
    std::fs::File::create(&large).unwrap().set_len(LARGEST + 1).unwrap();
    let words = refused(&["--content", "x"], &large);
    assert!(words.ends_with("large is larger than 16 MiB"), "{words}");
    let words = refused(&["--src", &large.display().to_string()], &small);
    assert!(words.ends_with("large is larger than 16 MiB"), "{words}");
    assert_names(&directory, &["large"]);
}

#[test]
fn attributes_are_kept() {
    let directory = directory();
    let path = directory.path().join("file");
    std::fs::write(&path, "1").unwrap();
    let held = files::at::Directory::root().and_then(|root| root.opened()).map(drop);
    assert!(held.is_ok());
    let place = place::find(&path, false).unwrap();
    let file = place.directory.open(&place.name).unwrap();
    if let Err(error) = file.set_attribute(b"user.careen-test", b"kept") {
        eprintln!("skipped: this file system has no attributes: {error}");
        return;
    }
    run(&["--content", "2"], &path).unwrap();
    let file = place.directory.open(&place.name).unwrap();
    assert_eq!(file.attribute(b"user.careen-test").unwrap(), b"kept");
}

#[test]
fn an_immutable_file_is_told_as_that() {
    let directory = directory();
    let path = directory.path().join("file");
    std::fs::write(&path, "1").unwrap();
    let chattr = |flag: &str| {
        Command::new("chattr").arg(flag).arg(&path).status().is_ok_and(|status| status.success())
    };
    if !chattr("+i") {
        eprintln!("skipped: chattr +i does not work here");
        return;
    }
    let words = refused(&["--content", "2"], &path);
    assert!(chattr("-i"));
    assert!(words.contains("is immutable: 'chattr -i -a "), "{words}");
    assert_eq!(text(&path), "1");
}

#[test]
fn what_a_killed_helper_left_is_removed_and_a_living_ones_is_not() {
    let directory = directory();
    let path = directory.path().join("file");
    // No process has that id: it is above what the kernel gives.
    let (dead, alive) =
        (".careen-new-4194999-file", format!(".careen-new-{}-file", std::os::unix::process::parent_id()));
    for name in [dead, &alive] {
        std::fs::write(directory.path().join(name), "half").unwrap();
    }
    run(&["--content", "x"], &path).unwrap();
    assert_names(&directory, &[&alive, "file"]);
}

#[test]
fn a_json_file_is_merged_and_keeps_what_is_not_named() {
    let directory = directory();
    let path = directory.path().join("daemon.json");
    let before = "{\n  \"labels\": [\"of=the-host\"],\n  \"big\": 12345678901234567890123\n}\n";
    std::fs::write(&path, before).unwrap();
    let patch = "{\"labels\": [\"a\"], \"debug\": true}";
    let (code, keys) = merge(&["--check", "--changed-keys"], &path, patch).unwrap();
    assert_eq!((code, keys.as_str(), text(&path).as_str()), (2, "labels\ndebug\n", before));
    let (code, shown) = merge(&["--backup"], &path, patch).unwrap();
    assert_eq!(code, 0);
    assert!(shown.contains("-  \"labels\": [\"of=the-host\"],\n"), "{shown}");
    let after =
        "{\n  \"labels\": [\n    \"a\"\n  ],\n  \"big\": 12345678901234567890123,\n  \"debug\": true\n}\n";
    assert_eq!(text(&path), after);
    assert_eq!(merge(&[], &path, patch).unwrap(), (0, String::new()));
    assert_names(&directory, &["daemon.json", "daemon.json.before-careen"]);
}

#[test]
fn a_json_file_that_is_not_there_is_made_only_for_keys() {
    let directory = directory();
    let path = directory.path().join("daemon.json");
    assert_eq!(merge(&[], &path, "{\"a\": null}").unwrap(), (0, String::new()));
    assert_names(&directory, &[]);
    merge(&["--mode", "0600"], &path, "{\"a\": 1.0}").unwrap();
    assert_eq!((text(&path).as_str(), mode(&path)), ("{\n    \"a\": 1.0\n}\n", 0o600));
}

#[test]
fn what_is_no_json_is_told_with_its_file_and_left() {
    let directory = directory();
    let path = directory.path().join("daemon.json");
    std::fs::write(&path, "{\"a\": 1,\n \"a\": 2}").unwrap();
    let words = chain(&merge(&[], &path, "{}").unwrap_err());
    assert!(
        words.ends_with("daemon.json: line 2, column 2: the key \"a\" stands twice in the same object"),
        "{words}"
    );
    std::fs::write(&path, "{}").unwrap();
    let words = chain(&merge(&[], &path, "[]").unwrap_err());
    assert!(
        words.starts_with("the patch ") && words.ends_with("this is JSON, but no object ({ … })"),
        "{words}"
    );
}

#[test]
fn wrong_words_exit_with_1_so_that_no_check_takes_them_for_drift() {
    assert_eq!(file(&["--chekc".into(), "/x".into()]), 1);
    assert_eq!(json_merge(&[]), 1);
}

#[test]
fn what_is_changed_between_the_look_and_the_act_is_left() {
    let directory = directory();
    let path = directory.path().join("file");
    std::fs::write(&path, "1").unwrap();
    let site = Site::find(&Target { path: path.display().to_string(), ..Target::default() }).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "somebody's").unwrap();
    let error = site.put(&Target::default(), b"2", None, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, EditError::Meanwhile { .. }), "{error}");
    assert_eq!(text(&path), "somebody's");
    assert_names(&directory, &["file"]);
}
