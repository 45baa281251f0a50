//! What is requested: stdin's keys, then `CNI_ARGS`, `runtimeConfig` and `args.cni`, each overriding the
//! one before.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

use common::decode::Object;
use common::error::short;
use common::json::Json;
use common::mac::Mac;
use common::{Code, Error, Request};

use crate::offload::{self, Side, Wish};
use crate::sysctl::Name;

/// Where backups are kept unless `dataDir` says otherwise.
const DATA_DIR: &str = "/run/cni/tuning";

/// The longest path in bytes (`PATH_MAX` in include/uapi/linux/limits.h has the final null byte, too).
const LONGEST_PATH: usize = 4095;

/// A valid configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// In the order written; those that only `args.cni` has come last.
    pub sysctls: Vec<Setting>,
    /// The interface's hardware address.
    pub mac: Option<Mac>,
    /// The interface's MTU in bytes.
    pub mtu: Option<u32>,
    /// Switches promiscuous mode on. There is no way to switch it off, as in the reference.
    pub promisc: bool,
    /// Switches the reception of all multicast on or off.
    pub allmulti: Option<bool>,
    /// The length of the transmit queue in packets.
    pub txqlen: Option<u32>,
    /// Offloads of the interface and of its peer on the node.
    pub offloads: Vec<Wish>,
    /// Whether a node without an allowlist permits no sysctl, instead of every one.
    pub requires_allowlist: bool,
    /// The directory of backups.
    pub data_dir: PathBuf,
}

/// A sysctl and the value that it shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name as written, which is what the allowlist judges.
    pub written: String,
    /// What the name means.
    pub name: Name,
    /// The value as written.
    pub value: String,
}

impl Config {
    /// Reads and checks everything that is requested of this plugin.
    ///
    /// # Errors
    /// Code 6 for values of the wrong type, code 7 for values that cannot be, code 4 for malformed
    /// `CNI_ARGS`; each names the key.
    pub fn parse(request: &Request) -> Result<Config, Error> {
        let conf = request.conf.object();
        let runtime = conf.object("runtimeConfig")?;
        let args = match conf.object("args")? {
            Some(args) => args.object("cni")?,
            None => None,
        };
        let layers: Vec<Object<'_>> = [args, Some(conf)].into_iter().flatten().collect();
        Ok(Config {
            sysctls: sysctls(conf, args, &request.attachment.ifname)?,
            mac: mac(request, args, runtime, conf)?,
            mtu: first(&layers, |layer| number(layer, "mtu"))?.filter(|mtu| *mtu != 0),
            promisc: first(&layers, |layer| layer.boolean("promisc"))?.unwrap_or(false),
            allmulti: first(&layers, |layer| layer.boolean("allmulti"))?,
            txqlen: first(&layers, |layer| number(layer, "txQLen"))?,
            offloads: [
                offload::parse(conf, Side::Container)?,
                offload::parse(conf, Side::Host)?,
            ]
            .concat(),
            requires_allowlist: conf.boolean("requireAllowlist")?.unwrap_or(false),
            data_dir: data_dir(conf)?,
        })
    }
}

/// The directory of backups, which is all that DEL and GC need of a configuration.
///
/// # Errors
/// Code 6 when `dataDir` is not a string, code 7 when it cannot be a path.
pub fn data_dir(conf: Object<'_>) -> Result<PathBuf, Error> {
    match conf.get("dataDir") {
        None => Ok(default_data_dir()),
        Some(value) => match value.string()? {
            dir if dir.is_empty() => Ok(default_data_dir()),
            dir if dir.len() > LONGEST_PATH || dir.chars().any(char::is_control) => {
                Err(value.refuse("expected the path of a directory"))
            }
            dir => Ok(PathBuf::from(dir)),
        },
    }
}

/// The directory of backups where none is configured.
pub fn default_data_dir() -> PathBuf {
    PathBuf::from(DATA_DIR)
}

/// The first layer's value. All layers are read: a value that is overridden must be valid, too.
fn first<'a, T>(
    layers: &[Object<'a>],
    read: impl Fn(&Object<'a>) -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    let values = layers.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(values.into_iter().flatten().next())
}

fn number(layer: &Object<'_>, key: &'static str) -> Result<Option<u32>, Error> {
    let Some(value) = layer.get(key) else {
        return Ok(None);
    };
    let number = value.integer()?;
    let most = u32::MAX;
    u32::try_from(number)
        .map(Some)
        .map_err(|_| value.refuse(format!("must be between 0 and {most}")))
}

/// `args.cni.mac` wins even when it is empty: it then takes the others back.
fn mac(
    request: &Request,
    args: Option<Object<'_>>,
    runtime: Option<Object<'_>>,
    conf: Object<'_>,
) -> Result<Option<Mac>, Error> {
    let args_cni = match args {
        Some(args) => args.string("mac")?,
        None => None,
    };
    let runtime = match runtime {
        Some(runtime) => runtime.nonempty("mac")?,
        None => None,
    };
    let cni_args = request.cni_args()?;
    let environment = cni_args.get("MAC").filter(|mac| !mac.is_empty());
    let own = conf.nonempty("mac")?;
    let (key, text) = match (args_cni, runtime, environment, own) {
        (Some(text), ..) if text.is_empty() => return Ok(None),
        (Some(text), ..) => ("args.cni.mac", text),
        (_, Some(text), ..) => ("runtimeConfig.mac", text),
        (_, _, Some(text), _) => ("MAC in CNI_ARGS", text.to_owned()),
        (.., Some(text)) => ("mac", text),
        _ => return Ok(None),
    };
    match Mac::from_text(&text) {
        Some(mac) => Ok(Some(mac)),
        None => Err(Error::new(
            Code::InvalidConfig,
            format!("{key} = {:?}: not a 6-byte hardware address", short(&text)),
        )
        .with_details("expected a form like 02:00:5e:10:00:0a")),
    }
}

fn sysctls(
    conf: Object<'_>,
    args: Option<Object<'_>>,
    ifname: &str,
) -> Result<Vec<Setting>, Error> {
    let mut own = settings(conf, "sysctl", ifname)?;
    let Some(args) = args else { return Ok(own) };
    let places = own.iter().map(|own| own.name.clone()).zip(0..);
    let places: HashMap<Name, usize> = places.collect();
    for setting in settings(args, "args.cni.sysctl", ifname)? {
        match places
            .get(&setting.name)
            .and_then(|place| own.get_mut(*place))
        {
            Some(overridden) => *overridden = setting,
            None => own.push(setting),
        }
    }
    Ok(own)
}

/// The sysctls of one layer, none twice.
fn settings(layer: Object<'_>, path: &str, ifname: &str) -> Result<Vec<Setting>, Error> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut spellings: HashMap<Name, &str> = HashMap::new();
    let object = layer.object("sysctl")?;
    for (written, json) in object.map_or(&[][..], |object| object.fields()) {
        if *json == Json::Null {
            continue;
        }
        let refused = |why| {
            let key = short(written);
            Error::new(Code::InvalidConfig, format!("{path}.{key:?}: {why}"))
        };
        let name = Name::parse(written, ifname).map_err(refused)?;
        let Some(value) = value(json) else {
            let kind = json.kind();
            return Err(Error::new(
                Code::Decoding,
                format!("{path}.{written}: expected a string or an integer, got {kind}"),
            ));
        };
        let value = checked(&value).map_err(refused)?;
        if let Some(twin) = spellings.insert(name.clone(), written) {
            return Err(Error::new(
                Code::InvalidConfig,
                format!("{path}: duplicated sysctl {}", name.text()),
            )
            .with_details(format!("as {twin:?} and as {written:?}")));
        }
        settings.push(Setting {
            written: written.clone(),
            name,
            value,
        });
    }
    Ok(settings)
}

/// A value as a text: numbers may be written as such.
fn value(json: &Json) -> Option<Cow<'_, str>> {
    match json {
        Json::String(text) => Some(Cow::Borrowed(text)),
        Json::Number(number) if number.is_i64() || number.is_u64() => {
            Some(Cow::Owned(number.to_string()))
        }
        _ => None,
    }
}

/// A value without the white space around it. The kernel takes one write as one value.
fn checked(value: &str) -> Result<String, &'static str> {
    let value = value.trim();
    match value.chars().any(|c| c.is_control() && c != '\t') {
        true => Err("the value has control characters or line breaks"),
        false => Ok(value.to_owned()),
    }
}
