//! The runtime under test.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// Whose command line it is. What a case expects does not depend on it; it is for words that only one of them has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The reference.
    Runc,
    /// The one in C.
    Crun,
    /// Ours.
    Sampan,
}

/// A runtime, by the words that start it.
pub(crate) struct Runtime {
    words: Vec<String>,
    pub(crate) kind: Kind,
}

impl Runtime {
    /// Its command line without options.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        // What the caller of the suite has of these would be the runtime's otherwise.
        for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "XDG_RUNTIME_DIR"] {
            command.env_remove(name);
        }
        command
    }

    /// Where its program lies.
    pub(crate) fn program(&self) -> &Path {
        Path::new(&self.words[0])
    }
}

/// The runtime that `SAMPAN_OCI_RUNTIME` (words) and `SAMPAN_OCI_KIND` name; without them, ours as an earlier debug build left it.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let words: Vec<String> = match std::env::var("SAMPAN_OCI_RUNTIME") {
            Ok(words) => words.split_whitespace().map(str::to_owned).collect(),
            Err(_) => {
                let shim = sampan_tests::places::program().with_file_name("sampan-shim");
                vec![shim.to_str().expect("a path in UTF-8").to_owned(), "oci".to_owned()]
            }
        };
        assert!(Path::new(&words[0]).is_absolute(), "SAMPAN_OCI_RUNTIME has to begin with an absolute path");
        let kind = match std::env::var("SAMPAN_OCI_KIND").as_deref() {
            Ok("runc") => Kind::Runc,
            Ok("crun") => Kind::Crun,
            Ok("sampan") | Err(_) => Kind::Sampan,
            Ok(other) => panic!("SAMPAN_OCI_KIND is {other:?}, not runc, crun or sampan"),
        };
        Runtime { words, kind }
    })
}
