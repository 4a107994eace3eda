//! Tells cargo that a new file in the lab tests' folder means another test binary: `automod` finds it there.

fn main() {
    println!("cargo::rerun-if-changed=tests/lab/cases");
}
