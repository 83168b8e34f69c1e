//! Colours, and a palette for each light and weather.

use std::fmt;

use crate::text::lexicon::{Time, Weather};

/// A colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rgb(pub f64, pub f64, pub f64);

/// From `0xrrggbb`.
pub const fn rgb(hex: u32) -> Rgb {
    Rgb(((hex >> 16) & 255) as f64, ((hex >> 8) & 255) as f64, (hex & 255) as f64)
}

impl Rgb {
    /// This colour, moved towards another by a share of 0 to 1.
    pub fn mix(self, other: Self, share: f64) -> Self {
        let mix = |a: f64, b: f64| a + (b - a) * share.clamp(0.0, 1.0);
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// Lighter by a share.
    pub fn light(self, share: f64) -> Self {
        self.mix(rgb(0xff_ff_ff), share)
    }

    /// Darker by a share, towards a warm black.
    pub fn dark(self, share: f64) -> Self {
        self.mix(rgb(0x1a_14_28), share)
    }

    /// Greyer by a share.
    pub fn grey(self, share: f64) -> Self {
        let grey = 0.3 * self.0 + 0.59 * self.1 + 0.11 * self.2;
        self.mix(Self(grey, grey, grey), share)
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let byte = |v: f64| v.round().clamp(0.0, 255.0) as u8;
        write!(f, "#{:02x}{:02x}{:02x}", byte(self.0), byte(self.1), byte(self.2))
    }
}

/// The colours of one scene.
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    /// Sky: at the top, in the middle, at the horizon.
    pub sky: [Rgb; 3],
    /// The sun or the moon.
    pub sun: Rgb,
    /// What the distance fades into.
    pub haze: Rgb,
    /// Clouds.
    pub cloud: Rgb,
    /// Water.
    pub water: Rgb,
    /// The tint everything takes on, and how much of it.
    pub tint: (Rgb, f64),
    /// Outlines.
    pub ink: Rgb,
    /// Lit windows.
    pub lamp: Rgb,
    /// It is dark: ink dots become points of light.
    pub night: bool,
}

impl Palette {
    /// The palette for a light and a weather.
    pub fn of(time: Time, weather: Option<Weather>) -> Self {
        let mut palette = match time {
            Time::Dawn => Self {
                sky: [rgb(0x7f_a9_d6), rgb(0xf4_c6_b8), rgb(0xff_e6_b8)],
                sun: rgb(0xff_f3_d2),
                haze: rgb(0xf2_cf_c0),
                cloud: rgb(0xff_ee_e2),
                water: rgb(0x8f_ae_cb),
                tint: (rgb(0xf0_b0_a0), 0.20),
                ink: rgb(0x35_2c_4e),
                lamp: rgb(0xff_dd_8a),
                night: false,
            },
            Time::Day => Self {
                sky: [rgb(0x5d_ae_dd), rgb(0xa6_d7_ea), rgb(0xee_f6_e4)],
                sun: rgb(0xff_f8_d8),
                haze: rgb(0xcf_e6_ea),
                cloud: rgb(0xff_ff_fb),
                water: rgb(0x3f_95_b8),
                tint: (rgb(0xff_f2_c8), 0.06),
                ink: rgb(0x1f_2b_44),
                lamp: rgb(0xff_e7_a0),
                night: false,
            },
            Time::Dusk => Self {
                sky: [rgb(0x4d_4a_8c), rgb(0xcf_74_8d), rgb(0xff_bd_78)],
                sun: rgb(0xff_dd_92),
                haze: rgb(0xd0_86_96),
                cloud: rgb(0xf2_a4_94),
                water: rgb(0x6d_66_9e),
                tint: (rgb(0x8a_3f_78), 0.30),
                ink: rgb(0x28_1c_42),
                lamp: rgb(0xff_d9_7a),
                night: false,
            },
            Time::Night => Self {
                sky: [rgb(0x12_1b_42), rgb(0x20_34_66), rgb(0x45_65_96)],
                sun: rgb(0xfb_f4_d2),
                haze: rgb(0x3d_59_8a),
                cloud: rgb(0x3a_51_80),
                water: rgb(0x1f_40_6e),
                tint: (rgb(0x16_24_55), 0.56),
                ink: rgb(0x0c_11_28),
                lamp: rgb(0xff_d3_6b),
                night: true,
            },
        };
        match weather {
            Some(Weather::Rain) => palette.veil(rgb(0x8b_9c_b0), 0.5),
            Some(Weather::Fog) => {
                palette.veil(if palette.night { rgb(0x5b_70_92) } else { rgb(0xc9_cf_d4) }, 0.55)
            }
            Some(Weather::Snow) => {
                palette.veil(if palette.night { rgb(0x54_6d_9c) } else { rgb(0xd6_e2_ee) }, 0.45)
            }
            None => {}
        }
        palette
    }

    /// Indoors after dark the light is a lamp's: warm, and bright enough for ink to be dark again.
    pub fn come_in(&mut self) {
        if self.night {
            self.night = false;
            self.tint = (rgb(0x5a_2c_2c), 0.3);
            self.ink = rgb(0x2a_16_24);
        }
    }

    fn veil(&mut self, veil: Rgb, share: f64) {
        for colour in self.sky.iter_mut().chain([&mut self.haze, &mut self.cloud, &mut self.water])
        {
            *colour = colour.mix(veil, share);
        }
        self.tint = (self.tint.0.mix(veil, 0.4), (self.tint.1 + 0.12).min(0.7));
    }

    /// A thing's own colour as it looks in this light.
    pub fn lit(&self, own: Rgb) -> Rgb {
        own.mix(self.tint.0, self.tint.1)
    }

    /// The same from far away: 0 is here, 1 is the horizon.
    pub fn far(&self, own: Rgb, distance: f64) -> Rgb {
        self.lit(own).mix(self.haze, distance)
    }
}
