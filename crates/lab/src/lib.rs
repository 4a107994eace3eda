//! The lab: real swarms of real Debian hosts (systemd, apt, sshd, dockerd, an own address) on one machine.
//!
//! The binary `careen-lab` (`cargo lab`) and the lab tests are built on this library. It uses careen's binaries
//! and images from the outside only, and knows nothing of rollouts.
//!
//! Everything that exists is found again by docker labels ([`names`]); there is no state file, so every verb
//! works after a crash at any point. The one exception is the record of a dockerd the lab started ([`engine`]).
//!
//! ```no_run
//! use careen_lab::{Fault, Lab, Progress, Spec};
//! # fn main() -> careen_lab::Result<()> {
//! let mut spec = Spec::new("mine".parse()?);
//! spec.workers = Some(1);
//! let lab = Lab::up(&spec, Progress::shown())?;
//! let node = lab.node("n1")?;
//! assert_eq!(node.sh("cat /etc/debian_version")?.ok()?, "12.11\n");
//! node.fault(Fault::Reboot)?;
//! # Ok(())
//! # }
//! ```
//!
//! | part | decides |
//! | --- | --- |
//! | [`plan`] | what to do for a wanted lab, given what exists (pure) |
//! | `up`, `down` | the order in which it is done; locks |
//! | `identity`, [`kind`], `kinds`, `container`, `machine` | which node, and what it is made of |
//! | `holder` | the container that stands for a node, and what docker can do to it |
//! | `init` | what each init system is told |
//! | [`swarm`] | who initialises, who joins, when the swarm is complete |
//! | `recipe`, `tree`, `image`, `disk`, `apt`, `testrepo` | the nodes' root file systems |
//! | [`fault`] | what can go wrong on a node, and how one sees that it did |
//! | `sample` | what a service and its nodes went through meanwhile |

mod apt;
mod capabilities;
mod container;
mod disk;
mod docker;
mod down;
mod engine;
mod error;
pub mod fault;
mod holder;
mod identity;
mod image;
mod init;
mod inotify;
pub mod kind;
mod kinds;
mod lab;
mod lock;
mod machine;
pub mod names;
mod network;
mod node;
mod parallel;
pub mod plan;
mod poll;
mod process;
mod progress;
mod recipe;
mod sample;
pub mod status;
pub mod swarm;
mod testrepo;
mod tree;
mod up;

pub use docker::Docker;
pub use down::{down, down_all};
pub use engine::install;
pub use error::{Error, Result};
pub use fault::Fault;
pub use lab::Lab;
pub use names::{Kind, LabName, NodeName, Role, Spec};
pub use node::{Node, Output};
pub use poll::{Poll, wait_until};
pub use progress::Progress;
pub use sample::{Seen, while_watching};
pub use up::ensure_engine;
