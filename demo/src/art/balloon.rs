//! Speech balloons and caption boxes.

use super::colour::Rgb;
use super::lettering::Lettering;
use super::paint::{Point, num, path};
use super::rng::Rng;

/// Letters are this much larger than a glyph's own ten units.
pub const SCALE: f64 = 1.22;
const PEN: f64 = 1.95;
const PAPER: &str = "#fffdf6";

/// A balloon: its text, and where it floats.
#[derive(Debug, Clone)]
pub struct Balloon {
    lettering: Lettering,
    shout: bool,
    /// Its centre.
    pub centre: Point,
    /// Its width, edge to edge.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

impl Balloon {
    /// A balloon for a text, at most so wide, not placed yet.
    pub fn new(text: &str, most: f64, shout: bool) -> Self {
        let lettering = Lettering::wrap(text, (most - 46.0) / SCALE);
        let (width, height) = (lettering.width * SCALE + 46.0, lettering.height() * SCALE + 34.0);
        Self { lettering, shout, centre: (0.0, 0.0), width, height }
    }

    /// The lower edge.
    pub fn bottom(&self) -> f64 {
        self.centre.1 + self.height / 2.0
    }

    /// Draws it with its tail towards a point.
    pub fn svg(&self, toward: Point, ink: Rgb, rng: &mut Rng) -> String {
        let (cx, cy) = self.centre;
        let body = path(&self.outline(rng), true);
        let base = (
            cx + (toward.0 - cx).clamp(-self.width * 0.3, self.width * 0.3),
            cy + self.height * 0.36,
        );
        let bend =
            ((base.0 + toward.0) / 2.0 + (cx - toward.0).signum() * 9.0, (base.1 + toward.1) / 2.0);
        let tail = format!(
            "M{} {}Q{} {} {} {}Q{} {} {} {}Z",
            num(base.0 - 11.0),
            num(base.1),
            num(bend.0 - 4.0),
            num(bend.1),
            num(toward.0),
            num(toward.1),
            num(bend.0 + 6.0),
            num(bend.1),
            num(base.0 + 11.0),
            num(base.1)
        );
        let top = cy - self.lettering.height() * SCALE / 2.0;
        let letters = self.lettering.path((cx, top), SCALE, true, rng);
        // Body and tail are outlined first and filled again without a line, so that they become one shape.
        format!(
            concat!(
                r#"<g fill="{paper}" stroke-linejoin="round"><g stroke="{ink}" stroke-width="5">"#,
                r#"<path d="{body}"/><path d="{tail}"/></g><path d="{body}"/><path d="{tail}"/></g>"#,
                r#"<path d="{letters}" fill="none" stroke="{ink}" stroke-width="{pen}" stroke-linecap="round" stroke-linejoin="round"/>"#
            ),
            paper = PAPER,
            ink = ink,
            body = body,
            tail = tail,
            letters = letters.trim_end(),
            pen = PEN
        )
    }

    /// A superellipse, or the same with spikes for a shout.
    fn outline(&self, rng: &mut Rng) -> Vec<Point> {
        let (cx, cy) = self.centre;
        let (rx, ry) = (self.width / 2.0, self.height / 2.0);
        let steps = if self.shout { 44 } else { 72 };
        (0..steps)
            .map(|step| {
                let angle = f64::from(step) / f64::from(steps) * std::f64::consts::TAU;
                let (c, s) = (angle.cos(), angle.sin());
                let round = |v: f64| v.signum() * v.abs().powf(0.62);
                let spike = match (self.shout, step % 2) {
                    (true, 0) => 12.0 + rng.between(0.0, 5.0),
                    (true, _) => -1.0,
                    (false, _) => 0.0,
                };
                (cx + round(c) * rx + c * spike, cy + round(s) * ry + s * spike)
            })
            .collect()
    }
}

/// A caption box, its upper left corner at a point.
#[derive(Debug, Clone)]
pub struct Caption {
    lettering: Lettering,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

impl Caption {
    const SCALE: f64 = 1.06;

    /// A box for a text, at most so wide.
    pub fn new(text: &str, most: f64) -> Self {
        let lettering = Lettering::wrap(text, (most - 28.0) / Self::SCALE);
        let (width, height) =
            (lettering.width * Self::SCALE + 28.0, lettering.height() * Self::SCALE + 22.0);
        Self { lettering, width, height }
    }

    /// Draws it.
    pub fn svg(&self, (x, y): Point, paper: Rgb, ink: Rgb, rng: &mut Rng) -> String {
        let letters = self.lettering.path((x + 14.0, y + 11.0), Self::SCALE, false, rng);
        format!(
            concat!(
                r#"<rect x="{x3}" y="{y3}" width="{w}" height="{h}" fill="{ink}" opacity="0.35"/>"#,
                r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{paper}" stroke="{ink}" stroke-width="2.4"/>"#,
                r#"<path d="{letters}" fill="none" stroke="{ink}" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round"/>"#
            ),
            x3 = num(x + 4.0),
            y3 = num(y + 4.0),
            x = num(x),
            y = num(y),
            w = num(self.width),
            h = num(self.height),
            letters = letters.trim_end(),
            paper = paper,
            ink = ink
        )
    }
}
