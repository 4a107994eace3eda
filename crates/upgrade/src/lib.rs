//! `careen upgrade`: the built-in payload, and what decides in it. Nothing here reads a file or starts a program but [`run`],
//! which is thin: it carries the payload's commands out on the host, in a process of the agent's binary that is called so.
//!
//! - [`options`]: what the operator asked for, as arguments of the payload's commands
//! - [`names`]: which packages are the engine, the kernel, the way in
//! - [`touches`]: which packages touch the engine by what they bring; [`engine`]: both together
//! - [`change`]: what a package manager says that it would do
//! - [`apt`]: apt's words for that, and the pins that keep packages where they are; [`dpkg`]: what is installed
//! - [`dnf`], [`zypper`], [`apk`]: the words of the others
//! - [`manager`]: which of them a host has; [`waits`]: what waits there by the lists as they are, with nothing fetched
//! - [`judge`]: whether it may be done, and whether a restart is to be expected
//! - [`plan`]: what `prepare` decided, for `install` to keep to
//! - [`room`]: whether there is room for it
//! - [`report`]: for people

pub mod apk;
pub mod apt;
pub mod change;
pub mod dnf;
pub mod dpkg;
pub mod engine;
pub mod judge;
pub mod manager;
pub mod names;
pub mod options;
pub mod plan;
pub mod report;
pub mod room;
pub mod run;
pub mod touches;
pub mod waits;
pub mod zypper;
