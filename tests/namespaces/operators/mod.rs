//! The commands for operators: on every backend, with what others left, and on a narrow terminal.

mod cli;
mod follow;
mod gc;
mod install;
mod limits;
mod meanwhile;
mod missing;
mod originals;
pub mod place;
mod pods;
mod ports;
mod reconcile;
mod together;
mod who;
