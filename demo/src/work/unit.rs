//! Units of work, as the stages describe them and the engine does them.

use std::path::PathBuf;

use anyhow::Result;

/// One unit: a file, and how its content is made.
pub struct Unit<'a> {
    /// The file that says that the unit is finished.
    pub file: PathBuf,
    /// What is reported once it is.
    pub message: String,
    /// Makes the file's content. Only called where the file is not there; may read files of units before it.
    pub work: Box<dyn Fn() -> Result<Vec<u8>> + 'a>,
}

/// A substep: units of one kind, done in order.
pub struct Substep<'a> {
    /// Its name in the pipeline.
    pub name: String,
    /// What a unit is.
    pub unit: &'static str,
    /// The units.
    pub units: Vec<Unit<'a>>,
}

impl<'a> Unit<'a> {
    /// A unit.
    pub fn new(
        file: PathBuf,
        message: impl Into<String>,
        work: impl Fn() -> Result<Vec<u8>> + 'a,
    ) -> Self {
        Self { file, message: message.into(), work: Box::new(work) }
    }
}

impl<'a> Substep<'a> {
    /// A substep.
    pub fn new(name: impl Into<String>, unit: &'static str, units: Vec<Unit<'a>>) -> Self {
        Self { name: name.into(), unit, units }
    }
}
