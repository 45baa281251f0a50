//! `dist sbom TARGET RUST MUSL`, with the versions of compiler and C library, and `dist notices TARGET`
//! print the documents of a release.

use std::io::{self, Write};
use std::process::ExitCode;

use dist::crates::{self, Crate};
use dist::sbom::Toolchain;
use dist::{notices, sbom};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let document = match words.as_slice() {
        ["sbom", target, rust, musl] => bill(target, &Toolchain { rust, musl }),
        ["notices", target] => texts(target),
        _ => Err(io::Error::other(
            "usage: dist sbom TARGET RUST MUSL, or dist notices TARGET",
        )),
    };
    match document.and_then(|text| io::stdout().write_all(text.as_bytes())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn bill(target: &str, toolchain: &Toolchain<'_>) -> io::Result<String> {
    let (all, built) = (crates::all()?, crates::built(target)?);
    let parts: Vec<&Crate> = all.iter().filter(|one| built.contains(&one.id())).collect();
    let bill = sbom::document(&parts, &crates::linked(target)?, target, toolchain);
    Ok(format!("{bill:#}\n"))
}

fn texts(target: &str) -> io::Result<String> {
    let (all, linked) = (crates::all()?, crates::linked(target)?);
    let parts: Vec<&Crate> = all
        .iter()
        .filter(|one| linked.contains(&one.id()))
        .collect();
    notices::document(&parts)
}
