//! The overlay driver on a real filesystem.
