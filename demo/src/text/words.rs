//! Sentences and words, with what the analyzer must know of each: does it open a sentence, is it spoken.

/// A word as it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    /// The word without the punctuation around it, and without a possessive `’s`.
    pub text: &'a str,
    /// It opens a sentence or a quotation, so its capital says nothing.
    pub opens: bool,
    /// It stands inside quotation marks.
    pub quoted: bool,
}

impl Word<'_> {
    /// Written like a name: a capital, then at least one small letter.
    pub fn is_capitalised(&self) -> bool {
        let mut letters = self.text.chars();
        letters.next().is_some_and(char::is_uppercase)
            && letters.next().is_some_and(char::is_lowercase)
    }
}

const ABBREVIATIONS: [&str; 4] = ["Mr", "Mrs", "Dr", "St"];

/// The words of a paragraph, in order.
pub fn words(paragraph: &str) -> Vec<Word<'_>> {
    let mut out = Vec::new();
    let (mut opens, mut quoted) = (true, false);
    for chunk in paragraph.split(|c: char| c.is_whitespace() || c == '—') {
        let word = chunk.trim_matches(|c: char| !c.is_alphanumeric());
        if chunk.starts_with(['“', '"']) {
            (opens, quoted) = (true, true);
        }
        if !word.is_empty() {
            let text = word.strip_suffix("’s").or_else(|| word.strip_suffix("'s")).unwrap_or(word);
            out.push(Word { text, opens, quoted });
            let ends = chunk.contains(['.', '!', '?', ':', '…']) && !ABBREVIATIONS.contains(&word);
            opens = ends;
        }
        if chunk.ends_with(['”', '"']) && chunk.len() > 1 {
            quoted = false;
        }
    }
    out
}

/// The sentences of a text: cut after `.`, `!`, `?` or `…` and the closing quotation marks that follow.
pub fn sentences(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if !matches!(c, '.' | '!' | '?' | '…') {
            continue;
        }
        let mut end = at + c.len_utf8();
        while let Some(&(at, c)) = chars.peek() {
            if !matches!(c, '”' | '’' | '"' | ')' | '.' | '!' | '?') {
                break;
            }
            end = at + c.len_utf8();
            chars.next();
        }
        let before =
            text[start..at].rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let follows = text[end..].trim_start().chars().next();
        let goes_on = follows.is_some_and(char::is_lowercase) || ABBREVIATIONS.contains(&before);
        let parted = text[end..].is_empty() || text[end..].starts_with(char::is_whitespace);
        if parted && !goes_on {
            out.push(text[start..end].trim());
            start = end;
        }
    }
    let rest = text[start..].trim();
    if !rest.is_empty() {
        out.push(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_knows_whether_it_opens_a_sentence_and_whether_it_is_spoken() {
        let words = words("“It listens,” said Nettie. He met Mr. Plum’s goose.");
        let opens: Vec<_> = words.iter().filter(|w| w.opens).map(|w| w.text).collect();
        assert_eq!(opens, ["It", "He"]);
        let spoken: Vec<_> = words.iter().filter(|w| w.quoted).map(|w| w.text).collect();
        assert_eq!(spoken, ["It", "listens"]);
        assert!(words.iter().any(|w| w.text == "Plum" && w.is_capitalised() && !w.opens));
    }

    #[test]
    fn sentences_end_after_their_quotation_marks() {
        assert_eq!(
            sentences("“Up!” said Mr. Plum. He ran. “Where?”"),
            ["“Up!” said Mr. Plum.", "He ran.", "“Where?”"]
        );
    }
}
