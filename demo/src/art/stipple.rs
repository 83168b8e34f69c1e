//! Stippling by weighted Voronoi diagrams: dots are thrown where it is dark, then each moves, again and again, to the
//! centre of darkness of the cells that are nearest to it (Lloyd's method), until they stand evenly and yet follow the
//! tone. This is what takes a panel's time, and what makes it look drawn by a patient hand.

use std::fmt::Write;

use super::paint::{CELL, Tone, num};
use super::rng::Rng;

/// A dot at full darkness takes this much room, in square units.
const ROOM: f64 = 15.0;
/// How often the dots move.
const ROUNDS: usize = 26;
/// Dots are looked up through square buckets of this many cells.
const BUCKET: usize = 6;
/// Below this a cell is blank.
const BLANK: f32 = 0.012;

/// One dot, in cells of the tone map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dot {
    /// Across.
    pub x: f32,
    /// Down.
    pub y: f32,
}

/// The dots for a tone map.
pub fn relax(tone: &Tone, rng: &mut Rng) -> Vec<Dot> {
    let total: f64 = tone.density.iter().map(|d| f64::from(*d)).sum::<f64>() * CELL * CELL;
    let mut dots = scatter(tone, (total / ROOM) as usize, rng);
    for _ in 0..ROUNDS {
        step(tone, &mut dots, rng);
    }
    dots
}

/// Throws dots at random, more where it is darker.
fn scatter(tone: &Tone, count: usize, rng: &mut Rng) -> Vec<Dot> {
    let mut dots = Vec::with_capacity(count);
    // Blank maps would otherwise be searched for ever.
    let tries = count.saturating_mul(400);
    for _ in 0..tries {
        if dots.len() == count {
            break;
        }
        dots.extend(throw(tone, rng));
    }
    dots
}

fn throw(tone: &Tone, rng: &mut Rng) -> Option<Dot> {
    let (x, y) = (rng.below(tone.width), rng.below(tone.height));
    let density = tone.density[y * tone.width + x];
    let hit = density > BLANK && rng.unit() < f64::from(density);
    hit.then(|| Dot { x: x as f32 + rng.unit() as f32, y: y as f32 + rng.unit() as f32 })
}

/// What a dot gathers from the cells that are its own.
#[derive(Clone, Copy, Default)]
struct Share {
    mass: f32,
    x: f32,
    y: f32,
}

fn step(tone: &Tone, dots: &mut [Dot], rng: &mut Rng) {
    let buckets = Buckets::of(tone, dots);
    let mut shares = vec![Share::default(); dots.len()];
    for row in 0..tone.height {
        let y = row as f32 + 0.5;
        // A neighbour's dot is a good first guess, and mostly right.
        let mut guess = None;
        for col in 0..tone.width {
            let density = tone.density[row * tone.width + col];
            if density <= BLANK {
                continue;
            }
            let x = col as f32 + 0.5;
            guess = buckets.nearest(dots, x, y, guess);
            if let Some(share) = guess.map(|at| &mut shares[at]) {
                share.mass += density;
                share.x += density * x;
                share.y += density * y;
            }
        }
    }
    for (dot, share) in dots.iter_mut().zip(shares) {
        if share.mass > 0.0 {
            *dot = Dot { x: share.x / share.mass, y: share.y / share.mass };
        } else if let Some(thrown) = throw(tone, rng) {
            *dot = thrown;
        }
    }
}

/// Dots by bucket: those of bucket b are `order[first[b]..first[b + 1]]`.
struct Buckets {
    across: usize,
    down: usize,
    first: Vec<u32>,
    order: Vec<u32>,
}

impl Buckets {
    fn of(tone: &Tone, dots: &[Dot]) -> Self {
        let (across, down) = (tone.width / BUCKET + 1, tone.height / BUCKET + 1);
        let place = |dot: &Dot| {
            (dot.y as usize / BUCKET).min(down - 1) * across
                + (dot.x as usize / BUCKET).min(across - 1)
        };
        let mut first = vec![0_u32; across * down + 1];
        for dot in dots {
            first[place(dot) + 1] += 1;
        }
        for at in 1..first.len() {
            first[at] += first[at - 1];
        }
        let mut next = first.clone();
        let mut order = vec![0_u32; dots.len()];
        for (at, dot) in dots.iter().enumerate() {
            let slot = &mut next[place(dot)];
            order[*slot as usize] = at as u32;
            *slot += 1;
        }
        Self { across, down, first, order }
    }

    fn nearest(&self, dots: &[Dot], x: f32, y: f32, guess: Option<usize>) -> Option<usize> {
        let distance = |at: usize| (dots[at].x - x).powi(2) + (dots[at].y - y).powi(2);
        let mut best = guess.map(|at| (distance(at), at));
        let (bx, by) = ((x as usize / BUCKET) as isize, (y as usize / BUCKET) as isize);
        let inside = |v: f32, bucket: isize| {
            (v - bucket as f32 * BUCKET as f32).min((bucket + 1) as f32 * BUCKET as f32 - v)
        };
        let margin = inside(x, bx).min(inside(y, by));
        for ring in 0..=(self.across.max(self.down) as isize) {
            // What lies outside the rings seen so far is at least this far away.
            let reach = margin + (ring - 1) as f32 * BUCKET as f32;
            if ring > 0 && best.is_some_and(|(distance, _)| distance <= reach * reach) {
                break;
            }
            for row in (by - ring)..=(by + ring) {
                if row < 0 || row >= self.down as isize {
                    continue;
                }
                let edge = row == by - ring || row == by + ring;
                let stride = if edge { 1 } else { (2 * ring).max(1) };
                let mut col = bx - ring;
                while col <= bx + ring {
                    if col >= 0 && col < self.across as isize {
                        let bucket = row as usize * self.across + col as usize;
                        let slots = self.first[bucket] as usize..self.first[bucket + 1] as usize;
                        for &at in &self.order[slots] {
                            let distance = distance(at as usize);
                            if best.is_none_or(|(least, _)| distance < least) {
                                best = Some((distance, at as usize));
                            }
                        }
                    }
                    col += stride;
                }
            }
        }
        best.map(|(_, at)| at)
    }
}

/// The dots as SVG: one path for each ink and size, every dot a round line end.
pub fn svg(tone: &Tone, dots: &[Dot]) -> String {
    const SIZES: [f64; 4] = [1.3, 1.8, 2.3, 2.9];
    let mut groups = vec![String::new(); tone.inks.len() * SIZES.len()];
    for dot in dots {
        let (col, row) =
            ((dot.x as usize).min(tone.width - 1), (dot.y as usize).min(tone.height - 1));
        let at = row * tone.width + col;
        let size = ((tone.density[at] * 1.6 * SIZES.len() as f32) as usize).min(SIZES.len() - 1);
        let group = &mut groups[usize::from(tone.ink[at]) * SIZES.len() + size];
        let _ =
            write!(group, "M{} {}h0", num(f64::from(dot.x) * CELL), num(f64::from(dot.y) * CELL));
    }
    let mut out = String::from(r#"<g fill="none" stroke-linecap="round">"#);
    for (at, d) in groups.iter().enumerate().filter(|(_, d)| !d.is_empty()) {
        let (ink, size) = (tone.inks[at / SIZES.len()], SIZES[at % SIZES.len()]);
        let _ = write!(out, r#"<path stroke="{ink}" stroke-width="{size}" d="{d}"/>"#);
    }
    out.push_str("</g>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::art::colour::rgb;

    fn half_dark() -> Tone {
        let density = (0..60 * 60).map(|at| if at % 60 < 30 { 0.8 } else { 0.1 }).collect();
        Tone { width: 60, height: 60, density, ink: vec![0; 3600], inks: vec![rgb(0)] }
    }

    #[test]
    fn dots_follow_the_tone_and_keep_apart() {
        let tone = half_dark();
        let dots = relax(&tone, &mut Rng::new(7));
        let dark = dots.iter().filter(|dot| dot.x < 30.0).count();
        assert!(dark * 10 > dots.len() * 8, "{dark} of {} in the dark half", dots.len());
        let near = |a: &Dot| {
            dots.iter()
                .filter(|b| *b != a)
                .map(|b| (a.x - b.x).hypot(a.y - b.y))
                .fold(99.0, f32::min)
        };
        let least = dots.iter().map(near).fold(99.0, f32::min);
        assert!(least > 1.0, "two dots lie {least} apart");
    }

    #[test]
    fn a_blank_map_has_no_dots() {
        let tone =
            Tone { width: 9, height: 9, density: vec![0.0; 81], ink: vec![0; 81], inks: vec![] };
        assert!(relax(&tone, &mut Rng::new(1)).is_empty());
    }
}
