//! Where the programs and images under test lie.

use std::path::PathBuf;

/// The `sampan` program: `SAMPAN_BIN`, or what an earlier debug build left beside this test.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("SAMPAN_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("the path of this test");
    let beside = own.parent().and_then(|deps| deps.parent()).expect("the folder above deps").join("sampan");
    assert!(beside.is_file(), "{} is not built: run `cargo xtask test --lane host`", beside.display());
    beside
}

/// A prepared engine root with one image in it, of the same name: `busybox`, `debian` or `machine`.
pub fn images(name: &str) -> PathBuf {
    let all = std::env::var_os("SAMPAN_TEST_IMAGES").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/test-images"),
        PathBuf::from,
    );
    let path = all.join(name);
    assert!(path.is_dir(), "there are no images in {}: run `cargo xtask test --lane host`", path.display());
    path
}

/// The checkout, whose sources name the failpoints.
pub fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder above tests").to_owned()
}
