//! The Debian mirror that this machine's own apt is configured with.

use crate::run;
use anyhow::Result;
use std::process::Command;

/// The machine's own Debian mirrors as lines of a sources list for `release`; none when apt has no index yet, and then
/// mmdebstrap takes its default.
pub(crate) fn sources_of(release: &str) -> Result<Vec<String>> {
    let format = "$(ORIGIN) $(REPO_URI) $(RELEASE)";
    let listing = run::stdout(Command::new("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
    ]))?;
    Ok(sources(&listing, release))
}

/// Turns apt's `origin uri suite` lines into sources of `release`, one for each of Debian's archives.
fn sources(listing: &str, release: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in listing.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &["Debian", uri, suite] = words.as_slice() else { continue };
        let suite = match suite.split_once('-') {
            Some((_, "security")) => format!("{release}-security"),
            Some(_) => continue,
            None => release.to_owned(),
        };
        let source = format!("deb {uri} {suite} main");
        if !lines.contains(&source) {
            lines.push(source);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_debians_own_archives_are_taken_and_moved_to_the_release() {
        let listing = "Debian http://a.test/debian/ bookworm\nDebian http://a.test/debian/ bookworm-updates\n\
                       Debian http://a.test/debian-security/ bookworm-security\nOther http://b.test/ bookworm\n";
        assert_eq!(
            sources(listing, "trixie"),
            [
                "deb http://a.test/debian/ trixie main",
                "deb http://a.test/debian-security/ trixie-security main"
            ]
        );
        assert!(sources("", "trixie").is_empty());
    }
}
