//! What `cnictl` needs of a plugin, beyond the protocol. No plugin's program uses it.

use crate::added::Added;
use crate::attachment::Attachment;
use crate::cache::Cache;
use crate::drift::Drift;
use crate::error::Error;
use crate::plugin::Plugin;
use crate::request::Request;
use crate::result::Prefix;

/// A part of the kernel that a plugin uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is, with its module where it has one.
    pub name: String,
    /// What does not work without it.
    pub purpose: &'static str,
    /// Why it cannot be used.
    pub fault: Option<String>,
}

/// What only one attachment of the node can have at a time, such as a host port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The thing, in any words.
    pub what: String,
    /// The addresses of it that are claimed; `None` where it has none.
    pub at: Option<Prefix>,
}

impl Claim {
    /// A whole thing.
    pub fn of(what: String) -> Claim {
        Claim { what, at: None }
    }

    /// Whether who has this has all of another claim.
    pub fn covers(&self, other: &Claim) -> bool {
        let at = match (&self.at, &other.at) {
            (None, None) => true,
            (Some(one), Some(other)) => one.contains(other),
            _ => false,
        };
        self.what == other.what && at
    }

    /// Whether who has this has some of another claim.
    pub fn meets(&self, other: &Claim) -> bool {
        let at = match (&self.at, &other.at) {
            (None, None) => true,
            (Some(one), Some(other)) => one.meets(other),
            _ => false,
        };
        self.what == other.what && at
    }
}

/// A plugin whose attachments can be looked at, repaired and removed all at once.
pub trait Operate: Plugin {
    /// One line of the table of what the plugin made.
    type Row;

    /// CHECK of many attachments: how each differs from its plan, in their order. Some plugins can look
    /// once for all of them.
    fn drifts(requests: &[&Request]) -> Vec<Result<Vec<Drift>, Error>>;

    /// What the plans of attachments have and the kernel does not, in their order; `found` is what the
    /// kernel's state has, of all attachments.
    fn missing(requests: &[&Request], found: &[Self::Row]) -> Vec<Result<Vec<Self::Row>, Error>>;

    /// ADD of many attachments, oldest first: what came of each, in their order. For plugins that can
    /// write all of them at once.
    fn add_all(requests: &[&Request]) -> Vec<Result<(), Error>> {
        let add = |request: &&Request| Self::add(request).map(Added::keep);
        requests.iter().map(add).collect()
    }

    /// The attachments that something in this node's state names as its owner. The interface is empty
    /// where the state does not say it; long names may be shortened, see [`crate::cache::Index::find`].
    ///
    /// # Errors
    /// What could not be read.
    fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error>;

    /// Whether ADD takes the configuration, as far as that can be said without the node and without a
    /// container.
    ///
    /// # Errors
    /// What ADD would answer; it names the key.
    fn judge(request: &Request) -> Result<(), Error>;

    /// What an attachment claims: an older one must not get back what a newer one took from it. An invalid
    /// request claims nothing.
    fn claims(_request: &Request) -> Vec<Claim> {
        Vec::new()
    }

    /// What ADD of each of a chain's requests would make where nothing is yet, a line each in the words of `ip`,
    /// `tc`, `iptables`, `nft` and `sysctl`; an error is what ADD would refuse. Nothing of the node is changed.
    fn plans(requests: &[&Request]) -> Vec<Result<Vec<String>, Error>>;

    /// What attachments have of earlier configurations, beside what requests of today want, in their
    /// order. An attachment whose chain no longer has the plugin has no requests.
    fn leftovers(
        parts: &[(&Attachment, &[Request])],
        cache: &Cache,
    ) -> Vec<Result<Vec<Drift>, Error>>;

    /// Removes what [`Operate::leftovers`] names of one attachment, after ADD of the requests of
    /// today; `former` are those of the earlier configuration.
    ///
    /// # Errors
    /// What could not be removed.
    fn retire(former: &[Request], now: &[Request]) -> Result<(), Error> {
        if !now.is_empty() {
            return Ok(());
        }
        let errors = former.iter().filter_map(|request| Self::del(request).err());
        Error::all(errors.collect()).map_or(Ok(()), Err)
    }

    /// Removes all that an attachment has, whichever configuration it was added with: DEL of a request may leave
    /// what other entries of its list made.
    ///
    /// # Errors
    /// What could not be removed.
    fn remove(request: &Request) -> Result<(), Error> {
        Self::del(request)
    }

    /// What people call the things that an attachment has, such as its host ports; nothing where only
    /// the attachment has a name.
    fn names(_request: &Request) -> Vec<String> {
        Vec::new()
    }

    /// Tries the parts of the kernel that ADD may need, in the calling thread's namespace, which is
    /// temporary. One that is useless without another may be left out.
    fn kernel() -> Vec<Part> {
        Vec::new()
    }

    /// Which way ADD of a network would take on this node, and why; `None` where there is only one.
    ///
    /// # Errors
    /// Why it cannot be said.
    fn choice(_request: &Request) -> Result<Option<String>, Error> {
        Ok(None)
    }

    /// What of that is hardly meant on this node; `None` where nothing is.
    ///
    /// # Errors
    /// Why it cannot be said.
    fn hazard(_request: &Request) -> Result<Option<String>, Error> {
        Ok(None)
    }
}
