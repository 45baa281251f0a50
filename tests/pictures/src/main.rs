//! The pictures of the documentation, made of committed figures: `make pictures`.
//!
//! | picture | figures |
//! | --- | --- |
//! | [`verbs`]: `add.svg`, `verbs.svg` | docs/performance.tsv, which `make bench` writes |
//! | [`latency`]: `latency.svg` | docs/pictures/latency.tsv |
//! | [`rate`]: `rate.svg` | docs/pictures/rate.tsv, which `make bench` writes |
//! | [`recording`]: `recording.svg` | docs/pictures/recording.cast, which `make recording` writes |
//! | [`packet`], [`house`] | none |

mod chart;
mod data;
mod house;
mod latency;
mod packet;
mod rate;
mod recording;
mod sheet;
mod verbs;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(io::stderr(), "pictures: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> io::Result<()> {
    for (name, text) in pictures()? {
        fs::write(directory().join(name), text)?;
    }
    Ok(())
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures")
}

/// Every picture, by its file's name.
fn pictures() -> io::Result<Vec<(&'static str, String)>> {
    let figures = directory().join("../performance.tsv");
    Ok(vec![
        ("add.svg", verbs::add(&figures)?),
        ("verbs.svg", verbs::all(&figures)?),
        (
            "latency.svg",
            latency::picture(&directory().join("latency.tsv"))?,
        ),
        ("rate.svg", rate::picture(&directory().join("rate.tsv"))?),
        (
            "recording.svg",
            recording::picture(&directory().join("recording.cast"))?,
        ),
        ("packet.svg", packet::picture()),
        ("house.svg", house::picture()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_pictures_are_what_the_program_makes() {
        let mut made: Vec<_> = pictures().unwrap();
        made.sort();
        let entries = fs::read_dir(directory()).unwrap().flatten();
        let paths = entries.map(|entry| entry.path());
        let mut committed: Vec<PathBuf> = paths
            .filter(|path| path.extension().is_some_and(|end| end == "svg"))
            .collect();
        committed.sort();
        let names = committed
            .iter()
            .filter_map(|path| path.file_name()?.to_str());
        assert!(
            names.eq(made.iter().map(|(name, _)| *name)),
            "{committed:?}"
        );
        for (path, (name, text)) in committed.iter().zip(made) {
            let is_same = fs::read_to_string(path).unwrap() == text;
            assert!(is_same, "{name} is of other figures: make pictures");
        }
    }
    /// A page shows a picture at the width of its text at most: 358 pixels on a phone of 390. Letters of 13
    /// pixels, the smallest that are drawn, must have 7 there.
    #[test]
    fn every_picture_can_be_read_on_a_phone() {
        for (name, text) in pictures().unwrap() {
            let (_, after) = text.split_once("viewBox=\"0 0 ").unwrap();
            let (width, _) = after.split_once(' ').unwrap();
            let width: f64 = width.parse().unwrap();
            let letters = 13.0 * 358.0 / width;
            assert!(letters >= 7.0, "{name}: {width} wide, letters of {letters}");
        }
    }
}
