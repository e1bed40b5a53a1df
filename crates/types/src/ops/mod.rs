//! Every verb of the engine as a value.
//!
//! An [`Operation`] is data; whoever can carry it out implements [`Execute`] for it: the engine in process, later a
//! client of a remote one. Handles (sockets, files) in outputs are what the edge waits on in its own way.

mod container;
mod exec;
mod image;

pub use container::{
    AttachContainer, CleanUpContainer, ContainerDetails, ContainerSummary, CreateContainer, CreatedContainer,
    InspectContainer, KillContainer, ListContainers, OpenLogs, RemoveContainer, RestartContainer,
    RunContainer, ShutDown, StartContainer, StopContainer, Task, WaitContainer,
};
pub use exec::{ExecContainer, ExecTask};
pub use image::{CreateImage, ImageSummary, ListImages, RemoveImage, RemovedImage, TemplateName};

use crate::Result;

/// Something the engine can do.
pub trait Operation {
    /// What it gives.
    type Output;
}

/// Carries out operations of one kind.
pub trait Execute<O: Operation> {
    /// Carries out `operation` to its end or leaves nothing behind.
    ///
    /// # Errors
    /// Each operation's page says which; every error names the object, the reason and, where known, the remedy.
    fn execute(&self, operation: O) -> Result<O::Output>;
}

macro_rules! operations {
    ($($operation:ty => $output:ty;)*) => {
        $(impl Operation for $operation { type Output = $output; })*
    };
}

operations! {
    CreateImage => ImageSummary;
    ListImages => Vec<ImageSummary>;
    RemoveImage => RemovedImage;
    CreateContainer => CreatedContainer;
    RunContainer => Task;
    StartContainer => Task;
    AttachContainer => Task;
    StopContainer => ();
    RestartContainer => ();
    KillContainer => ();
    RemoveContainer => ();
    WaitContainer => crate::ExitRecord;
    ListContainers => Vec<ContainerSummary>;
    InspectContainer => ContainerDetails;
    OpenLogs => std::path::PathBuf;
    ExecContainer => ExecTask;
    CleanUpContainer => ();
    ShutDown => ();
}
