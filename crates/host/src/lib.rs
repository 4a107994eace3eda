//! What careen keeps on a host and knows of it: the schemas of what lies there (manifest, journal, output index), the state
//! machine of a transaction, the facts of a host and what they are judged by, and the parsers of what the kernel tells.
//!
//! No files, sockets, clocks, processes, docker: everything here takes bytes and values and returns values, so that each
//! decision can be tested without a host.

pub mod capability;
pub mod container;
pub mod control;
pub mod deeds;
pub mod enforcement;
pub mod facts;
pub mod journal;
pub mod last_line;
pub mod machine;
pub mod manifest;
pub mod mountinfo;
pub mod outcome;
pub mod output;
pub mod preflight;
pub mod removal;
pub mod transaction;
