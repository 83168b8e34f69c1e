//! What every place is built from: the canvas, the light, and chance.

use super::colour::{Palette, Rgb, rgb};
use super::noise::Noise;
use super::paint::{Painter, Point};
use super::rng::Rng;
use crate::text::lexicon::{Time, Weather};

/// A scene's canvas while it is being built.
#[derive(Debug)]
pub struct Stage {
    /// The canvas.
    pub p: Painter,
    /// Chance, seeded by the scene's text.
    pub rng: Rng,
    /// The seed, for noise.
    pub seed: u64,
    /// The light.
    pub time: Time,
    /// Rain, snow or fog.
    pub weather: Option<Weather>,
    /// Where the sun or the moon stands.
    pub light: Point,
}

impl Stage {
    /// A canvas of this size for this light.
    pub fn new(
        (width, height): Point,
        time: Time,
        weather: Option<Weather>,
        seed: u64,
        id: &str,
    ) -> Self {
        let mut rng = Rng::new(seed);
        let across = if rng.chance(0.5) { rng.between(0.14, 0.3) } else { rng.between(0.7, 0.86) };
        let down = match time {
            Time::Dawn | Time::Dusk => 0.42,
            Time::Day | Time::Night => 0.2,
        };
        let palette = Palette::of(time, weather);
        let p = Painter::new(width, height, palette, id);
        Self { p, rng, seed, time, weather, light: (width * across, height * down) }
    }

    /// The canvas's width.
    pub fn w(&self) -> f64 {
        self.p.width
    }

    /// The canvas's height.
    pub fn h(&self) -> f64 {
        self.p.height
    }

    /// The colours.
    pub fn pal(&self) -> Palette {
        self.p.palette
    }

    /// A thing's own colour in this light.
    pub fn lit(&self, own: u32) -> Rgb {
        self.p.palette.lit(rgb(own))
    }

    /// The same, seen from a distance (0 to 1).
    pub fn far(&self, own: u32, distance: f64) -> Rgb {
        self.p.palette.far(rgb(own), distance)
    }

    /// A noise field of this scene.
    pub fn noise(&self, name: &str) -> Noise {
        Noise::new(self.seed, name)
    }

    /// Snow lies.
    pub fn snowy(&self) -> bool {
        self.weather == Some(Weather::Snow)
    }

    /// It is dark enough for lamps.
    pub fn lamps(&self) -> bool {
        matches!(self.time, Time::Dusk | Time::Night)
    }

    /// A ridge line across the canvas, closed below: hills, dunes, banks.
    pub fn ridge(&self, name: &str, top: f64, amplitude: f64, size: f64) -> Vec<Point> {
        let noise = self.noise(name);
        let mut points: Vec<Point> = (0..=((self.w() / 6.0) as usize + 1))
            .map(|step| step as f64 * 6.0)
            .map(|x| (x, top - amplitude * (noise.fractal(x / size, 0.5, 4) - 0.5) * 2.0))
            .collect();
        points.push((self.w() + 8.0, self.h() + 8.0));
        points.push((-8.0, self.h() + 8.0));
        points
    }

    /// A hill with noise for its folds, lit from the light's side.
    pub fn hill(
        &mut self,
        name: &str,
        top: f64,
        amplitude: f64,
        size: f64,
        colour: Rgb,
        line: f64,
    ) {
        let points = self.ridge(name, top, amplitude, size);
        let folds = self.noise(name);
        let toward = if self.light.0 < self.w() / 2.0 { 1.0 } else { -1.0 };
        self.p.area(&points, colour, line, move |x, y| {
            let (u, v) = (x / (size * 0.42), y / (size * 0.22));
            let slope = folds.fractal(u + 0.12 * toward, v + 0.1, 4) - folds.fractal(u, v, 4);
            0.16 + (y - top).max(0.0) / 620.0 + slope * 2.6
        });
    }
}
