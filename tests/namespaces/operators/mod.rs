//! The commands for operators: on every backend, with what others left, and on a narrow terminal.

mod broken;
mod cli;
mod contested;
mod doctor;
mod dry;
mod explain;
mod follow;
mod gc;
mod install;
mod limits;
mod meanwhile;
mod metrics;
mod missing;
mod originals;
pub mod place;
mod pods;
mod ports;
mod reconcile;
mod schema;
mod today;
mod together;
mod who;
