//! Text for people: four spaces a level, as the reference prints.

use super::Json;

/// The levels that are indented. No result, error or file of ours has more, and what is deeper comes
/// from others: indented all the way down, 18 KB of brackets would become 324 MB.
const LEVELS: usize = 4;

impl Json {
    /// Four spaces a level and no final newline; what lies deeper than [`LEVELS`] is on one line.
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 1);
        out
    }

    fn write(&self, out: &mut String, level: usize) {
        match self {
            Json::Array(items) if level <= LEVELS && !items.is_empty() => {
                let write = |out: &mut String, item: &Json| item.write(out, level + 1);
                list(out, ['[', ']'], level, items, write);
            }
            Json::Object(fields) if level <= LEVELS && !fields.is_empty() => {
                list(out, ['{', '}'], level, fields, |out, (key, value)| {
                    out.push_str(&Json::from(key.as_str()).to_string());
                    out.push_str(": ");
                    value.write(out, level + 1);
                });
            }
            other => out.push_str(&other.to_string()),
        }
    }
}

fn list<T>(
    out: &mut String,
    [open, close]: [char; 2],
    level: usize,
    items: &[T],
    write: impl Fn(&mut String, &T),
) {
    for (index, item) in items.iter().enumerate() {
        out.push(if index == 0 { open } else { ',' });
        line(out, level);
        write(out, item);
    }
    line(out, level - 1);
    out.push(close);
}

fn line(out: &mut String, level: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("    ", level));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_reference_s_layout() {
        let value = Json::parse(br#"{"b":[],"a":{"c":"d","e":[1,{}]}}"#).unwrap();
        assert_eq!(
            value.pretty(),
            "{\n    \"b\": [],\n    \"a\": {\n        \"c\": \"d\",\n        \"e\": [\n            \
             1,\n            {}\n        ]\n    }\n}"
        );
    }

    #[test]
    fn what_comes_out_is_bounded_by_what_goes_in() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let wide =
            |depth: usize| "[".repeat(depth) + &"0,".repeat(10_000) + "0" + &"]".repeat(depth);
        let keys = |depth: usize| r#"{"":"#.repeat(depth) + "0" + &"}".repeat(depth);
        for text in (1..8)
            .chain([100, 500])
            .flat_map(|depth| [deep(depth), wide(depth), keys(depth)])
        {
            let value = Json::read(&text).unwrap();
            let (read, printed) = (text.len(), value.pretty());
            assert!(
                printed.len() <= read * 20 + 100,
                "{read} became {}",
                printed.len()
            );
            assert_eq!(Json::read(&printed).unwrap(), value);
        }
    }
}
