//! Images from their making to their removal.
