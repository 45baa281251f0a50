//! A terminal's recording (asciicast 2) as a picture that plays itself.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;
use svg::node::element::{Style, Text};

use crate::sheet::{document, page};

/// What empties the screen.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";
/// Width of a character and height of a line.
const CELL: (f64, i32) = (8.4, 19);
const MARGIN: i32 = 10;
/// Seconds that the last screen stays.
const END: f64 = 5.0;

const STYLE: &str = "\
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#1f2328}\
.page{fill:#ffffff;stroke:#d1d9e0}.typed{font-weight:600}.good{fill:#1a7f37}.bad{fill:#cf222e}\
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.page{fill:#0d1117;stroke:#3d444d}.good{fill:#3fb950}.bad{fill:#f85149}}";

/// A line of a screen, and from when to when it is there.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    row: i32,
    text: String,
    kind: &'static str,
    from: f64,
    to: f64,
}

/// The picture of a recording.
///
/// # Errors
/// What is not a recording.
pub fn picture(path: &Path) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    let bad = || io::Error::other(format!("{}: not an asciicast 2", path.display()));
    let mut values = text.lines().map(serde_json::from_str::<Value>);
    let head = values.next().ok_or_else(bad)??;
    let size = |key: &str| head[key].as_i64().and_then(|size| i32::try_from(size).ok());
    let (columns, rows) = size("width").zip(size("height")).ok_or_else(bad)?;
    let events: Option<Vec<(f64, String)>> = values
        .map(|value| {
            let value = value.ok()?;
            Some((value[0].as_f64()?, value[2].as_str()?.to_owned()))
        })
        .collect();
    let events = events.ok_or_else(bad)?;
    let width = usize::try_from(columns).ok().filter(|width| *width > 0);
    let lines = lines(&events, width.ok_or_else(bad)?);
    Ok(draw(columns, rows, &lines))
}

/// The lines that were ever to be seen. A line that grows is there as it is in the end, from its last
/// character on. What is longer than `columns` goes on in the next row, as in a terminal.
fn lines(events: &[(f64, String)], columns: usize) -> Vec<Line> {
    let end = events.last().map_or(0.0, |(at, _)| *at) + END;
    let mut done: Vec<Line> = Vec::new();
    let mut open = String::new();
    let (mut row, mut screen) = (0, 0);
    for (at, text) in events {
        let text = match text.strip_prefix(CLEAR) {
            Some(rest) => {
                for line in &mut done[screen..] {
                    line.to = *at;
                }
                (screen, row) = (done.len(), 0);
                open.clear();
                rest
            }
            None => text,
        };
        let mut parts = text.split("\r\n");
        open.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let whole: Vec<char> = open.chars().collect();
            let kind = match done.last() {
                // The second line of a row of a table.
                Some(before) if open.starts_with(' ') => before.kind,
                _ => kind(&open),
            };
            for piece in whole.chunks(columns) {
                done.push(Line {
                    row,
                    text: piece.iter().collect(),
                    kind,
                    from: *at,
                    to: end,
                });
                row += 1;
            }
            open = part.to_owned();
        }
    }
    done
}

fn draw(columns: i32, rows: i32, lines: &[Line]) -> String {
    let end = lines.iter().map(|line| line.to).fold(END, f64::max);
    let width = (f64::from(columns) * CELL.0) as i32 + 2 * MARGIN;
    let height = rows * CELL.1 + 2 * MARGIN;
    let mut names = BTreeMap::new();
    let mut style = STYLE.to_owned();
    let mut document = document(width, height, &about(lines));
    let mut words = Vec::new();
    for line in lines {
        let share = |at: f64| format!("{:.2}%", at / end * 100.0);
        let (from, to) = (share(line.from), share(line.to));
        let count = names.len();
        let name = names.entry((from, to)).or_insert_with_key(|(from, to)| {
            style.push_str(&format!(
                "@keyframes k{count}{{0%{{opacity:0}}{from}{{opacity:1}}{to}{{opacity:{}}}}}\
                 .k{count}{{animation:k{count} {end:.1}s step-end infinite}}",
                u8::from(line.to == end),
            ));
            format!("k{count}")
        });
        // Where nothing moves, the last screen is seen.
        let still = if line.to == end { 1 } else { 0 };
        words.push(
            // Blanks that a browser does not draw together.
            Text::new(line.text.replace(' ', "\u{a0}"))
                .set("x", MARGIN)
                .set("y", MARGIN + (line.row + 1) * CELL.1 - 5)
                .set("opacity", still)
                .set("class", format!("{name} {}", line.kind)),
        );
    }
    style.push_str("@media (prefers-reduced-motion:reduce){text{animation:none!important}}");
    document = document.add(Style::new(style)).add(page(width, height));
    for text in words {
        document = document.add(text);
    }
    format!("{document}\n")
}

/// What a line is, by its words: a command, or the states that the session is about.
fn kind(text: &str) -> &'static str {
    let has = |word: &str| {
        text.split_whitespace()
            .any(|part| part.trim_end_matches(':') == word)
    };
    match () {
        () if text.starts_with("# ") => "typed",
        () if has("missing") && !has("repaired") || has("error") => "bad",
        () if has("active") || has("repaired") => "good",
        () => "",
    }
}

/// The commands, for those who cannot see it.
fn about(lines: &[Line]) -> String {
    let typed = lines.iter().filter_map(|line| line.text.strip_prefix("# "));
    format!("A terminal: {}", typed.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_there_from_its_end_until_the_screen_is_emptied_and_wraps_at_its_width() {
        let events = [
            (0.0, "# "),
            (0.1, "a"),
            (0.2, "\r\n"),
            (0.3, "active\r\n  c\r\n"),
            (2.0, "\u{1b}[2J\u{1b}[H"),
            (2.0, "# d"),
            (2.5, "\r\n"),
        ];
        let events = events.map(|(at, text)| (at, text.to_owned()));
        let found = lines(&events, 4);
        let found: Vec<_> = found
            .iter()
            .map(|line| (line.row, line.text.as_str(), line.kind, line.from, line.to))
            .collect();
        let expected = [
            (0, "# a", "typed", 0.2, 2.0),
            (1, "acti", "good", 0.3, 2.0),
            (2, "ve", "good", 0.3, 2.0),
            (3, "  c", "good", 0.3, 2.0),
            (0, "# d", "typed", 2.5, 7.5),
        ];
        assert_eq!(found, expected);
    }
}
