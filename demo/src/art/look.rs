//! What a character looks like: always the same for the same name in the same cast.

use super::colour::{Rgb, rgb};
use super::rng::{Rng, hash};
use crate::text::cast::{Age, Character, Pronoun};

/// How hair is worn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hair {
    /// Cropped, with a parting.
    Short,
    /// To the chin.
    Bob,
    /// Up, in a knot.
    Bun,
    /// Two braids.
    Braids,
    /// A cloud of curls.
    Curly,
    /// A fringe around a bald head.
    Wreath,
}

/// What is worn on the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hat {
    /// Nothing.
    Bare,
    /// A white cap with a badge.
    Captain,
    /// Round and hard.
    Bowler,
    /// Knitted.
    Wool,
    /// A scarf tied under the chin.
    Kerchief,
}

/// What is worn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dress {
    /// A long coat with buttons.
    Coat,
    /// A skirt with an apron.
    Apron,
    /// A jacket over trousers.
    Jacket,
}

/// A character's looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Skin.
    pub skin: Rgb,
    /// Hair and beard.
    pub hair: Rgb,
    /// Coat, dress or jacket: no two of a cast share it.
    pub cloth: Rgb,
    /// Scarf, hat, buttons.
    pub accent: Rgb,
    /// Trousers.
    pub legs: Rgb,
    /// How hair is worn.
    pub style: Hair,
    /// On the head.
    pub hat: Hat,
    /// On the body.
    pub dress: Dress,
    /// A full beard.
    pub beard: bool,
    /// A moustache.
    pub moustache: bool,
    /// Round glasses.
    pub glasses: bool,
    /// A scarf.
    pub scarf: bool,
    /// A bag on a strap.
    pub bag: bool,
    /// 1 is average: how broad.
    pub girth: f64,
    /// 1 is an adult's: how tall.
    pub height: f64,
}

const CLOTHS: [u32; 6] = [0xd8_54_3e, 0x2c_7d_86, 0xe2_a4_35, 0x6e_53_9e, 0x55_8c_50, 0x3c_6c_b2];
const SKINS: [u32; 5] = [0xf6_cf_b0, 0xe8_b4_8c, 0xc9_8d_63, 0x8d_5a_3c, 0xf2_c4_a4];
const HAIRS: [u32; 5] = [0x3a_28_22, 0x7a_46_28, 0xb8_6a_30, 0x24_22_2c, 0xd8_a8_56];

impl Look {
    /// The looks of the character at this place in the cast; `seed` is the book's.
    pub fn of(character: &Character, place: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ hash(&character.name));
        let elder = character.age == Age::Elder;
        let child = character.age == Age::Child;
        let man = match character.pronoun {
            Pronoun::He => true,
            Pronoun::She => false,
            Pronoun::They => rng.chance(0.5),
        };
        let cloth = rgb(CLOTHS[(place + (seed % 6) as usize) % CLOTHS.len()]);
        let title = character.title.as_deref();
        let titled = title.is_some();
        let style = match (man, elder) {
            (true, true) => Hair::Wreath,
            (true, false) => {
                if place % 3 == 2 && !titled {
                    Hair::Curly
                } else {
                    Hair::Short
                }
            }
            (false, _) if child || character.narrator => Hair::Braids,
            (false, _) => [Hair::Bun, Hair::Bob, Hair::Curly][(place + (seed % 3) as usize) % 3],
        };
        let hat = match title {
            Some("Captain") => Hat::Captain,
            Some("Inspector") => Hat::Bowler,
            Some("Doctor") => Hat::Kerchief,
            _ if style == Hair::Wreath || style == Hair::Bun => Hat::Bare,
            _ if character.narrator || child => Hat::Wool,
            _ => Hat::Bare,
        };
        let skin = SKINS[rng.below(SKINS.len())];
        // Neighbours in the cast differ in their hair.
        let hair = HAIRS[(place * 2 + (seed % 5) as usize) % HAIRS.len()];
        let official = titled;
        Self {
            skin: rgb(if title == Some("Captain") { SKINS[3] } else { skin }),
            hair: if elder { rgb(0xec_e8_e2) } else { rgb(hair) },
            cloth: if title == Some("Inspector") { cloth.grey(0.7).dark(0.3) } else { cloth },
            accent: rgb(rng.pick([0xf4_e3_b8, 0xf2_ef_e6, 0xc8_3e_4a, 0xf0_c0_4a])),
            legs: rgb(rng.pick([0x3d_44_5c, 0x5a_46_40, 0x4a_50_48])),
            style,
            hat,
            dress: match (official, man) {
                (true, _) => Dress::Coat,
                (false, true) => rng.pick([Dress::Jacket, Dress::Coat]),
                (false, false) => {
                    if child || character.narrator {
                        Dress::Coat
                    } else {
                        Dress::Apron
                    }
                }
            },
            beard: man && !child && (title == Some("Captain") || rng.chance(0.3)),
            moustache: man && elder,
            glasses: !child && !official && !character.narrator && rng.chance(0.4),
            scarf: child || rng.chance(0.4),
            bag: character.narrator || title == Some("Doctor"),
            girth: if title == Some("Inspector") { 0.88 } else { rng.between(0.92, 1.14) },
            height: match title {
                _ if child => 0.74,
                Some("Inspector") => 1.1,
                _ => rng.between(0.93, 1.04),
            },
        }
    }
}
