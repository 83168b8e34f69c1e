//! The faults of a configuration.

use std::fmt;

/// The faults, one line each.
#[derive(Debug, Default)]
pub struct Faults(Vec<String>);

impl Faults {
    /// Adds a fault.
    pub fn add(&mut self, fault: String) {
        self.0.push(fault);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, faults) = (self.0.len(), if self.0.len() == 1 { "fault" } else { "faults" });
        writeln!(
            formatter,
            "binderyd: the configuration has {number} {faults}; nothing was started:"
        )?;
        self.0.iter().try_for_each(|fault| writeln!(formatter, "  - {fault}"))
    }
}
