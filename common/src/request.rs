//! One request: the `CNI_*` variables and stdin, validated.

use std::fmt;
use std::path::PathBuf;

use crate::attachment::{Attachment, ifname_fault, is_valid_name};
use crate::cni_args::CniArgs;
use crate::error::{Code, Error, short};
use crate::log::Log;
use crate::netconf::NetConf;

/// What the runtime requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Apply the configuration to an attachment.
    Add,
    /// Say whether the attachment is still as ADD left it.
    Check,
    /// Undo what ADD did.
    Del,
    /// Remove what dead attachments of this network left.
    Gc,
    /// Say whether ADD could work on this node.
    Status,
    /// Say which spec versions are supported.
    Version,
}

impl Verb {
    const ALL: [Verb; 6] = [
        Verb::Add,
        Verb::Check,
        Verb::Del,
        Verb::Gc,
        Verb::Status,
        Verb::Version,
    ];

    /// The value of `CNI_COMMAND`.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Add => "ADD",
            Verb::Check => "CHECK",
            Verb::Del => "DEL",
            Verb::Gc => "GC",
            Verb::Status => "STATUS",
            Verb::Version => "VERSION",
        }
    }

    /// The verb of a `CNI_COMMAND`.
    pub fn from_text(text: &str) -> Option<Verb> {
        Verb::ALL.into_iter().find(|verb| verb.name() == text)
    }

    /// The variables that must be set, in the order in which missing ones are named.
    fn required(self) -> &'static [&'static str] {
        match self {
            Verb::Add | Verb::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
            Verb::Del => &["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
            // The spec lists CNI_PATH here as optional or not at all; neither verb executes anything.
            Verb::Gc | Verb::Status | Verb::Version => &[],
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The `CNI_*` variables, valid for their verb.
#[derive(Debug, Clone)]
pub struct Environment {
    /// `CNI_COMMAND`
    pub verb: Verb,
    container: String,
    ifname: String,
    netns: Option<PathBuf>,
    args: String,
    own_netns_allowed: bool,
}

impl Environment {
    /// Reads and validates the variables through `get`, which gives `None` for an unset one.
    /// An empty variable is the same as an unset one.
    ///
    /// # Errors
    /// Code 4: unknown verb, all missing variables in one error, or an invalid one.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Environment, Error> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let command = get("CNI_COMMAND").unwrap_or_default();
        let verb = Verb::from_text(&command).ok_or_else(|| {
            Error::new(
                Code::InvalidEnvironment,
                format!("unknown CNI_COMMAND: {}", short(&command)),
            )
        })?;
        let missing: Vec<&str> = verb
            .required()
            .iter()
            .copied()
            .filter(|name| get(name).is_none())
            .collect();
        if !missing.is_empty() {
            return Err(Error::new(
                Code::InvalidEnvironment,
                format!("required env variables [{}] missing", missing.join(",")),
            ));
        }
        let environment = Environment {
            verb,
            container: get("CNI_CONTAINERID").unwrap_or_default(),
            ifname: get("CNI_IFNAME").unwrap_or_default(),
            netns: get("CNI_NETNS").map(PathBuf::from),
            args: get("CNI_ARGS").unwrap_or_default(),
            own_netns_allowed: get("CNI_NETNS_OVERRIDE")
                .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true")),
        };
        environment.validate()?;
        Ok(environment)
    }

    /// Names that the verb needs are valid; those that it ignores may be anything.
    fn validate(&self) -> Result<(), Error> {
        if !matches!(self.verb, Verb::Add | Verb::Check | Verb::Del) {
            return Ok(());
        }
        if !is_valid_name(&self.container) {
            return Err(Error::new(
                Code::InvalidEnvironment,
                "invalid characters in containerID",
            )
            .with_details(format!("CNI_CONTAINERID is {:?}", short(&self.container))));
        }
        if let Some(fault) = ifname_fault(&self.ifname) {
            return Err(Error::new(Code::InvalidEnvironment, fault)
                .with_details(format!("CNI_IFNAME is {:?}", short(&self.ifname))));
        }
        Ok(())
    }

    /// Completes the request with its configuration.
    pub fn request(self, conf: NetConf) -> Request {
        let Environment {
            verb: _,
            container,
            ifname,
            netns,
            args,
            own_netns_allowed,
        } = self;
        Request {
            attachment: Attachment {
                network: conf.name.clone(),
                container,
                ifname,
            },
            netns,
            own_netns_allowed,
            args,
            conf,
            log: Log::default(),
        }
    }
}

/// Everything a verb may use. For GC and STATUS the attachment's container and interface are empty.
#[derive(Debug, Clone)]
pub struct Request {
    /// The attachment that the request is about.
    pub attachment: Attachment,
    /// `CNI_NETNS`; `None` when empty, as containerd's second DEL of every pod has it.
    pub netns: Option<PathBuf>,
    /// `CNI_NETNS_OVERRIDE`: the namespace may be the plugin's own.
    pub own_netns_allowed: bool,
    /// The configuration from stdin.
    pub conf: NetConf,
    /// Where the verb says what it has changed, and what should be looked at.
    pub log: Log,
    args: String,
}

impl Request {
    /// The pairs of `CNI_ARGS`. Read only on demand: a plugin that uses none accepts any text.
    ///
    /// # Errors
    /// Code 4 when the variable is malformed.
    pub fn cni_args(&self) -> Result<CniArgs, Error> {
        CniArgs::parse(&self.args)
    }

    /// The container's namespace path, which ADD and CHECK always have.
    ///
    /// # Errors
    /// Code 4 when it is missing.
    pub fn required_netns(&self) -> Result<&PathBuf, Error> {
        self.netns.as_ref().ok_or_else(|| {
            Error::new(
                Code::InvalidEnvironment,
                "required env variables [CNI_NETNS] missing",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Environment, Error> {
        Environment::read(|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn all_missing_variables_are_named_in_one_error() {
        let error = read(&[("CNI_COMMAND", "ADD"), ("CNI_IFNAME", "")]).unwrap_err();
        assert_eq!(error.code, Code::InvalidEnvironment);
        assert_eq!(
            error.msg,
            "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing"
        );
        let error = read(&[("CNI_COMMAND", "DEL"), ("CNI_PATH", "/x")]).unwrap_err();
        assert_eq!(
            error.msg,
            "required env variables [CNI_CONTAINERID,CNI_IFNAME] missing"
        );
    }

    #[test]
    fn del_needs_no_namespace_and_status_and_gc_need_nothing() {
        let del = [
            ("CNI_COMMAND", "DEL"),
            ("CNI_CONTAINERID", "a"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_NETNS", ""),
            ("CNI_PATH", "/x"),
        ];
        assert_eq!(read(&del).unwrap().netns, None);
        for verb in ["STATUS", "GC", "VERSION"] {
            let dummies = [
                ("CNI_COMMAND", verb),
                ("CNI_CONTAINERID", ""),
                ("CNI_IFNAME", "a/b"),
            ];
            assert!(read(&dummies).is_ok(), "{verb}");
        }
    }

    #[test]
    fn unknown_verbs_and_invalid_names_are_refused() {
        for (verb, container, ifname) in [
            ("UPDATE", "a", "eth0"),
            ("add", "a", "eth0"),
            ("ADD", "../x", "eth0"),
            ("ADD", "a", "a b"),
            ("ADD", "a", "sixteen-letters-"),
        ] {
            let pairs = [
                ("CNI_COMMAND", verb),
                ("CNI_CONTAINERID", container),
                ("CNI_IFNAME", ifname),
                ("CNI_NETNS", "/n"),
                ("CNI_PATH", "/x"),
            ];
            assert_eq!(
                read(&pairs).unwrap_err().code,
                Code::InvalidEnvironment,
                "{pairs:?}"
            );
        }
    }
}
