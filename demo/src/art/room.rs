//! Indoors: four walls, a window with the weather in it, and what makes a workshop, a bakery, an office or a hut.

use super::colour::Rgb;
use super::paint::{Fill, Point, curve, ellipse, rect};
use super::sea::planks;
use super::stage::Stage;
use crate::text::lexicon::{Setting, Time};

/// A room. Gives the height at which people stand.
pub fn room(stage: &mut Stage, kind: Setting) -> f64 {
    let (w, h) = (stage.w(), stage.h());
    let floor = h * 0.76;
    let own = match kind {
        Setting::Bakery => 0xf0_d2_a4,
        Setting::Office => 0xb9_c4_b0,
        Setting::Workshop => 0x8f_a8_a8,
        _ => 0xcf_a8_78,
    };
    let warm = indoors(stage, own);
    let lamp_at = (w * 0.5, h * 0.2);
    let paper = stage.noise("wall");
    let logs = kind == Setting::Hut;
    stage.p.area(
        &rect(-9.0, -9.0, w + 18.0, floor + 9.0),
        Fill::Down(warm.dark(0.1), warm),
        0.0,
        move |x, y| {
            let corner =
                ((x - lamp_at.0).abs() / w * 1.5).powi(2) * 0.5 + (0.2 - y / h).max(0.0) * 0.8;
            let grain = if logs {
                (y / 30.0 * std::f64::consts::TAU).sin() * 0.12
                    + 0.3 * (paper.fractal(x / 130.0, y / 6.0, 3) - 0.4)
            } else {
                0.12 * f64::from((x / 46.0).fract() < 0.5)
                    + 0.24 * (paper.fractal(x / 40.0, y / 40.0, 3) - 0.4)
            };
            0.08 + corner + grain
        },
    );
    if logs {
        let ink = warm.dark(0.4);
        (1..=(floor / 30.0) as usize).for_each(|row| {
            stage.p.line(&[(0.0, row as f64 * 30.0), (w, row as f64 * 30.0)], ink, 1.6)
        });
    }
    window(stage, (w * if stage.light.0 < w / 2.0 { 0.2 } else { 0.8 }, h * 0.36));
    let board = indoors(stage, 0xa8_76_4e);
    let grain = stage.noise("floor");
    stage.p.area(&rect(-9.0, floor, w + 18.0, h - floor + 9.0), board, 2.2, move |x, y| {
        0.14 + 0.5 * (grain.fractal(x / 140.0, y / 6.0, 3) - 0.35)
            + ((x / w - 0.5).abs() * 0.5).powi(2)
    });
    planks(stage, floor, 0.5);
    let skirting = indoors(stage, 0x6d_4a_34);
    stage.p.area(&rect(-9.0, floor - 12.0, w + 18.0, 14.0), skirting, 2.0, |_, _| 0.2);
    if w > 1000.0 {
        // A long wall wants something more.
        window(stage, (w * if stage.light.0 < w / 2.0 { 0.38 } else { 0.62 }, h * 0.36));
    }
    rug(stage, (w * 0.5, h * 0.9));
    let far_side = if stage.light.0 < w / 2.0 { w * 0.84 } else { w * 0.16 };
    match kind {
        Setting::Bakery => bakery(stage, far_side, floor),
        Setting::Office => office(stage, far_side, floor),
        Setting::Workshop => workshop(stage, far_side, floor),
        _ => hut(stage, far_side, floor),
    }
    if stage.lamps() {
        let lamp = stage.pal().lamp;
        stage.p.glow(lamp_at, w.max(h) * 0.5, lamp, 0.42);
    }
    hanging_lamp(stage, lamp_at);
    h * 0.95
}

fn rug(stage: &mut Stage, (x, y): Point) {
    let own = stage.rng.pick([0xa8_48_48, 0x3f_6f_7a, 0x7a_5a_8a, 0xb0_80_3c]);
    let (cloth, edge) = (indoors(stage, own), indoors(stage, 0xe8_d4_a8));
    let half = stage.w() * 0.36;
    stage.p.area(&ellipse((x, y), half, 34.0), edge, 2.0, |_, _| 0.1);
    stage.p.area(&ellipse((x, y), half - 14.0, 28.0), cloth, 1.6, |px, _| {
        0.12 + 0.2 * ((px / 9.0).sin() * 0.5 + 0.5)
    });
    stage.p.area(&ellipse((x, y), half * 0.6, 14.0), edge.mix(cloth, 0.4), 1.4, |_, _| 0.12);
}

/// A colour indoors: the lamp keeps most of the night out.
fn indoors(stage: &Stage, own: u32) -> Rgb {
    let own = super::colour::rgb(own);
    let (tint, share) = stage.pal().tint;
    own.mix(tint, share).mix(super::colour::rgb(0xff_c0_70), if stage.lamps() { 0.12 } else { 0.0 })
}

fn window(stage: &mut Stage, (x, y): Point) {
    let pal = stage.pal();
    let frame = indoors(stage, 0xf0_e4_ce);
    stage.p.flat(&rect(x - 50.0, y - 66.0, 100.0, 130.0), frame, 2.2);
    let sky = Fill::Down(pal.sky[0], pal.sky[2]);
    stage.p.area(&rect(x - 42.0, y - 58.0, 84.0, 114.0), sky, 1.8, move |_, py| {
        0.2 * (1.0 - (py - y + 58.0) / 114.0)
    });
    let hill = stage.far(0x5f_7f_6f, 0.4);
    let mut points = curve((x - 42.0, y + 30.0), (x - 8.0, y + 2.0), (x + 42.0, y + 34.0), 10);
    points.extend([(x + 42.0, y + 56.0), (x - 42.0, y + 56.0)]);
    stage.p.area(&points, hill, 0.0, |_, _| 0.25);
    if stage.time == Time::Night {
        stage.p.disc((x + 18.0, y - 32.0), 10.0, pal.sun, 0.0, |_, _| 0.0);
    }
    stage.p.line(&[(x, y - 58.0), (x, y + 56.0)], frame, 6.0);
    stage.p.line(&[(x - 42.0, y - 6.0), (x + 42.0, y - 6.0)], frame, 6.0);
    stage.p.area(&rect(x - 58.0, y + 62.0, 116.0, 10.0), frame, 2.0, |_, _| 0.1);
    let curtain = stage.rng.pick([0xc8_5a_4e, 0x5b_8a_8a, 0xd9_a3_4a]);
    let cloth = indoors(stage, curtain);
    for side in [-1.0, 1.0] {
        let mut points = curve(
            (x + side * 60.0, y - 74.0),
            (x + side * 26.0, y - 60.0),
            (x + side * 44.0, y + 10.0),
            8,
        );
        points.extend(curve(
            (x + side * 44.0, y + 10.0),
            (x + side * 56.0, y + 30.0),
            (x + side * 62.0, y + 50.0),
            5,
        ));
        stage.p.area(&points, cloth, 2.0, move |px, _| 0.1 + 0.25 * ((px / 5.0).sin() * 0.5 + 0.5));
    }
    stage.p.line(&[(x - 70.0, y - 74.0), (x + 70.0, y - 74.0)], pal.ink, 4.0);
}

fn hanging_lamp(stage: &mut Stage, (x, y): Point) {
    let (ink, lamp) = (stage.pal().ink, stage.pal().lamp);
    stage.p.line(&[(x, 0.0), (x, y - 36.0)], ink, 2.4);
    let lit = stage.lamps();
    if lit {
        stage.p.glow((x, y - 14.0), 84.0, lamp, 0.85);
    }
    stage.p.disc(
        (x, y - 16.0),
        9.0,
        if lit { lamp.light(0.3) } else { lamp.grey(0.5) },
        1.8,
        |_, _| 0.0,
    );
    let shade = indoors(stage, 0x3f_6b_5c);
    let points =
        [(x - 30.0, y - 17.0), (x - 10.0, y - 38.0), (x + 10.0, y - 38.0), (x + 30.0, y - 17.0)];
    stage.p.area(&points, shade, 2.0, |_, _| 0.15);
}

fn shelf(stage: &mut Stage, (x, y): Point, width: f64) {
    let wood = indoors(stage, 0x7a_50_36);
    stage.p.area(&rect(x - width / 2.0, y, width, 9.0), wood, 2.0, |_, _| 0.2);
    for dx in [-0.4, 0.4] {
        stage.p.line(&[(x + dx * width, y + 9.0), (x + dx * width, y + 22.0)], wood.dark(0.3), 4.0);
    }
}

fn bakery(stage: &mut Stage, x: f64, floor: f64) {
    let brick = indoors(stage, 0xb5_62_48);
    let rows = stage.noise("oven");
    let mut arch = vec![(x - 100.0, floor)];
    arch.extend(curve(
        (x - 100.0, floor - 130.0),
        (x, floor - 250.0),
        (x + 100.0, floor - 130.0),
        18,
    ));
    arch.push((x + 100.0, floor));
    stage.p.area(&arch, brick, 2.4, move |px, py| {
        let row = (py / 14.0).floor();
        let joint = f64::from((py / 14.0).fract() < 0.2);
        0.1 + 0.32 * rows.at((px / 26.0 + (row % 2.0) * 0.5).floor() * 2.3, row * 3.1)
            + 0.28 * joint
    });
    let mouth = |s: f64| {
        let mut points = vec![(x - 52.0 * s, floor - 46.0)];
        points.extend(curve(
            (x - 52.0 * s, floor - 80.0),
            (x, floor - 80.0 - 92.0 * s),
            (x + 52.0 * s, floor - 80.0),
            14,
        ));
        points.push((x + 52.0 * s, floor - 46.0));
        points
    };
    stage.p.flat(&mouth(1.12), brick.light(0.3), 2.0);
    stage.p.flat(&mouth(1.0), super::colour::rgb(0x3a_1c_1c), 2.0);
    stage.p.flat(&mouth(0.72), super::colour::rgb(0xe8_6a_2a), 0.0);
    stage.p.flat(&mouth(0.42), super::colour::rgb(0xff_cf_5a), 0.0);
    stage.p.glow((x, floor - 86.0), 150.0, super::colour::rgb(0xff_a8_4a), 0.6);
    let side = if x > stage.w() / 2.0 { -1.0 } else { 1.0 };
    let centre = (x + side * (stage.w() * 0.33), floor - 196.0);
    for level in 0..2 {
        let y = centre.1 + f64::from(level) * 62.0;
        shelf(stage, (centre.0, y), 150.0);
        let crust = indoors(stage, 0xd2_93_4e);
        for at in 0..4 {
            let lx = centre.0 - 54.0 + f64::from(at) * 36.0;
            stage.p.area(&ellipse((lx, y - 10.0), 17.0, 11.0), crust, 1.8, move |_, py| {
                0.12 + (py - y + 16.0) / 50.0
            });
            for cut in [-6.0, 1.0, 8.0] {
                stage.p.line(
                    &[(lx + cut - 3.0, y - 8.0), (lx + cut + 1.0, y - 16.0)],
                    crust.light(0.45),
                    2.2,
                );
            }
        }
    }
}

fn office(stage: &mut Stage, x: f64, floor: f64) {
    let steel = indoors(stage, 0x6f_80_78);
    for col in 0..2 {
        let left = x - 62.0 + f64::from(col) * 62.0;
        stage.p.area(&rect(left, floor - 190.0, 60.0, 190.0), steel, 2.2, |_, y| {
            0.12 + (floor - y) / 1600.0
        });
        for drawer in 0..4 {
            let y = floor - 184.0 + f64::from(drawer) * 46.0;
            stage.p.area(&rect(left + 5.0, y, 50.0, 40.0), steel.light(0.1), 1.6, |_, _| 0.1);
            stage.p.flat(&rect(left + 20.0, y + 8.0, 20.0, 9.0), indoors(stage, 0xf4_ec_d8), 1.2);
            stage.p.line(&[(left + 22.0, y + 26.0), (left + 38.0, y + 26.0)], stage.pal().ink, 3.0);
        }
    }
    papers(stage, (x - 30.0, floor - 190.0), 9);
    papers(stage, (x + 34.0, floor - 190.0), 5);
    let centre = stage.w() / 2.0;
    let frame = indoors(stage, 0x8a_6a_44);
    stage.p.area(&rect(centre - 34.0, floor - 200.0, 68.0, 86.0), frame, 2.0, |_, _| 0.15);
    stage.p.flat(&rect(centre - 26.0, floor - 192.0, 52.0, 70.0), indoors(stage, 0xe8_e0_c8), 1.4);
    for line in 0..5 {
        let y = floor - 180.0 + f64::from(line) * 11.0;
        stage.p.line(
            &[(centre - 18.0, y), (centre + 18.0 - f64::from(line % 2) * 9.0, y)],
            frame.dark(0.3),
            1.8,
        );
    }
    // The drip, and its bucket.
    let drip = centre + stage.w() * if x > centre { -0.12 } else { 0.12 };
    let water = super::colour::rgb(0x8f_c4_e0);
    for y in [0.2, 0.4, 0.62] {
        let y = floor * y;
        let mut drop = curve((drip, y - 12.0), (drip - 8.0, y + 5.0), (drip, y + 6.0), 5);
        drop.extend(curve((drip, y + 6.0), (drip + 8.0, y + 5.0), (drip, y - 12.0), 5));
        stage.p.flat(&drop, water, 1.4);
    }
    let tin = indoors(stage, 0xa8_b0_b8);
    stage.p.area(
        &[
            (drip - 22.0, floor - 26.0),
            (drip + 22.0, floor - 26.0),
            (drip + 16.0, floor + 12.0),
            (drip - 16.0, floor + 12.0),
        ],
        tin,
        2.0,
        |_, _| 0.2,
    );
    stage.p.flat(&ellipse((drip, floor - 26.0), 22.0, 6.0), water, 2.0);
}

fn papers(stage: &mut Stage, (x, y): Point, count: usize) {
    for at in 0..count {
        let own = stage.rng.pick([0xfa_f4_e4, 0xf6_e6_a0, 0xf4_c6_c6]);
        let colour = indoors(stage, own);
        let (dx, py) = (stage.rng.between(-4.0, 4.0), y - 5.0 - at as f64 * 5.0);
        stage.p.flat(&rect(x - 22.0 + dx, py, 44.0, 5.0), colour, 1.2);
    }
}

/// The salt clock: copper tank, blue throat, wheel and face.
fn workshop(stage: &mut Stage, x: f64, floor: f64) {
    let (copper, wood) = (indoors(stage, 0xc4_7a_4a), indoors(stage, 0x6a_44_30));
    let (face, ink) = (indoors(stage, 0xf6_ec_d2), stage.pal().ink);
    stage.p.area(&rect(x - 72.0, floor - 268.0, 144.0, 268.0), wood, 2.4, |px, _| {
        0.2 + 0.2 * ((px / 9.0).sin() * 0.5 + 0.5)
    });
    stage.p.area(&rect(x - 58.0, floor - 254.0, 116.0, 242.0), wood.dark(0.35), 2.0, |_, _| 0.25);
    let cheek = move |px: f64| ((px - x) / 52.0).powi(2) * 0.5 + 0.06;
    stage.p.area(&rect(x - 50.0, floor - 150.0, 100.0, 46.0), copper, 2.2, move |px, _| cheek(px));
    stage.p.area(&ellipse((x, floor - 150.0), 50.0, 11.0), copper.light(0.25), 2.0, |_, _| 0.05);
    for rivet in [-38.0, -19.0, 0.0, 19.0, 38.0] {
        stage.p.disc((x + rivet, floor - 112.0), 2.6, copper.light(0.4), 1.0, |_, _| 0.0);
    }
    let glass = super::colour::rgb(0x4f_9f_d8);
    let throat = [
        (x - 16.0, floor - 104.0),
        (x + 16.0, floor - 104.0),
        (x + 5.0, floor - 66.0),
        (x - 5.0, floor - 66.0),
    ];
    stage.p.glow((x, floor - 86.0), 64.0, glass.light(0.3), 0.6);
    stage.p.area(&throat, glass, 2.0, move |px, _| if px > x { 0.3 } else { 0.05 });
    stage.p.disc((x, floor - 54.0), 4.0, glass.light(0.4), 1.2, |_, _| 0.0);
    stage.p.area(&ellipse((x, floor - 24.0), 24.0, 24.0), copper, 2.0, |_, _| 0.15);
    stage.p.disc((x, floor - 24.0), 15.0, wood.dark(0.35), 1.6, |_, _| 0.2);
    for spoke in 0..8 {
        let angle = f64::from(spoke) / 8.0 * std::f64::consts::TAU;
        stage.p.line(
            &[(x, floor - 24.0), (x + 22.0 * angle.cos(), floor - 24.0 + 22.0 * angle.sin())],
            copper.light(0.1),
            3.0,
        );
    }
    stage.p.disc((x, floor - 206.0), 44.0, copper, 2.2, |_, _| 0.15);
    stage.p.disc((x, floor - 206.0), 36.0, face, 1.8, move |px, py| {
        ((px - x).hypot(py - floor + 206.0) / 60.0).powi(3) * 0.5
    });
    for hour in 0..12 {
        let angle = f64::from(hour) / 12.0 * std::f64::consts::TAU;
        let at = |r: f64| (x + r * angle.sin(), floor - 206.0 - r * angle.cos());
        stage.p.line(&[at(29.0), at(33.0)], ink, 2.2);
    }
    for (length, turn, thick) in [(18.0, stage.rng.unit(), 3.4), (27.0, stage.rng.unit(), 2.4)] {
        let angle = turn * std::f64::consts::TAU;
        stage.p.line(
            &[(x, floor - 206.0), (x + length * angle.sin(), floor - 206.0 - length * angle.cos())],
            ink,
            thick,
        );
    }
    let side = if x > stage.w() / 2.0 { -1.0 } else { 1.0 };
    let at = (x + side * stage.w() * 0.3, floor - 178.0);
    shelf(stage, at, 120.0);
    books(stage, at, 110.0);
}

fn books(stage: &mut Stage, (x, y): Point, width: f64) {
    let mut left = x - width / 2.0;
    while left < x + width / 2.0 - 12.0 {
        let (thick, tall) = (stage.rng.between(8.0, 15.0), stage.rng.between(30.0, 46.0));
        let own = stage.rng.pick([0xa8_44_3e, 0x3f_6f_86, 0x5a_7a_4a, 0xc8_98_48, 0x6a_4f_7a]);
        let colour = indoors(stage, own);
        stage.p.area(&rect(left, y - tall, thick, tall), colour, 1.6, |_, _| 0.18);
        stage.p.line(
            &[(left + 2.5, y - tall + 8.0), (left + thick - 2.5, y - tall + 8.0)],
            colour.light(0.5),
            1.8,
        );
        left += thick + 1.0;
    }
}

fn hut(stage: &mut Stage, x: f64, floor: f64) {
    let iron = indoors(stage, 0x3d_3e_48);
    stage.p.area(&rect(x - 12.0, -9.0, 24.0, floor - 110.0), iron, 2.0, move |px, _| {
        0.15 + ((px - x) / 24.0 + 0.3).max(0.0) * 0.5
    });
    stage.p.area(&rect(x - 50.0, floor - 128.0, 100.0, 118.0), iron, 2.4, move |px, _| {
        0.12 + ((px - x) / 100.0 + 0.3).max(0.0) * 0.5
    });
    stage.p.area(&rect(x - 58.0, floor - 138.0, 116.0, 13.0), iron.light(0.1), 2.2, |_, _| 0.15);
    stage.p.flat(&rect(x - 30.0, floor - 92.0, 60.0, 44.0), super::colour::rgb(0xe8_6a_2a), 2.0);
    stage.p.flat(&rect(x - 18.0, floor - 74.0, 36.0, 26.0), super::colour::rgb(0xff_cf_5a), 0.0);
    for bar in [-15.0, 0.0, 15.0] {
        stage.p.line(&[(x + bar, floor - 92.0), (x + bar, floor - 48.0)], iron, 4.0);
    }
    stage.p.glow((x, floor - 70.0), 150.0, super::colour::rgb(0xff_a8_4a), 0.55);
    for leg in [-40.0, 40.0] {
        stage.p.line(&[(x + leg, floor - 10.0), (x + leg * 1.1, floor + 8.0)], iron, 7.0);
    }
    // Pigeonholes, some of them with post.
    let side = if x > stage.w() / 2.0 { -1.0 } else { 1.0 };
    let (cx, top) = (x + side * stage.w() * 0.32, floor - 220.0);
    let wood = indoors(stage, 0x8a_5c_3c);
    stage.p.area(&rect(cx - 72.0, top, 144.0, 112.0), wood, 2.4, |_, _| 0.18);
    for row in 0..4 {
        for col in 0..6 {
            let (px, py) = (cx - 67.0 + f64::from(col) * 22.6, top + 5.0 + f64::from(row) * 26.4);
            stage.p.area(&rect(px, py, 20.0, 23.0), wood.dark(0.5), 1.3, |_, _| 0.3);
            if stage.rng.chance(0.4) {
                stage.p.flat(
                    &rect(px + 4.0, py + 7.0, 11.0, 16.0),
                    indoors(stage, 0xf6_ec_d4),
                    1.2,
                );
            }
        }
    }
}
