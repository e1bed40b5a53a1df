//! This program made safe from the containers it enters: none may overwrite the file it was started from, for the next one to run
//! (CVE-2019-5736).

use sampan_sys::spawn::Executable;
use sampan_types::{Error, Result};
use std::{
    ffi::{CString, OsString},
    os::unix::ffi::OsStringExt as _,
    path::Path,
};

/// Starts this program anew from where nobody can write to it, in this very process, unless that has happened already.
///
/// # Errors
/// Where that cannot be done: without it, no container is entered.
pub(super) fn ensure() -> Result<()> {
    if Executable::is_current() {
        return Ok(());
    }
    let failed = |error| Error::io("cannot guard this program against containers", error);
    let program = Executable::open(Path::new("/proc/self/exe")).map_err(failed)?;
    let argv = std::env::args_os().map(text).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let pair = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        text(name)
    };
    let envp = std::env::vars_os().map(pair).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    Err(failed(program.run(&argv, &envp)))
}

fn text(word: OsString) -> std::io::Result<CString> {
    CString::new(word.into_vec()).map_err(std::io::Error::from)
}
