//! What stands before the command: options of every call, then the command is found and run.

use super::{
    call::Call,
    command::Command,
    help,
    log::Log,
    sealed, tell,
    verbs::COMMANDS,
    words::{Flag, Order, Words},
};
use sampan_types::{Error, ErrorKind, Result};
use std::{fs::File, io::Write as _, process::ExitCode};

/// The name under which this program is an OCI runtime.
pub(super) const NAME: &str = "sampan-runc";

/// This program's version; what follows the plus sign tells it from others that say `runc`.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "+sampan");

/// What the program's help says of it.
pub(super) const ABOUT: &str = "\
sampan-runc starts and supervises containers from OCI bundles: a directory with
a \"config.json\" and a root file system. It has the command line of runc, so
that podman, containerd, Docker and CRI-O can use it in its place.

    # sampan-runc run --bundle DIRECTORY <container-id>

makes a container and stays with it until its program has ended.
";

/// Options of every call.
pub(super) const FLAGS: &[Flag] = &[
    Flag::switch("debug", "log every step"),
    Flag::text("log", "file to write the log to").default("\"/dev/stderr\""),
    Flag::text("log-format", "text or json").default("\"text\""),
    Flag::text("root", "directory for the state of containers, best on tmpfs")
        .default("\"/run/sampan-runc\""),
    Flag::switch(
        "systemd-cgroup",
        "have systemd make control groups; cgroupsPath is then \"slice:prefix:name\"",
    ),
    Flag::text("rootless", "pass over control groups that may not be changed: true, false or auto")
        .default("\"auto\""),
    Flag::text(
        "criu",
        "program of CRIU, for checkpoint and restore; $SAMPAN_CRIU, or the one in PATH, where not given",
    ),
];

/// No such command: the code that callers know.
const NO_TOPIC: u8 = 3;

/// Does what the words say.
pub(super) fn run(program: &str, words: &[String]) -> ExitCode {
    let words = match Words::parse(&with_version(), Order::First, words) {
        Ok(words) => words,
        Err(wrong) => {
            show(&format!("Incorrect Usage. {wrong}\n\n{}", help::program()));
            Log::default().error(&wrong);
            return ExitCode::FAILURE;
        }
    };
    if words.switch("version") {
        show(&format!(
            "runc version {VERSION}\ncommit: sampan-{}\nspec: {}\n",
            env!("CARGO_PKG_VERSION"),
            sampan_types::spec::VERSION
        ));
        return ExitCode::SUCCESS;
    }
    let command = words.arguments.first().and_then(|name| find(name)).filter(|_| !words.help);
    // Before anything is opened, since all is done again.
    if command.is_some_and(|command| command.enters)
        && let Err(error) = sealed::ensure()
    {
        Log::default().error(&tell::sentence(&error));
        return ExitCode::FAILURE;
    }
    let call = match open(program, &words) {
        Ok(call) => call,
        Err(error) => {
            Log::default().error(&tell::sentence(&error));
            return ExitCode::FAILURE;
        }
    };
    match words.arguments.split_first() {
        Some((name, rest)) if !words.help => dispatch(&call, name, rest),
        _ => {
            show(&help::program());
            ExitCode::SUCCESS
        }
    }
}

fn with_version() -> Vec<Flag> {
    FLAGS.iter().copied().chain([Flag::switch("version", "").short("v")]).collect()
}

fn open(program: &str, words: &Words) -> Result<Call> {
    let json = match words.text("log-format") {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => {
            return Err(Error::new(ErrorKind::InvalidInput, format!("invalid log-format: {other}")));
        }
    };
    let file = words.text("log").map(|path| {
        let file = File::options().create(true).append(true).open(path);
        file.map_err(|error| Error::io(format!("open {path}"), error))
    });
    let given = words.text("root");
    // The working directory will be the bundle's.
    let root = given.map(std::path::absolute).transpose();
    let root = root.map_err(|error| Error::io("find the directory of --root", error))?;
    Ok(Call {
        program: program.to_owned(),
        root: root.unwrap_or_else(Call::default_root),
        root_given: given.is_some(),
        log: Log { file: file.transpose()?, json, debug: words.switch("debug") },
        systemd: words.switch("systemd-cgroup"),
        rootless: words.text("rootless") == Some("true"),
        criu: words.text("criu").map(Into::into),
    })
}

fn dispatch(call: &Call, name: &str, rest: &[String]) -> ExitCode {
    match (find(name), name, rest) {
        (Some(command), ..) => run_command(call, command, rest),
        (None, "help" | "h", []) => {
            show(&help::program());
            ExitCode::SUCCESS
        }
        (None, "help" | "h", [topic, ..]) => match find(topic) {
            Some(command) => {
                show(&help::command(command));
                ExitCode::SUCCESS
            }
            None => no_topic(call, topic),
        },
        (None, ..) => no_topic(call, name),
    }
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().copied().find(|command| command.name == name)
}

fn no_topic(call: &Call, topic: &str) -> ExitCode {
    call.log.error(&format!("No help topic for '{topic}'"));
    ExitCode::from(NO_TOPIC)
}

fn run_command(call: &Call, command: &Command, rest: &[String]) -> ExitCode {
    let words = match Words::parse(command.flags, command.order, rest) {
        Ok(words) => words,
        Err(wrong) => {
            show(&format!("Incorrect Usage: {wrong}\n\n{}", help::command(command)));
            call.log.error(&wrong);
            return ExitCode::FAILURE;
        }
    };
    if words.help {
        show(&help::command(command));
        return ExitCode::SUCCESS;
    }
    if let Some(wrong) = command.count.refuse(&call.program, command.name, words.arguments.len()) {
        show(&format!("Incorrect Usage.\n\n{}", help::command(command)));
        call.log.error(&wrong);
        return ExitCode::FAILURE;
    }
    call.log.debug(|| format!("{} {}: {}", command.name, rest.join(" "), call.root.display()));
    match (command.run)(call, &words) {
        Ok(code) => code,
        Err(error) => {
            call.log.error(&format!("{}{}", command.failure.prefix, tell::sentence(&error)));
            ExitCode::from(command.failure.code)
        }
    }
}

/// To standard output, which may be closed.
pub(super) fn show(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
