//! Tables of figures: columns separated by tabs, the first line names them, `#` begins a comment.

use std::fs;
use std::io;
use std::path::Path;

/// The rows of a table, without its head.
///
/// # Errors
/// When the file cannot be read, or a row has another number of columns than the head.
pub fn rows<const COLUMNS: usize>(path: &Path) -> io::Result<Vec<[String; COLUMNS]>> {
    let fault = |what: &str| io::Error::other(format!("{}: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| fault(&error.to_string()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let rows = lines.skip(1).map(|line| {
        let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
        cells
            .try_into()
            .map_err(|_| fault(&format!("not {COLUMNS} columns: {line}")))
    });
    rows.collect()
}

/// A figure; none for an empty cell.
///
/// # Errors
/// When it is no number.
pub fn figure(cell: &str) -> io::Result<Option<f64>> {
    match cell {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| io::Error::other(format!("not a number: {text}"))),
    }
}
