//! What careen costs, measured. A missed goal is said, and fails nothing: a busy machine is no defect.

pub mod scale;
