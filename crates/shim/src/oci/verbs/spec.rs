//! `spec`: a configuration to begin with.

use crate::oci::{
    call::Call,
    command::{Command, Count, PLAIN},
    words::{Flag, Order, Words},
};
use sampan_types::{Error, ErrorKind, Result};
use std::{fs, io::Write as _, path::Path, process::ExitCode};

mod document;

pub(super) const COMMAND: Command = Command {
    name: "spec",
    summary: "write a config.json to begin with",
    operands: "",
    count: Count::Exactly(0),
    about: "\
Writes a config.json for a shell with a terminal and a read-only root file
system in the directory \"rootfs\". Change it to what is needed: mostly
process.args. With --rootless it is for an ordinary user: a user namespace
whose root is who calls, and nothing that needs more rights.
",
    flags: &[
        Flag::text("bundle", "directory to write it to").short("b"),
        Flag::switch("rootless", "for an ordinary user"),
    ],
    order: Order::Anywhere,
    failure: PLAIN,
    enters: false,
    run,
};

fn run(_: &Call, words: &Words) -> Result<ExitCode> {
    let bundle = words.text("bundle").unwrap_or(".");
    if !Path::new(bundle).is_dir() {
        let error = fs::metadata(bundle).err().unwrap_or(std::io::ErrorKind::NotADirectory.into());
        return Err(Error::io(format!("chdir {bundle}"), error));
    }
    let document = document::new(words.switch("rootless"));
    let text = written(&document)?;
    let path = Path::new(bundle).join("config.json");
    let file = fs::File::options().write(true).create_new(true).open(&path);
    file.and_then(|mut file| file.write_all(&text)).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::new(ErrorKind::AlreadyExists, "File config.json exists. Remove it first")
        }
        _ => Error::io(format!("write {}", path.display()), error),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// JSON with tabs, as editors of this file know it.
fn written(document: &sampan_types::spec::Spec) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(document, &mut serializer)
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot write config.json").because(error))?;
    Ok(text)
}
