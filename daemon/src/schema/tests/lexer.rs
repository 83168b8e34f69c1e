//! As much of SQL's syntax as the checks need: words, punctuation, strings and statements.

use std::fmt;

/// A piece of SQL. Comments and white space are none.
#[derive(Debug, Clone, PartialEq)]
enum Token<'a> {
    /// A keyword, a name with its dots and quotes, or a number.
    Word(&'a str),
    /// One character of punctuation.
    Mark(char),
    /// The contents of a string in quotes.
    Text(String),
    /// The contents of a string in dollars: as a rule a function's body.
    Body(&'a str),
}

impl Token<'_> {
    fn is(&self, word: &str) -> bool {
        match self {
            Self::Word(own) => own.eq_ignore_ascii_case(word),
            Self::Mark(own) => word.chars().eq([*own]),
            Self::Text(_) | Self::Body(_) => false,
        }
    }
}

/// One statement, without its semicolon.
#[derive(Debug)]
pub struct Statement<'a>(Vec<Token<'a>>);

impl<'a> Statement<'a> {
    /// Whether its first words are these.
    pub fn begins_with(&self, words: &str) -> bool {
        let words: Vec<&str> = words.split(' ').collect();
        self.0.len() >= words.len() && self.0.iter().zip(words).all(|(token, word)| token.is(word))
    }

    /// The word after its first words.
    pub fn word_after(&self, words: &str) -> Option<&'a str> {
        match self.0.get(words.split(' ').count()) {
            Some(Token::Word(word)) if self.begins_with(words) => Some(word),
            _ => None,
        }
    }

    /// Whether these tokens stand in it one after the other.
    pub fn has(&self, tokens: &[&str]) -> bool {
        let same = |own: &[Token<'_>]| own.iter().zip(tokens).all(|(token, word)| token.is(word));
        self.0.windows(tokens.len()).any(same)
    }
}

impl fmt::Display for Statement<'_> {
    /// Its beginning.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.0, formatter)
    }
}

fn show(tokens: &[Token<'_>], to: &mut impl fmt::Write) -> fmt::Result {
    for token in tokens.iter().take(12) {
        match token {
            Token::Word(word) => write!(to, "{word} ")?,
            Token::Mark(mark) => write!(to, "{mark} ")?,
            Token::Text(_) => write!(to, "'…' ")?,
            Token::Body(_) => write!(to, "$$…$$ ")?,
        }
    }
    write!(to, "…")
}

/// The statements of a file.
pub fn statements(text: &str) -> Vec<Statement<'_>> {
    let tokens = tokens(text);
    let split = tokens.split(|token| *token == Token::Mark(';'));
    split.filter(|tokens| !tokens.is_empty()).map(|tokens| Statement(tokens.to_vec())).collect()
}

/// The beginning of every UPDATE and DELETE that lacks a WHERE, also in functions and strings.
pub fn without_where(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        match token {
            Token::Body(body) => found.extend(without_where(body)),
            Token::Text(text) => found.extend(without_where(text)),
            Token::Word(_) if changes_rows(&tokens, place) && !has_where(&tokens[place..]) => {
                let mut shown = String::new();
                if show(&tokens[place..], &mut shown).is_ok() {
                    found.push(shown);
                }
            }
            Token::Word(_) | Token::Mark(_) => {}
        }
    }
    found
}

/// Whether an UPDATE or DELETE of rows begins here, rather than `for update`, a grant or a trigger.
fn changes_rows(tokens: &[Token<'_>], place: usize) -> bool {
    let is = |place: usize, word: &str| tokens.get(place).is_some_and(|token| token.is(word));
    if is(place, "delete") {
        return is(place + 1, "from");
    }
    if !is(place, "update") || place.checked_sub(1).is_some_and(|before| is(before, "do")) {
        return false;
    }
    // update [only] table [*] [[as] alias] set
    let table = if is(place + 1, "only") { place + 2 } else { place + 1 };
    let set = (table + 1..table + 5).find(|place| is(*place, "set"));
    !is(table, "set")
        && set.is_some_and(|set| {
            tokens[table..set].iter().all(|token| matches!(token, Token::Word(_)) || token.is("*"))
        })
}

/// Whether a WHERE stands in the statement that begins here, and not in a query inside of it.
fn has_where(tokens: &[Token<'_>]) -> bool {
    let mut depth = 0;
    for token in tokens {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth -= 1,
            Token::Mark(';') => return false,
            token if depth == 0 && (token.is("returning") || token.is("loop")) => return false,
            token if depth == 0 && token.is("where") => return true,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    false
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
        } else if rest.starts_with("--") || rest.starts_with('\\') {
            // A comment, or a command of psql.
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
        } else if first == '\'' {
            let escapes = matches!(tokens.last(), Some(Token::Word("e" | "E")));
            let (text, after) = string(&rest[1..], escapes);
            tokens.push(Token::Text(text));
            rest = after;
        } else if let Some((body, after)) = dollars(rest) {
            tokens.push(Token::Body(body));
            rest = after;
        } else {
            let is_word = |c: char| c.is_alphanumeric() || "_.\"%".contains(c);
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            if end == 0 {
                tokens.push(Token::Mark(first));
                rest = &rest[first.len_utf8()..];
            } else {
                tokens.push(Token::Word(&rest[..end]));
                rest = &rest[end..];
            }
        }
    }
    tokens
}

/// What a string in quotes holds, and what follows it.
fn string(inside: &str, escapes: bool) -> (String, &str) {
    let mut text = String::new();
    let mut characters = inside.char_indices().peekable();
    while let Some((place, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        match character {
            '\'' if next == Some('\'') => {
                text.push('\'');
                characters.next();
            }
            '\'' => return (text, &inside[place + 1..]),
            '\\' if escapes => text.extend(characters.next().map(|(_, escaped)| escaped)),
            other => text.push(other),
        }
    }
    (text, "")
}

/// What a string in dollars holds, and what follows it, where one begins here.
fn dollars(rest: &str) -> Option<(&str, &str)> {
    let (tag, _) = rest.strip_prefix('$')?.split_once('$')?;
    if !tag.chars().all(|c| c.is_alphanumeric() || c == '_') || tag.starts_with(char::is_numeric) {
        return None;
    }
    let tag = &rest[..tag.len() + 2];
    let inside = &rest[tag.len()..];
    Some(inside.split_once(tag).unwrap_or((inside, "")))
}
