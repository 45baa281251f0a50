//! The keys of a configuration that are about logs: `logLevel` and `logFile`, as multus, sriov-cni and
//! others of their family call them.

use std::path::{Path, PathBuf};

use super::level::{KNOWN, Level, Threshold};
use crate::decode::{Object, Value};
use crate::error::Error;

/// Which lines are written, and where besides stderr.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `logLevel`
    pub level: Option<Threshold>,
    /// `logFile`
    pub file: Option<PathBuf>,
}

impl Settings {
    /// Whether stderr gets lines of a level. A success is silent there unless `logLevel` says otherwise:
    /// people see it who run a container by hand, and a node writes it for every pod.
    pub fn tells(&self, level: Level) -> bool {
        self.level.unwrap_or(Threshold::WARNING).shows(level)
    }

    /// Whether the file, if there is one, gets lines of a level. A file is named by those who want to know
    /// what was changed.
    pub fn files(&self, level: Level) -> bool {
        self.file.is_some() && self.level.unwrap_or(Threshold::INFO).shows(level)
    }

    /// Reads the keys. An empty text is the same as its absence, as with the other plugins.
    ///
    /// # Errors
    /// Code 6 for a value that is not a string, code 7 for an unknown level or an impossible path.
    pub fn parse(conf: Object<'_>) -> Result<Settings, Error> {
        Ok(Settings {
            level: level(conf)?,
            file: file(conf)?,
        })
    }

    /// What can be understood of the keys: no mistake in them keeps a request from leaving its line,
    /// or DEL and GC from doing their work.
    pub fn understood(conf: Object<'_>) -> Settings {
        Settings {
            level: level(conf).ok().flatten(),
            file: file(conf).ok().flatten(),
        }
    }
}

fn level(conf: Object<'_>) -> Result<Option<Threshold>, Error> {
    let Some((value, text)) = text(conf, "logLevel")? else {
        return Ok(None);
    };
    match Threshold::from_text(&text) {
        Some(level) => Ok(Some(level)),
        None => Err(value.refuse(format!("expected {KNOWN}"))),
    }
}

fn file(conf: Object<'_>) -> Result<Option<PathBuf>, Error> {
    let Some((value, text)) = text(conf, "logFile")? else {
        return Ok(None);
    };
    let has_name = Path::new(&text).file_name().is_some() && !text.ends_with('/');
    match text.starts_with('/') && has_name && !text.chars().any(char::is_control) {
        true => Ok(Some(PathBuf::from(text))),
        false => Err(value.refuse("expected the absolute path of a file")),
    }
}

fn text<'a>(conf: Object<'a>, key: &'a str) -> Result<Option<(Value<'a>, String)>, Error> {
    let Some(value) = conf.get(key) else {
        return Ok(None);
    };
    let text = value.string()?;
    Ok((!text.is_empty()).then_some((value, text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::json::Json;

    fn read(keys: &str, read: impl FnOnce(Object<'_>) -> Settings) -> Settings {
        match Json::parse(keys.as_bytes()).unwrap() {
            Json::Object(fields) => read(Object::root(&fields)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_are_read_in_any_case_and_empty_is_absent() {
        let settings = |level: &str, file: Option<&str>| Settings {
            level: Threshold::from_text(level),
            file: file.map(PathBuf::from),
        };
        for (keys, expected) in [
            ("{}", settings("", None)),
            (r#"{"logLevel":"","logFile":""}"#, settings("", None)),
            (r#"{"logLevel":null,"logFile":null}"#, settings("", None)),
            (r#"{"LOGLEVEL":"Debug"}"#, settings("debug", None)),
            (
                r#"{"loglevel":"error","logfile":"/var/log/cni.log"}"#,
                settings("error", Some("/var/log/cni.log")),
            ),
        ] {
            assert_eq!(
                read(keys, |o| Settings::parse(o).unwrap()),
                expected,
                "{keys}"
            );
            assert_eq!(read(keys, Settings::understood), expected, "{keys}");
        }
    }

    #[test]
    fn without_a_level_stderr_gets_warnings_and_a_file_what_was_changed_too() {
        let all = [Level::Error, Level::Warning, Level::Info, Level::Debug];
        for (keys, told, filed) in [
            ("{}", 2, 0),
            (r#"{"logFile":"/a"}"#, 2, 3),
            (r#"{"logFile":"/a","logLevel":"debug"}"#, 4, 4),
            (r#"{"logFile":"/a","logLevel":"error"}"#, 1, 1),
            (r#"{"logLevel":"info"}"#, 3, 0),
        ] {
            let settings = read(keys, Settings::understood);
            let count = |shows: &dyn Fn(Level) -> bool| all.iter().filter(|l| shows(**l)).count();
            assert_eq!(count(&|level| settings.tells(level)), told, "{keys}");
            assert_eq!(count(&|level| settings.files(level)), filed, "{keys}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name_and_otherwise_passed_over() {
        for (keys, code, key) in [
            (r#"{"logLevel":5}"#, Code::Decoding, "logLevel"),
            (r#"{"logLevel":"loud"}"#, Code::InvalidConfig, "logLevel"),
            (r#"{"logFile":["/a"]}"#, Code::Decoding, "logFile"),
            (r#"{"logFile":"cni.log"}"#, Code::InvalidConfig, "logFile"),
            (r#"{"logFile":"/"}"#, Code::InvalidConfig, "logFile"),
            (r#"{"logFile":"/var/log/"}"#, Code::InvalidConfig, "logFile"),
            (
                r#"{"logFile":"/var/log/.."}"#,
                Code::InvalidConfig,
                "logFile",
            ),
            (r#"{"logFile":"/a\u0000b"}"#, Code::InvalidConfig, "logFile"),
            (r#"{"logFile":"/a\nb"}"#, Code::InvalidConfig, "logFile"),
        ] {
            read(keys, |object| {
                let error = Settings::parse(object).unwrap_err();
                assert_eq!(error.code, code, "{keys}");
                assert!(error.msg.starts_with(key), "{error}");
                Settings::default()
            });
            assert_eq!(
                read(keys, Settings::understood),
                Settings::default(),
                "{keys}"
            );
        }
    }
}
