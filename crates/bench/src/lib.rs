//! What careen costs, beside other ways to the same result: `make bench`.
//!
//! Everything that is compared is measured in one run, round by round, one after the other on the same hosts, so that whatever
//! else the machine does meets all of them alike. Goals stand beside the figures. A missed one is said and fails nothing: a
//! busy machine is no defect.
//!
//! | part | decides |
//! | --- | --- |
//! | [`row`], [`samples`] | what a figure is, and whether it meets its goal (pure) |
//! | [`report`] | how rows are shown to people and to programs (pure) |
//! | [`clock`] | when a measurement begins and ends |
//! | [`claim`], [`keeper`] | which lab is this bench's, and that it goes, however the bench ends |
//! | [`scene`], [`ssh`], [`ansible`], [`careen`], [`image`] | the hosts and the contenders |
//! | [`parts`] | what is measured, one file for each subject |
//! | [`others`] | rows that another program of this package measures: large swarms, which [`scale`] makes up |
//! | [`fleet`] | rows of the simulator: a rollout over 500 hosts |

pub mod ansible;
pub mod careen;
pub mod claim;
pub mod clock;
pub mod error;
pub mod fleet;
pub mod image;
pub mod keeper;
pub mod machine;
pub mod others;
pub mod parts;
pub mod report;
pub mod row;
pub mod samples;
pub mod scale;
pub mod scene;
pub mod ssh;
pub mod work;
