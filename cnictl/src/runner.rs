//! What a container runtime does with a network configuration, through libcni.
//!
//! | module         | what it knows                                                       |
//! | -------------- | ------------------------------------------------------------------- |
//! | [`network`]    | a configuration list: parsing, version choice, inlined plugins      |
//! | [`conf_dir`]   | finding a network by name or by path                                |
//! | [`attachment`] | one interface of one container: names, `CNI_ARGS`, capabilities     |
//! | [`request`]    | what one plugin is sent: environment and stdin                      |
//! | [`answer`]     | what it answered: result, error, or garbage                            |
//! | [`capabilities`] | what a runtime passes to plugins in `runtimeConfig`                |
//! | [`exec`]       | finding and running the binary                                      |
//! | [`cache`]      | libcni's cache of results                                           |
//! | [`chain`]      | the verbs over a whole list                                         |
//! | [`trace`]      | requests and answers, for people to read                            |
//! | [`setup`]      | from command line and environment to network, attachment, runner    |

pub mod answer;
pub mod attachment;
pub mod cache;
pub mod capabilities;
pub mod chain;
pub mod conf_dir;
pub mod error;
pub mod exec;
pub mod names;
pub mod network;
pub mod request;
pub mod setup;
pub mod trace;

pub use attachment::Attachment;
pub use chain::Runner;
pub use common::request::Verb;
pub use error::{Error, Result};
pub use network::Network;
