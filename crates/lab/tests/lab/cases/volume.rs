//! A lot of something.

use crate::support::{Image, host};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_payload_of_ten_thousand_files_arrives_whole() {
    let host = host();
    let context = tempfile::tempdir().expect("a directory");
    let payload = context.path().join("install");
    for directory in 0..100 {
        let directory = payload.join(format!("data/{directory}"));
        fs::create_dir_all(&directory).expect("a directory");
        for file in 0..100 {
            fs::write(directory.join(file.to_string()), b"x").expect("a file");
        }
    }
    let install = payload.join("install");
    fs::write(&install, "#!/bin/sh\nfind data -type f | wc -l\n").expect("a script");
    fs::set_permissions(&install, fs::Permissions::from_mode(0o755)).expect("a mode");
    let dockerfile = "FROM careen/installer\nCOPY install /install\n";
    let image = Image::build_context(&host, dockerfile, context.path(), "careen-test:ten-thousand");
    assert_eq!(host.run(&image).go().expect(0).text(), "10000\n");
}

#[test]
fn two_hundred_megabytes_of_output_come_through_unharmed() {
    let host = host();
    // Numbered lines, so that a piece that is lost or swapped changes the sum.
    let image = host.script("#!/bin/sh\nseq -f 'line %020.0f of a log' 1 6000000 | head -c 200000000\n");
    let ran = host.run(&image).go().expect(0);
    assert_eq!(ran.stdout.len(), 200_000_000);
    for (number, line) in ran.stdout.chunks_exact(35).enumerate() {
        assert_eq!(&line[..26], format!("line {:020} ", number + 1).as_bytes(), "line {}", number + 1);
    }
    let id = ran.transaction();
    host.must(&format!("rm -rf /var/lib/careen/transactions/{id}"));
}
