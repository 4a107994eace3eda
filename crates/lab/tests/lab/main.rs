//! The lab tests: careen's image on real swarms of real Debian hosts, from the outside, with the plain docker CLI.
//!
//! One file in `cases/` is one subject, and is found by itself. Every test leases the hosts that it uses; when it ends,
//! the lease checks that careen left nothing on them.

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

mod support;

mod cases {
    automod::dir!("tests/lab/cases");
}
