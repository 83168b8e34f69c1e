//! Parameters with a few allowed values.

/// The choice of that name.
pub fn one_of<T: Clone>(name: &str, value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let chosen = choices.iter().find(|(choice, _)| *choice == value);
    chosen.map(|(_, choice)| choice.clone()).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
        format!("{name}: must be one of {}", names.join(", "))
    })
}
