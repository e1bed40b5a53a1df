//! The archive format of an initramfs: cpio "newc".
//!
//! Source: the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`.

/// An archive being written.
pub(super) struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    /// An archive without members.
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), inode: 0 }
    }

    /// Adds a directory; its parent must have been added.
    pub(super) fn directory(&mut self, path: &str) {
        self.member(path, 0o040_755, &[]);
    }

    /// Adds a file with these permission bits.
    pub(super) fn file(&mut self, path: &str, permissions: u32, content: &[u8]) {
        self.member(path, 0o100_000 | permissions, content);
    }

    /// Ends the archive and gives its bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.member("TRAILER!!!", 0, &[]);
        self.bytes
    }

    /// One member: a header of 13 hexadecimal fields, the name, the content, each padded to four bytes.
    fn member(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.inode += 1;
        let size = content.len();
        let name_size = path.len() + 1;
        let links = 1;
        let header = format!(
            "070701{:08x}{mode:08x}{:08x}{:08x}{links:08x}{:08x}{size:08x}{:08x}{:08x}{:08x}{:08x}{name_size:08x}{:08x}",
            self.inode, 0, 0, 0, 0, 0, 0, 0, 0
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    /// Fills up to a multiple of four bytes.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busybox_reads_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = Archive::new();
        archive.directory("sub");
        archive.file("sub/hello", 0o640, b"five!");
        std::fs::write(folder.path().join("a.cpio"), archive.finish()).unwrap();
        let output = std::process::Command::new("busybox")
            .args(["cpio", "-i", "-F", "a.cpio"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(std::fs::read_to_string(folder.path().join("sub/hello")).unwrap(), "five!");
    }
}
