//! The keys that every plugin's configuration shares.

use crate::attachment::is_valid_name;
use crate::decode::Object;
use crate::error::{Code, Error, short};
use crate::json::{Fields, Json};
use crate::result::CniResult;
use crate::version::Version;

/// One plugin's configuration as it came on stdin: shared keys checked, the plugin's own still raw.
#[derive(Debug, Clone)]
pub struct NetConf {
    /// The network's name, valid by the spec.
    pub name: String,
    /// `cniVersion`; 0.1.0 when absent, as the spec's first version had no such key.
    pub version: Version,
    fields: Fields,
}

/// An attachment that GC must leave alone: container ID and interface name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValidAttachment {
    /// Its `containerID`.
    pub container: String,
    /// Its `ifname`.
    pub ifname: String,
}

/// A configuration whose JSON is sound but whose version is not yet judged.
#[derive(Debug)]
pub struct Unversioned {
    name: String,
    version: String,
    fields: Fields,
}

impl Unversioned {
    /// Reads stdin's document.
    ///
    /// # Errors
    /// Code 6 when it is not a JSON object or `name` or `cniVersion` are not strings, code 7 when the
    /// network's name is missing or invalid.
    pub fn parse(stdin: &[u8]) -> Result<Unversioned, Error> {
        let fields = match Json::parse_deep(stdin) {
            Ok(Json::Object(fields)) => fields,
            Ok(other) => {
                return Err(Error::new(
                    Code::Decoding,
                    format!(
                        "network configuration on stdin: expected an object, got {}",
                        other.kind()
                    ),
                ));
            }
            Err(cause) => {
                return Err(Error::new(
                    Code::Decoding,
                    "network configuration on stdin is not JSON",
                )
                .with_details(cause));
            }
        };
        let object = Object::root(&fields);
        let version = object.nonempty("cniVersion")?;
        let name = object.nonempty("name")?.ok_or_else(|| {
            Error::new(Code::InvalidConfig, "missing network name")
                .with_details("the configuration on stdin has no \"name\"")
        })?;
        if !is_valid_name(&name) {
            return Err(Error::new(
                Code::InvalidConfig,
                format!("invalid characters in network name {:?}", short(&name)),
            ));
        }
        Ok(Unversioned {
            name,
            version: version.unwrap_or_else(|| Version::V010.text().to_owned()),
            fields,
        })
    }

    /// The network's name, valid by the spec.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All keys of the configuration.
    pub fn object(&self) -> Object<'_> {
        Object::root(&self.fields)
    }

    /// The version's text, whatever it says.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The configuration, when the plugin supports its version.
    ///
    /// # Errors
    /// Code 1 with the list of supported versions.
    pub fn supported(self, versions: &[Version]) -> Result<NetConf, Error> {
        let Unversioned {
            name,
            version,
            fields,
        } = self;
        match Version::from_text(&version).filter(|v| versions.contains(v)) {
            Some(version) => Ok(NetConf {
                name,
                version,
                fields,
            }),
            None => {
                let list: Vec<String> = versions.iter().map(|v| format!("\"{v}\"")).collect();
                Err(
                    Error::new(Code::IncompatibleVersion, "incompatible CNI versions")
                        .with_details(format!(
                            "config is {:?}, plugin supports [{}]",
                            short(&version),
                            list.join(" ")
                        )),
                )
            }
        }
    }
}

impl NetConf {
    /// All keys of the configuration, for the plugin to read its own.
    pub fn object(&self) -> Object<'_> {
        Object::root(&self.fields)
    }

    /// The previous plugin's result, if there is one.
    ///
    /// # Errors
    /// Code 6 or 7 when it is there but not a result of this configuration's version family.
    pub fn prev_result(&self) -> Result<Option<CniResult>, Error> {
        self.object()
            .object("prevResult")?
            .map(|raw| CniResult::parse(raw, self.version))
            .transpose()
    }

    /// Refuses what is a runtime's: a whole list, which holds no plugin's part at its top.
    ///
    /// # Errors
    /// Code 7.
    pub fn refuse_a_list(&self) -> Result<(), Error> {
        let object = self.object();
        if object.get("plugins").is_none() || object.get("type").is_some() {
            return Ok(());
        }
        Err(Error::new(
            Code::InvalidConfig,
            "stdin holds a configuration list, but a plugin takes only its own entry of it",
        )
        .with_details("runtimes run lists; so does cnictl add"))
    }

    /// The previous plugin's result, which a chained plugin cannot do without.
    ///
    /// # Errors
    /// Code 7 when it is missing, else as [`NetConf::prev_result`].
    pub fn required_prev_result(&self) -> Result<CniResult, Error> {
        self.prev_result()?.ok_or_else(|| {
            Error::new(Code::InvalidConfig, "required prevResult missing")
                .with_details("this is a chained plugin: it must run after a main plugin")
        })
    }

    /// `cni.dev/valid-attachments`, which only GC carries. Absent is the same as empty.
    ///
    /// # Errors
    /// Code 6 when it is there but not a list of attachments, code 7 when one of them lacks a name: the living
    /// would be removed.
    pub fn valid_attachments(&self) -> Result<Vec<ValidAttachment>, Error> {
        let mut valid = Vec::new();
        // `cni.dev/attachments` is the draft's name of the same list; CRI-O sends both.
        for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
            for item in self.object().list(key)? {
                let names = item.object()?;
                let name = |key: &'static str| {
                    let why = || {
                        format!("{key} is missing, so it is not known which attachment is valid")
                    };
                    names.nonempty(key)?.ok_or_else(|| item.refuse(why()))
                };
                valid.push(ValidAttachment {
                    container: name("containerID")?,
                    ifname: name("ifname")?,
                });
            }
        }
        Ok(valid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(text: &str) -> NetConf {
        Unversioned::parse(text.as_bytes())
            .unwrap()
            .supported(Version::ALL)
            .unwrap()
    }

    #[test]
    fn stdin_must_be_an_object_with_a_valid_name() {
        let cases = [
            ("", Code::Decoding),
            ("[]", Code::Decoding),
            ("null", Code::Decoding),
            ("{\"name\":1}", Code::Decoding),
            ("{\"name\":\"a\",\"cniVersion\":1}", Code::Decoding),
            ("{}", Code::InvalidConfig),
            ("{\"name\":\"\"}", Code::InvalidConfig),
            ("{\"name\":\"a b\"}", Code::InvalidConfig),
            ("{\"name\":\"a;b\"}", Code::InvalidConfig),
        ];
        for (text, code) in cases {
            assert_eq!(
                Unversioned::parse(text.as_bytes()).unwrap_err().code,
                code,
                "{text}"
            );
        }
    }

    #[test]
    fn a_missing_version_is_the_oldest() {
        assert_eq!(conf("{\"NAME\":\"a\"}").version, Version::V010);
        assert_eq!(
            conf("{\"name\":\"a\",\"CniVersion\":\"1.0.0\"}").version,
            Version::V100
        );
    }

    #[test]
    fn an_unknown_version_is_refused_with_what_is_supported() {
        let error = Unversioned::parse(b"{\"name\":\"a\",\"cniVersion\":\"9.9.9\"}")
            .unwrap()
            .supported(&[Version::V030, Version::V110])
            .unwrap_err();
        assert_eq!(error.code, Code::IncompatibleVersion);
        assert_eq!(
            error.details,
            "config is \"9.9.9\", plugin supports [\"0.3.0\" \"1.1.0\"]"
        );
    }

    #[test]
    fn a_valid_attachment_without_one_of_its_names_is_refused_before_the_living_are_removed() {
        for (names, lacks) in [
            (r#"{"containerID":"a"}"#, "ifname"),
            (r#"{"containerID":"a","ifname":""}"#, "ifname"),
            (r#"{"ifname":"eth0"}"#, "containerID"),
        ] {
            for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
                let whole = r#"{"containerID":"b","ifname":"eth0"}"#;
                let text =
                    format!(r#"{{"name":"n","cniVersion":"1.1.0","{key}":[{whole},{names}]}}"#);
                let error = conf(&text).valid_attachments().unwrap_err();
                assert_eq!(error.code, Code::InvalidConfig);
                let start = format!("{key}[1]: {lacks} is missing");
                assert!(error.msg.starts_with(&start), "{error}");
            }
        }
    }

    #[test]
    fn both_names_of_the_valid_attachments_are_read() {
        let conf = conf(
            r#"{"name":"n","cniVersion":"1.1.0",
                "cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"}],
                "cni.dev/attachments":[{"containerID":"b","ifname":"eth1"}]}"#,
        );
        let valid = conf.valid_attachments().unwrap();
        assert_eq!(valid.len(), 2);
        assert_eq!(
            (valid[1].container.as_str(), valid[1].ifname.as_str()),
            ("b", "eth1")
        );
    }
}
