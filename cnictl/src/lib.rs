//! The tool for people: runs network configurations, shows what the plugins made, repairs, installs.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`cli`] | the command line and its help |
//! | [`commands`] | a file per command |
//! | [`runner`] | what a container runtime does through libcni |
//! | [`veth`] | the main plugin that is built in |

pub mod cli;
pub mod commands;
pub mod runner;
pub mod veth;
