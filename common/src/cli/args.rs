//! Options and arguments: `--flag`, `--key VALUE`, `--key=VALUE`, and words.

use std::path::PathBuf;

use super::Failure;
use crate::cache;

/// What is left of the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    words: Vec<String>,
}

/// Takes the first word, each time.
impl Iterator for Args {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        (!self.words.is_empty()).then(|| self.words.remove(0))
    }
}

impl Args {
    /// The words after the program's name.
    ///
    /// # Errors
    /// When one of them is not UTF-8.
    pub fn of_process() -> Result<Args, Failure> {
        let words: Result<Vec<String>, _> = std::env::args_os()
            .skip(1)
            .map(std::ffi::OsString::into_string)
            .collect();
        words.map(Args::new).map_err(|word| {
            let why = format!("{} is not UTF-8", word.to_string_lossy());
            Failure::Usage(why)
        })
    }

    /// Those words.
    pub fn new(words: Vec<String>) -> Args {
        Args { words }
    }

    /// Whether help is asked for.
    pub fn asks_for_help(&self) -> bool {
        self.words
            .iter()
            .any(|word| word == "--help" || word == "-h")
    }

    /// Takes a flag.
    pub fn flag(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| word != name);
        self.words.len() != before
    }

    /// Takes an option whose value is a number of seconds.
    ///
    /// # Errors
    /// When it is none.
    pub fn seconds(&mut self, name: &str) -> Result<Option<u64>, Failure> {
        let number = |text: String| {
            let number = text.parse();
            number.map_err(|_| Failure::Usage(format!("{name} {text:?} is no number of seconds")))
        };
        self.value(name)?.map(number).transpose()
    }

    /// Takes every value of an option.
    ///
    /// # Errors
    /// When the value is missing.
    pub fn values(&mut self, name: &str) -> Result<Vec<String>, Failure> {
        let joined = format!("{name}=");
        let mut values = Vec::new();
        let mut rest = Vec::new();
        let mut words = std::mem::take(&mut self.words).into_iter();
        while let Some(word) = words.next() {
            if let Some(value) = word.strip_prefix(&joined) {
                values.push(value.to_owned());
            } else if word == name {
                let value = words.next().filter(|value| !value.starts_with("--"));
                let missing = || Failure::Usage(format!("{name} needs a value"));
                values.push(value.ok_or_else(missing)?);
            } else {
                rest.push(word);
            }
        }
        self.words = rest;
        Ok(values)
    }

    /// Takes the value of an option; of several the last one counts.
    ///
    /// # Errors
    /// When the value is missing.
    pub fn value(&mut self, name: &str) -> Result<Option<String>, Failure> {
        Ok(self.values(name)?.pop())
    }

    /// Takes `--cache-dir`.
    ///
    /// # Errors
    /// When its value is missing.
    pub fn cache_dir(&mut self) -> Result<PathBuf, Failure> {
        let dir = self.value("--cache-dir")?;
        Ok(dir.map_or_else(|| PathBuf::from(cache::DEFAULT_DIR), PathBuf::from))
    }

    /// Expects that nothing is left.
    ///
    /// # Errors
    /// The first word that is.
    pub fn none(self) -> Result<(), Failure> {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(unexpected(word)),
        }
    }

    /// Expects one word, which `what` names.
    ///
    /// # Errors
    /// When it is missing, or something else is left.
    pub fn one(mut self, what: &str) -> Result<String, Failure> {
        match self.next() {
            None => Err(Failure::Usage(format!("{what} is missing"))),
            Some(word) if word.starts_with('-') => Err(unexpected(&word)),
            Some(word) => self.none().map(|()| word),
        }
    }
}

fn unexpected(word: &str) -> Failure {
    Failure::Usage(match word.starts_with('-') {
        true => format!("there is no option {word:?}"),
        false => format!("{word:?} is one argument too many"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn options_are_taken_wherever_they_stand() {
        let mut args = args("8080/tcp --json --cache-dir /a --network=n1 --network n2");
        assert!(args.flag("--json") && !args.flag("--json"));
        assert_eq!(args.cache_dir().unwrap(), PathBuf::from("/a"));
        assert_eq!(args.values("--network").unwrap(), ["n1", "n2"]);
        assert_eq!(args.one("PORT").unwrap(), "8080/tcp");
    }

    #[test]
    fn what_is_missing_or_too_much_is_named() {
        let told = |outcome: Result<String, Failure>| match outcome {
            Err(Failure::Usage(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(told(args("").one("DIR")), "DIR is missing");
        assert_eq!(told(args("--x").one("DIR")), "there is no option \"--x\"");
        assert!(told(args("a b").one("DIR")).contains("too many"));
        assert!(args("--cache-dir").cache_dir().is_err());
        assert!(args("--cache-dir --json").cache_dir().is_err());
    }
}
