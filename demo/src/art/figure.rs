//! People. A figure is drawn in its own units, feet at the origin, 100 high, facing right.

use std::fmt::Write;

use super::colour::{Palette, Rgb, rgb};
use super::look::{Dress, Hair, Hat, Look};
use super::paint::num;
use super::prop::held;
use crate::text::lexicon::{Mood, Prop};

/// What a figure does.
#[derive(Debug, Clone, Copy)]
pub struct Pose {
    /// Shouts: the brows come down.
    pub shouting: bool,
    /// Speaks: the mouth is open and a hand is up.
    pub speaking: bool,
    /// Holds this.
    pub prop: Option<Prop>,
    /// How it feels.
    pub mood: Mood,
    /// Some number that tells two figures in the same situation apart.
    pub variant: u64,
}

struct Pen<'a> {
    svg: String,
    pal: &'a Palette,
    ink: Rgb,
}

impl Pen<'_> {
    fn fill(&mut self, d: &str, colour: Rgb) {
        let colour = self.own(colour);
        let _ = write!(self.svg, r#"<path d="{d}" fill="{colour}"/>"#);
    }

    fn stroke(&mut self, d: &str, colour: Rgb, width: f64) {
        let _ = write!(
            self.svg,
            r#"<path d="{d}" fill="none" stroke="{colour}" stroke-width="{}"/>"#,
            num(width)
        );
    }

    fn shadow(&mut self, d: &str) {
        let _ =
            write!(self.svg, r#"<path d="{d}" fill="{}" stroke="none" opacity="0.16"/>"#, self.ink);
    }

    fn oval(&mut self, (x, y): (f64, f64), (rx, ry): (f64, f64), colour: Rgb) {
        let colour = self.own(colour);
        let _ = write!(
            self.svg,
            r#"<ellipse cx="{}" cy="{}" rx="{}" ry="{}" fill="{colour}"/>"#,
            num(x),
            num(y),
            num(rx),
            num(ry)
        );
    }

    /// People keep more of their own colours than the landscape does: they must be known again at night.
    fn own(&self, colour: Rgb) -> Rgb {
        colour.mix(self.pal.tint.0, self.pal.tint.1 * 0.42)
    }
}

/// The figure as an SVG group's content.
pub fn figure(look: &Look, pose: Pose, pal: &Palette) -> String {
    let mut pen = Pen { svg: String::new(), pal, ink: pal.ink };
    let _ = write!(
        pen.svg,
        r#"<ellipse cx="0" cy="0" rx="22" ry="4" fill="{}" stroke="none" opacity="0.3"/>"#,
        pal.ink
    );
    hair_behind(&mut pen, look);
    legs(&mut pen, look);
    arm_behind(&mut pen, look, pose);
    body(&mut pen, look);
    head(&mut pen, look, pose);
    arm_before(&mut pen, look, pose);
    pen.svg
}

fn legs(pen: &mut Pen<'_>, look: &Look) {
    let x = 7.5 * look.girth;
    for side in [-1.0, 1.0] {
        let (l, r) = (num(side * x - 5.0), num(side * x + 5.0));
        pen.fill(&format!("M{l} -34L{r} -34L{r} -4L{l} -4Z"), look.legs);
        pen.fill(
            &format!(
                "M{l} -6Q{l} 0 {l} 0L{} 0Q{} -6 {r} -6Z",
                num(side * x + 9.0),
                num(side * x + 9.0)
            ),
            look.legs.dark(0.5),
        );
    }
}

fn body(pen: &mut Pen<'_>, look: &Look) {
    let g = look.girth;
    let (shoulder, hem, low) = match look.dress {
        Dress::Coat => (14.5 * g, 19.0 * g, -20.0),
        Dress::Apron => (13.5 * g, 21.0 * g, -17.0),
        Dress::Jacket => (15.0 * g, 16.0 * g, -31.0),
    };
    let outline = |from: f64| {
        format!(
            "M{a} -67Q{b} -66 {b} -57L{c} {l}Q0 {m} {d} {l}L{e} -57Q{e} -66 {f} -67Q0 -63 {a} -67Z",
            a = num(from.max(-11.0 * g)),
            b = num(from.max(-shoulder)),
            c = num(from.max(-hem)),
            d = num(hem),
            e = num(shoulder),
            f = num(11.0 * g),
            l = num(low),
            m = num(low + 4.0),
        )
    };
    pen.fill(&outline(-99.0), look.cloth);
    match look.dress {
        Dress::Coat => {
            pen.stroke(&format!("M0 -64L0 {}", num(low + 2.0)), pen.ink, 1.1);
            for y in [-57.0, -48.0, -39.0] {
                pen.oval((-4.0, y), (1.5, 1.5), look.accent);
            }
        }
        Dress::Apron => {
            let d = format!(
                "M-7 -62L7 -62L9 -46L{r} {l}Q0 {m} -{r} {l}L-9 -46Z",
                r = num(13.0 * g),
                l = num(low - 1.0),
                m = num(low + 2.6)
            );
            pen.fill(&d, rgb(0xfa_f4_e6));
            pen.stroke("M-9 -46Q0 -43 9 -46", pen.ink, 1.1);
        }
        Dress::Jacket => {
            pen.fill("M-6 -66L0 -50L6 -66Q0 -63 -6 -66Z", rgb(0xfa_f4_e6));
            pen.fill("M-1.6 -64L1.6 -64L2.4 -53L0 -50L-2.4 -53Z", look.accent);
            pen.stroke("M0 -50L0 -29", pen.ink, 1.1);
        }
    }
    pen.shadow(&format!(
        "M{f} -67Q{e} -66 {e} -57L{d} {l}L{k} {l}Q{k} -50 {f} -67Z",
        f = num(-11.0 * g),
        e = num(-shoulder),
        d = num(-hem),
        k = num(-hem * 0.45),
        l = num(low)
    ));
    if look.bag {
        pen.stroke(&format!("M{} -66L{} -34", num(-11.0 * g), num(15.0 * g)), rgb(0x5a_3d_2a), 3.0);
        let x = 9.0 * g;
        pen.fill(&format!("M{} -38h15v12h-15Z", num(x)), rgb(0x9a_66_3c));
        pen.stroke(&format!("M{} -33h15", num(x)), pen.ink, 1.1);
    }
}

/// An arm: its outline, then its sleeve, then the hand.
fn arm(pen: &mut Pen<'_>, look: &Look, points: [(f64, f64); 3]) {
    let [(sx, sy), (ex, ey), (hx, hy)] = points;
    let d = format!("M{} {}Q{} {} {} {}", num(sx), num(sy), num(ex), num(ey), num(hx), num(hy));
    let (ink, sleeve) = (pen.ink, pen.own(look.cloth.dark(0.06)));
    pen.stroke(&d, ink, 9.6);
    pen.stroke(&d, sleeve, 7.2);
    pen.oval((hx, hy), (3.7, 3.7), look.skin);
}

fn arm_behind(pen: &mut Pen<'_>, look: &Look, pose: Pose) {
    let g = look.girth;
    let points = match pose.variant % 3 {
        0 => [(-13.0 * g, -61.0), (-25.0 * g, -50.0), (-15.0 * g, -40.0)],
        1 => [(-13.0 * g, -61.0), (-22.0 * g, -52.0), (-20.0 * g, -36.0)],
        _ if pose.mood == Mood::Joyful => {
            [(-13.0 * g, -61.0), (-27.0 * g, -60.0), (-26.0 * g, -76.0)]
        }
        _ => [(-13.0 * g, -61.0), (-21.0 * g, -50.0), (-17.0 * g, -35.0)],
    };
    arm(pen, look, points);
}

fn arm_before(pen: &mut Pen<'_>, look: &Look, pose: Pose) {
    let g = look.girth;
    let shoulder = (13.0 * g, -61.0);
    let points = match pose.prop {
        Some(Prop::Lantern | Prop::Bell) => [shoulder, (27.0 * g, -56.0), (31.0 * g, -66.0)],
        Some(_) => [shoulder, (21.0 * g, -44.0), (29.0 * g, -52.0)],
        None if pose.speaking => [shoulder, (27.0 * g, -52.0), (29.0 * g, -67.0)],
        None => [shoulder, (22.0 * g, -50.0), (18.0 * g, -36.0)],
    };
    // What is held goes behind the hand.
    if let Some(prop) = pose.prop {
        let (x, y) = points[2];
        pen.svg.push_str(&held(prop, x, y, &pen.ink.to_string()));
    }
    arm(pen, look, points);
}

fn hair_behind(pen: &mut Pen<'_>, look: &Look) {
    match look.style {
        Hair::Bob => pen.fill("M-16 -88Q-18 -66 -13 -64L12 -64Q17 -66 15 -88Z", look.hair),
        Hair::Curly => {
            for (x, y, r) in [
                (-13.0, -76.0, 6.5),
                (-15.0, -85.0, 7.0),
                (12.0, -76.0, 5.5),
                (13.0, -86.0, 6.5),
                (-8.0, -70.0, 5.0),
            ] {
                pen.oval((x, y), (r, r), look.hair);
            }
        }
        Hair::Bun => pen.oval((-8.0, -100.0), (7.0, 6.5), look.hair),
        Hair::Braids => {
            for side in [-1.0, 1.0] {
                for (at, y) in [-74.0, -67.5, -61.0].into_iter().enumerate() {
                    pen.oval((side * (14.0 + at as f64), y), (3.6, 4.4), look.hair);
                }
                pen.oval((side * 16.4, -55.5), (2.2, 2.8), look.accent);
            }
        }
        Hair::Short | Hair::Wreath => {}
    }
}

fn head(pen: &mut Pen<'_>, look: &Look, pose: Pose) {
    pen.fill("M-4.5 -72L4.5 -72L5 -63Q0 -60 -5 -63Z", look.skin.dark(0.12));
    if look.scarf {
        pen.fill("M-11 -69Q0 -62 11 -69L12 -63Q0 -57 -12 -63Z", look.accent);
        pen.fill("M-9 -63L-3 -61L-5 -47L-11 -49Z", look.accent);
    }
    pen.oval((-13.2, -81.0), (2.8, 3.4), look.skin);
    pen.oval((0.0, -83.0), (13.6, 14.6), look.skin);
    pen.shadow("M-9 -94Q-16 -82 -8 -71Q-14 -74 -13.6 -84Q-13 -91 -9 -94Z");
    let _ = write!(
        pen.svg,
        r##"<g fill="#e8604c" stroke="none" opacity="0.32"><ellipse cx="-5" cy="-77.5" rx="3" ry="2"/><ellipse cx="9.4" cy="-77.5" rx="2.6" ry="2"/></g>"##
    );
    face(pen, look, pose);
    hair_before(pen, look);
    hat(pen, look);
}

fn face(pen: &mut Pen<'_>, look: &Look, pose: Pose) {
    let ink = pen.ink;
    let eye = if pose.mood == Mood::Wonder { 2.0 } else { 1.6 };
    if pose.mood == Mood::Joyful && !pose.speaking {
        pen.stroke("M-3.6 -83.4Q-1.6 -86.2 .4 -83.4M6 -83.4Q7.8 -86.2 9.6 -83.4", ink, 1.4);
    } else {
        let _ = write!(
            pen.svg,
            r##"<g fill="{ink}" stroke="none"><ellipse cx="-1.6" cy="-84" rx="{e}" ry="{f}"/><ellipse cx="7.8" cy="-84" rx="{e}" ry="{f}"/></g><g fill="#fff" stroke="none"><circle cx="-1" cy="-84.8" r=".6"/><circle cx="8.4" cy="-84.8" r=".6"/></g>"##,
            e = num(eye * 0.9),
            f = num(eye * 1.25)
        );
    }
    let brows = match pose.mood {
        Mood::Tense if pose.shouting => "M-5 -89.6L0 -87.8M6 -87.8L11 -89.6",
        Mood::Sad | Mood::Tense => "M-5 -88L0 -90.4M6 -90.4L11 -88",
        Mood::Wry => "M-5 -88.6L0 -88.2M5.6 -91Q8.4 -92.8 11 -90.6",
        Mood::Joyful | Mood::Wonder => "M-5 -90Q-2.4 -92.2 0 -90.4M6 -90.4Q8.6 -92.2 11 -90",
    };
    pen.stroke(brows, ink, 1.3);
    if look.glasses {
        pen.stroke("M-5.6 -84a4 4 0 1 0 8 0a4 4 0 1 0 -8 0M4 -84a4 4 0 1 0 8 0a4 4 0 1 0 -8 0M2.4 -84.6h1.6M-5.6 -84.6L-12 -86", ink, 1.0);
    }
    if look.beard {
        pen.fill(
            "M-13 -82Q-13 -66 1 -65Q13 -66 13.2 -80Q10 -75 4 -75.8Q-2 -75 -6 -76Q-11 -77 -13 -82Z",
            look.hair,
        );
    }
    pen.stroke("M4.4 -82.4Q8 -79.4 4.2 -78.6", ink, 1.2);
    let mouth = (3.2, -74.2);
    if pose.speaking {
        pen.fill(
            "M-1.6 -75.8Q3.4 -74.4 8 -75.8Q7.4 -69.4 3 -69.4Q-1 -69.8 -1.6 -75.8Z",
            rgb(0x8a_2a_36),
        );
        pen.svg
            .push_str(r##"<path d="M.4 -75Q3.4 -74.2 6.4 -75L6 -73.6Q3.2 -73 .8 -73.6Z" fill="#fff" stroke="none"/>"##);
    } else {
        let d = match pose.mood {
            Mood::Joyful => "M-1.8 -75.6Q3.2 -70.8 8 -75.6",
            Mood::Tense => "M-.6 -73.4Q1.4 -75 3.2 -73.6Q5 -72.4 7 -74",
            Mood::Sad => "M-.4 -72.8Q3.2 -75.8 6.8 -72.8",
            Mood::Wry => "M-.6 -74.2Q4 -72.6 7.4 -75.6",
            Mood::Wonder => "M1.4 -74a1.8 2 0 1 0 3.6 0a1.8 2 0 1 0 -3.6 0",
        };
        pen.stroke(d, ink, 1.4);
    }
    if look.moustache {
        let (x, y) = mouth;
        let d = format!(
            "M{x} {a}Q-4 -80.6 -7.4 -74.6Q-2 -75 {x} -76Q9 -75 13 -74.6Q10.6 -80.6 {x} {a}Z",
            a = num(y - 3.8)
        );
        pen.fill(&d, look.hair);
    }
}

fn hair_before(pen: &mut Pen<'_>, look: &Look) {
    let d = match look.style {
        Hair::Short => {
            "M-14.4 -81Q-17 -100 0 -100.6Q15.4 -100 14.4 -87Q10 -88.6 8.4 -93Q-1 -89 -10 -91Q-11 -86 -14.4 -81Z"
        }
        Hair::Bob => {
            "M-16 -77Q-18.6 -100.6 0 -101Q18 -100.6 15.6 -78Q12.6 -84 11.6 -91Q2 -88.6 -8 -92Q-12 -86 -16 -77Z"
        }
        Hair::Bun => {
            "M-14.4 -83Q-15 -99.6 0 -100Q15 -99.6 14.4 -86Q8 -91.6 3 -95.6Q-6 -90 -14.4 -83Z"
        }
        Hair::Braids => {
            "M-15.4 -79Q-17 -100.4 0 -100.8Q17 -100.4 15 -80Q12.4 -88 9.6 -91.6Q1 -89.6 -8.6 -92Q-12 -88 -15.4 -79Z"
        }
        Hair::Curly => "",
        Hair::Wreath => "M-14.6 -77Q-18 -86 -13 -92Q-11 -86 -12.4 -78Z",
    };
    if look.style == Hair::Curly {
        for (x, y, r) in
            [(-12.0, -92.0, 5.6), (-5.0, -97.0, 6.2), (3.4, -98.0, 6.2), (10.6, -94.0, 5.4)]
        {
            pen.oval((x, y), (r, r), look.hair);
        }
    } else {
        pen.fill(d, look.hair);
    }
    if look.style == Hair::Wreath {
        pen.fill("M13 -79Q17.4 -84 13.4 -91Q11 -87 11.8 -80Z", look.hair);
    }
}

fn hat(pen: &mut Pen<'_>, look: &Look) {
    match look.hat {
        Hat::Bare => {}
        Hat::Captain => {
            pen.fill("M-17 -96Q-19 -108 -3 -109Q18 -109 18 -97Q2 -100 -17 -96Z", rgb(0xfb_f7_ee));
            pen.fill("M-15 -96Q1 -101 16 -96.6L15.4 -91Q1 -95 -14.4 -90.6Z", rgb(0x2a_30_48));
            pen.fill("M-3 -93.4Q9 -96 19 -90Q12 -88.6 -2 -90.6Z", rgb(0x1c_1f_30));
            pen.oval((5.0, -97.6), (2.2, 2.2), rgb(0xe8_bc_4a));
        }
        Hat::Bowler => {
            pen.fill("M-14 -93Q-15 -112 1 -112Q16 -112 14.6 -93Z", rgb(0x33_30_3e));
            pen.fill("M-21 -92Q0 -99 21.6 -92Q17 -88.6 0 -91Q-17 -88.6 -21 -92Z", rgb(0x33_30_3e));
            pen.stroke("M-13.6 -96.4Q0 -100.4 14 -96.4", look.accent, 1.8);
        }
        Hat::Wool => {
            pen.fill("M-15 -89Q-16 -108 0 -108.6Q16 -108 15.4 -89.6Q0 -95.6 -15 -89Z", look.accent);
            pen.fill(
                "M-16 -88Q0 -95.6 16.2 -88.6L15.6 -93.6Q0 -100.4 -15.6 -93Z",
                look.cloth.dark(0.12),
            );
            pen.oval((0.0, -109.6), (4.0, 3.6), look.cloth);
        }
        Hat::Kerchief => {
            pen.fill(
                "M-15.4 -74Q-20 -101 0 -102Q19 -101 15.6 -76Q14.6 -88 9.4 -93Q0 -96 -8.4 -92.6Q-13.6 -86 -15.4 -74Z",
                look.accent,
            );
            pen.fill("M-5 -67.6L0 -66L5 -67.6L3.4 -62L0 -65L-3.6 -62Z", look.accent);
            for (x, y) in [(-10.0, -94.0), (-3.0, -98.6), (6.0, -98.0), (12.4, -92.0)] {
                let _ = write!(
                    pen.svg,
                    r#"<circle cx="{x}" cy="{y}" r="1.2" fill="{}" stroke="none"/>"#,
                    look.cloth
                );
            }
        }
    }
}
