//! Texts for people, as they may be stored: without control sequences, and of bounded length.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::CharIndices;

const ESCAPE: char = '\u{1B}';
const BELL: char = '\u{7}';
/// The one-character forms of the sequences that ESC introduces.
const CSI: char = '\u{9B}';
const STRING_TERMINATOR: char = '\u{9C}';

/// The text without ANSI escape sequences, control characters other than tab and line ends, and
/// characters that override the direction of text. Marks and joiners stay: scripts that need them
/// are written with them.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    // Every character that goes has a byte below 0x20, 0x7F, or one of these two first bytes.
    if !text.bytes().any(|byte| {
        (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r'))
            || matches!(byte, 0x7F | 0xC2 | 0xE2)
    }) {
        return text.into();
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        match character {
            ESCAPE => skip_escape(text, at + 1, &mut rest),
            CSI => skip_control_sequence(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9D}'..='\u{9F}' => {
                skip_string(text, at + character.len_utf8(), &mut rest)
            }
            '\t' | '\n' | '\r' => kept.push(character),
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {}
            other if other.is_control() => {}
            other => kept.push(other),
        }
    }
    if kept.len() == text.len() { text.into() } else { kept.into() }
}

/// The text, cut to so many characters; the last one is then an ellipsis.
pub(super) fn cut(text: Cow<'_, str>, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.into_owned(),
        Some(_) => {
            let kept =
                text.char_indices().nth(limit.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
            format!("{}…", &text[..kept])
        }
    }
}

/// Skips the rest of a sequence that ESC introduced; of one that is malformed, ESC alone.
fn skip_escape(text: &str, at: usize, rest: &mut Peekable<CharIndices<'_>>) {
    match rest.peek() {
        Some((_, '[')) => {
            rest.next();
            skip_control_sequence(rest);
        }
        Some((_, ']' | 'P' | 'X' | '^' | '_')) => {
            rest.next();
            skip_string(text, at + 1, rest);
        }
        _ => {
            let intermediates =
                text[at..].bytes().take_while(|byte| (0x20..=0x2F).contains(byte)).count();
            let is_whole = text
                .as_bytes()
                .get(at + intermediates)
                .is_some_and(|byte| (0x30..=0x7E).contains(byte));
            if is_whole {
                rest.nth(intermediates);
            }
        }
    }
}

/// Skips parameters, intermediates and the final character, as far as they are there.
fn skip_control_sequence(rest: &mut Peekable<CharIndices<'_>>) {
    while rest.next_if(|(_, next)| ('\u{20}'..='\u{3F}').contains(next)).is_some() {}
    let _final = rest.next_if(|(_, next)| ('\u{40}'..='\u{7E}').contains(next));
}

/// Skips the string of a sequence such as OSC up to its terminator on the same line. Where there is
/// none, the string is text that was meant to be read, and stays.
fn skip_string(text: &str, from: usize, rest: &mut Peekable<CharIndices<'_>>) {
    let mut end = None;
    let string = &text[from..];
    for (at, character) in string.char_indices() {
        match character {
            BELL | STRING_TERMINATOR => {
                end = Some(from + at + character.len_utf8());
                break;
            }
            ESCAPE if string[at..].starts_with("\u{1B}\\") => {
                end = Some(from + at + 2);
                break;
            }
            ESCAPE | '\n' | '\r' => break,
            _ => {}
        }
    }
    if let Some(end) = end {
        while rest.next_if(|&(at, _)| at < end).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_removed_as_a_whole() {
        for (text, kept) in [
            ("\u{1B}[31mred\u{1B}[0m", "red"),
            ("\u{1B}[38;5;196mred\u{1B}[K", "red"),
            ("\u{9B}1mbold", "bold"),
            ("\u{1B}]0;title\u{7}after", "after"),
            ("\u{1B}]8;;https://example.com\u{1B}\\link\u{1B}]8;;\u{1B}\\", "link"),
            ("\u{9D}0;title\u{9C}after", "after"),
            ("\u{1B}Pq#0\u{1B}\\sixel", "sixel"),
            ("\u{1B}(Btext\u{1B}7", "text"),
            ("cut \u{1B}[3", "cut "),
            ("cut \u{1B}", "cut "),
            ("\u{1B}ä", "ä"),
            ("\u{1B}]not closed\nnext", "not closed\nnext"),
            ("\u{1B}[31\nnext", "\nnext"),
        ] {
            assert_eq!(clean(text), kept, "{text:?}");
        }
    }

    #[test]
    fn control_characters_and_direction_marks_are_removed() {
        let removed = [
            '\0', '\u{1}', '\u{8}', '\u{B}', '\u{1F}', '\u{7F}', '\u{80}', '\u{9C}', '\u{202A}',
            '\u{202E}',
        ];
        for character in removed.into_iter().chain(['\u{2066}', '\u{2069}']) {
            assert_eq!(clean(&format!("a{character}b")), "ab", "{character:?}");
        }
        // Tabs, line ends, marks and joiners, a byte order mark, and neighbours of what is removed.
        for kept in [
            "a\tb\r\nc",
            "a\u{200F}\u{200E}b",
            "a\u{200D}b",
            "\u{FEFF}a",
            "\u{A0}\u{2029}\u{2065}\u{206A}",
            "بحر ים",
            "",
        ] {
            assert_eq!(clean(kept), kept);
        }
    }

    #[test]
    fn a_text_that_is_too_long_ends_with_an_ellipsis() {
        assert_eq!(cut("äöü".into(), 3), "äöü");
        assert_eq!(cut("äöüß".into(), 3), "äö…");
        assert_eq!(cut("".into(), 3), "");
    }
}
