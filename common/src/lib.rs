//! What the plugins share.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`plugin`] | the trait of a plugin, and `run`: environment and stdin in, JSON and exit code out |
//! | [`operate`] | what `cnictl` needs of a plugin besides |
//! | [`added`] | what ADD made, until its result is written |
//! | [`request`] | `CNI_*` variables and stdin as one validated request |
//! | [`netconf`] | the keys every configuration shares: `cniVersion`, `name`, `prevResult` |
//! | [`cni_args`] | the pairs of `CNI_ARGS` |
//! | [`result`](mod@result) | results, read and printed in the shape of every spec version |
//! | [`version`] | the spec versions |
//! | [`attachment`] | the owner of what we create, and names derived from it |
//! | [`cache`], [`base64`] | libcni's cache of attachments |
//! | [`drift`], [`step`] | one difference between plan and kernel, and what to do about it |
//! | [`error`] | the one error, shaped by the protocol |
//! | [`json`], [`decode`] | JSON that keeps order and duplicates, and typed reading of it |
//! | [`keys`] | tables of keys, and what a misspelt one means |
//! | [`family`], [`protocol`] | IP versions, and the protocols that have ports |
//! | [`hash`] | SHA-512, in hexadecimal |
//! | [`log`] | what operators learn of a request, on stderr and in a file |
//! | [`mac`] | hardware addresses |
//! | [`turn`] | whose turn it is to change something |
//! | [`sys`] | what touches the kernel: namespaces, netlink, links, sysctls, files |

pub mod added;
pub mod attachment;
pub mod base64;
pub mod cache;
pub mod cni_args;
pub mod decode;
pub mod drift;
pub mod error;
pub mod family;
pub mod hash;
pub mod json;
pub mod keys;
pub mod log;
pub mod mac;
pub mod netconf;
pub mod operate;
pub mod plugin;
pub mod protocol;
pub mod request;
pub mod result;
pub mod step;
pub mod sys;
pub mod turn;
pub mod version;

pub use added::{Added, Pending};
pub use attachment::Attachment;
pub use drift::Drift;
pub use error::{Code, Context, Error};
pub use family::Family;
pub use operate::Operate;
pub use plugin::{Plugin, run};
pub use protocol::Protocol;
pub use request::Request;
pub use result::CniResult;
pub use step::Step;
pub use sys::allocator::Allocator;
