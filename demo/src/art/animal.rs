//! Animals, in the same units as people: feet at the origin, facing right, 100 is an adult's height.

use super::colour::{Palette, rgb};
use crate::text::lexicon::Mood;

/// How tall an animal stands beside an adult's 100.
pub fn height(species: &str) -> f64 {
    match species {
        "mule" => 112.0,
        "goose" => 74.0,
        _ => 44.0,
    }
}

/// How much room an animal takes beside a person's 1.
pub fn breadth(species: &str) -> f64 {
    match species {
        "mule" => 1.9,
        "goose" => 1.25,
        _ => 0.7,
    }
}

/// The animal as an SVG group's content.
pub fn animal(species: &str, mood: Mood, pal: &Palette) -> String {
    let own = |hex: u32| rgb(hex).mix(pal.tint.0, pal.tint.1 * 0.42).to_string();
    let body = match species {
        "mule" => MULE,
        "goose" => GOOSE,
        _ => CAT,
    };
    // A brow says more than a mouth does, on an animal.
    let brow = match (species, mood) {
        ("mule", Mood::Tense | Mood::Wry) => {
            r#"<path d="M43 -87l8 2.4" fill="none" stroke-width="1.8"/>"#
        }
        ("goose", Mood::Tense | Mood::Wry) => {
            r#"<path d="M17 -70.4l7 2" fill="none" stroke-width="1.6"/>"#
        }
        _ => "",
    };
    format!("{body}{brow}")
        .replace("{ink}", &pal.ink.to_string())
        .replace("{white}", &own(0xfb_f8_f0))
        .replace("{shade}", &own(0xd6_d4_da))
        .replace("{orange}", &own(0xf0_8c_2e))
        .replace("{brown}", &own(0x8a_62_46))
        .replace("{pale}", &own(0xd8_bc_9a))
        .replace("{dark}", &own(0x4a_34_2c))
        .replace("{sack}", &own(0xc8_a0_5c))
        .replace("{red}", &own(0xc2_48_3e))
}

const GOOSE: &str = r#"<ellipse cx="-4" cy="0" rx="30" ry="4.4" fill="{ink}" stroke="none" opacity="0.3"/>
<path d="M-8 -14L-10 -2M6 -14L6 -2" fill="none" stroke="{orange}" stroke-width="3.4"/>
<path d="M-16 0L-4 0L-9 -5ZM0 0L13 0L7 -5Z" fill="{orange}"/>
<path d="M-44 -36Q-34 -34 -28 -38Q-14 -48 2 -42Q8 -46 9 -54Q10 -64 11 -66Q14 -76 23 -74Q31 -71 28 -62Q22 -56 21.6 -46Q24 -34 18 -22Q10 -10 -8 -10Q-30 -12 -44 -36Z" fill="{white}"/>
<path d="M-36 -32Q-24 -14 -6 -13Q10 -14 17 -24Q8 -20 -4 -20Q-22 -22 -36 -32Z" fill="{shade}" stroke="none"/>
<path d="M-33 -34Q-20 -44 -6 -36Q2 -30 -3 -22Q-12 -16 -22 -22Q-18 -24 -15 -24Q-24 -24 -28 -28Q-24 -29 -21 -29Q-29 -30 -33 -34Z" fill="{white}"/>
<path d="M27.4 -70Q37 -69 40 -65.4Q36 -62 28 -62.6Q26 -66 27.4 -70Z" fill="{orange}"/>
<path d="M28 -66L38 -65.4" fill="none" stroke-width="1"/>
<circle cx="21.4" cy="-67.6" r="1.7" fill="{ink}" stroke="none"/>"#;

const MULE: &str = r#"<ellipse cx="0" cy="0" rx="46" ry="5" fill="{ink}" stroke="none" opacity="0.3"/>
<path d="M-38 -52Q-48 -46 -46 -26" fill="none" stroke="{dark}" stroke-width="4"/>
<path d="M-46 -28l-3 12l7 -2Z" fill="{dark}"/>
<path d="M-24 -30l2 28h-8l-4 -30ZM20 -30l-2 28h8l4 -30Z" fill="{dark}"/>
<path d="M-36 -34l1 32h9l3 -30ZM10 -32l0 30h9l4 -32Z" fill="{brown}"/>
<path d="M-35 -6h9v6h-10ZM10 -6h9l1 6h-10ZM-30 -6h8v6h-8ZM18 -6h8v6h-8Z" fill="{ink}"/>
<path d="M-42 -50Q-40 -62 -26 -62Q-4 -56 12 -62Q18 -74 28 -86L46 -78Q36 -66 34 -54Q32 -34 18 -30Q-10 -24 -30 -30Q-42 -34 -42 -50Z" fill="{brown}"/>
<path d="M-38 -38Q-10 -30 20 -34Q12 -29 -6 -28Q-28 -28 -38 -38Z" fill="{ink}" stroke="none" opacity="0.16"/>
<path d="M10 -62Q16 -78 26 -92L32 -86Q22 -76 16 -60Z" fill="{dark}"/>
<path d="M27 -94Q22 -110 25 -118Q33 -112 35 -96Z" fill="{brown}"/>
<path d="M36 -96Q36 -110 42 -116Q47 -108 44 -94Z" fill="{white}"/>
<path d="M26 -86Q28 -98 42 -96Q52 -92 58 -80Q66 -72 64 -66Q58 -60 50 -64Q38 -70 30 -76Z" fill="{brown}"/>
<path d="M56 -82Q66 -74 65 -66Q58 -59 50 -64Q50 -76 56 -82Z" fill="{pale}"/>
<circle cx="61" cy="-71" r="1.3" fill="{ink}" stroke="none"/><path d="M53 -65.6Q58 -64 62 -66.4" fill="none" stroke-width="1.2"/>
<circle cx="45" cy="-83" r="2.1" fill="{ink}" stroke="none"/><circle cx="45.7" cy="-83.8" r=".7" fill="{white}" stroke="none"/>
<path d="M-24 -64Q-8 -58 6 -64L8 -44Q-8 -38 -26 -44Z" fill="{red}"/>
<path d="M-24 -52Q-10 -47 2 -52L4 -34Q-10 -28 -26 -34Z" fill="{sack}"/><path d="M-18 -46h14v9h-14Zl7 5l7 -5" fill="{white}" stroke-width="1.2"/>
<path d="M42 -94Q40 -80 34 -73M58 -80L50 -64" fill="none" stroke="{red}" stroke-width="2"/>"#;

const CAT: &str = r#"<ellipse cx="0" cy="0" rx="18" ry="3" fill="{ink}" stroke="none" opacity="0.3"/>
<path d="M-12 -6Q-30 -8 -26 -26" fill="none" stroke="{dark}" stroke-width="4"/>
<path d="M-14 0Q-18 -22 2 -26Q14 -22 13 0Z" fill="{dark}"/>
<path d="M-6 -28Q-7 -40 -3 -43L1 -38H8L13 -43Q17 -36 15 -28Q4 -18 -6 -28Z" fill="{dark}"/>
<circle cx="3" cy="-32" r="1.5" fill="{orange}" stroke="none"/><circle cx="10" cy="-32" r="1.5" fill="{orange}" stroke="none"/>"#;
