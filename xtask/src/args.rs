//! The words of `cargo xtask`.

use clap::{Parser, Subcommand, ValueEnum};

/// The project's own tool.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", max_term_width = 100)]
pub(crate) struct Xtask {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What the tool can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Install the Debian packages that the other verbs need, and say why; nothing when all are there
    Setup {
        /// Which needs to meet; all but `bench` when none is given
        #[arg(value_enum)]
        groups: Vec<Group>,
    },
    /// Show an app container and a system container side by side, then remove everything
    Demo {
        /// Leave the demonstration's containers and its state where they are
        #[arg(long)]
        keep: bool,
    },
    /// Pass all tests: format, lints, tidy, unit tests, end-to-end tests on this host and in a VM
    Test {
        /// Where to run: on this machine, in the cgroup v2 VM, or both
        #[arg(long, value_enum, default_value_t = Lane::All)]
        lane: Lane,
        /// Run only the tests whose name contains this
        filter: Option<String>,
    },
    /// Hold our OCI runtime against runc and crun, case by case, and write docs/dev/conformance.md
    Conformance {
        /// Run only the cases whose name contains this, and write nothing
        filter: Option<String>,
    },
    /// Check the rules that the compiler does not know: crate edges, no async in the sync rings, licences
    Tidy,
    /// Run a command in a small VM with cgroup v2 and systemd
    Vm {
        /// The Debian release of the VM, its kernel included
        #[arg(long, default_value = "bookworm")]
        release: String,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Measure against crun, runc, docker, podman and lxc, interleaved in one run
    Bench {
        /// What to measure
        #[arg(value_enum)]
        what: Measure,
        /// How many times each contender runs
        #[arg(long, default_value_t = 20)]
        rounds: u32,
        /// Install the peers that are missing first
        #[arg(long)]
        install: bool,
    },
}

/// A set of packages that serves one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// What `cargo xtask demo` needs.
    Demo,
    /// What the tests on this host need.
    Test,
    /// What the VM lane needs.
    Vm,
    /// The peers to measure against.
    Bench,
}

/// Where the end-to-end tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lane {
    /// This machine, with the cgroup layout it has.
    Host,
    /// The VM, with cgroup v2.
    Vm,
    /// Both.
    All,
}

/// What `bench` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// A bare bundle: run; create, start and delete; exec; a hundred at once.
    Oci,
    /// From the command to the end of `true`, without and with network.
    Start,
    /// A command in a container that runs.
    Exec,
    /// Memory of the processes beside an idle container.
    Memory,
}

impl Measure {
    /// The word as typed, handed on to the bench program.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::Start => "start",
            Self::Exec => "exec",
            Self::Memory => "memory",
        }
    }
}
