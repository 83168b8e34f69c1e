//! The ids of books: any text becomes a stable uuid, and a uuid stays itself.

use uuid::Uuid;

use crate::Error;

/// The namespace of [`book_uuid`], the same in every language; it never changes.
pub const NAMESPACE: Uuid = Uuid::from_u128(0x8266f4cc_0795_456a_83da_92a5b5d44cb4);

/// The uuid of a book. A text in the form of a uuid (any case, with or without dashes or braces) is
/// that uuid; any other text becomes the same uuid in every process, by version 5 in [`NAMESPACE`].
///
/// # Errors
/// [`Error::Invalid`] if the text is empty.
pub fn book_uuid(text: &str) -> Result<Uuid, Error> {
    if text.is_empty() {
        return Err(Error::invalid("bad_uuid", "the book's id is empty; give a uuid or a text"));
    }
    // Not `urn:uuid:`, which is a text of its own in the other languages.
    let is_urn = text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
    match Uuid::try_parse(text) {
        Ok(uuid) if !is_urn => Ok(uuid),
        _ => Ok(Uuid::new_v5(&NAMESPACE, text.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_stays_itself_and_a_text_becomes_the_same_one_everywhere() {
        let uuid = Uuid::from_u128(0x018f3c1e_7b2a_7c3d_9e4f_5a6b7c8d9e0f);
        for form in [
            "018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0f",
            "018F3C1E7B2A7C3D9E4F5A6B7C8D9E0F",
            "{018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0f}",
        ] {
            assert_eq!(book_uuid(form).unwrap(), uuid, "{form}");
        }
        let text = book_uuid("moby-dick").unwrap();
        assert_eq!((text, text.get_version_num()), (book_uuid("moby-dick").unwrap(), 5));
        assert_ne!(book_uuid("urn:uuid:018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0f").unwrap(), uuid);
        assert!(book_uuid("").is_err());
    }
}
