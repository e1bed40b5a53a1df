//! `list`: the containers of a root.

use crate::oci::{
    call::Call,
    command::{Command, Count, PLAIN},
    global::show,
    kept::{Held, Shown, word},
    place::Lock,
    words::{Flag, Order, Words},
};
use sampan_types::{Error, ErrorKind, Result};
use std::{collections::BTreeMap, fs, io, process::ExitCode};

pub(super) const COMMAND: Command = Command {
    name: "list",
    summary: "list the containers of a root",
    operands: "",
    count: Count::Exactly(0),
    about: "Lists the containers whose state is kept in the directory that --root names.\n",
    flags: &[
        Flag::text("format", "table or json").short("f").default("\"table\""),
        Flag::switch("quiet", "show ids only").short("q"),
    ],
    order: Order::Anywhere,
    failure: PLAIN,
    enters: false,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    let shown = containers(call)?;
    let text = match words.text("format") {
        _ if words.switch("quiet") => shown.iter().map(|one| format!("{}\n", one.id)).collect(),
        None | Some("table") => table(&shown),
        // Callers know an empty list as `null`.
        Some("json") if shown.is_empty() => "null".to_owned(),
        Some("json") => serde_json::to_string(&shown)
            .map_err(|error| Error::new(ErrorKind::Internal, "cannot write the list").because(error))?,
        Some(_) => return Err(Error::new(ErrorKind::InvalidInput, "invalid format option")),
    };
    show(&text);
    Ok(ExitCode::SUCCESS)
}

/// Every container of the root by its id. One that is just made or removed by another command is none.
fn containers(call: &Call) -> Result<Vec<Shown>> {
    let entries = match fs::read_dir(&call.root) {
        Ok(entries) => entries,
        // No container has ever been made.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !call.root_given => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(format!("open {}", call.root.display()), error)),
    };
    let mut ids: Vec<_> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    ids.sort_unstable();
    let mut names = Names::default();
    let mut shown = Vec::with_capacity(ids.len());
    for id in ids {
        let held = match Held::open(call, &id, Lock::None) {
            Ok(held) => held,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => continue,
            Err(error) => {
                call.log.warning(&format!("load container {id}: {}", crate::oci::tell::sentence(&error)));
                continue;
            }
        };
        let owner = names.of(held.place.owner()?);
        shown.push(held.shown(owner)?);
    }
    Ok(shown)
}

/// Users' names, from the host's `/etc/passwd`, which is read once.
#[derive(Default)]
struct Names(Option<BTreeMap<u32, String>>);

impl Names {
    fn of(&mut self, uid: u32) -> String {
        let names =
            self.0.get_or_insert_with(|| passwd(&fs::read_to_string("/etc/passwd").unwrap_or_default()));
        names.get(&uid).cloned().unwrap_or_else(|| format!("#{uid}"))
    }
}

fn passwd(text: &str) -> BTreeMap<u32, String> {
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
    };
    text.lines().rev().filter_map(entry).collect()
}

fn table(shown: &[Shown]) -> String {
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let row = |one: &Shown| {
        let bundle = one.bundle.display().to_string();
        let status = word(one.status).to_owned();
        [one.id.clone(), one.pid.to_string(), status, bundle, one.created.clone(), one.owner.clone()]
    };
    let rows: Vec<_> = std::iter::once(head).chain(shown.iter().map(row)).collect();
    align(&rows)
}

/// Columns at least twelve wide, three apart.
fn align<const N: usize>(rows: &[[String; N]]) -> String {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count() + 3).max().unwrap_or(0).max(12);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let width = if column + 1 == N { 0 } else { widths[column] };
            text += &format!("{cell:width$}");
        }
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_callers_cut_them() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let text = align(&[row(["ID", "PID", "OWNER"]), row(["a-longer-one", "1", "root"])]);
        assert_eq!(text, "ID             PID         OWNER\na-longer-one   1           root\n");
        assert_eq!(table(&[]), "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
    }

    #[test]
    fn owners_have_names() {
        let names = passwd("root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:\nlater:x:0:0::/:\nbroken\n");
        let mut names = Names(Some(names));
        assert_eq!(
            (names.of(0).as_str(), names.of(1000).as_str(), names.of(7).as_str()),
            ("root", "ann", "#7")
        );
    }
}
