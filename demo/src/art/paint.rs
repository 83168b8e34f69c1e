//! Areas of flat colour, and under each a note of how dark it should be: what the stippler works from.

use std::fmt::Write;

use super::colour::{Palette, Rgb};

/// A point.
pub type Point = (f64, f64);

/// The side of one cell of the tone map, in drawing units.
pub const CELL: f64 = 1.25;

/// How dark each spot is, and in which ink.
#[derive(Debug, Clone)]
pub struct Tone {
    /// Cells across.
    pub width: usize,
    /// Cells down.
    pub height: usize,
    /// 0 (blank) to 1 (as dense as dots get), row by row.
    pub density: Vec<f32>,
    /// Which of the inks.
    pub ink: Vec<u8>,
    /// The inks.
    pub inks: Vec<Rgb>,
}

/// How an area is filled.
#[derive(Debug, Clone, Copy)]
pub enum Fill {
    /// One colour.
    Flat(Rgb),
    /// From one colour at its top to another at its bottom.
    Down(Rgb, Rgb),
}

impl From<Rgb> for Fill {
    fn from(colour: Rgb) -> Self {
        Self::Flat(colour)
    }
}

/// A canvas that collects SVG and, beside it, a tone map.
#[derive(Debug)]
pub struct Painter {
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// The light.
    pub palette: Palette,
    id: String,
    defs: String,
    under: String,
    over: String,
    gradients: usize,
    tone: Tone,
}

/// The finished parts of a canvas.
#[derive(Debug)]
pub struct Painted {
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// What outlines are drawn in.
    pub ink: Rgb,
    /// Gradients.
    pub defs: String,
    /// What lies under the dots.
    pub under: String,
    /// What lies over them.
    pub over: String,
    /// The tone map.
    pub tone: Tone,
}

impl Painter {
    /// An empty canvas; `id` makes its gradients' names its own when panels share one page.
    pub fn new(width: f64, height: f64, palette: Palette, id: &str) -> Self {
        let (cols, rows) = ((width / CELL).ceil() as usize, (height / CELL).ceil() as usize);
        let tone = Tone {
            width: cols,
            height: rows,
            density: vec![0.0; cols * rows],
            ink: vec![0; cols * rows],
            inks: Vec::new(),
        };
        let (defs, under, over) = (String::new(), String::new(), String::new());
        Self { width, height, palette, id: id.to_owned(), defs, under, over, gradients: 0, tone }
    }

    /// An area with an outline and a shade: `shade` gives the darkness, 0 to 1, of each point in it.
    pub fn area(
        &mut self,
        points: &[Point],
        fill: impl Into<Fill>,
        line: f64,
        shade: impl Fn(f64, f64) -> f64,
    ) {
        let fill = fill.into();
        let (paint, base) = match fill {
            Fill::Flat(colour) => (colour.to_string(), colour),
            Fill::Down(top, bottom) => {
                (format!("url(#{})", self.gradient(top, bottom)), top.mix(bottom, 0.5))
            }
        };
        let _ = write!(self.under, r#"<path d="{}" fill="{paint}""#, path(points, true));
        self.end_stroke(line);
        self.tone_area(points, base, shade);
    }

    /// An area without shade, which hides the shade of what lies behind it.
    pub fn flat(&mut self, points: &[Point], fill: impl Into<Fill>, line: f64) {
        self.area(points, fill, line, |_, _| 0.0);
    }

    /// A round area.
    pub fn disc(
        &mut self,
        (x, y): Point,
        radius: f64,
        fill: Rgb,
        line: f64,
        shade: impl Fn(f64, f64) -> f64,
    ) {
        self.area(&ellipse((x, y), radius, radius), fill, line, shade);
    }

    /// A line under the dots.
    pub fn line(&mut self, points: &[Point], colour: Rgb, width: f64) {
        let _ = write!(
            self.under,
            r#"<path d="{}" fill="none" stroke="{colour}" stroke-width="{}" stroke-linecap="round" stroke-linejoin="round"/>"#,
            path(points, false),
            num(width)
        );
    }

    /// A soft glow above everything that was painted so far.
    pub fn glow(&mut self, (x, y): Point, radius: f64, colour: Rgb, strength: f64) {
        self.gradients += 1;
        let id = format!("{}g{}", self.id, self.gradients);
        let _ = write!(
            self.defs,
            r#"<radialGradient id="{id}"><stop offset="0" stop-color="{colour}" stop-opacity="{}"/><stop offset="1" stop-color="{colour}" stop-opacity="0"/></radialGradient>"#,
            num2(strength)
        );
        let _ = write!(
            self.under,
            r#"<circle cx="{}" cy="{}" r="{}" fill="url(#{id})"/>"#,
            num(x),
            num(y),
            num(radius)
        );
    }

    /// SVG of one's own, under the dots.
    pub fn raw(&mut self, svg: &str) {
        self.under.push_str(svg);
    }

    /// SVG of one's own, over the dots.
    pub fn raw_over(&mut self, svg: &str) {
        self.over.push_str(svg);
    }

    /// Thins out the shade of what was painted so far, as fog does.
    pub fn fade(&mut self, share: impl Fn(f64, f64) -> f64) {
        for row in 0..self.tone.height {
            for col in 0..self.tone.width {
                let (x, y) = (col as f64 * CELL, row as f64 * CELL);
                self.tone.density[row * self.tone.width + col] *= share(x, y) as f32;
            }
        }
    }

    /// Ends the painting.
    pub fn finish(self) -> Painted {
        let (width, height, ink) = (self.width, self.height, self.palette.ink);
        Painted {
            width,
            height,
            ink,
            defs: self.defs,
            under: self.under,
            over: self.over,
            tone: self.tone,
        }
    }

    fn gradient(&mut self, top: Rgb, bottom: Rgb) -> String {
        self.gradients += 1;
        let id = format!("{}g{}", self.id, self.gradients);
        let _ = write!(
            self.defs,
            r#"<linearGradient id="{id}" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="{top}"/><stop offset="1" stop-color="{bottom}"/></linearGradient>"#
        );
        id
    }

    fn end_stroke(&mut self, line: f64) {
        if line > 0.0 {
            let _ = write!(
                self.under,
                r#" stroke="{}" stroke-width="{}" stroke-linejoin="round"/>"#,
                self.palette.ink,
                num(line)
            );
        } else {
            self.under.push_str("/>");
        }
    }

    /// By night the dots are the light ones, so they go where an area is bright.
    fn tone_area(&mut self, points: &[Point], base: Rgb, shade: impl Fn(f64, f64) -> f64) {
        let night = self.palette.night;
        let ink =
            if night { base.mix(self.palette.sun, 0.42) } else { base.mix(self.palette.ink, 0.62) };
        let ink = self.ink(ink);
        let Tone { width, height, density, ink: inks, .. } = &mut self.tone;
        scan(points, *width, *height, |col, row| {
            let dark = shade(col as f64 * CELL, row as f64 * CELL).clamp(0.0, 1.0);
            let at = row * *width + col;
            density[at] =
                if night && dark > 0.0 { (0.62 - dark).max(0.0) * 0.8 } else { dark } as f32;
            inks[at] = ink;
        });
    }

    fn ink(&mut self, colour: Rgb) -> u8 {
        let known = self.tone.inks.iter().position(|ink| *ink == colour);
        // More inks than a byte can name would only mean slightly wrong colours.
        let at = known.unwrap_or_else(|| {
            self.tone.inks.push(colour);
            self.tone.inks.len() - 1
        });
        u8::try_from(at).unwrap_or(u8::MAX)
    }
}

/// Visits the cells inside a polygon (even-odd).
fn scan(points: &[Point], width: usize, height: usize, mut visit: impl FnMut(usize, usize)) {
    let low = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min).max(0.0);
    let high =
        points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max).min(height as f64 * CELL);
    let mut crossings: Vec<f64> = Vec::new();
    let (first, last) =
        ((low / CELL).floor() as usize, ((high / CELL).ceil().max(0.0) as usize).min(height));
    for row in first..last {
        let y = (row as f64 + 0.5) * CELL;
        crossings.clear();
        for (at, &(x0, y0)) in points.iter().enumerate() {
            let (x1, y1) = points[(at + 1) % points.len()];
            if (y0 <= y) != (y1 <= y) {
                crossings.push(x0 + (y - y0) / (y1 - y0) * (x1 - x0));
            }
        }
        crossings.sort_by(f64::total_cmp);
        for pair in crossings.chunks_exact(2) {
            let from = (pair[0] / CELL).round().max(0.0) as usize;
            let to = ((pair[1] / CELL).round().max(0.0) as usize).min(width);
            (from..to).for_each(|col| visit(col, row));
        }
    }
}

/// A number with at most one decimal.
pub fn num(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    // No `-0`: it is one byte more and looks like a mistake.
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}

/// A number with at most two decimals.
pub fn num2(value: f64) -> String {
    format!("{}", (value * 100.0).round() / 100.0)
}

/// The `d` of a path through these points.
pub fn path(points: &[Point], closed: bool) -> String {
    let mut d = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        let _ = write!(d, "{}{} {}", if at == 0 { "M" } else { "L" }, num(*x), num(*y));
    }
    if closed {
        d.push('Z');
    }
    d
}

/// The corners of a rectangle.
pub fn rect(x: f64, y: f64, width: f64, height: f64) -> [Point; 4] {
    [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
}

/// An ellipse as a polygon.
pub fn ellipse((x, y): Point, rx: f64, ry: f64) -> Vec<Point> {
    let steps = (rx.max(ry).sqrt() * 5.0).clamp(12.0, 96.0) as usize;
    let angle = |at: usize| at as f64 / steps as f64 * std::f64::consts::TAU;
    (0..steps).map(|at| (x + rx * angle(at).cos(), y + ry * angle(at).sin())).collect()
}

/// A quadratic curve as points.
pub fn curve(a: Point, control: Point, b: Point, steps: usize) -> Vec<Point> {
    let at = |t: f64, a: f64, c: f64, b: f64| {
        (1.0 - t) * (1.0 - t) * a + 2.0 * t * (1.0 - t) * c + t * t * b
    };
    (0..=steps)
        .map(|step| step as f64 / steps as f64)
        .map(|t| (at(t, a.0, control.0, b.0), at(t, a.1, control.1, b.1)))
        .collect()
}
