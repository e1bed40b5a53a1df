//! `inspect`.

use crate::render;
use clap::Args;
use sampan_engine::Engine;
use sampan_types::{
    Error, ErrorKind, Result,
    ops::{Execute, InspectContainer},
};

/// Show everything known of containers, as JSON.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Inspect {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        let mut found = Vec::new();
        for container in self.containers {
            found.push(render::inspect::container(&engine.execute(InspectContainer { container })?));
        }
        let text = serde_json::to_string_pretty(&found)
            .map_err(|error| Error::new(ErrorKind::Internal, "cannot write JSON").because(error))?;
        println!("{text}");
        Ok(0)
    }
}
