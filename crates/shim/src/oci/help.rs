//! The help, made from the table of commands.

use super::{
    command::Command,
    global,
    verbs::COMMANDS,
    words::{Flag, Kind},
};
use std::fmt::Write as _;

/// The name that callers look for in the first lines of a help.
const NAME: &str = "runc";

/// The program's help.
pub(super) fn program() -> String {
    let commands = COMMANDS.iter().map(|command| (command.name, command.summary));
    let commands = columns(commands.chain([("help, h", "show this list, or the help of one command")]));
    let options = columns(rows(global::FLAGS, &[VERSION]));
    format!(
        "NAME:\n   {NAME} - Open Container Initiative runtime\n\n{}\nUSAGE:\n   {} [global options] command \
         [command options] [arguments...]\n\nVERSION:\n   {}\n\nCOMMANDS:\n{commands}\nGLOBAL OPTIONS:\n{options}",
        global::ABOUT,
        global::NAME,
        global::VERSION,
    )
}

/// A command's help.
pub(super) fn command(command: &Command) -> String {
    let shown = command.flags.iter().any(|flag| !flag.hidden);
    let options = if shown { " [command options]" } else { "" };
    let mut text = format!(
        "NAME:\n   {NAME} {name} - {}\n\nUSAGE:\n   {} {name}{options} {}\n",
        command.summary,
        global::NAME,
        command.operands,
        name = command.name,
    );
    if !command.about.is_empty() {
        text += "\n";
        text += command.about;
    }
    // Writing to a string cannot fail.
    let _ = write!(text, "\nOPTIONS:\n{}", columns(rows(command.flags, &[])));
    text
}

const HELP: Flag = Flag::switch("help", "show this help").short("h");
const VERSION: Flag = Flag::switch("version", "show the version").short("v");

fn rows(flags: &'static [Flag], more: &[Flag]) -> impl Iterator<Item = (String, String)> {
    let shown = flags.iter().filter(|flag| !flag.hidden).copied();
    shown
        .chain([HELP])
        .chain(more.iter().copied())
        .map(|flag| {
            let value = if flag.kind == Kind::Switch { "" } else { " value" };
            let short = flag.short.map_or(String::new(), |short| format!(", -{short}{value}"));
            let default = flag.default.map_or(String::new(), |default| format!(" (default: {default})"));
            (format!("--{}{value}{short}", flag.name), format!("{}{default}", flag.help))
        })
        .collect::<Vec<_>>()
        .into_iter()
}

/// Two columns, the second one aligned.
fn columns(rows: impl Iterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> String {
    let rows: Vec<_> = rows.collect();
    let width = rows.iter().map(|(left, _)| left.as_ref().len()).max().unwrap_or(0);
    rows.iter().fold(String::new(), |mut text, (left, right)| {
        let _ = writeln!(text, "   {:width$}  {}", left.as_ref(), right.as_ref());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_help_begins_as_callers_know_it_and_lists_every_command() {
        let text = program();
        assert!(text.starts_with("NAME:\n   runc - Open Container Initiative runtime\n"), "{text}");
        for command in COMMANDS {
            assert!(text.contains(&format!("\n   {} ", command.name)), "{}", command.name);
        }
        for option in ["--root value", "--log-format value", "--help, -h", "--version, -v"] {
            assert!(text.contains(option), "{option}");
        }
    }

    #[test]
    fn a_commands_help_has_its_options_in_columns() {
        for known in COMMANDS {
            let text = command(known);
            assert!(text.starts_with(&format!("NAME:\n   runc {} - ", known.name)), "{text}");
            assert!(text.ends_with('\n'));
        }
        let delete = COMMANDS.iter().find(|command| command.name == "delete").unwrap();
        let text = command(delete);
        assert!(text.contains("\n   --force, -f  "), "{text}");
        assert!(text.contains("\n   --help, -h   "), "{text}");
    }
}
