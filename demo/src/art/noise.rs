//! Smooth random landscapes: value noise and its fractal sum.

use super::rng::hash;

/// A field of smooth noise.
#[derive(Debug, Clone, Copy)]
pub struct Noise(u64);

impl Noise {
    /// The field that belongs to a seed and a name: one scene needs many.
    pub fn new(seed: u64, name: &str) -> Self {
        Self(seed ^ hash(name))
    }

    fn lattice(self, x: i64, y: i64) -> f64 {
        let mut h = self.0
            ^ (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ (y as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        h = (h ^ (h >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        h = (h ^ (h >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((h ^ (h >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Noise at a point, 0 to 1, with features about 1 in size.
    pub fn at(self, x: f64, y: f64) -> f64 {
        let (x0, y0) = (x.floor(), y.floor());
        let ease = |t: f64| t * t * t * (t * (t * 6.0 - 15.0) + 10.0);
        let (u, v) = (ease(x - x0), ease(y - y0));
        let (x0, y0) = (x0 as i64, y0 as i64);
        let row = |y: i64| {
            let (a, b) = (self.lattice(x0, y), self.lattice(x0 + 1, y));
            a + (b - a) * u
        };
        let (top, bottom) = (row(y0), row(y0 + 1));
        top + (bottom - top) * v
    }

    /// Fractal noise, 0 to 1: each octave twice as fine and half as strong.
    pub fn fractal(self, x: f64, y: f64, octaves: u32) -> f64 {
        let (mut sum, mut total, mut strength, mut scale) = (0.0, 0.0, 1.0, 1.0);
        for octave in 0..octaves {
            sum += strength
                * self
                    .at(x * scale + f64::from(octave) * 17.3, y * scale - f64::from(octave) * 9.1);
            total += strength;
            strength *= 0.5;
            scale *= 2.03;
        }
        sum / total
    }

    /// Fractal noise bent by other noise: what clouds and rock look like.
    pub fn warped(self, x: f64, y: f64, octaves: u32) -> f64 {
        let dx = self.fractal(x + 5.2, y + 1.3, 3);
        let dy = self.fractal(x - 8.7, y + 2.8, 3);
        self.fractal(x + 1.6 * dx, y + 1.6 * dy, octaves)
    }
}
