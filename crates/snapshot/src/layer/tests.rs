//! Layers made in the test, unpacked.
