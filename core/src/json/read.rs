//! The reader. It does not recurse, so nesting of any depth takes memory of a byte a level and no
//! stack.

use std::borrow::Cow;

use super::{MAX_READ_DEPTH, Node, without_duplicates};

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at byte {at}")]
pub struct SyntaxError {
    /// The offset in bytes from the start.
    pub at: usize,
    /// The expected JSON there.
    pub expected: &'static str,
}

/// An array or object that has begun and not ended.
enum Open<'a> {
    List(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>, Cow<'a, str>),
}

impl<'a> Open<'a> {
    fn add(&mut self, value: Node<'a>) {
        match self {
            Self::List(values) => values.push(value),
            Self::Object(entries, key) => entries.push((std::mem::take(key), value)),
        }
    }

    fn close(self) -> Node<'a> {
        match self {
            Self::List(values) => Node::List(values),
            Self::Object(entries, _) => Node::Object(without_duplicates(entries)),
        }
    }
}

/// The beginning of a value: a scalar, or an open list or object.
enum Start<'a> {
    Scalar(Node<'a>),
    List,
    Object,
}

pub(super) fn read(text: &str) -> Result<Node<'_>, SyntaxError> {
    let mut reader = Reader { text, at: 0 };
    reader.take_text("\u{FEFF}");
    // For each level, whether it is an object; its contents only for the upper MAX_READ_DEPTH
    // levels.
    let mut levels: Vec<bool> = Vec::new();
    let mut open: Vec<Open<'_>> = Vec::new();
    loop {
        let mut value = match reader.start()? {
            Start::Scalar(value) => value,
            Start::List if reader.take(b']') => Node::List(Vec::new()),
            Start::Object if reader.take(b'}') => Node::Object(Vec::new()),
            Start::List => {
                if levels.len() < MAX_READ_DEPTH {
                    open.push(Open::List(Vec::new()));
                }
                levels.push(false);
                continue;
            }
            Start::Object => {
                let key = reader.key()?;
                if levels.len() < MAX_READ_DEPTH {
                    open.push(Open::Object(Vec::new(), key));
                }
                levels.push(true);
                continue;
            }
        };
        loop {
            let Some(&is_object) = levels.last() else {
                return if reader.peek().is_none() {
                    Ok(value)
                } else {
                    Err(reader.expected("the end of the text"))
                };
            };
            let mut kept = if levels.len() <= MAX_READ_DEPTH { open.last_mut() } else { None };
            if let Some(kept) = &mut kept {
                kept.add(value);
            }
            if reader.take(b',') {
                if is_object {
                    let key = reader.key()?;
                    if let Some(Open::Object(_, next)) = kept {
                        *next = key;
                    }
                }
                break;
            }
            match is_object {
                true if reader.take(b'}') => {}
                false if reader.take(b']') => {}
                true => return Err(reader.expected("a comma or }")),
                false => return Err(reader.expected("a comma or ]")),
            }
            levels.pop();
            let closed = if levels.len() < MAX_READ_DEPTH { open.pop() } else { None };
            value = closed.map_or(Node::Deep, Open::close);
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn expected(&self, expected: &'static str) -> SyntaxError {
        SyntaxError { at: self.at, expected }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn take_text(&mut self, text: &str) -> bool {
        let is_next = self.text.as_bytes()[self.at..].starts_with(text.as_bytes());
        self.at += if is_next { text.len() } else { 0 };
        is_next
    }

    fn start(&mut self) -> Result<Start<'a>, SyntaxError> {
        Ok(Start::Scalar(match self.peek() {
            Some(b'[') => {
                self.at += 1;
                return Ok(Start::List);
            }
            Some(b'{') => {
                self.at += 1;
                return Ok(Start::Object);
            }
            Some(b'"') => {
                self.at += 1;
                Node::Text(self.string()?)
            }
            Some(b'-' | b'0'..=b'9') => Node::Number(Cow::Borrowed(self.number()?)),
            Some(b'N') if self.take_text("NaN") => Node::Number("NaN".into()),
            Some(b'I') if self.take_text("Infinity") => Node::Number("Infinity".into()),
            Some(b't') if self.take_text("true") => Node::Bool(true),
            Some(b'f') if self.take_text("false") => Node::Bool(false),
            Some(b'n') if self.take_text("null") => Node::Null,
            _ => return Err(self.expected("a value")),
        }))
    }

    fn key(&mut self) -> Result<Cow<'a, str>, SyntaxError> {
        if !self.take(b'"') {
            return Err(self.expected("a key in double quotes"));
        }
        let key = self.string()?;
        if self.take(b':') { Ok(key) } else { Err(self.expected("a colon")) }
    }

    /// The text up to its closing quote; the opening one is already read.
    fn string(&mut self) -> Result<Cow<'a, str>, SyntaxError> {
        let mut written: Option<String> = None;
        loop {
            let from = self.at;
            while self.byte().is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0)) {
                self.at += 1;
            }
            // Every byte that ends a piece is ASCII, so it is not within a character.
            let piece = &self.text[from..self.at];
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(match written {
                        None => Cow::Borrowed(piece),
                        Some(written) => Cow::Owned(written + piece),
                    });
                }
                Some(0) => {
                    self.at += 1;
                    written.get_or_insert_default().push_str(piece);
                }
                Some(_) => {
                    self.at += 1;
                    let written = written.get_or_insert_default();
                    written.push_str(piece);
                    let character = self.escape()?;
                    if character != '\0' {
                        written.push(character);
                    }
                }
                None => return Err(self.expected("a closing double quote")),
            }
        }
    }

    /// The character of an escape; the backslash is already read.
    fn escape(&mut self) -> Result<char, SyntaxError> {
        let character = match self.byte() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let unit = self.hex()?;
                return Ok(match unit {
                    0xD800..=0xDBFF => {
                        self.low_surrogate(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
                    }
                    unit => char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
                });
            }
            _ => return Err(self.expected("one of the characters \"\\/bfnrtu")),
        };
        self.at += 1;
        Ok(character)
    }

    /// The character of this high surrogate and the low one that follows, if there is one; else
    /// nothing is read.
    fn low_surrogate(&mut self, high: u32) -> Option<char> {
        let before = self.at;
        if self.take_text("\\u")
            && let Ok(low @ 0xDC00..=0xDFFF) = self.hex()
        {
            return char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
        }
        self.at = before;
        None
    }

    fn hex(&mut self) -> Result<u32, SyntaxError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or_else(|| self.expected("four hexadecimal digits"))?;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<&'a str, SyntaxError> {
        let from = self.at;
        if self.take_text("-Infinity") {
            return Ok("-Infinity");
        }
        self.take_text("-");
        if !self.take_text("0") {
            self.digits()?;
        }
        if self.take_text(".") {
            self.digits()?;
        }
        if self.take_text("e") || self.take_text("E") {
            let _is_signed = self.take_text("+") || self.take_text("-");
            self.digits()?;
        }
        Ok(&self.text[from..self.at])
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let from = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > from { Ok(()) } else { Err(self.expected("a digit")) }
    }
}
