//! Hand lettering: a single-stroke alphabet, drawn rather than set, so that a comic looks the same on every machine.
//! Capitals only, as in most comics. A glyph is 10 high, from its top (0) to the line it stands on.

use std::fmt::Write;

use super::rng::Rng;

/// From one line to the next, in glyph units.
pub const LEADING: f64 = 16.5;
const GAP: f64 = 2.7;
const SPACE: f64 = 5.2;

/// A glyph's width and strokes; `None` for what is not in the alphabet.
fn glyph(c: char) -> Option<(f64, &'static str)> {
    Some(match c {
        'A' => (8.0, "M0 10L4 0L8 10M1.4 6.6L6.6 6.6"),
        'B' => (6.4, "M0 0L0 10M0 0Q6 0 6 2.5Q6 4.8 0 4.8Q6.6 4.8 6.6 7.4Q6.6 10 0 10"),
        'C' => (7.0, "M7 1.6Q5.6 0 3.8 0Q0 0 0 5Q0 10 3.8 10Q5.8 10 7 8.4"),
        'D' => (7.0, "M0 0L0 10M0 0Q7 0 7 5Q7 10 0 10"),
        'E' => (5.8, "M5.8 0L0 0L0 10L5.8 10M0 5L5 5"),
        'F' => (5.6, "M5.6 0L0 0L0 10M0 5L4.8 5"),
        'G' => (7.4, "M7 1.6Q5.6 0 3.8 0Q0 0 0 5Q0 10 3.8 10Q7.4 10 7.4 5.8L4.4 5.8"),
        'H' => (7.0, "M0 0L0 10M7 0L7 10M0 5L7 5"),
        'I' => (1.0, "M.5 0L.5 10"),
        'J' => (5.0, "M5 0L5 7.2Q5 10 2.5 10Q.4 10 0 8"),
        'K' => (6.4, "M0 0L0 10M6.2 0L0 5.6M1.9 4.2L6.4 10"),
        'L' => (5.4, "M0 0L0 10L5.4 10"),
        'M' => (9.0, "M0 10L1 0L4.5 6.5L8 0L9 10"),
        'N' => (7.0, "M0 10L0 0L7 10L7 0"),
        'O' | '0' => (8.0, "M4 0Q0 0 0 5Q0 10 4 10Q8 10 8 5Q8 0 4 0"),
        'P' => (6.2, "M0 10L0 0Q6.2 0 6.2 2.9Q6.2 5.6 0 5.6"),
        'Q' => (8.2, "M4 0Q0 0 0 5Q0 10 4 10Q8 10 8 5Q8 0 4 0M5 7.4L8.4 10.6"),
        'R' => (6.6, "M0 10L0 0Q6.2 0 6.2 2.9Q6.2 5.5 0 5.5M2.8 5.5L6.8 10"),
        'S' => {
            (6.0, "M5.8 1.4Q4.6 0 3 0Q.4 0 .4 2.4Q.4 4.4 3 4.9Q6 5.4 6 7.5Q6 10 3 10Q1 10 0 8.5")
        }
        'T' => (7.0, "M0 0L7 0M3.5 0L3.5 10"),
        'U' => (7.0, "M0 0L0 6.5Q0 10 3.5 10Q7 10 7 6.5L7 0"),
        'V' => (7.6, "M0 0L3.8 10L7.6 0"),
        'W' => (10.0, "M0 0L2.4 10L5 2.5L7.6 10L10 0"),
        'X' => (7.0, "M0 0L7 10M7 0L0 10"),
        'Y' => (7.0, "M0 0L3.5 5L7 0M3.5 5L3.5 10"),
        'Z' => (6.4, "M0 0L6.4 0L0 10L6.4 10"),
        '1' => (3.0, "M0 2L2.4 0L2.4 10"),
        '2' => (6.0, "M0 2Q.6 0 3 0Q6 0 6 2.8Q6 4.6 0 10L6.2 10"),
        '3' => (
            6.0,
            "M0 1.2Q1.4 0 3 0Q5.8 0 5.8 2.4Q5.8 4.8 2.4 4.8Q6.2 4.8 6.2 7.4Q6.2 10 3 10Q1 10 0 8.8",
        ),
        '4' => (6.6, "M4.8 10L4.8 0L0 6.8L6.6 6.8"),
        '5' => (6.0, "M5.6 0L.8 0L.4 4.6Q1.8 3.8 3.2 3.8Q6.2 3.8 6.2 6.9Q6.2 10 3 10Q1 10 0 8.8"),
        '6' => (6.2, "M5.4 .6Q0 1.6 0 6.8Q0 10 3.1 10Q6.2 10 6.2 7Q6.2 4.2 3.2 4.2Q.8 4.2 0 6.8"),
        '7' => (6.0, "M0 0L6.2 0L2 10"),
        '8' => (
            6.2,
            "M3.1 0Q.4 0 .4 2.4Q.4 4.6 3.1 4.8Q6.2 5 6.2 7.5Q6.2 10 3.1 10Q0 10 0 7.5Q0 5 3.1 4.8Q5.8 4.6 5.8 2.4Q5.8 0 3.1 0",
        ),
        '9' => (6.2, "M6.2 3.2Q5.4 5.8 3 5.8Q0 5.8 0 3Q0 0 3.1 0Q6.2 0 6.2 3.2Q6.2 8.4 .8 9.6"),
        '.' => (1.0, "M.4 9.7L.6 9.9"),
        ',' => (1.4, "M1.1 9.3L.1 11.6"),
        '!' => (1.0, "M.5 0L.5 6.8M.5 9.7L.5 9.9"),
        '?' => (5.0, "M0 1.8Q.4 0 2.6 0Q5 0 5 2.4Q5 4.2 2.5 5.2L2.5 6.8M2.5 9.7L2.5 9.9"),
        '’' | '\'' | '‘' => (1.2, "M1 0L.2 2.4"),
        '“' | '”' | '"' => (3.4, "M1 0L.4 2.4M3 0L2.4 2.4"),
        ':' => (1.0, "M.5 3.8L.5 4M.5 9.7L.5 9.9"),
        ';' => (1.4, "M.9 3.8L.9 4M1.1 9.3L.1 11.6"),
        '-' => (3.4, "M0 5.4L3.4 5.4"),
        '—' | '–' => (7.0, "M0 5.4L7 5.4"),
        '…' => (7.0, "M.4 9.7L.6 9.9M3.4 9.7L3.6 9.9M6.4 9.7L6.6 9.9"),
        '(' => (2.4, "M2.4 -1Q0 2 0 5Q0 8 2.4 11"),
        ')' => (2.4, "M0 -1Q2.4 2 2.4 5Q2.4 8 0 11"),
        _ => return None,
    })
}

/// How wide a word is, in glyph units.
fn width(word: &str) -> f64 {
    let glyphs = word
        .chars()
        .flat_map(char::to_uppercase)
        .map(|c| glyph(c).map_or(SPACE, |(width, _)| width));
    glyphs.map(|width| width + GAP).sum::<f64>() - GAP
}

/// Text broken into lines.
#[derive(Debug, Clone)]
pub struct Lettering {
    lines: Vec<(String, f64)>,
    /// The widest line, in glyph units.
    pub width: f64,
}

impl Lettering {
    /// Breaks a text into lines no wider than `most` glyph units, all of about the same length.
    pub fn wrap(text: &str, most: f64) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        let loose = fill(&words, most);
        // The same number of lines can often be had with less room: that is what makes a balloon round.
        let (mut low, mut high) = (most * 0.4, most);
        for _ in 0..12 {
            let middle = (low + high) / 2.0;
            let lines = fill(&words, middle);
            let fits =
                lines.len() <= loose.len() && lines.iter().all(|(_, width)| *width <= middle);
            if fits { high = middle } else { low = middle }
        }
        let lines = fill(&words, high);
        let width = lines.iter().map(|(_, width)| *width).fold(0.0, f64::max);
        Self { lines, width }
    }

    /// How high the lines are together, in glyph units.
    pub fn height(&self) -> f64 {
        self.lines.len().saturating_sub(1) as f64 * LEADING + 10.0
    }

    /// The strokes, as one path. Lines stand centred around `x` where `centred`, else begin there.
    pub fn path(&self, (x, y): (f64, f64), scale: f64, centred: bool, rng: &mut Rng) -> String {
        let mut d = String::new();
        for (row, (line, width)) in self.lines.iter().enumerate() {
            let left = if centred { x - width * scale / 2.0 } else { x };
            let top = y + row as f64 * LEADING * scale;
            let mut pen = left;
            for c in line.chars().flat_map(char::to_uppercase) {
                let Some((width, strokes)) = glyph(c) else {
                    pen += (SPACE + GAP) * scale;
                    continue;
                };
                write_glyph(&mut d, strokes, (pen, top), scale, rng);
                pen += (width + GAP) * scale;
            }
        }
        d
    }
}

/// Puts as many words on each line as fit.
fn fill(words: &[&str], most: f64) -> Vec<(String, f64)> {
    let mut lines: Vec<(String, f64)> = Vec::new();
    for word in words {
        let wide = width(word);
        match lines.last_mut().filter(|(_, width)| width + SPACE + 2.0 * GAP + wide <= most) {
            Some((line, width)) => {
                line.push(' ');
                line.push_str(word);
                *width += SPACE + 2.0 * GAP + wide;
            }
            None => lines.push(((*word).to_owned(), wide)),
        }
    }
    lines
}

/// Copies a glyph's strokes, each point a hair off: no hand writes the same letter twice.
fn write_glyph(d: &mut String, strokes: &str, (x, y): (f64, f64), scale: f64, rng: &mut Rng) {
    let (tilt, lift) = (rng.between(-0.02, 0.02), rng.between(-0.25, 0.25));
    let mut numbers = [0.0; 2];
    let mut have = 0;
    let mut token = String::new();
    for c in strokes.chars().chain([' ']) {
        if c.is_ascii_digit() || c == '.' || c == '-' {
            token.push(c);
            continue;
        }
        if let Ok(number) = token.parse::<f64>() {
            numbers[have] = number;
            have += 1;
            if have == 2 {
                let (px, py) = (
                    numbers[0] + rng.between(-0.14, 0.14),
                    numbers[1] + lift + rng.between(-0.14, 0.14),
                );
                let _ = write!(
                    d,
                    "{:.1} {:.1} ",
                    x + (px - tilt * py) * scale,
                    y + (py + tilt * px) * scale
                );
                have = 0;
            }
        }
        token.clear();
        if c.is_ascii_alphabetic() {
            d.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_fits_and_no_word_is_lost() {
        let text = "You talk to it more than you talk to me, said the old man — and it listens…";
        let lettering = Lettering::wrap(text, 160.0);
        assert!(lettering.lines.len() > 2 && lettering.width <= 160.0);
        let words: Vec<_> = lettering.lines.iter().flat_map(|(line, _)| line.split(' ')).collect();
        assert_eq!(words.join(" "), text);
    }

    #[test]
    fn a_word_wider_than_the_line_still_stands() {
        assert_eq!(Lettering::wrap("incomprehensibilities", 10.0).lines.len(), 1);
    }
}
