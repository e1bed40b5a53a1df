//! One verb of the command line a file: its words, and what is done with them.

pub(crate) mod console;
pub(crate) mod exec;
pub(crate) mod image;
pub(crate) mod inspect;
pub(crate) mod internal;
pub(crate) mod logs;
pub(crate) mod ps;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod start;
pub(crate) mod stop;

use sampan_types::Result;

/// Does something with each name; prints what worked, goes on after a failure, and fails with the first one at the end.
pub(crate) fn each(names: &[String], mut act: impl FnMut(&str) -> Result<()>) -> Result<u8> {
    let mut failed = false;
    for name in names {
        match act(name) {
            Ok(()) => println!("{name}"),
            Err(error) => {
                crate::render::error(&error);
                failed = true;
            }
        }
    }
    Ok(u8::from(failed))
}
