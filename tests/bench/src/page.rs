//! docs/performance.md and docs/performance.tsv, of one run.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use crate::bandwidth::BARE_DEL;
use crate::connections::Rates;
use crate::cost::{Cost, Costs};
use crate::machine;
use crate::run::Sample;
use crate::table::{Row, Spread};
use crate::tool::{self, Took};

/// What one run found.
#[derive(Default)]
pub struct Found {
    /// The machine and the builds.
    pub facts: Vec<(&'static str, String)>,
    /// Times.
    pub rows: Vec<Row>,
    /// Costs besides time, by what was run.
    pub costs: Vec<(String, Vec<Costs>)>,
    /// What nobody can be faster than.
    pub limits: Vec<(&'static str, Spread)>,
    /// New connections.
    pub rates: Vec<Rates>,
    /// Commands of the tool.
    pub tool: Vec<Took>,
}

const HEAD: &str = "# Performance\n\n\
    `make bench` writes this page and `docs/performance.tsv`; `make pictures` draws the figures.\n\n\
    Every time is that of the whole process, from its start until it has been reaped, in milliseconds: \
    the median, and in parentheses the tenth and the ninetieth percentile. This project and the \
    reference are measured in the same run, alternately, each on a node of its own.\n";

/// The rows of the README: plugin, backend, other pods, name.
const SELECTED: [(&str, &str, u32, &str); 5] = [
    ("tuning", "", 0, "`tuning`, 4 link attributes, 3 sysctls"),
    ("bandwidth", "", 100, "`bandwidth`, both directions"),
    (
        "portmap",
        "iptables-nft",
        100,
        "`portmap`, iptables-nft, 2 ports",
    ),
    (
        "portmap",
        "iptables-legacy",
        100,
        "`portmap`, iptables-legacy, 2 ports",
    ),
    (
        "portmap",
        "nftables",
        5000,
        "`portmap`, nftables (reference: iptables)",
    ),
];

/// What is around the README's table.
const MARKS: [&str; 2] = [
    "<!-- figures of make bench -->\n",
    "\n<!-- end of figures -->",
];

fn around(text: &str) -> Option<[&str; 2]> {
    let [begin, end] = MARKS;
    let begin = text.find(begin)? + begin.len();
    let end = begin + text.get(begin..)?.find(end)?;
    Some([text.get(..begin)?, text.get(end..)?])
}

const NOTES: &str = "\nWith iptables-legacy ADD starts one program per IP version; with the other backends \
    no program is started, unless there are conditions. With iptables, ADD reads the jump of every \
    attachment, to keep ports on one address before the same port on all addresses, so its time grows \
    with the node. With iptables-nft the kernel lists them, 1.4 MB for 1,000 pods with two ports. That took \
    95 % of the processor time by which ADD beside 1,000 pods exceeds ADD beside none (getrusage, medians \
    of 30 rounds). CHECK with iptables-nft reads the jumps of newer attachments alone, and DEL \
    requests its own. DEL waits for the kernel: deleting an ifb, and closing a socket whose batch deleted \
    something, takes a grace period.\n";

impl Found {
    /// Writes both files below `docs`, and the table of the README.
    ///
    /// # Errors
    /// When a file cannot be written, or a plugin not be found.
    pub fn write(&self, docs: &Path) -> io::Result<()> {
        fs::write(docs.join("performance.tsv"), self.figures())?;
        let page = self.page(&machine::sizes()?);
        fs::write(docs.join("performance.md"), page)?;
        let readme = docs.join("../README.md");
        let text = fs::read_to_string(&readme)?;
        let [before, after] =
            around(&text).ok_or_else(|| io::Error::other("README.md has no place for figures"))?;
        fs::write(readme, format!("{before}{}{after}", self.selected()))
    }

    /// Five rows for the README: medians of ours and of the reference.
    fn selected(&self) -> String {
        let mut text = String::new();
        let head = ["plugin", "on a node with", "ADD", "CHECK", "DEL"];
        table(
            &mut text,
            &head,
            SELECTED.iter().map(|one| self.chosen(one)),
        );
        text
    }

    fn chosen(&self, (plugin, backend, others, name): &(&str, &str, u32, &str)) -> Vec<String> {
        let node = match others {
            0 => String::new(),
            others => format!("{} other pods", thousands(u64::from(*others))),
        };
        let cell = |verb: &str| {
            let mut rows = self.rows.iter().filter(|row| row.circumstance != BARE_DEL);
            let row = rows.find(|row| {
                (row.plugin, row.backend, row.others, row.verb) == (plugin, backend, *others, verb)
            });
            let median = |samples: &[Sample]| Spread::of(samples).map(|spread| spread.median);
            let text = |time: Option<f64>| time.map_or_else(none, |time| format!("{time:.2}"));
            let sides = row.map(|row| [&row.ours, &row.reference].map(|side| median(side)));
            let [ours, reference] = sides.unwrap_or_default();
            format!("{} / {}", text(ours), text(reference))
        };
        let verbs = ["ADD", "CHECK", "DEL"].map(cell);
        [(*name).to_owned(), node]
            .into_iter()
            .chain(verbs)
            .collect()
    }

    /// Columns: plugin, backend, pods, verb, side, median and spread, in milliseconds.
    fn figures(&self) -> String {
        let mut text = "plugin\tbackend\tpods\tverb\tside\tmedian\tp10\tp90\n".to_owned();
        for row in self.rows.iter().filter(|row| row.circumstance != BARE_DEL) {
            for (side, samples) in [("ours", &row.ours), ("reference", &row.reference)] {
                let Some(Spread { median, low, high }) = Spread::of(samples) else {
                    continue;
                };
                let Row {
                    plugin,
                    backend,
                    others,
                    verb,
                    ..
                } = row;
                // Writing to a String has no way to fail.
                let _ = writeln!(
                    text,
                    "{plugin}\t{backend}\t{others}\t{verb}\t{side}\t{median:.2}\t{low:.2}\t{high:.2}"
                );
            }
        }
        text
    }

    fn page(&self, sizes: &[(&str, u64, u64)]) -> String {
        let mut text = HEAD.to_owned();
        table(
            &mut text,
            &["", ""],
            self.facts
                .iter()
                .map(|(name, value)| vec![(*name).to_owned(), value.clone()]),
        );
        text += "\n![portmap: time of each verb on a full node](pictures/verbs.svg)\n";
        for plugin in ["tuning", "bandwidth", "portmap"] {
            let rows = self.rows.iter().filter(|row| row.plugin == plugin);
            let _ = write!(text, "\n## {plugin}\n");
            let head = [
                "what",
                "other pods",
                "verb",
                "this project",
                "reference",
                "times as fast",
                "rounds",
            ];
            table(&mut text, &head, rows.map(times));
        }
        text += NOTES;
        text += "\n## Limits\n\nFor scale, what a process takes on this machine that does less than any plugin could:\n";
        table(
            &mut text,
            &["what", "time"],
            self.limits
                .iter()
                .map(|(name, time)| vec![(*name).to_owned(), spread(*time)]),
        );
        text += "\n## System calls, programs and memory\n\nThis project / reference. Memory is the plugin's largest resident set.\n";
        let head = [
            "what",
            "verb",
            "system calls",
            "programs started",
            "memory, KiB",
        ];
        let costs = self
            .costs
            .iter()
            .flat_map(|(what, costs)| costs.iter().map(move |one| cost(what, one)));
        table(&mut text, &head, costs);
        text += "\n## Sizes\n";
        let sizes = sizes
            .iter()
            .map(|(name, ours, reference)| vec![format!("`{name}`"), kib(*ours), kib(*reference)]);
        table(
            &mut text,
            &["file", "this project, KiB", "reference, KiB"],
            sizes,
        );
        text += "\n## New connections\n\nNew TCP connections per second through the rules of 5,000 ports:\n";
        table(
            &mut text,
            &["backend", "through the first port", "through the last"],
            self.rates.iter().map(Rates::cells),
        );
        let count = thousands(u64::from(tool::COUNT));
        let _ = write!(
            text,
            "\n## cnictl\n\nOn a node with {count} attachments of two host ports each:\n"
        );
        let took = |took: &Took| {
            let command = format!("`cnictl {}`", took.command);
            vec![command, took.backend.to_owned(), spread(took.time)]
        };
        table(
            &mut text,
            &["command", "backend", "time"],
            self.tool.iter().map(took),
        );
        text
    }
}

fn times(row: &Row) -> Vec<String> {
    let (ours, reference) = (Spread::of(&row.ours), Spread::of(&row.reference));
    let ratio = ours
        .zip(reference)
        .map(|(ours, reference)| reference.median / ours.median);
    let what = [row.backend, &row.circumstance];
    let what: Vec<&str> = what.into_iter().filter(|part| !part.is_empty()).collect();
    vec![
        what.join(", "),
        thousands(u64::from(row.others)),
        row.verb.to_owned(),
        ours.map_or_else(none, spread),
        reference.map_or_else(none, spread),
        ratio.map_or_else(none, |ratio| format!("{ratio:.1}")),
        row.ours.len().to_string(),
    ]
}

fn cost(what: &str, costs: &Costs) -> Vec<String> {
    let pair = |pick: fn(&Cost) -> u64| {
        let reference = costs
            .reference
            .as_ref()
            .map_or_else(none, |cost| thousands(pick(cost)));
        format!("{} / {reference}", thousands(pick(&costs.ours)))
    };
    vec![
        what.to_owned(),
        costs.verb.to_owned(),
        pair(|cost| cost.calls as u64),
        pair(|cost| cost.programs as u64),
        pair(|cost| cost.peak),
    ]
}

fn none() -> String {
    "–".to_owned()
}

fn spread(Spread { median, low, high }: Spread) -> String {
    format!("{median:.2} ({low:.2}–{high:.2})")
}

fn kib(bytes: u64) -> String {
    thousands(bytes.div_ceil(1024))
}

/// `5000` as `5,000`.
pub fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}

fn table(text: &mut String, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
    *text += "\n";
    *text += &line(&head);
    *text += &line(&vec!["---".to_owned(); head.len()]);
    for row in rows {
        *text += &line(&row);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn found() -> Found {
        let sample = |ms| {
            let wall = Duration::from_millis(ms);
            Sample { wall, cpu: wall }
        };
        let row = Row {
            plugin: "portmap",
            backend: "nftables",
            others: 5000,
            circumstance: "1 port".to_owned(),
            verb: "ADD",
            ours: vec![sample(2)],
            reference: vec![sample(7)],
        };
        Found {
            rows: vec![row],
            ..Found::default()
        }
    }

    #[test]
    fn figures_have_a_line_for_each_side() {
        let lines = "portmap\tnftables\t5000\tADD\tours\t2.00\t2.00\t2.00\n\
                     portmap\tnftables\t5000\tADD\treference\t7.00\t7.00\t7.00\n";
        assert!(found().figures().ends_with(lines));
    }

    #[test]
    fn the_page_has_medians_spread_ratio_and_rounds() {
        let row =
            "| nftables, 1 port | 5,000 | ADD | 2.00 (2.00–2.00) | 7.00 (7.00–7.00) | 3.5 | 1 |\n";
        assert!(found().page(&[("tuning", 1, 2048)]).contains(row));
    }

    #[test]
    fn the_readme_has_five_rows_between_its_marks() {
        let text = format!("a{}old{}b", MARKS[0], MARKS[1]);
        let [before, after] = around(&text).unwrap();
        assert!(before.ends_with(MARKS[0]) && after.starts_with(MARKS[1]));
        let rows = found().selected();
        assert!(
            rows.ends_with("5,000 other pods | 2.00 / 7.00 | – / – | – / – |\n"),
            "{rows}"
        );
        assert_eq!(rows.lines().count(), 3 + SELECTED.len());
    }

    #[test]
    fn the_committed_page_has_the_same_notes() {
        let page = include_str!("../../../docs/performance.md");
        assert!(page.contains(NOTES));
    }

    #[test]
    fn numbers_are_cut_in_groups_of_three() {
        let cases = [(7, "7"), (1000, "1,000"), (1_234_567, "1,234,567")];
        assert!(
            cases
                .iter()
                .all(|(number, text)| thousands(*number) == *text)
        );
    }
}
