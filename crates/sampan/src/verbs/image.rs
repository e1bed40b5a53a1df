//! `image`, `images` and `rmi`.

use crate::render::{self, table::Table};
use clap::{Args, Subcommand};
use sampan_engine::Engine;
use sampan_types::{
    ImageRef, Result,
    ops::{CreateImage, Execute, ListImages, RemoveImage, TemplateName},
};

/// Make, list and remove images.
#[derive(Debug, Subcommand)]
pub(crate) enum Image {
    /// Make an image from a template
    Create(Create),
    /// List images
    Ls(Images),
    /// Remove images
    Rm(Rmi),
}

/// Make an image from a template.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan image create busybox --template busybox
  sampan image create debian --template debian
  sampan image create box --template debian --include systemd-sysv,cron,openssh-server")]
pub(crate) struct Create {
    /// Its name
    name: ImageRef,
    /// busybox (the host's static one) or debian (from this machine's own mirror)
    #[arg(long, value_name = "TEMPLATE")]
    template: TemplateName,
    /// Release of the distribution
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// Packages beyond the template's own
    #[arg(long, value_name = "PKG,…", value_delimiter = ',')]
    include: Vec<String>,
}

/// List images.
#[derive(Debug, Args)]
pub(crate) struct Images {
    /// Only ids
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Remove images.
#[derive(Debug, Args)]
pub(crate) struct Rmi {
    /// Also where several names point at it, or a stopped container was made from it
    #[arg(short = 'f', long)]
    force: bool,
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl Image {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        match self {
            Self::Create(verb) => verb.run(engine),
            Self::Ls(verb) => verb.run(engine),
            Self::Rm(verb) => verb.run(engine),
        }
    }
}

impl Create {
    fn run(self, engine: &Engine) -> Result<u8> {
        let image = engine.execute(CreateImage {
            name: self.name,
            template: self.template,
            release: self.release,
            include: self.include,
        })?;
        println!("{}", image.digest);
        Ok(0)
    }
}

impl Images {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        let images = engine.execute(ListImages)?;
        if self.quiet {
            images.iter().for_each(|image| println!("{}", image.digest.short()));
            return Ok(0);
        }
        let mut table = Table::new(&["REPOSITORY", "TAG", "IMAGE ID", "PLATFORM", "CREATED", "SIZE"]);
        for image in &images {
            let names: Vec<(String, String)> = match &image.names[..] {
                [] => vec![("<none>".to_owned(), "<none>".to_owned())],
                names => names
                    .iter()
                    .map(|name| {
                        let familiar = name.familiar();
                        let tag = name.tag().unwrap_or("<none>").to_owned();
                        (familiar.strip_suffix(&format!(":{tag}")).unwrap_or(&familiar).to_owned(), tag)
                    })
                    .collect(),
            };
            for (repository, tag) in names {
                table.row([
                    repository,
                    tag,
                    image.digest.short().to_owned(),
                    image.platform.to_string(),
                    render::time::ago(image.created_at),
                    render::bytes(image.size),
                ]);
            }
        }
        print!("{table}");
        Ok(0)
    }
}

impl Rmi {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        let mut failed = false;
        for image in self.images {
            match engine.execute(RemoveImage { image, force: self.force }) {
                Ok(removed) => {
                    removed.untagged.iter().for_each(|name| println!("Untagged: {}", name.familiar()));
                    removed.deleted.iter().for_each(|digest| println!("Deleted: {digest}"));
                }
                Err(error) => {
                    render::error(&error);
                    failed = true;
                }
            }
        }
        Ok(u8::from(failed))
    }
}
