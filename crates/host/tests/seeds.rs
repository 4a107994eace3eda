//! The seeds of the fuzz targets, run through the same functions: what fuzzing once found stays mended, and the targets
//! build wherever the tests do.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/targets.rs"]
mod targets;

#[test]
fn what_must_hold_for_any_bytes_holds_for_every_seed_and_its_beginnings() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    for (name, target) in targets::ALL {
        let mut files = 0;
        for file in fs::read_dir(seeds.join(name)).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            target(&bytes);
            for length in (0..bytes.len()).step_by(13) {
                target(&bytes[..length]);
            }
            files += 1;
        }
        assert!(files > 0, "{name} has no seeds");
    }
}
