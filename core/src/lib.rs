//! Bindery's pure rules.
