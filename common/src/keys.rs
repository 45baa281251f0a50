//! The keys of configurations, as tables: what the plugins' warnings of misspelt keys, `cnictl lint` and
//! the schemas in packaging/schemas are made from. The documentation is held to the same by a test.

use crate::decode::Object;

/// A key, and what its value is.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name; keys match without regard to case.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Anything.
    Any,
    /// A string.
    Text,
    /// One of some strings.
    OneOf(&'static [&'static str]),
    /// A boolean.
    Boolean,
    /// An integer in these bounds.
    Integer(u64, u64),
    /// An integer in these bounds, or a text with a unit.
    Amount(u64, u64),
    /// A list of strings.
    Strings,
    /// An object of booleans under any names.
    Booleans,
    /// An object of strings and integers under any names.
    Values,
    /// An object with these keys, and others.
    Object(&'static [Key]),
    /// A list of objects with these keys, and others; the first `usize` of them are required, and neither `null` nor an
    /// empty text.
    Objects(&'static [Key], usize),
}

/// A row of a table.
pub const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

const ATTACHMENTS: &[Key] = &[key("containerID", Kind::Text), key("ifname", Kind::Text)];

/// The keys of every plugin's part: those that the plugins read, and those that are for the runtime.
pub const SHARED: &[Key] = &[
    key("cniVersion", Kind::Text),
    key("name", Kind::Text),
    key("type", Kind::Text),
    key("capabilities", Kind::Booleans),
    key("args", Kind::Object(&[])),
    key("ipam", Kind::Any),
    key("dns", Kind::Any),
    key("prevResult", Kind::Object(&[])),
    key("runtimeConfig", Kind::Object(&[])),
    key("cni.dev/valid-attachments", Kind::Objects(ATTACHMENTS, 2)),
    key("cni.dev/attachments", Kind::Objects(ATTACHMENTS, 2)),
    key("logLevel", Kind::Text),
    key("logFile", Kind::Text),
];

/// The tables of a plugin's part.
pub fn part(own: &'static [&'static [Key]]) -> Vec<&'static [Key]> {
    own.iter().copied().chain([SHARED]).collect()
}

/// The keys of a configuration list. libcni takes them in this spelling only.
pub const LIST: &[Key] = &[
    key("cniVersion", Kind::Text),
    key("cniVersions", Kind::Strings),
    key("name", Kind::Text),
    key("disableCheck", Kind::Any),
    key("disableGC", Kind::Any),
    key("loadOnlyInlinedPlugins", Kind::Any),
    key("plugins", Kind::Objects(&[key("type", Kind::Text)], 1)),
];

/// Keys that are close to one of a plugin's part and belong elsewhere: tools that make a part from a list of
/// CNI 1.1 copy the list's.
const OTHERS: [&str; 1] = ["cniVersions"];

/// The most misspelt keys that are named: whatever a configuration holds, a request leaves few lines.
const NAMED: usize = 5;

/// The known key that an unknown key is close to: a letter more, less, different or two swapped,
/// and in long names twice. Keys that begin with `_` are comments, which are skipped.
pub fn meant(written: &str, tables: &[&[Key]]) -> Option<&'static str> {
    let known = || tables.iter().flat_map(|table| table.iter());
    let is_other = || OTHERS.contains(&written);
    if written.starts_with('_')
        || is_other()
        || known().any(|key| key.name.eq_ignore_ascii_case(written))
    {
        return None;
    }
    let distances = known().filter_map(|key| Some((near(written, key.name)?, key.name)));
    distances.min().map(|(_, name)| name)
}

/// How many letters of a word are wrong, in any case, if it is close to a name.
pub fn near(written: &str, name: &str) -> Option<usize> {
    let most = most(name);
    let is_near = written.len().abs_diff(name.len()) <= most;
    let lower = |text: &str| text.to_ascii_lowercase();
    let distance = is_near.then(|| distance(&lower(written), &lower(name)))?;
    (distance <= most).then_some(distance)
}

/// The unknown keys of an object that are close to a known one, with the one that is meant.
pub fn misspelt<'a>(
    object: Object<'a>,
    tables: &[&[Key]],
) -> impl Iterator<Item = (&'a str, &'static str)> {
    let fields = object.fields().iter();
    fields
        .filter_map(|(written, _)| Some((written.as_str(), meant(written, tables)?)))
        .take(NAMED)
}

/// How many letters may be wrong: of a word of three, two wrong letters make another word.
fn most(name: &str) -> usize {
    match name.len() {
        ..6 => 1,
        _ => 2,
    }
}

/// The edits between two words: letters put in, left out, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at =
                |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&last, j) + usize::from(x != y);
            let one = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = match (i.checked_sub(1), j.checked_sub(1)) {
                (Some(i), Some(j)) if a.get(i) == Some(y) && b.get(j) == Some(x) => {
                    at(&before, j) + 1
                }
                _ => one,
            };
            row.push(one.min(swapped));
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_seen_and_another_word_is_not() {
        let table: &[Key] = &[
            key("sysctl", Kind::Any),
            key("ingressRate", Kind::Any),
            key("mtu", Kind::Any),
            key("txQLen", Kind::Any),
        ];
        for (written, expected) in [
            ("sysctls", Some("sysctl")),
            ("sycstl", Some("sysctl")),
            ("Sysctl", None),
            ("_sysctls", None),
            ("ingresRate", Some("ingressRate")),
            ("ingressRates", Some("ingressRate")),
            ("ingres_Rate", Some("ingressRate")),
            ("egressRate", Some("ingressRate")),
            ("mtuu", Some("mtu")),
            ("mut", Some("mtu")),
            ("cniVersions", None),
            ("mode", None),
            ("txQueueLen", None),
            ("", None),
            ("ä", None),
            (SHARED[0].name, None),
        ] {
            assert_eq!(meant(written, &[table, SHARED]), expected, "{written}");
        }
        assert_eq!(
            meant("egressRate", &[table, &[key("egressRate", Kind::Any)]]),
            None
        );
    }

    #[test]
    fn a_long_key_costs_nothing_and_few_are_named() {
        let text = format!(
            "{{\"{}\":1{}}}",
            "x".repeat(1 << 20),
            ",\"mtuu\":1".repeat(100)
        );
        let crate::json::Json::Object(fields) = crate::json::Json::parse(text.as_bytes()).unwrap()
        else {
            panic!()
        };
        let table: &[Key] = &[key("mtu", Kind::Any)];
        assert_eq!(misspelt(Object::root(&fields), &[table]).count(), NAMED);
    }
}
