//! Completions for shells, made from the same commands as the help.

use super::args::Args;
use super::{Command, Failure, print};

/// The command, for the help.
pub const COMMAND: Command = Command {
    name: "completions",
    arguments: "bash|zsh|fish",
    about: "print completions for a shell",
    options: &[],
    // Never called: the commands themselves are needed, and `dispatch` has them.
    run: |args| args.none().map(|()| 0),
};

/// Prints the completions for one shell.
pub fn run(plugin: &str, commands: &[Command], args: Args) -> Result<u8, Failure> {
    let shell = args.one("the shell")?;
    match shell.as_str() {
        "bash" => print(&bash(plugin, commands)),
        // zsh reads bash's by its own bashcompinit.
        "zsh" => print(&format!(
            "#compdef {plugin}\nautoload -U +X bashcompinit && bashcompinit\n{}",
            bash(plugin, commands)
        )),
        "fish" => print(&fish(plugin, commands)),
        _ => Err(Failure::Usage(format!(
            "{shell:?} is none of bash, zsh, fish"
        ))),
    }
}

/// The word of an option, without the name of its value.
fn word(option: &str) -> &str {
    option.split(' ').next().unwrap_or(option)
}

fn bash(plugin: &str, commands: &[Command]) -> String {
    let names: Vec<&str> = commands.iter().map(|command| command.name).collect();
    let cases: String = commands
        .iter()
        .map(|command| {
            let words: Vec<&str> = command.options.iter().map(|(o, _)| word(o)).collect();
            let words = match command.name {
                "completions" => "bash zsh fish".to_owned(),
                _ => words.join(" "),
            };
            format!("    {}) words=\"{words} --help\" ;;\n", command.name)
        })
        .collect();
    format!(
        "_{plugin}() {{\n  local words current=\"${{COMP_WORDS[COMP_CWORD]}}\"\n  \
         case \"${{COMP_WORDS[1]}}\" in\n{cases}    \
         *) words=\"{} --help --version\" ;;\n  esac\n  \
         [ \"$COMP_CWORD\" -eq 1 ] && words=\"{} --help --version\"\n  \
         COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}}\n\
         complete -o default -F _{plugin} {plugin}\n",
        names.join(" "),
        names.join(" ")
    )
}

fn fish(plugin: &str, commands: &[Command]) -> String {
    let mut lines = Vec::new();
    for Command {
        name,
        about,
        options,
        ..
    } in commands
    {
        lines.push(format!(
            "complete -c {plugin} -n __fish_use_subcommand -a {name} -d '{about}'\n"
        ));
        for (option, told) in *options {
            let long = word(option).trim_start_matches('-');
            lines.push(format!(
                "complete -c {plugin} -n '__fish_seen_subcommand_from {name}' -l {long} -d \"{told}\"\n"
            ));
        }
    }
    lines.concat()
}
