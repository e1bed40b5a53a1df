//! What `checkpoint` and `restore` say to CRIU: their options that are the same.

use super::{
    call::Call,
    words::{Flag, Kind, Words},
};
use sampan_runtime::checkpoint::{CgroupMode, Criu};
use sampan_types::{Error, ErrorKind, Result};
use std::path::PathBuf;

pub(super) const WORK_PATH: Flag = Flag::text("work-path", "directory for CRIU's log and work files");
pub(super) const TCP_ESTABLISHED: Flag = Flag::switch("tcp-established", "keep open TCP connections");
pub(super) const EXT_UNIX_SK: Flag =
    Flag::switch("ext-unix-sk", "allow Unix sockets that are connected to outside");
pub(super) const SHELL_JOB: Flag =
    Flag::switch("shell-job", "allow a session and a terminal that the container does not have for itself");
pub(super) const FILE_LOCKS: Flag = Flag::switch("file-locks", "keep file locks");
pub(super) const MANAGE_CGROUPS: Flag = Flag::text(
    "manage-cgroups-mode",
    "what happens to control groups and their properties: soft, full, strict or ignore",
);
pub(super) const EMPTY_NS: Flag =
    Flag::new(Kind::List, "empty-ns", "namespace that is made empty at the restore: network");
pub(super) const AUTO_DEDUP: Flag =
    Flag::switch("auto-dedup", "take memory out of older images where there is newer one");
pub(super) const LAZY_PAGES: Flag =
    Flag::switch("lazy-pages", "memory follows when it is touched (userfaultfd)");

/// The environment variable that names CRIU's program.
const PROGRAM: &str = "SAMPAN_CRIU";

/// Where images are that are not said to be elsewhere.
const IMAGES: &str = "checkpoint";

/// Reads them. Paths become absolute: relative ones start at the caller's working directory, not at the bundle.
pub(super) fn options(call: &Call, words: &Words) -> Result<Criu> {
    let environment = || std::env::var_os(PROGRAM).filter(|path| !path.is_empty()).map(PathBuf::from);
    let mut empty_network = false;
    for kind in words.all("empty-ns") {
        match kind {
            "network" => empty_network = true,
            kind => return Err(refused(format!("namespace {kind:?} is not supported"))),
        }
    }
    Ok(Criu {
        program: call.criu.clone().or_else(environment),
        images: absolute(words.text("image-path").unwrap_or(IMAGES))?,
        work: words.text("work-path").map(absolute).transpose()?,
        tcp_established: words.switch("tcp-established"),
        ext_unix_sk: words.switch("ext-unix-sk"),
        shell_job: words.switch("shell-job"),
        file_locks: words.switch("file-locks"),
        auto_dedup: words.switch("auto-dedup"),
        lazy_pages: words.switch("lazy-pages"),
        cgroups: match words.text("manage-cgroups-mode") {
            None => CgroupMode::Usual,
            Some("soft") => CgroupMode::Soft,
            Some("full") => CgroupMode::Full,
            Some("strict") => CgroupMode::Strict,
            Some("ignore") => CgroupMode::Ignore,
            Some(_) => return Err(refused("invalid manage-cgroups-mode value")),
        },
        empty_network,
    })
}

fn absolute(path: &str) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::io(format!("find the path of {path}"), error))
}

/// Options without a meaning.
pub(super) fn refused(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{log::Log, words::Order};

    fn read(words: &[&str]) -> Result<Criu> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let flags = [MANAGE_CGROUPS, EMPTY_NS, WORK_PATH, Flag::text("image-path", "")];
        let call = Call {
            program: String::new(),
            root: PathBuf::new(),
            root_given: false,
            log: Log::default(),
            systemd: false,
            rootless: false,
            criu: Some("/x/criu".into()),
        };
        options(&call, &Words::parse(&flags, Order::Anywhere, &words).unwrap())
    }

    #[test]
    fn options_are_read_and_paths_are_the_callers() {
        let criu =
            read(&["--manage-cgroups-mode", "ignore", "--empty-ns=network", "--work-path", "w"]).unwrap();
        assert_eq!(criu.cgroups, CgroupMode::Ignore);
        assert!(criu.empty_network);
        assert_eq!(criu.program, Some("/x/criu".into()));
        let here = std::env::current_dir().unwrap();
        assert_eq!((criu.images, criu.work), (here.join("checkpoint"), Some(here.join("w"))));
    }

    #[test]
    fn what_has_no_meaning_is_refused_in_callers_words() {
        let text = |words: &[&str]| read(words).unwrap_err().to_string();
        assert_eq!(text(&["--manage-cgroups-mode", "x"]), "invalid manage-cgroups-mode value");
        assert_eq!(text(&["--empty-ns", "uts"]), "namespace \"uts\" is not supported");
    }
}
