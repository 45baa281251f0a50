//! What `--help` says.

use super::Command;

/// Everything, in short.
pub fn all(plugin: &str, commands: &[Command]) -> String {
    let lines: Vec<(String, &str)> = commands
        .iter()
        .map(|command| {
            let Command {
                name, arguments, ..
            } = command;
            (
                format!("{name} {arguments}").trim().to_owned(),
                command.about,
            )
        })
        .collect();
    format!(
        "{plugin} {}: a CNI plugin. Container runtimes call it with CNI_COMMAND set; the commands\n\
         below are for people.\n\n\
         usage: {plugin} COMMAND [OPTIONS]\n\n{}\n\
         {plugin} COMMAND --help tells a command's options.\n",
        env!("CARGO_PKG_VERSION"),
        aligned(lines.iter().map(|(left, right)| (left.as_str(), *right)))
    )
}

/// One command in full.
pub fn one(plugin: &str, command: &Command) -> String {
    let Command {
        name,
        arguments,
        about,
        options,
        run: _,
    } = command;
    let usage = format!("{plugin} {name} {arguments}");
    format!(
        "{about}\n\nusage: {}\n\n{}",
        usage.trim(),
        aligned(options.iter().copied())
    )
}

fn aligned<'a>(lines: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> String {
    let width = lines.clone().map(|(left, _)| left.len()).max().unwrap_or(0);
    lines
        .map(|(left, right)| format!("  {left:width$}  {right}\n"))
        .collect()
}
