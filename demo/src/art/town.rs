//! In the city: a street of fronts, and the rooftops above it.

use super::paint::{Point, curve, rect};
use super::sky::sky;
use super::stage::Stage;

/// A street with shop fronts. Gives the height at which people stand.
pub fn street(stage: &mut Stage) -> f64 {
    let (w, h) = (stage.w(), stage.h());
    sky(stage, h * 0.6);
    skyline(stage, h * 0.55, 0.5, 90.0);
    let mut x = -20.0;
    let mut shop = true;
    while x < w {
        let width = stage.rng.between(120.0, 190.0);
        front(stage, x, width, h * 0.8, shop);
        shop = !shop;
        x += width;
    }
    cobbles(stage, h * 0.8);
    let post = if stage.light.0 < w / 2.0 { w * 0.93 } else { w * 0.07 };
    lamp_post(stage, (post, h * 0.86));
    h * 0.95
}

/// Far houses in silhouette, with some windows lit.
pub fn skyline(stage: &mut Stage, base: f64, distance: f64, tallest: f64) {
    let w = stage.w();
    let mut x = -10.0;
    while x < w {
        let width = stage.rng.between(34.0, 80.0);
        let height = tallest * stage.rng.between(0.45, 1.0);
        let own = stage.rng.pick([0x8a_6d_70, 0x74_70_88, 0x96_7a_66, 0x6b_74_80]);
        let colour = stage.far(own, distance);
        let roof = stage.far(0x6a_48_4a, distance);
        let top = base - height;
        stage.p.area(&rect(x, top, width, stage.h() - top), colour, 1.3, move |px, py| {
            0.1 + 0.16 * (px - x) / width + (py - top) / 900.0
        });
        match stage.rng.below(4) {
            0 => stage.p.area(
                &[(x - 3.0, top), (x + width / 2.0, top - width * 0.45), (x + width + 3.0, top)],
                roof,
                1.3,
                |_, _| 0.25,
            ),
            1 => {
                stage.p.area(&rect(x + width * 0.3, top - 16.0, 9.0, 18.0), roof, 1.3, |_, _| 0.3);
                stage.p.area(&rect(x + width * 0.6, top - 11.0, 9.0, 13.0), roof, 1.3, |_, _| 0.3);
            }
            2 if width > 50.0 => {
                // A church: every city has a steeple.
                let spire = [
                    (x + width * 0.3, top),
                    (x + width * 0.5, top - height * 0.7),
                    (x + width * 0.7, top),
                ];
                stage.p.area(&spire, roof, 1.3, |_, _| 0.25);
            }
            _ => stage.p.area(&rect(x - 2.0, top - 4.0, width + 4.0, 6.0), roof, 1.3, |_, _| 0.2),
        }
        windows(stage, (x + 7.0, top + 10.0), (width - 12.0, base + 60.0), 1.0, distance);
        x += width;
    }
}

fn windows(stage: &mut Stage, (x, y): Point, (width, bottom): Point, s: f64, distance: f64) {
    let dark = stage.far(0x3c_40_58, distance);
    let (cols, rows) = ((width / (16.0 * s)) as usize, ((bottom - y) / (24.0 * s)) as usize);
    for row in 0..rows {
        for col in 0..cols {
            let lit = stage.rng.chance(if stage.lamps() { 0.5 } else { 0.06 });
            let colour = if lit { stage.pal().lamp } else { dark };
            let (px, py) = (x + col as f64 * 16.0 * s, y + row as f64 * 24.0 * s);
            stage.p.flat(&rect(px, py, 8.0 * s, 13.0 * s), colour, 0.0);
        }
    }
}

/// One house front, with a shop or a door below.
fn front(stage: &mut Stage, x: f64, width: f64, ground: f64, shop: bool) {
    let own = stage.rng.pick([0xc9_7b_5c, 0xd8_b0_7c, 0xa9_8f_9a, 0x8f_a3_98, 0xc0_8f_84]);
    let (wall, trim, dark) = (stage.lit(own), stage.lit(0xf2_e6_d2), stage.lit(0x3a_38_4c));
    let top = ground - stage.h() * stage.rng.between(0.5, 0.64);
    let brick = stage.noise("brick");
    stage.p.area(&rect(x, top, width, ground - top), wall, 2.2, move |px, py| {
        let row = (py / 9.0).floor();
        let joint = f64::from((py / 9.0).fract() < 0.2);
        0.08 + 0.3 * brick.at((px / 18.0 + (row % 2.0) * 0.5).floor() * 2.3, row * 3.1)
            + 0.16 * joint
    });
    stage.p.area(&rect(x - 4.0, top - 10.0, width + 8.0, 14.0), trim, 2.0, |_, y| {
        0.1 + (y - top) / 60.0
    });
    let columns = (width / 52.0) as usize;
    let storeys = ((ground - 120.0 - top) / 74.0) as usize;
    for storey in 0..storeys {
        for column in 0..columns {
            let px = x + (column as f64 + 0.5) * width / columns as f64 - 12.0;
            let py = top + 20.0 + storey as f64 * 74.0;
            let lit = stage.rng.chance(if stage.lamps() { 0.65 } else { 0.1 });
            let glass = if lit { stage.pal().lamp } else { stage.lit(0x5f_7c_90) };
            stage.p.flat(&rect(px - 4.0, py - 4.0, 32.0, 50.0), trim, 1.8);
            stage.p.area(&rect(px, py, 24.0, 42.0), glass, 1.6, move |gx, gy| {
                if lit { 0.0 } else { ((gx - px + gy - py) / 90.0).fract() * 0.4 }
            });
            stage.p.line(&[(px + 12.0, py), (px + 12.0, py + 42.0)], trim, 2.2);
            stage.p.line(&[(px, py + 18.0), (px + 24.0, py + 18.0)], trim, 2.2);
        }
    }
    if shop {
        let awning = stage.rng.pick([0xc8_4a_44, 0x3f_7d_86, 0x5a_84_4e]);
        let colour = stage.lit(awning);
        let glass = if stage.lamps() { stage.pal().lamp } else { stage.lit(0x8f_b4_bc) };
        stage.p.flat(&rect(x + 14.0, ground - 88.0, width - 28.0, 84.0), trim, 2.0);
        stage.p.area(&rect(x + 20.0, ground - 82.0, width * 0.52, 60.0), glass, 1.8, |_, _| 0.05);
        stage.p.area(&rect(x + width - 54.0, ground - 82.0, 32.0, 80.0), dark, 1.8, |_, _| 0.3);
        let stripes = 6;
        let step = (width - 12.0) / f64::from(stripes);
        for stripe in 0..stripes {
            let sx = x + 6.0 + f64::from(stripe) * step;
            let mut points =
                vec![(sx, ground - 112.0), (sx + step, ground - 112.0), (sx + step, ground - 86.0)];
            points.extend(curve(
                (sx + step, ground - 86.0),
                (sx + step / 2.0, ground - 70.0),
                (sx, ground - 86.0),
                6,
            ));
            stage.p.area(&points, if stripe % 2 == 0 { colour } else { trim }, 1.8, move |_, y| {
                0.04 + (y - ground + 112.0) / 150.0
            });
        }
    } else {
        let px = x + width / 2.0 - 19.0;
        stage.p.flat(&rect(px - 6.0, ground - 92.0, 50.0, 92.0), trim, 2.0);
        let own = stage.rng.pick([0x4a_6b_8a, 0x8a_3f_44, 0x4f_70_50]);
        let door = stage.lit(own);
        stage.p.area(&rect(px, ground - 86.0, 38.0, 86.0), door, 1.8, |_, _| 0.22);
        stage.p.disc((px + 31.0, ground - 42.0), 3.0, stage.pal().lamp, 1.0, |_, _| 0.0);
    }
}

fn cobbles(stage: &mut Stage, top: f64) {
    let (w, h) = (stage.w(), stage.h());
    let (stone, kerb) = (stage.lit(0x90_88_8a), stage.lit(0xc4_ba_ae));
    stage.p.area(&rect(-9.0, top, w + 18.0, h - top + 9.0), stone, 2.2, |_, y| {
        0.12 + (y - top) / 700.0
    });
    stage.p.area(&rect(-9.0, top - 2.0, w + 18.0, 9.0), kerb, 2.0, |_, _| 0.1);
    let joint = stone.dark(0.35);
    let mut y = top + 16.0;
    let mut row = 0;
    while y < h + 12.0 {
        let size = 13.0 + (y - top) * 0.14;
        for at in 0..=(w / (size * 2.0)) as usize + 1 {
            let x = (at as f64 + if row % 2 == 0 { 0.0 } else { 0.5 }) * size * 2.0;
            stage.p.line(
                &curve(
                    (x - size * 0.8, y + 3.0),
                    (x, y - size * 0.55),
                    (x + size * 0.8, y + 3.0),
                    5,
                ),
                joint,
                1.5,
            );
        }
        y += size * 0.9;
        row += 1;
    }
}

fn lamp_post(stage: &mut Stage, (x, y): Point) {
    let (iron, lamp) = (stage.lit(0x2c_30_3e), stage.pal().lamp);
    stage.p.area(&rect(x - 4.0, y - 210.0, 8.0, 212.0), iron, 1.8, |_, _| 0.2);
    stage.p.area(&rect(x - 10.0, y - 14.0, 20.0, 16.0), iron, 1.8, |_, _| 0.2);
    if stage.lamps() {
        stage.p.glow((x, y - 228.0), 150.0, lamp, 0.8);
    }
    stage.p.flat(
        &[
            (x - 10.0, y - 210.0),
            (x - 15.0, y - 244.0),
            (x + 15.0, y - 244.0),
            (x + 10.0, y - 210.0),
        ],
        lamp,
        2.0,
    );
    stage.p.area(
        &[(x - 19.0, y - 244.0), (x, y - 262.0), (x + 19.0, y - 244.0)],
        iron,
        2.0,
        |_, _| 0.2,
    );
}

/// On a roof, with the city all around.
pub fn rooftop(stage: &mut Stage) -> f64 {
    let (w, h) = (stage.w(), stage.h());
    sky(stage, h * 0.72);
    skyline(stage, h * 0.56, 0.62, 130.0);
    skyline(stage, h * 0.68, 0.36, 120.0);
    skyline(stage, h * 0.78, 0.14, 90.0);
    for (at, size) in [(0.08, 1.0), (0.9, 1.15), (0.74, 0.7)] {
        let x = w * (at + stage.rng.between(-0.02, 0.02));
        chimney(stage, (x, h * 0.85), size);
    }
    tiles(stage, h * 0.8);
    h * 0.95
}

fn chimney(stage: &mut Stage, (x, y): Point, s: f64) {
    let (brick, pot, smoke) =
        (stage.lit(0xa9_58_46), stage.lit(0xc9_8a_5e), stage.pal().cloud.light(0.2));
    let rows = stage.noise("chimney");
    let mut curl = Vec::new();
    let drift = if stage.light.0 < stage.w() / 2.0 { 1.0 } else { -1.0 };
    for step in 0..=16 {
        let t = f64::from(step) / 16.0;
        curl.push((
            x + drift * (t * t * 70.0 + (t * 9.0).sin() * 9.0 * t) * s,
            y - (172.0 + t * 120.0) * s,
        ));
    }
    for (at, point) in curl.iter().enumerate() {
        let d = super::paint::path(
            &super::paint::ellipse(*point, (5.0 + at as f64 * 1.3) * s, (5.0 + at as f64) * s),
            true,
        );
        stage.p.raw(&format!(
            r#"<path d="{d}" fill="{smoke}" opacity="{:.2}"/>"#,
            0.5 - at as f64 * 0.025
        ));
    }
    stage.p.area(
        &rect(x - 30.0 * s, y - 128.0 * s, 60.0 * s, 134.0 * s),
        brick,
        2.2,
        move |px, py| {
            let row = (py / (11.0 * s)).floor();
            let joint = f64::from((py / (11.0 * s)).fract() < 0.22);
            0.12 + 0.3 * rows.at((px / (20.0 * s) + (row % 2.0) * 0.5).floor() * 2.1, row * 1.7)
                + 0.3 * joint
                + 0.2 * f64::from(px > x + 12.0 * s)
        },
    );
    stage.p.area(
        &rect(x - 36.0 * s, y - 138.0 * s, 72.0 * s, 14.0 * s),
        brick.light(0.12),
        2.2,
        |_, _| 0.15,
    );
    for dx in [-15.0, 15.0] {
        let points = [
            (x + (dx - 10.0) * s, y - 138.0 * s),
            (x + (dx - 7.5) * s, y - 168.0 * s),
            (x + (dx + 7.5) * s, y - 168.0 * s),
            (x + (dx + 10.0) * s, y - 138.0 * s),
        ];
        stage.p.area(&points, pot, 2.0, |_, _| 0.18);
    }
}

fn tiles(stage: &mut Stage, top: f64) {
    let (w, h) = (stage.w(), stage.h());
    let (tile, ridge) = (stage.lit(0xa0_5a_50), stage.lit(0xc0_7a_62));
    let tints = stage.noise("tiles");
    stage.p.area(&rect(-9.0, top, w + 18.0, h - top + 9.0), tile, 2.2, move |x, y| {
        0.1 + 0.4 * tints.at((x / 30.0).floor() * 1.9, (y / 18.0).floor() * 2.7)
    });
    let ink = tile.dark(0.45);
    let mut y = top + 18.0;
    let mut row = 0;
    while y < h + 18.0 {
        for at in 0..=(w / 30.0) as usize + 1 {
            let x = (at as f64 + if row % 2 == 0 { 0.0 } else { 0.5 }) * 30.0;
            stage.p.line(
                &curve((x - 15.0, y - 6.0), (x, y + 10.0), (x + 15.0, y - 6.0), 6),
                ink,
                1.6,
            );
        }
        y += 18.0;
        row += 1;
    }
    stage.p.area(&rect(-9.0, top - 9.0, w + 18.0, 15.0), ridge, 2.2, |x, _| {
        0.08 + 0.25 * f64::from((x / 46.0).fract() < 0.08)
    });
}
