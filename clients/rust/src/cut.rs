//! Cuts texts from servers for logs and health: a server may answer a pipeline of 500 commands with
//! one text of 500 errors.

use std::fmt::Display;

/// The maximum size of such a text, in bytes.
const MAX: usize = 1024;

/// The text, or its beginning and its length.
pub fn cut(text: impl Display) -> String {
    let mut text = text.to_string();
    let bytes = text.len();
    if bytes > MAX {
        text.truncate(text.floor_char_boundary(MAX));
        text.push_str(&format!("… ({bytes} bytes)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_stays_and_a_long_one_is_cut_with_its_length() {
        assert_eq!(cut("x".repeat(1024)), "x".repeat(1024));
        assert_eq!(cut("é".repeat(1000)), format!("{}… (2000 bytes)", "é".repeat(512)));
        assert!(cut(format!("x{}", "é".repeat(1000))).starts_with("xé"));
    }
}
