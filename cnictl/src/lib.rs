//! `cnictl`, the operators' tool: runs network configurations, shows what the plugins made, repairs, installs.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`cli`] | the command line and its help |
//! | [`commands`] | a file per command |
//! | [`plugins`] | the plugins that are linked into it |
//! | [`requests`], [`today`], [`repair`], [`dead`] | attachments of the cache: requests, repair, leftovers |
//! | [`follow`] | repairs what others change, as soon as they have done so |
//! | [`mappings`], [`missing`], [`state`], [`owners`] | what the kernel has and has not, in which state, and who owns it |
//! | [`doctor`] | what is wrong with a node |
//! | [`explain`] | why a host port does not answer |
//! | [`firewall`] | what a firewall would do with a packet |
//! | [`finding`] | what was found, and how it is shown |
//! | [`record`], [`exposition`] | what the last `reconcile` did, and numbers for node_exporter |
//! | [`install`] | puts plugins into a directory that runtimes use, and removes them again |
//! | [`lint`] | what is wrong with a configuration |
//! | [`table`] | tables |
//! | [`runner`] | what a container runtime does through libcni |
//! | [`veth`] | the main plugin that is built in |

pub mod cli;
pub mod commands;
pub mod dead;
pub mod doctor;
pub mod explain;
pub mod exposition;
pub mod finding;
pub mod firewall;
pub mod follow;
pub mod install;
pub mod lint;
pub mod mappings;
pub mod missing;
pub mod owners;
pub mod plugins;
pub mod record;
pub mod repair;
pub mod requests;
pub mod runner;
pub mod state;
pub mod table;
pub mod today;
pub mod veth;

/// A line on stderr. A reader that is gone is not a reason to fail.
pub(crate) fn note(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
