//! This machine's own apt: where its packages come from, and how it reaches them.
//!
//! Apt itself reads its configuration, whatever form that has, and is asked for what it has read.

use sampan_types::{Error, ErrorKind, Result};
use std::{fs, process::Command};

/// The fields asked for, parted by tabs.
const FORMAT: &str = "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)\t$(ORIGIN)";

/// What follows a release's name in the suites that belong to it.
const SUITES: [&str; 3] = ["", "-updates", "-security"];

/// Options by which this machine reaches its mirrors; all others are about its own packages.
const ACCESS: [&str; 7] = [
    "Acquire::http::",
    "Acquire::https::",
    "Acquire::ftp::",
    "Acquire::Retries ",
    "Acquire::ForceIPv",
    "Acquire::Check-",
    "Acquire::Max-FutureTime ",
];

/// Lines of a `sources.list` for `release`, from the mirrors of this machine's own release.
pub(super) fn sources(release: &str) -> Result<Vec<String>> {
    let targets = ask("apt-get", &["indextargets", "Created-By: Packages", "--format", FORMAT])?;
    let own = own_release();
    let sources = for_release(&targets, own.as_deref(), release);
    if sources.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, format!("cannot find a mirror for Debian {release}"))
            .because("this machine's apt has no source of Debian's own packages")
            .hint("add a Debian mirror to /etc/apt/sources.list, then apt-get update"));
    }
    Ok(sources)
}

/// Options of this machine's apt that an apt elsewhere needs to reach the same mirrors, as `Name "value";`.
pub(super) fn options() -> Result<Vec<String>> {
    Ok(access_options(&ask("apt-config", &["dump"])?))
}

fn for_release(targets: &str, own: Option<&str>, release: &str) -> Vec<String> {
    let mut sources: Vec<(String, String, Vec<String>)> = Vec::new();
    for line in targets.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [uri, suite, component, origin] = fields.as_slice() else { continue };
        // Not known before the first update of this machine's lists.
        if !(*origin == "Debian" || origin.is_empty() || origin.starts_with("$(")) {
            continue;
        }
        let belongs_to = |name: &str| suite.strip_prefix(name).filter(|rest| SUITES.contains(rest));
        let Some(rest) = belongs_to(release).or_else(|| own.and_then(belongs_to)) else { continue };
        let suite = format!("{release}{rest}");
        match sources.iter_mut().find(|(other, other_suite, _)| other == uri && *other_suite == suite) {
            Some((_, _, components)) if components.iter().any(|other| other == component) => {}
            Some((_, _, components)) => components.push((*component).to_owned()),
            None => sources.push(((*uri).to_owned(), suite, vec![(*component).to_owned()])),
        }
    }
    let line = |(uri, suite, components): (String, String, Vec<String>)| {
        format!("deb {uri} {suite} {}", components.join(" "))
    };
    sources.into_iter().map(line).collect()
}

fn access_options(dump: &str) -> Vec<String> {
    let is_access = |line: &&str| ACCESS.iter().any(|prefix| line.starts_with(prefix));
    let is_set = |line: &&str| !line.ends_with(" \"\";");
    dump.lines().filter(is_access).filter(is_set).map(str::to_owned).collect()
}

/// Code name of the release this machine runs (os-release(5)).
fn own_release() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(name.trim_matches('"').to_owned())
}

fn ask(program: &str, arguments: &[&str]) -> Result<String> {
    let what = || format!("cannot read this machine's apt configuration with {program}");
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output().map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            return Error::new(ErrorKind::Unsupported, what())
                .because("this machine has no apt")
                .hint("the debian template needs a machine with apt: Debian or a relative of it");
        }
        Error::io(what(), error)
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::new(ErrorKind::Internal, what()).because(said));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "http://mirror.test/debian/\tbookworm\tmain\tDebian
http://mirror.test/debian/\tbookworm\tcontrib\tDebian
http://mirror.test/debian/\tbookworm\tmain\tDebian
http://mirror.test/debian/\tbookworm-updates\tmain\tDebian
http://mirror.test/security/\tbookworm-security\tmain\t$(ORIGIN)
http://other.test/php/\tbookworm\tmain\tother.test
http://mirror.test/debian/\tbookworm-backports\tmain\tDebian
http://node.test/\tnodistro\tmain\tNode
";

    #[test]
    fn sources_are_debians_own_for_this_release() {
        let sources = for_release(TARGETS, Some("bookworm"), "bookworm");
        assert_eq!(
            sources,
            [
                "deb http://mirror.test/debian/ bookworm main contrib",
                "deb http://mirror.test/debian/ bookworm-updates main",
                "deb http://mirror.test/security/ bookworm-security main",
            ]
        );
    }

    #[test]
    fn another_release_comes_from_the_same_mirrors() {
        let sources = for_release(TARGETS, Some("bookworm"), "trixie");
        assert_eq!(sources.len(), 3);
        assert_eq!(sources[2], "deb http://mirror.test/security/ trixie-security main");
        assert!(for_release(TARGETS, Some("noble"), "trixie").is_empty());
        assert!(for_release("", Some("bookworm"), "bookworm").is_empty());
    }

    #[test]
    fn only_options_of_access_are_taken() {
        let dump = "APT::Architecture \"amd64\";\nAcquire::http::Proxy \"http://proxy.test:3128\";\n\
            Acquire::https::CaInfo \"/etc/ssl/mine.pem\";\nAcquire::https \"\";\nAcquire::http::User-Agent \"\";\n\
            Acquire::Check-Date \"false\";\nDir::Cache \"var/cache/apt\";\nAcquire::Retries \"3\";\n";
        assert_eq!(
            access_options(dump),
            [
                "Acquire::http::Proxy \"http://proxy.test:3128\";",
                "Acquire::https::CaInfo \"/etc/ssl/mine.pem\";",
                "Acquire::Check-Date \"false\";",
                "Acquire::Retries \"3\";",
            ]
        );
    }
}
