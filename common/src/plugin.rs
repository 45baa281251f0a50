//! One process, one request: what a plugin's `main` calls.

mod answer;

use std::io::{self, Read, Write};
use std::panic;
use std::process::ExitCode;
use std::thread;

use crate::added::Added;
use crate::error::{Code, Context, Error, short};
use crate::json::{self, Json};
use crate::keys::{self, Key};
use crate::log::report::Report;
use crate::log::settings::Settings;
use crate::netconf::{NetConf, Unversioned};
use crate::request::{Environment, Request, Verb};
use crate::sys::netns;
use crate::version::{Version, numbers};
use answer::{Unwritten, answer_for, print, tell, write_out};

/// The most that is read from stdin, in bytes.
pub const STDIN_LIMIT: u64 = 16 << 20;

/// The stack for deeper documents, in bytes: [`json::MAX_DEPTH`] levels need a tenth of it. It is
/// address space; only what is touched becomes memory.
const DEEP_STACK: usize = 256 << 20;

/// A CNI plugin: its name, the spec versions it supports, and the verbs.
///
/// Every verb gets a request whose environment and shared configuration keys are valid; reading its
/// own keys is its first step.
pub trait Plugin {
    /// As in the configuration's `type`.
    const NAME: &'static str;
    /// Oldest first.
    const VERSIONS: &'static [Version];
    /// The keys of its own, besides [`keys::SHARED`].
    const KEYS: &'static [&'static [Key]];

    /// Applies the configuration, all or nothing, and gives the chain's result with what undoes it.
    ///
    /// # Errors
    /// What was tried and failed; everything is then as before, or the error says what is not.
    fn add(request: &Request) -> Result<Added, Error>;

    /// Compares the kernel's state with what ADD would make.
    ///
    /// # Errors
    /// Code 101 with every drift, or why it could not be found out.
    fn check(request: &Request) -> Result<(), Error>;

    /// Removes what belongs to the attachment; success where nothing is left to do.
    ///
    /// # Errors
    /// Everything that could not be removed.
    fn del(request: &Request) -> Result<(), Error>;

    /// Removes what belongs to attachments of this network that are not in `valid`.
    ///
    /// # Errors
    /// Everything that could not be removed.
    fn gc(request: &Request) -> Result<(), Error>;

    /// Says whether ADD could work on this node.
    ///
    /// # Errors
    /// Code 50 with what is missing.
    fn status(request: &Request) -> Result<(), Error>;
}

/// Handles the request in this process's environment and on stdin: one JSON document on stdout, exit
/// code 0 or 1.
///
/// Without `CNI_COMMAND`: name and versions on stderr, exit code 0, as the reference does.
pub fn run<P: Plugin>() -> ExitCode {
    if std::env::var_os("CNI_COMMAND").is_none_or(|value| value.is_empty()) {
        return about::<P>();
    }
    panic::set_hook(Box::new(answer_for));
    let mut report = Report::new(P::NAME);
    let outcome = handle::<P>(&mut report);
    let (code, refusal) = match outcome {
        Ok(output) => (print(&output), None),
        Err(Refused { error, version }) => {
            if let Some(version) = version {
                tell(&error, version);
            }
            (ExitCode::FAILURE, Some(error))
        }
    };
    // Last, so that no log comes between the runtime and its answer.
    report.write(refusal.as_ref(), variable);
    code
}

/// What is answered in the place of a result.
struct Refused {
    error: Error,
    /// The spec version to answer in; `None` when stdout takes no answer.
    version: Option<Version>,
}

impl From<Error> for Refused {
    /// For as long as the request's version is unknown.
    fn from(error: Error) -> Refused {
        Refused {
            error,
            version: Some(Version::V110),
        }
    }
}

/// Handles the request, and gives what is still to be written to stdout.
fn handle<P: Plugin>(report: &mut Report) -> Result<String, Refused> {
    let environment = Environment::read(variable)?;
    let stdin = read_stdin(environment.verb)?;
    if json::depth(&stdin) <= json::SHALLOW {
        return answer::<P>(report, environment, &stdin);
    }
    let deep = thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(DEEP_STACK)
            .spawn_scoped(scope, || answer::<P>(report, environment, &stdin))
            .map(thread::ScopedJoinHandle::join)
    });
    match deep {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Error::new(
            Code::Decoding,
            "network configuration on stdin is nested too deeply",
        )
        .into()),
        Err(cause) => {
            let tried = "start a thread for a deeply nested network configuration";
            Err(Error::new(Code::TryAgainLater, tried)
                .with_details(cause)
                .into())
        }
    }
}

fn about<P: Plugin>() -> ExitCode {
    let versions: Vec<&str> = P::VERSIONS.iter().map(|v| v.text()).collect();
    let text = format!(
        "CNI {} plugin version {}\nCNI protocol versions supported: {}\n",
        P::NAME,
        env!("CARGO_PKG_VERSION"),
        versions.join(", ")
    );
    // A closed stderr leaves no way to report.
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn read_stdin(verb: Verb) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = io::stdin()
        .lock()
        .take(STDIN_LIMIT + 1)
        .read_to_end(&mut bytes);
    if verb == Verb::Version {
        // VERSION answers whatever stdin says, or whether there is one at all.
        return Ok(bytes);
    }
    read.context(Code::Io, || {
        "read the network configuration from stdin".into()
    })?;
    if bytes.len() as u64 > STDIN_LIMIT {
        return Err(Error::new(
            Code::Decoding,
            format!("network configuration on stdin is larger than {STDIN_LIMIT} bytes"),
        ));
    }
    Ok(bytes)
}

fn answer<P: Plugin>(
    report: &mut Report,
    environment: Environment,
    stdin: &[u8],
) -> Result<String, Refused> {
    if environment.verb == Verb::Version {
        return Ok(version_reply(P::VERSIONS, stdin).to_string() + "\n");
    }
    let conf = Unversioned::parse(stdin)?;
    report.network = conf.name().to_owned();
    report.settings = Settings::understood(conf.object());
    let version = Version::from_text(conf.version()).unwrap_or(Version::V110);
    gate(environment.verb, conf, P::VERSIONS)
        .map_err(Refused::from)
        .and_then(|conf| call::<P>(report, environment, conf))
        .map_err(|refused| Refused {
            version: refused.version.and(Some(version)),
            ..refused
        })
}

/// The version that brought a verb.
fn since(verb: Verb) -> Option<Version> {
    match verb {
        Verb::Check => Some(Version::V040),
        Verb::Gc | Verb::Status => Some(Version::V110),
        Verb::Add | Verb::Del | Verb::Version => None,
    }
}

/// Refuses a verb that the configuration's version does not have yet, then any unknown version.
fn gate(verb: Verb, conf: Unversioned, versions: &[Version]) -> Result<NetConf, Error> {
    if let Some(since) = since(verb) {
        let version = numbers(conf.version()).ok_or_else(|| {
            Error::new(
                Code::Decoding,
                format!("cniVersion {:?} is not a version", short(conf.version())),
            )
        })?;
        let refused = |whose: &str| {
            let msg = format!("{whose} version does not allow {verb}");
            Err(Error::new(Code::IncompatibleVersion, msg))
        };
        if Some(version) < numbers(since.text()) {
            return refused("config");
        }
        if Some(version) > versions.last().and_then(|v| numbers(v.text())) {
            return refused("plugin");
        }
    }
    conf.supported(versions)
}

fn call<P: Plugin>(
    report: &mut Report,
    environment: Environment,
    conf: NetConf,
) -> Result<String, Refused> {
    let verb = environment.verb;
    let version = conf.version;
    if matches!(verb, Verb::Add | Verb::Check | Verb::Status) {
        // DEL and GC do their work whatever these keys say.
        report.settings = Settings::parse(conf.object())?;
        conf.refuse_a_list()?;
    }
    let request = environment.request(conf);
    report.log = request.log.clone();
    if verb == Verb::Add {
        warn_of_misspelt::<P>(&request);
    }
    if matches!(verb, Verb::Add | Verb::Del) {
        refuse_own_netns(&request)?;
    }
    match verb {
        Verb::Add => {
            let added = P::add(&request)?;
            match write_out(&added.result().to_json(version).pretty()) {
                Ok(()) => added.keep(),
                Err(unwritten) => return Err(undone(added, &unwritten, version)),
            }
        }
        Verb::Check => P::check(&request)?,
        Verb::Del => P::del(&request)?,
        Verb::Gc => P::gc(&request)?,
        Verb::Status => P::status(&request)?,
        Verb::Version => {}
    }
    Ok(String::new())
}

/// Undoes an ADD of which the runtime does not learn.
fn undone(added: Added, unwritten: &Unwritten, version: Version) -> Refused {
    let error =
        Error::new(Code::Io, "write the result to stdout").with_details(unwritten.errno.desc());
    let error = match added.undo() {
        Ok(()) => error,
        Err(also) => error.and(also),
    };
    let version = (!unwritten.is_torn).then_some(version);
    Refused { error, version }
}

/// An unknown key is ignored, so that only this says why a limit or a sysctl is not there.
fn warn_of_misspelt<P: Plugin>(request: &Request) {
    for (written, known) in keys::misspelt(request.conf.object(), &keys::part(P::KEYS)) {
        let name = P::NAME;
        let text = format!("{written:?} is not a key of {name} and is ignored; write {known:?}");
        request.log.warn(text);
    }
}

/// A container that has the plugin's own namespace is the node itself; tuning it by mistake would
/// change the node.
fn refuse_own_netns(request: &Request) -> Result<(), Error> {
    match &request.netns {
        Some(path) if !request.own_netns_allowed && netns::is_own(path) => Err(Error::new(
            Code::InvalidNetns,
            "plugin's netns and netns from CNI_NETNS should not be the same",
        )
        .with_details(format!("CNI_NETNS is {}", path.display()))),
        _ => Ok(()),
    }
}

/// The spec wants the request's `cniVersion` back; for one we do not know it is our newest.
fn version_reply(versions: &[Version], stdin: &[u8]) -> Json {
    let newest = versions.last().copied().unwrap_or(Version::V110);
    let asked = match Json::parse_deep(stdin) {
        Ok(Json::Object(fields)) => crate::decode::Object::root(&fields)
            .string("cniVersion")
            .ok()
            .flatten()
            .and_then(|text| Version::from_text(&text)),
        _ => None,
    };
    let asked = asked.filter(|v| versions.contains(v)).unwrap_or(newest);
    let supported = versions.iter().map(|v| v.text().into()).collect();
    Json::Object(vec![
        ("cniVersion".into(), asked.text().into()),
        ("supportedVersions".into(), Json::Array(supported)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gated(verb: Verb, version: &str) -> Result<Version, (Code, String)> {
        let text = format!("{{\"name\":\"n\",\"cniVersion\":\"{version}\"}}");
        let conf = Unversioned::parse(text.as_bytes()).unwrap();
        gate(verb, conf, Version::ALL)
            .map(|conf| conf.version)
            .map_err(|e| (e.code, e.msg))
    }

    #[test]
    fn verbs_are_allowed_from_the_version_that_brought_them() {
        assert_eq!(gated(Verb::Add, "0.1.0"), Ok(Version::V010));
        assert_eq!(gated(Verb::Check, "0.4.0"), Ok(Version::V040));
        assert_eq!(gated(Verb::Gc, "1.1.0"), Ok(Version::V110));
        let refused = |msg: &str| Err((Code::IncompatibleVersion, msg.to_owned()));
        assert_eq!(
            gated(Verb::Check, "0.3.1"),
            refused("config version does not allow CHECK")
        );
        assert_eq!(
            gated(Verb::Gc, "1.0.0"),
            refused("config version does not allow GC")
        );
        assert_eq!(
            gated(Verb::Status, "1.0.0"),
            refused("config version does not allow STATUS")
        );
        assert_eq!(
            gated(Verb::Check, "9.9.9"),
            refused("plugin version does not allow CHECK")
        );
        assert_eq!(
            gated(Verb::Check, "0.5.0"),
            refused("incompatible CNI versions")
        );
        assert_eq!(gated(Verb::Add, "x"), refused("incompatible CNI versions"));
        assert_eq!(gated(Verb::Check, "x").unwrap_err().0, Code::Decoding);
    }

    #[test]
    fn version_answers_in_the_version_asked_if_it_is_supported() {
        let reply = |stdin: &str| {
            version_reply(&[Version::V030, Version::V110], stdin.as_bytes()).to_string()
        };
        let answer =
            |v: &str| format!(r#"{{"cniVersion":"{v}","supportedVersions":["0.3.0","1.1.0"]}}"#);
        assert_eq!(reply(r#"{"cniVersion":"0.3.0"}"#), answer("0.3.0"));
        assert_eq!(reply(r#"{"cniVersion":"0.1.0"}"#), answer("1.1.0"));
        assert_eq!(reply(""), answer("1.1.0"));
    }
}
