//! The requests that a runtime would make for an attachment of the cache.

use std::path::Path;

use common::cache::Entry;
use common::decode::{Object, Value};
use common::error::{Code, Context, Error};
use common::json::{Fields, Json};
use common::netconf::Unversioned;
use common::request::{Environment, Request};
use common::version::Version;
use common::{Attachment, CniResult, Plugin};

/// The plugin's part in an attachment: one request for each time that it is in the chain. CHECK
/// and ADD would get them with the attachment's final result, as libcni does it for CHECK.
///
/// # Errors
/// What the cache's configuration or result has that the plugin would refuse, or lacks.
pub fn requests<P: Plugin>(entry: &Entry) -> Result<Vec<Request>, Error> {
    requests_by::<P>(entry, &entry.config)
}

/// The same by another configuration of the network.
///
/// # Errors
/// As [`requests`].
pub fn requests_by<P: Plugin>(entry: &Entry, config: &[u8]) -> Result<Vec<Request>, Error> {
    let tried = || format!("read the configuration for {}", entry.file.display());
    let fields = match Json::parse(config).context(Code::Decoding, tried)? {
        Json::Object(fields) => fields,
        other => return Err(other.kind()).context(Code::Decoding, tried),
    };
    let version = Object::root(&fields)
        .nonempty("cniVersion")?
        .unwrap_or_default();
    let result = entry.result.as_ref();
    let result = result
        .map(|result| in_version(result, &version))
        .transpose()?;
    plugins(&fields)?
        .into_iter()
        .filter(is_of::<P>)
        .map(|fields| request::<P>(entry, fields, &version, result.as_ref()))
        .collect()
}

/// The parts of an attachment's configuration, as far as it can be read.
pub fn parts(entry: &Entry) -> Vec<Fields> {
    match Json::parse(&entry.config) {
        Ok(Json::Object(fields)) => plugins(&fields).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The path of an attachment's namespace. An old cache does not have it, if the result does not either;
/// then it is not known whether the namespace is there.
///
/// # Errors
/// That there is none, with the file.
pub fn netns_of(entry: &Entry) -> Result<&Path, Error> {
    if entry.netns.is_empty() {
        let msg = format!("{} names no network namespace", entry.file.display());
        return Err(Error::new(Code::InvalidNetns, msg));
    }
    Ok(Path::new(&entry.netns))
}

/// The configurations of a list, or the single one.
fn plugins(fields: &Fields) -> Result<Vec<Fields>, Error> {
    let list = Object::root(fields);
    if list.get("plugins").is_none() {
        return Ok(vec![fields.clone()]);
    }
    let fields = |item: &Value<'_>| Ok(item.object()?.fields().to_vec());
    list.list("plugins")?.iter().map(fields).collect()
}

/// The type of a plugin.
pub fn kind(fields: &Fields) -> Option<String> {
    Object::root(fields).string("type").ok().flatten()
}

fn is_of<P: Plugin>(fields: &Fields) -> bool {
    kind(fields).as_deref() == Some(P::NAME)
}

fn request<P: Plugin>(
    entry: &Entry,
    mut fields: Fields,
    version: &str,
    result: Option<&Json>,
) -> Result<Request, Error> {
    netns_of(entry)?;
    let capabilities = capabilities(entry, &fields)?;
    let network = entry.attachment.network.as_str();
    set(&mut fields, "name", network.into());
    if !version.is_empty() {
        set(&mut fields, "cniVersion", version.into());
    }
    if !capabilities.is_empty() {
        set(&mut fields, "runtimeConfig", Json::Object(capabilities));
    }
    if let Some(result) = result {
        set(&mut fields, "prevResult", result.clone());
    }
    let own = std::env::var("CNI_NETNS_OVERRIDE").unwrap_or_default();
    let Attachment {
        container, ifname, ..
    } = &entry.attachment;
    request_of(
        Json::Object(fields).to_string().as_bytes(),
        P::VERSIONS,
        &[
            ("CNI_COMMAND", "CHECK"),
            ("CNI_CONTAINERID", container),
            ("CNI_IFNAME", ifname),
            ("CNI_NETNS", &entry.netns),
            ("CNI_ARGS", &entry.cni_args()),
            ("CNI_PATH", "/"),
            ("CNI_NETNS_OVERRIDE", &own),
        ],
    )
}

/// The request that a runtime makes with a configuration on stdin and these variables.
///
/// # Errors
/// What a plugin would refuse at once.
pub fn request_of<S: AsRef<str>>(
    stdin: &[u8],
    versions: &[Version],
    variables: &[(&str, S)],
) -> Result<Request, Error> {
    let conf = Unversioned::parse(stdin)?.supported(versions)?;
    let environment = Environment::read(|name| {
        let own = variables.iter().find(|(key, _)| *key == name);
        own.map(|(_, value)| value.as_ref().to_owned())
    })?;
    Ok(environment.request(conf))
}

/// The capabilities that the plugin declares, with their values.
fn capabilities(entry: &Entry, fields: &Fields) -> Result<Fields, Error> {
    let asked = Object::root(fields).object("capabilities")?;
    let asked = asked.map_or(&[][..], |asked| asked.fields());
    let is_asked = |name: &str| {
        let mut asked = asked.iter();
        asked.any(|(key, value)| key == name && *value == Json::Bool(true))
    };
    let given = entry.capabilities.iter();
    Ok(given.filter(|(name, _)| is_asked(name)).cloned().collect())
}

fn set(fields: &mut Fields, key: &str, value: Json) {
    fields.retain(|(known, _)| !known.eq_ignore_ascii_case(key));
    fields.push((key.to_owned(), value));
}

/// A result in the version of the configuration.
fn in_version(result: &Json, version: &str) -> Result<Json, Error> {
    let Json::Object(fields) = result else {
        return Ok(result.clone());
    };
    let object = Object::root(fields);
    let own = object.nonempty("cniVersion")?.unwrap_or_default();
    // A missing version is the oldest; an unknown one is reported by the plugin.
    let known = |text: &str| match text {
        "" => Some(Version::V010),
        text => Version::from_text(text),
    };
    match (known(&own), known(version)) {
        (Some(from), Some(to)) if from != to => Ok(CniResult::parse(object, from)?.to_json(to)),
        _ => Ok(result.clone()),
    }
}
