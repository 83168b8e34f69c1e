//! Names and labels: their form, and a label made of a name.

/// The most characters a name (of a state, substep, pipeline, unit) may have.
pub(crate) const MAX_NAME: usize = 63;

/// Whether this is `[A-Z][A-Z0-9_]*` of at most 63 characters, as the names of states are.
pub(crate) fn is_state_name(name: &str) -> bool {
    is_name(name, |byte| byte.is_ascii_uppercase())
}

/// Whether this is `[a-z][a-z0-9_]*` of at most 63 characters, as the names of substeps are.
pub(crate) fn is_substep_name(name: &str) -> bool {
    is_name(name, |byte| byte.is_ascii_lowercase())
}

/// Whether this can name a guard: one of the built-in ones, or an SQL function with or without its
/// schema.
pub(crate) fn is_guard_name(name: &str) -> bool {
    let part = |part: &str| {
        is_name(part, |byte| byte.is_ascii_lowercase())
            || part.strip_prefix('_').is_some_and(is_tail)
    };
    fn is_tail(tail: &str) -> bool {
        tail.len() < MAX_NAME
            && tail
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    }
    match name.split_once('.') {
        Some((schema, function)) => part(schema) && part(function),
        None => part(name),
    }
}

fn is_name(name: &str, is_letter: impl Fn(u8) -> bool) -> bool {
    let bytes = name.as_bytes();
    bytes.len() <= MAX_NAME
        && bytes.first().is_some_and(|&first| is_letter(first))
        && bytes.iter().all(|&byte| is_letter(byte) || byte.is_ascii_digit() || byte == b'_')
}

/// A label for people: `GENERATING_SCENES` gives `Generating scenes`, `extract_text` gives `Extract
/// text`.
pub fn label_of(name: &str) -> String {
    let mut label = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '_' => label.push(' '),
            first if label.is_empty() => label.push(first.to_ascii_uppercase()),
            other => label.push(other.to_ascii_lowercase()),
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_made_of_a_name() {
        assert_eq!(label_of("GENERATING_SCENES"), "Generating scenes");
        assert_eq!(label_of("extract_text"), "Extract text");
        assert_eq!(label_of("all"), "All");
        assert_eq!(label_of("page_12"), "Page 12");
    }

    #[test]
    fn names_have_their_form() {
        assert!(is_state_name("A") && is_state_name("A_1") && is_state_name(&"A".repeat(63)));
        for bad in ["", "a", "1A", "_A", "A-B", "Ä", "A B", &"A".repeat(64)] {
            assert!(!is_state_name(bad), "{bad}");
        }
        assert!(is_substep_name("a") && is_substep_name("page_1"));
        for bad in ["", "A", "1a", "_a", "a-b", "aB", &"a".repeat(64)] {
            assert!(!is_substep_name(bad), "{bad}");
        }
        assert!(
            is_guard_name("has_cover")
                && is_guard_name("shop.has_cover")
                && is_guard_name("_own._guard")
        );
        for bad in ["", ".", "a.", ".a", "a.b.c", "A", "a b", "a;b", &"_".repeat(64)] {
            assert!(!is_guard_name(bad), "{bad}");
        }
    }
}
