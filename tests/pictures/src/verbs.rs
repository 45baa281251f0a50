//! What each verb of portmap takes on nodes with more and more pods, of the figures of `make bench`.

use std::io;
use std::path::Path;

use crate::chart::{Chart, Series, legend, thousands};
use crate::data::{figure, rows};
use crate::sheet::Sheet;

/// Numbers of other pods.
const PODS: [&str; 4] = ["0", "100", "1000", "5000"];
/// Backend, side, its name and how it is drawn.
const LINES: [(&str, &str, &str, &str); 5] = [
    ("nftables", "ours", "nftables", "c0"),
    ("iptables-nft", "ours", "iptables-nft", "c1"),
    ("iptables-legacy", "ours", "iptables-legacy", "c2"),
    (
        "iptables-nft",
        "reference",
        "reference 1.1.1, iptables-nft",
        "c3",
    ),
    (
        "iptables-legacy",
        "reference",
        "reference 1.1.1, iptables-legacy",
        "c3 dash",
    ),
];

/// ADD alone, for the README.
///
/// # Errors
/// When the figures cannot be read.
pub fn add(data: &Path) -> io::Result<String> {
    sheet(data, &["ADD"], "portmap: time of ADD on a full node")
}

/// All verbs.
///
/// # Errors
/// When the figures cannot be read.
pub fn all(data: &Path) -> io::Result<String> {
    sheet(
        data,
        &["ADD", "CHECK", "DEL"],
        "portmap: time of each verb on a full node",
    )
}

fn sheet(data: &Path, verbs: &[&str], title: &str) -> io::Result<String> {
    let rows = rows::<8>(data)?;
    let places = PODS.map(|pods| thousands(pods.parse().unwrap_or(0.0)));
    let panel = 250;
    let panels = i32::try_from(verbs.len()).unwrap_or(1);
    let height = 60 + panel * panels + 130;
    let about = format!("{title}; the figures are in docs/performance.md");
    let mut sheet = Sheet::new(560, height, title, &about);
    let mut names = Vec::new();
    for (verb, at) in verbs.iter().zip(0..) {
        let series = series(&rows, verb)?;
        let title = format!("{verb}, milliseconds");
        let chart = Chart {
            area: [60, 86 + panel * at, 480, panel - 80],
            places: &places,
            decades: (-1, 3),
            title: &title,
        };
        sheet = chart.draw(sheet, &series);
        names = series;
    }
    let below = 60 + panel * panels;
    let sheet = sheet.anchored(300, below + 2, "small", "middle", "other pods on the node");
    Ok(legend(sheet, (60, below + 26), &names).text())
}

/// Columns: plugin, backend, pods, verb, side, median, tenth and ninetieth hundredth, in milliseconds.
fn series(rows: &[[String; 8]], verb: &str) -> io::Result<Vec<Series>> {
    let value = |backend: &str, side: &str, pods: &str| {
        let wanted = ["portmap", backend, pods, verb, side];
        let found = rows
            .iter()
            .find(|row| row.iter().zip(wanted).all(|(cell, one)| cell == one));
        found.map_or(Ok(None), |row| figure(&row[5]))
    };
    LINES
        .into_iter()
        .map(|(backend, side, name, class)| {
            let values = PODS.map(|pods| value(backend, side, pods));
            Ok(Series {
                name: name.to_owned(),
                class: class.to_owned(),
                values: values.into_iter().collect::<io::Result<_>>()?,
            })
        })
        .collect()
}
