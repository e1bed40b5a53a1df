//! What happened, as readers of the event log see it.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::SystemTime};

/// One line of the engine's event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: SystemTime,
    /// `container`, `image`, `network`.
    #[serde(rename = "type")]
    pub object: String,
    /// `create`, `start`, `die`, …
    pub action: String,
    /// The object's id.
    pub id: String,
    /// Name, image, exit code and the like.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}
