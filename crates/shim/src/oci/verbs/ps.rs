//! `ps`: a container's processes, as ps(1) of the host shows them.

use crate::oci::{
    call::Call,
    command::{Command, Count, PLAIN},
    global::show,
    kept::Held,
    place::Lock,
    words::{Flag, Order, Words},
};
use sampan_types::{Error, ErrorKind, Result};
use std::process::{ExitCode, Stdio};

pub(super) const COMMAND: Command = Command {
    name: "ps",
    summary: "show the processes of a container",
    operands: "<container-id> [ps options]",
    count: Count::AtLeast(1),
    about: "\
Shows the lines of ps(1) that are about the container's processes; options
after the id are for ps, and must let it show a column PID. As JSON: their
numbers.
",
    flags: &[Flag::text("format", "table or json").short("f").default("\"table\"")],
    order: Order::First,
    failure: PLAIN,
    enters: false,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    let held = Held::open(call, words.id(), Lock::None)?;
    let mut pids = held.container.cgroup().pids()?;
    match words.text("format") {
        None | Some("table") => {}
        Some("json") => {
            pids.sort_unstable();
            let text = serde_json::to_string(&pids)
                .map_err(|error| Error::new(ErrorKind::Internal, "cannot write the list").because(error))?;
            show(&(text + "\n"));
            return Ok(ExitCode::SUCCESS);
        }
        Some(_) => return Err(Error::new(ErrorKind::InvalidInput, "invalid format option")),
    }
    let options = match &words.arguments[1..] {
        [] => &["-ef".to_owned()][..],
        given => given,
    };
    show(&lines_about(&listed(options)?, &pids)?);
    Ok(ExitCode::SUCCESS)
}

fn listed(options: &[String]) -> Result<String> {
    let output = std::process::Command::new("ps").args(options).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Error::io("run ps", error).hint("install procps"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::new(ErrorKind::InvalidInput, format!("ps {}: {}", options.join(" "), output.status))
        .because(said))
}

/// The head, and the lines whose column PID has one of these numbers.
fn lines_about(listed: &str, pids: &[i32]) -> Result<String> {
    let mut lines = listed.lines();
    let head = lines.next().unwrap_or_default();
    let Some(column) = head.split_whitespace().position(|name| name == "PID") else {
        return Err(Error::new(ErrorKind::InvalidInput, "couldn't find PID field in ps output"));
    };
    let about = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|field| field.parse().ok());
        pid.is_some_and(|pid: i32| pids.contains(&pid))
    };
    Ok(std::iter::once(head).chain(lines.filter(about)).map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_about_the_container() {
        let listed = "UID  PID PPID CMD\nroot 1   0    init\nroot 42  1    sleep 1\nroot 7 42 x\n";
        assert_eq!(lines_about(listed, &[42]).unwrap(), "UID  PID PPID CMD\nroot 42  1    sleep 1\n");
        assert_eq!(lines_about(listed, &[]).unwrap(), "UID  PID PPID CMD\n");
        let error = lines_about("USER CMD\nroot x\n", &[1]).unwrap_err();
        assert_eq!(error.to_string(), "couldn't find PID field in ps output");
    }
}
