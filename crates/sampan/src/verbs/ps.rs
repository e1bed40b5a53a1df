//! `ps`.

use crate::render::{self, table::Table};
use clap::Args;
use sampan_engine::Engine;
use sampan_types::{
    Result,
    ops::{ContainerSummary, Execute, ListContainers},
};

/// List containers.
#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Also those that do not run
    #[arg(short = 'a', long)]
    all: bool,
    /// Only ids
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Do not shorten ids and commands
    #[arg(long)]
    no_trunc: bool,
}

impl Ps {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        let containers = engine.execute(ListContainers { all: self.all })?;
        if self.quiet {
            containers.iter().for_each(|container| println!("{}", self.id(container)));
            return Ok(0);
        }
        let mut table = Table::new(&[
            "CONTAINER ID",
            "NAME",
            "TYPE",
            "IMAGE",
            "COMMAND",
            "CREATED",
            "STATUS",
            "ADDRESS",
            "PORTS",
        ]);
        for container in &containers {
            table.row([
                self.id(container),
                container.name.to_string(),
                container.container_type.to_string(),
                container.image.clone(),
                self.command(container),
                render::time::ago(container.created_at),
                render::status(container),
                container.endpoint.as_ref().map(|endpoint| endpoint.ipv4.to_string()).unwrap_or_default(),
                container.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            ]);
        }
        print!("{table}");
        Ok(0)
    }

    fn id(&self, container: &ContainerSummary) -> String {
        if self.no_trunc { container.id.to_string() } else { container.id.short().to_owned() }
    }

    fn command(&self, container: &ContainerSummary) -> String {
        const LONGEST: usize = 20;
        let command = container.command.join(" ");
        if self.no_trunc || command.chars().count() <= LONGEST {
            return format!("\"{}\"", render::printable(&command));
        }
        format!("\"{}…\"", render::printable(&command.chars().take(LONGEST - 1).collect::<String>()))
    }
}
