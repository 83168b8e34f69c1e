//! A measured value, and how it is printed.

use serde_json::json;

/// A measured value.
pub struct Figure {
    /// The name, in lower snake case.
    pub name: &'static str,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The method, in one line.
    pub how: String,
}

/// Prints a table, then one line of JSON per figure.
pub fn print(figures: &[Figure]) {
    println!();
    for Figure { name, value, unit, how } in figures {
        let decimals = if *value < 100.0 { 2 } else { 0 };
        println!("{name:32} {value:>12.decimals$} {unit:10} {how}");
    }
    println!();
    for Figure { name, value, unit, how } in figures {
        println!("{}", json!({ "figure": name, "value": value, "unit": unit, "how": how }));
    }
}
