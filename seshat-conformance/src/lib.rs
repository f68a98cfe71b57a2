//! Tells whether an openraft storage back end keeps openraft's storage contract.
//!
//! Not written yet: the crate stands so that the workspace has its final shape.
