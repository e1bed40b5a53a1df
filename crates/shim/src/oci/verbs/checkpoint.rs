//! `checkpoint`: a running container to files.

use crate::oci::{
    call::Call,
    command::{Command, Count, PLAIN},
    criu::{self, refused},
    kept::Held,
    notify,
    place::Lock,
    remove,
    words::{Flag, Kind, Order, Words},
};
use sampan_runtime::{
    Bundle, Rootfs,
    checkpoint::{CheckpointOptions, PageServer},
};
use sampan_types::Result;
use std::process::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "checkpoint",
    summary: "save a running container to files",
    operands: "<container-id>",
    count: Count::Exactly(1),
    about: "\
Saves the processes of a container with their memory to images, from which
\"restore\" makes it again, here or elsewhere. The container has ended afterwards
and is removed, unless --leave-running or --pre-dump is given. CRIU is needed.
",
    flags: &[
        Flag::text("image-path", "directory for the images; \"checkpoint\" where not given"),
        criu::WORK_PATH,
        Flag::text("parent-path", "images of an earlier --pre-dump, relative to the new ones"),
        Flag::switch("leave-running", "let the container go on afterwards"),
        criu::TCP_ESTABLISHED,
        Flag::switch("tcp-skip-in-flight", "pass over TCP connections that are being made"),
        Flag::switch("link-remap", "give files without a name one for the time of the checkpoint"),
        criu::EXT_UNIX_SK,
        criu::SHELL_JOB,
        criu::LAZY_PAGES,
        Flag::new(
            Kind::Integer,
            "status-fd",
            "descriptor that a zero byte is written to once lazy pages can be asked for",
        )
        .default("-1"),
        Flag::text("page-server", "ADDRESS:PORT of the host that memory is sent to"),
        criu::FILE_LOCKS,
        Flag::switch("pre-dump", "save memory only, and let the container go on"),
        criu::MANAGE_CGROUPS,
        criu::EMPTY_NS,
        criu::AUTO_DEDUP,
    ],
    order: Order::Anywhere,
    failure: PLAIN,
    enters: false,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    let held = Held::open(call, words.id(), Lock::Alone)?;
    let options = options(call, words)?;
    let Held { place, mut spec, container, bundle, .. } = held;
    notify::complete(&place, &mut spec);
    let made_from = Bundle { id: words.id(), spec: &spec, path: &bundle, rootfs: Rootfs::Spec };
    container.checkpoint(made_from, &options)?;
    if !(options.leave_running || options.pre_dump) {
        remove::remove(call, container, place)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn options(call: &Call, words: &Words) -> Result<CheckpointOptions> {
    let status_fd = words.integer("status-fd").filter(|number| *number >= 0);
    let status_fd = status_fd.map(|number| {
        let open = i32::try_from(number).ok().filter(|number| sampan_sys::exec::is_inherited(*number));
        open.ok_or_else(|| refused(format!("descriptor {number} of --status-fd is not open")))
    });
    Ok(CheckpointOptions {
        criu: criu::options(call, words)?,
        parent: words.text("parent-path").map(Into::into),
        leave_running: words.switch("leave-running"),
        pre_dump: words.switch("pre-dump"),
        tcp_skip_in_flight: words.switch("tcp-skip-in-flight"),
        link_remap: words.switch("link-remap"),
        status_fd: status_fd.transpose()?,
        page_server: words.text("page-server").map(page_server).transpose()?,
    })
}

/// The sentences are runc's.
fn page_server(text: &str) -> Result<PageServer> {
    let Some((address, port)) = text.rsplit_once(':').filter(|(address, _)| !address.is_empty()) else {
        return Err(refused("Use --page-server ADDRESS:PORT to specify page server"));
    };
    // An address of IPv6 stands in brackets before a port.
    let address = address.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = port.parse().map_err(|_| refused("Invalid port number"))?;
    Ok(PageServer { address, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_server_has_an_address_and_a_port() {
        let server = |address: &str, port| PageServer { address: address.to_owned(), port };
        assert_eq!(page_server("127.0.0.1:27").unwrap(), server("127.0.0.1", 27));
        assert_eq!(page_server("[::1]:27").unwrap(), server("::1", 27));
        for (text, why) in [
            ("host", "Use --page-server ADDRESS:PORT to specify page server"),
            (":27", "Use --page-server ADDRESS:PORT to specify page server"),
            ("host:x", "Invalid port number"),
            ("host:70000", "Invalid port number"),
        ] {
            assert_eq!(page_server(text).unwrap_err().to_string(), why, "{text}");
        }
    }
}
