//! `dist sbom TARGET` and `dist notices TARGET` print the documents of a release.

use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};

use dist::crates::{self, Crate};
use dist::sbom::Toolchain;
use dist::{notices, sbom};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let document = match words.as_slice() {
        ["sbom", target] => bill(target),
        ["notices", target] => texts(target),
        _ => Err(io::Error::other("usage: dist sbom|notices TARGET")),
    };
    match document.and_then(|text| io::stdout().write_all(text.as_bytes())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn bill(target: &str) -> io::Result<String> {
    let (all, built) = (crates::all()?, crates::built(target)?);
    let parts: Vec<&Crate> = all.iter().filter(|one| built.contains(&one.id())).collect();
    let bill = sbom::document(&parts, &crates::linked(target)?, target, &toolchain()?);
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

/// Asks the compilers that build the release: `RUSTC` and `CC`.
fn toolchain() -> io::Result<Toolchain> {
    let rust = run("RUSTC", "rustc", &["--version"], "")?;
    let source = "#include <features.h>\nversion __GLIBC__.__GLIBC_MINOR__\n";
    let preprocessed = run("CC", "cc", &["-E", "-P", "-"], source)?;
    let glibc = preprocessed
        .lines()
        .find_map(|line| line.strip_prefix("version "))
        .ok_or_else(|| io::Error::other("cc does not say which glibc it links"))?;
    Ok(Toolchain {
        rust: rust.trim_start_matches("rustc ").trim_end().to_owned(),
        glibc: glibc.replace(' ', ""),
    })
}

fn run(variable: &str, default: &str, arguments: &[&str], stdin: &str) -> io::Result<String> {
    let program = std::env::var_os(variable).unwrap_or_else(|| default.into());
    let mut child = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|cause| io::Error::other(format!("{}: {cause}", program.display())))?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(stdin.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
